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

"""Limits in a real Keystone, set with the commands that are documented."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
from typing import Any
from typing import ClassVar
import unittest

from freezer_api.domain import quota
from tests.cloud import prepared
from tests.cloud import waiting
from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import errors
from tools.cloud import identity
from tools.cloud import rest
from tools.cloud import secrets

_PAGE = (pathlib.Path(__file__).resolve().parents[2]
         / 'doc/source/admin/limits.rst')
_SESSION = {'description': 'x', 'schedule': {}}


def documented(word: str) -> str:
    """Return the command of the page that a word occurs in."""
    [block] = [block for block in re.findall(
        r'::\n\n((?:       .*\n|\n)+)', _PAGE.read_text(encoding='utf-8'))
        if word in block]
    return re.sub(r'^       ', '', block, flags=re.MULTILINE).strip()


class UnifiedLimitTests(unittest.TestCase):
    """Keystone and the API; the tests of a class share them."""

    made: ClassVar[cloud.Cloud]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix='limits ')
        cls.addClassCleanup(holder.cleanup)
        cls.made = cloud.Cloud(holder.name)
        cls.names = ('keystone', 'freezer-api')
        prepared.up(cls.made, cloud.Options.on_free_ports(projects=0),
                    cls.names)
        cls.addClassCleanup(prepared.end, cls.made)
        keep = secrets.load(cls.made.layout)
        cls.password = keep.freezer
        identity.Identity(cls.made.settings, keep).project(1)
        cls.admin = cls.login('admin', keep.admin, 'admin')

    names: ClassVar[tuple[str, ...]]
    password: ClassVar[str]
    admin: ClassVar[rest.Session]

    @classmethod
    def login(cls, user: str, password: str, project: str) -> rest.Session:
        return rest.Session(
            cls.made.settings.auth_url, user, password, project)

    def keystone(self, method: str, path: str, body: Any = None) -> Any:
        return self.admin.call(
            method, self.made.settings.auth_url + path, body)

    def run_documented(self, word: str, **words: str) -> None:
        text = documented(word)
        for name, value in words.items():
            text = text.replace(name, value)
        done = subprocess.run(
            ['bash', '-ec', text], capture_output=True, text=True,
            check=False, env=commands.clean_environment() | {
                'PATH': f'{self.made.layout.bin}:{os.environ["PATH"]}',
                'OS_CLIENT_CONFIG_FILE':
                    str(self.made.layout.state / 'clouds.yaml'),
                'OS_CLOUD': 'admin'})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def endpoint(self) -> str:
        [service] = self.keystone(
            'GET', '/services?type=backup')['services']
        [endpoint] = self.keystone(
            'GET', f'/endpoints?service_id={service["id"]}'
                   '&interface=public')['endpoints']
        endpoint_id: str = endpoint['id']
        return endpoint_id

    def start(self, *names: str) -> None:
        self.made.up(cloud.Options(projects=0), names)

    def configure(self, refused: bool = False, **options: str) -> None:
        """Give the API a section [oslo_limit], and start it again.

        :param refused: whether the API is not to start
        """
        path = self.made.layout.etc / 'freezer-api.conf'
        text = path.read_text().partition('\n[oslo_limit]')[0]
        # So that a token is still known while Keystone hangs.
        text = text.replace('token_cache_time = -1', 'token_cache_time = 300')
        path.write_text('\n'.join((
            text, '[oslo_limit]', *(
                f'{name} = {value}' for name, value in ({
                    'auth_type': 'password',
                    'auth_url': self.made.settings.auth_url,
                    'username': 'freezer', 'user_domain_name': 'Default',
                    'password': self.password, 'system_scope': 'all',
                    'endpoint_id': self.endpoint()} | options).items()
                if value),
            '[quota]', 'cache_time = 1', 'timeout = 2', '')))
        self.made.processes['freezer-api'].stop()
        # What is wrong in Keystone stops no start, but what is wrong here.
        with (self.assertRaises(errors.QuickstartError) if refused
              else contextlib.nullcontext()):
            self.start('freezer-api')

    def check(self) -> str:
        done = subprocess.run(
            [str(self.made.layout.bin / 'freezer-status'), 'upgrade',
             'check'], capture_output=True, text=True, check=False,
            env=commands.clean_environment())
        self.assertNotIn(self.password, done.stdout + done.stderr)
        return ' '.join(done.stdout.replace('|', ' ').split())

    def api(self, user: rest.Session, method: str, path: str,
            body: Any = None) -> Any:
        return user.call(method, f'{self.made.urls["freezer-api"]}/v2/'
                                 f'{user.project_id}/{path}', body)

    def refused(self, status: int, user: rest.Session) -> str:
        with self.assertRaises(rest.HttpError) as caught:
            self.api(user, 'POST', 'sessions', _SESSION)
        self.assertEqual(status, caught.exception.status, caught.exception)
        return caught.exception.body

    def test_limits_from_the_first_setup_to_wrong_ones(self) -> None:
        self.configure()
        user = self.login('user-1', 'user-1', 'project-1')

        with self.subTest('the account may not read the limits'):
            self.assertIn('[oslo_limit]', self.check())
            self.assertIn('limits_unavailable', self.refused(503, user))

        with self.subTest('nothing is registered'):
            self.run_documented('--system all')
            self.configure()
            text = self.check()
            for resource in quota.Resource:
                self.assertIn(f'freezer_{resource}', text)
            self.assertIn('the limit of the project is 0',
                          self.refused(403, user))

        with self.subTest('registered limits'):
            self.run_documented('registered limit create')
            self.assertNotIn('no registered limit', self.check())
            # Once what is cached has expired.
            shown = waiting.eventually(lambda: (
                shown := self.api(user, 'GET', 'limits')['limits'])[
                    'sessions'] == {'limit': 1000, 'usage': 0} and shown)
            self.assertEqual(2 ** 30, shown['stored_bytes']['limit'])

        with self.subTest('a limit of the project'):
            self.run_documented('--resource-limit',
                                PROJECT_ID=user.project_id,
                                freezer_jobs='freezer_sessions',
                                **{'limit 20': 'limit 2'})
            waiting.eventually(lambda: self.api(user, 'GET', 'limits')[
                'limits']['sessions']['limit'] == 2)
            for _ in range(2):
                self.api(user, 'POST', 'sessions', _SESSION)
            said = self.refused(403, user)
            self.assertIn('quota_exceeded', said)
            self.assertIn('the limit of the project is 2, its usage is 2',
                          said)

        with self.subTest('Keystone hangs'):
            pid = self.made.processes['keystone'].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            try:
                # What is cached holds for a second more; then the answer
                # comes, though Keystone's does not.
                said = waiting.eventually(lambda: self._unavailable(user))
                self.assertIn('limits_unavailable', said)
            finally:
                os.kill(pid, signal.SIGCONT)
            waiting.eventually(lambda: self._is_refused(user))
            self.assertEqual(2, self.api(
                user, 'GET', 'limits')['limits']['sessions']['usage'])

        with self.subTest('by type of the service'):
            self.configure(endpoint_id='', endpoint_service_type='backup',
                           endpoint_region_name='RegionOne')
            self.assertNotIn('cannot be read', self.check())
            self.assertIn('the limit of the project is 2',
                          self.refused(403, user))

        with self.subTest('an endpoint that is not there'):
            self.configure(endpoint_id='no-such-endpoint')
            self.assertIn('no-such-endpoint', self.check())
            self.refused(503, user)

        with self.subTest('a token of a project'):
            self.configure(refused=True, system_scope='',
                           project_name='service',
                           project_domain_name='Default')
            self.assertIn('system_scope must be "all"', self.check())
            self.assertFalse(self.made.processes['freezer-api'].running)

        with self.subTest('another enforcement model'):
            path = self.made.layout.etc / 'keystone.conf'
            path.write_text(path.read_text() + '\n[unified_limit]\n'
                            'enforcement_model = strict_two_level\n')
            self.made.processes['keystone'].stop()
            self.start('keystone')
            self.configure()
            self.assertIn('strict_two_level is not supported', self.check())
            self.refused(503, user)

    def _unavailable(self, user: rest.Session) -> str | None:
        try:
            self.api(user, 'POST', 'sessions', _SESSION)
        except rest.HttpError as error:
            if error.status == 503:
                return error.body
            self.assertEqual(403, error.status, error)
            return None
        self.fail('more than the limit of the project')

    def _is_refused(self, user: rest.Session) -> bool:
        try:
            self.api(user, 'POST', 'sessions', _SESSION)
        except rest.HttpError as error:
            return error.status == 403
        return False
