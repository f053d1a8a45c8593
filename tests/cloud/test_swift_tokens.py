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

"""Backups in a slow Swift, and the tokens with which they are stored.

Cinder's driver works with the token of the request for as long as it takes.
"""

from __future__ import annotations

import re
import time
from typing import Any
from typing import ClassVar

from tests.cloud import on_swift
from tests.cloud import waiting
from tools.cloud import rest
from tools.cloud import secrets

TOKEN_SECONDS = 80

# Parts of a token's life: how old it is when a backup begins, and how long the
# backup then takes. Where less than a quarter is left, the scheduler logs in
# anew whatever its options say.
_AGE = 0.55
_TAKES = 0.55

# For backups that take longer than that.
_SHORT = 30

# Later than any test.
_NEVER = 1 << 40

_SERVICE_AUTH = 'backup_swift_service_auth = true'
_SEND_TOKENS = 'send_service_user_token = true'


class SwiftTokenTests(on_swift.SwiftCase):

    logged_in = float('-inf')
    cinder_conf: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        path = cls.made.layout.etc / 'cinder.conf'
        cls.cinder_conf = path.read_text()

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.made.swift.hold)

    def api(self, method: str, path: str, body: Any = None,
            session: rest.Session | None = None) -> Any:
        # The tokens of the tests end soon, too.
        if time.monotonic() - self.logged_in > _SHORT / 4:
            self.logged_in = time.monotonic()
            self.user = self.made.session('project-1')
        return super().api(method, path, body, session)

    def configure(self, token_seconds: int, token_percent: int,
                  *defaults: str, service_user: tuple[str, ...] = (),
                  ) -> None:
        """Restart Keystone, Cinder and the scheduler with options.

        To make a cloud takes longer than such tokens live.

        :param defaults: lines of Cinder's section DEFAULT
        :param service_user: lines of its section of this name
        """
        text = self.cinder_conf.replace(
            '[DEFAULT]', '\n'.join(('[DEFAULT]', *defaults)), 1)
        if service_user:
            text += '\n'.join(('[service_user]', *service_user)) + '\n'
        etc = self.made.layout.etc
        keystone = re.sub(r'(?m)^expiration = .*',
                          f'expiration = {token_seconds}',
                          (etc / 'keystone.conf').read_text())
        for name, wanted in (('cinder', text), ('keystone', keystone)):
            path = etc / f'{name}.conf'
            if wanted != path.read_text():
                path.write_text(wanted)
                self.made.processes[name].stop()
        self.tune(token_percent=token_percent)

    def account(self) -> dict[str, str]:
        """Return Cinder's service account, as options name it."""
        return {'auth_url': self.made.settings.auth_url,
                'password': secrets.load(self.made.layout).cinder}

    def service_user(self) -> tuple[str, ...]:
        return (_SEND_TOKENS, 'auth_type = password', 'username = cinder',
                'project_name = service', 'user_domain_name = Default',
                'project_domain_name = Default',
                *(f'{name} = {value}'
                  for name, value in self.account().items()))

    # -- backups that last --

    def held(self, seconds: float, *volumes: str, restored: str = '',
             ) -> list[dict[str, Any]]:
        """Let backups take so long; return their runs.

        :param restored: a volume to be restored into at the same time
        """
        self.made.swift.hold(_NEVER)
        jobs = [self.job_of(volume, max_retries=0) for volume in volumes]
        if restored:
            jobs.append(self.restore_job(restored))
        for volume in volumes:
            waiting.eventually(lambda one=volume: self.backups(one))
        end = time.monotonic() + seconds
        if restored:
            waiting.eventually(lambda: self.status(restored) != 'available')
        time.sleep(max(0, end - time.monotonic()))
        self.made.swift.hold()
        return [self.ended(job_id, set()) for job_id in jobs]

    def half_used(self) -> tuple[str, list[dict[str, Any]]]:
        """Back one volume up while a token is old, and restore another.

        :returns: the volume that was backed up, and both runs
        """
        old, volume = self.volume(), self.volume()
        began = time.monotonic()
        self.good(self.job_of(old))
        time.sleep(max(
            0, began + TOKEN_SECONDS * _AGE - time.monotonic()))
        return volume, self.held(TOKEN_SECONDS * _TAKES, volume,
                                 restored=old)

    def status(self, volume_id: str) -> str:
        shown: str = self.cinder('GET', f'/volumes/{volume_id}')['volume'][
            'status']
        return shown

    def test_a_backup_that_takes_most_of_the_life_of_a_token(self) -> None:
        self.configure(TOKEN_SECONDS, 90)
        volume, runs = self.half_used()
        self.assertEqual(['success'] * 2, [run['state'] for run in runs],
                         runs)
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))

    def test_a_token_that_is_half_used_is_too_old(self) -> None:
        """What the option is for: without it the same fails."""
        self.configure(TOKEN_SECONDS, 0)
        volume, (backup, restore) = self.half_used()
        self.assertEqual('fail', backup['state'], backup)
        for words in ('token', '(401)', 'backup_swift_service_auth',
                      'expiration'):
            self.assertIn(words, backup['reason'])
        self.assertEqual('fail', restore['state'], restore)
        for words in ('error_restoring', 'log of cinder-backup'):
            self.assertIn(words, restore['reason'])
        # What failed leaves nothing behind, and the next one is good.
        self.assertEqual([], self.backups(volume))
        [step] = backup['actions']
        self.assertEqual([], self.objects(step['cinder_backup_id']))
        self.good(self.job_of(volume))

    def test_service_tokens_outlive_the_token(self) -> None:
        self.configure(_SHORT, 90, _SERVICE_AUTH,
                       service_user=self.service_user())
        old, volume = self.volume(), self.volume()
        self.good(self.job_of(old))
        runs = self.held(_SHORT + 2, volume, restored=old)
        self.assertEqual(['success'] * 2, [run['state'] for run in runs],
                         runs)
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))

    def test_service_tokens_that_the_driver_does_not_send(self) -> None:
        """One of the two options alone changes nothing."""
        self.configure(_SHORT, 90, service_user=self.service_user())
        [run] = self.held(_SHORT + 2, self.volume())
        self.assertEqual('fail', run['state'], run)
        self.assertIn('(401)', run['reason'])

    def test_an_account_of_cinders_own(self) -> None:
        account = self.account()
        self.configure(
            _SHORT, 90, 'backup_swift_auth = single_user',
            'backup_swift_auth_version = 3', 'backup_swift_user = cinder',
            f'backup_swift_auth_url = {account["auth_url"]}',
            f'backup_swift_key = {account["password"]}',
            'backup_swift_project = service',
            'backup_swift_user_domain = Default',
            'backup_swift_project_domain = Default')
        volume = self.volume()
        [run] = self.held(_SHORT + 2, volume)
        self.assertEqual('success', run['state'], run)
        backup_id = self.cinder_id(run)
        # It is not in the project's account, and comes back all the same.
        self.assertEqual([], self.objects(backup_id))
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))
