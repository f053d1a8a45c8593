# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What freezer-api 19.0.0 answered, request by request, and what we answer.

``wire_19_0_0.json`` holds a day of requests to it, of several users and of
the ``freezer`` command, with its answers. The same requests are sent here.
Where an answer is another one, the recording names the words of
``doc/source/admin/compatibility.rst`` that say so, and so that page is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import pathlib
import re
from typing import Any

from tests.functional import base

RECORDED = pathlib.Path(__file__).with_name('wire_19_0_0.json')
PAGE = (pathlib.Path(__file__).resolve().parents[2]
        / 'doc/source/admin/compatibility.rst')

# What documents have beside what 19.0.0 shows, as the page says.
MORE = {'backup_uuid', 'mandatory', 'next_run_at', 'status_reason',
        'suspended', 'suspended_cause', 'suspended_at', 'trust_id',
        'trustor_user_id'}

_ID = re.compile('[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_EPOCH = 1_700_000_000


class WireTests(base.ApiTestCase):
    """The requests build upon each other, so there is one test."""

    def setUp(self) -> None:
        super().setUp()
        recorded = json.loads(RECORDED.read_text('utf-8'))
        self.requests = recorded['requests']
        self.people = {
            name: base.Persona(one['user_id'], one['project_id'],
                               tuple(one['roles']))
            for name, one in recorded['people'].items()}
        #: Ids that 19.0.0 made, and those that were made here instead.
        self.ids: dict[str, str] = {}

    def test_answers_as_recorded(self) -> None:
        page = ' '.join(PAGE.read_text('utf-8').split())
        for number, asked in enumerate(self.requests):
            with self.subTest(number=number, **{
                    key: asked[key] for key in ('who', 'method', 'path')}):
                known = dict(self.ids)
                found = list(self.differences(asked))
                why = asked.get('differs')
                if why is None:
                    self.assertEqual([], found)
                else:
                    self.assertNotEqual([], found)
                    self.assertIn(why, page)
                    # What is another thing has another id.
                    self.ids = known

    def differences(self, asked: dict[str, Any]) -> Iterator[str]:
        result = self.client.simulate_request(
            asked['method'], self.ours(asked['path']),
            body=self.ours(json.dumps(asked['sent']) if 'sent' in asked
                           else asked.get('text', '')) or None,
            host='127.0.0.1', port=25091,
            headers={'Accept': asked.get('accept', '*/*')},
            extras=(self.people[asked['who']].environ() if asked['who']
                    else {}))
        if result.status_code != asked['status']:
            yield f'{result.status_code}, not {asked["status"]}: {result.text}'
        elif asked['status'] >= 400:
            # Ours name the field, and have a code.
            wanted = asked.get('answer', {}).get('title')
            if wanted and wanted != result.json['title']:
                yield f'{result.json} and not {wanted}'
        elif 'answer' in asked:
            yield from self.unlike(asked['answer'], json.loads(result.text))

    def ours(self, text: str) -> str:
        for theirs, mine in self.ids.items():
            text = text.replace(theirs, mine)
        return text

    def unlike(self, theirs: Any, mine: Any, at: str = '') -> Iterator[str]:
        """Yield where two answers differ, and learn the ids of ours."""
        if isinstance(theirs, dict) and isinstance(mine, dict):
            theirs = {self.ours(key): value for key, value in theirs.items()}
            for key in sorted(theirs.keys() | mine.keys() - MORE):
                yield from self.unlike(
                    theirs.get(key, '(absent)'), mine.get(key, '(absent)'),
                    f'{at}.{key}')
        elif (isinstance(theirs, list) and isinstance(mine, list)
                and len(theirs) == len(mine)):
            for position, (one, other) in enumerate(
                    zip(theirs, mine, strict=True)):
                yield from self.unlike(one, other, f'{at}.{position}')
        elif isinstance(theirs, int) and isinstance(mine, int) and min(
                theirs, mine) > _EPOCH:
            return
        elif (isinstance(theirs, str) and isinstance(mine, str)
                and _ID.fullmatch(theirs) and _ID.fullmatch(mine)
                and theirs not in self.people_ids()):
            if self.ids.setdefault(theirs, mine) != mine:
                yield f'{at}: another id than before'
        elif theirs != mine:
            yield f'{at}: {mine!r} and not {theirs!r}'

    def people_ids(self) -> set[str | None]:
        return {text for one in self.people.values()
                for text in (one.user_id, one.project_id)}
