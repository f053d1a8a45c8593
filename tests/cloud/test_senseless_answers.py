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

"""Senseless answers and short tokens, on a real Keystone and Cinder.

Both are behind proxies, for the scheduler. The tests ask them directly.
"""

from __future__ import annotations

import datetime
import re
import time
from typing import Any
from typing import ClassVar

from tests.cloud import faulty_proxy
from tests.cloud import service_mode
from tests.cloud import waiting
from tools.cloud import rest

PAGE = b'<html><body>Please log in to the network.</body></html>'
ERROR = b'{"error": {"code": 500, "message": "broken", "title": "Error"}}'

TOKEN_SECONDS = 40
TOKEN_PERCENT = 90


def kinds(trap: str) -> dict[str, faulty_proxy.Fault]:
    """Return senseless answers by name; what was asked for is done.

    :param trap: URL of a server that no client may ask
    """
    found = {f'redirect {status}': faulty_proxy.Fault(
        status=status, body=PAGE, headers=(('Location', f'{trap}/moved'),))
        for status in (301, 302, 303, 307, 308)}
    return found | {
        'a page': faulty_proxy.Fault(body=PAGE),
        'nothing': faulty_proxy.Fault(body=b''),
        'half of JSON': faulty_proxy.Fault(body=b'{"backups": [{"id'),
        'another type': faulty_proxy.Fault(body=b'{"backup": 7}'),
        'an error as success': faulty_proxy.Fault(body=ERROR),
        'no gzip': faulty_proxy.Fault(
            body=PAGE, headers=(('Content-Encoding', 'gzip'),)),
        'a body that drips': faulty_proxy.Fault(drips=True)}


class Trap(faulty_proxy.FaultyProxy):
    """A server that notes who asks it."""

    def __init__(self) -> None:
        super().__init__(9)
        self.asked: list[str] = []

    def rule(self, request: object) -> None:
        self.asked.append(str(request))


class SenselessAnswerTests(service_mode.FaultyCinderCase):

    OPTIONS: ClassVar[dict[str, int]] = {
        'projects': 1, 'volumes': 20}
    TUNED: ClassVar[dict[str, int]] = {
        **service_mode.FaultyCinderCase.TUNED,
        'token_percent': TOKEN_PERCENT}

    logged_in = float('-inf')
    keystone: ClassVar[faulty_proxy.FaultyProxy]
    trap: ClassVar[Trap]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        settings = cls.made.settings
        cls.trap = Trap()
        cls.keystone = faulty_proxy.FaultyProxy(settings.keystone_port)
        for one in (cls.trap, cls.keystone):
            one.start()
            cls.addClassCleanup(one.stop)
        path = cls.made.layout.etc / 'scheduler.conf'
        path.write_text(path.read_text().replace(
            f':{settings.keystone_port}', f':{cls.keystone.port}'))
        # To make a cloud takes longer than such a token lives.
        path = cls.made.layout.etc / 'keystone.conf'
        path.write_text(re.sub(r'(?m)^expiration = .*',
                               f'expiration = {TOKEN_SECONDS}',
                               path.read_text()))
        for name in ('freezer-scheduler', 'keystone'):
            cls.made.processes[name].stop()
        cls.made.up()

    def api(self, method: str, path: str, body: Any = None,
            session: rest.Session | None = None) -> Any:
        # The tokens of the tests end soon, too.
        if time.monotonic() - self.logged_in > TOKEN_SECONDS / 4:
            self.logged_in = time.monotonic()
            self.user = self.made.session('project-1')
        return super().api(method, path, body, session)

    def test_a_good_backup_and_a_run_that_says_so(self) -> None:
        """At each step of it, each kind of answer."""
        found = kinds(self.trap.url)
        for name in ('redirect 302', 'a page', 'nothing'):
            self.keystone.fail('POST', '/auth/tokens', 'OS-TRUST',
                               found[name])
        work, looks = {}, []
        for name, fault in found.items():
            volume = self.volume()
            asked = self.proxy.fail('POST', '/backups', volume, fault)
            listed = self.proxy.fail('GET', '/backups/detail', volume, fault)
            looks.append(self.proxy.fail(
                'GET', r'/backups/[0-9a-f-]{36}', '', fault))
            work[name] = (asked, listed, volume, self.job(volume))
        for name, (asked, listed, volume, job_id) in work.items():
            with self.subTest(name):
                self.assertEqual('success', self.result(job_id))
                self.assertTrue(asked.met.is_set())
                self.assertTrue(listed.met.is_set())
                self.assertEqual([202], asked.statuses)
                self.assert_one_good_backup(volume, job_id)
        self.assertTrue(all(look.met.is_set() for look in looks))
        self.assertEqual([], self.trap.asked)

    def life_left(self, rule: faulty_proxy.Rule, at: float) -> float:
        """Return the seconds that were left of a token when it was used."""
        assert rule.request is not None
        token = rule.request.headers['X-Auth-Token']
        admin = self.made.session('admin')
        shown = admin.call(
            'GET', f'{self.made.settings.auth_url}/auth/tokens'
                   '?allow_expired=1', X_Subject_Token=token)
        end = datetime.datetime.fromisoformat(shown['token']['expires_at'])
        return end.timestamp() - at

    def submitted(self, volume: str) -> tuple[str, faulty_proxy.Rule, float]:
        rule = self.proxy.fail('POST', '/backups', volume,
                               faulty_proxy.Fault())
        job_id = self.job(volume)
        self.assertTrue(rule.met.wait(waiting.PATIENCE))
        return job_id, rule, time.time()

    def test_a_backup_begins_with_a_token_that_is_new(self) -> None:
        rules = []
        volume = self.volume()
        began = time.monotonic()
        # Most of the token's life passes, while it is in use.
        while time.monotonic() - began < TOKEN_SECONDS * 3 / 4:
            job_id, rule, at = self.submitted(volume)
            rules.append((rule, at))
            self.assertEqual('success', self.result(job_id))
        for rule, at in rules:
            # Keystone tells whole seconds, and a busy machine takes some for
            # the way. A token that was not renewed has less left at the end.
            self.assertGreaterEqual(
                self.life_left(rule, at),
                TOKEN_SECONDS * TOKEN_PERCENT / 100 - 12)
