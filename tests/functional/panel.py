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

"""The requests of the panel of Horizon, as it sent them.

``panel_requests.json`` was recorded between the panel, in a Horizon that was
used as with a browser, and this API with a real Keystone. It has what each
form sends, without what the form reads to show itself. Words in braces stand
for ids and times.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
import re
from typing import Any

from tests.functional import base

_RECORDED = json.loads(pathlib.Path(__file__).with_name(
    'panel_requests.json').read_text('utf-8'))['panels']

#: The requests of each form, by the release of freezer-web-ui.
FORMS: dict[str, dict[str, list[dict[str, Any]]]] = {
    release: recorded['forms'] for release, recorded in _RECORDED.items()}
NEWEST = '19.0.0'

_WORDS = re.compile(r'\{([^}]+)\}')


def _fill(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_fill(one, names) for one in value]
    if not isinstance(value, str):
        return value
    whole = _WORDS.fullmatch(value)
    if whole:
        return names[whole[1]]
    return _WORDS.sub(lambda found: str(names[found[1]]), value)


class PanelTestCase(base.ApiTestCase):
    """A central client, a client with an agent, and who uses the panel.

    :ivar names: what words of the recording stand for
    """

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'agent-1', 'hostname': 'agent-1.example.com'}, 201)
        self.names: dict[str, Any] = {
            'project': base.MEMBER.project_id, 'user': base.MEMBER.user_id}
        for one in self.read('clients')['clients']:
            self.names[f'uuid of {one["client"]["client_id"]}'] = (
                one['client']['uuid'])

    def read(self, path: str) -> Any:
        return self.call(base.MEMBER, 'GET', path, status=200)

    def submit(self, form: str, release: str = NEWEST,
               **names: Any) -> list[Any]:
        """Send what a form sends, and return the answers.

        Each must have the status that was recorded. What the requests make
        gets its name.

        :param names: what further words stand for, with _ for a blank
        """
        self.names |= {
            name.replace('_', ' ') if name not in _TIMES else name: value
            for name, value in names.items()}
        answers = []
        for sent in FORMS[release][form]:
            answer = self.call(
                base.MEMBER, sent['method'], _fill(sent['path'], self.names),
                _fill(sent.get('body'), self.names), sent['status'])
            answers.append(answer)
            if 'gives' in sent:
                [self.names[sent['gives']]] = answer.values()
        return answers

    def body(self, form: str, number: int = 0, release: str = NEWEST) -> Any:
        """Return the body of a form's request, with its words."""
        return FORMS[release][form][number]['body']

    def whole(self, job_id: str) -> dict[str, Any]:
        """Return the names of what a form repeats of a job."""
        shown = self.job(job_id)
        return {'job': job_id, 'trust': shown.get('trust_id'),
                'time_created': shown['job_schedule']['time_created'],
                'next_run_at': shown.get('next_run_at'),
                'suspended_at': shown.get('suspended_at'),
                'action': shown['job_actions'][0]['action_id']}


_TIMES = ('time_created', 'next_run_at', 'suspended_at')
