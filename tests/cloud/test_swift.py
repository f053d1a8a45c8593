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

"""Backups and restores with Cinder's driver for Swift, on a real Swift."""

from __future__ import annotations

from typing import Any

from tests.cloud import on_swift
from tests.cloud import waiting
from tools.cloud import swift

# The data of a MIB_PER_GB, an object for each MiB, and two about them.
_OBJECTS = on_swift.MIB_PER_GB + 2

# What Swift takes for an operator of an account by default.
_THEIR_ROLE = 'swiftoperator'


class SwiftTests(on_swift.SwiftCase):

    def test_a_default_job_backs_up_and_restores(self) -> None:
        """Without a container, Cinder takes its own and makes it."""
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True)
        first = self.digest(volume)
        full = self.good(job_id)
        self.assertEqual(swift.CONTAINER, full['container'])
        self.assertIn(swift.CONTAINER, self.listed(''))
        self.assertEqual(_OBJECTS, len(self.objects(full['id'])))
        self.write(volume, 2, 'second')
        second = self.digest(volume)
        added = self.good(job_id)
        self.assert_backups(volume, 'full', 'incremental')
        # One object has all that was changed.
        self.assertEqual(3, len(self.objects(added['id'])))
        self.write(volume, 1, 'lost')
        self.assertEqual('success', self.run_of(
            self.restore_job(volume))['state'])
        self.assertEqual(second, self.digest(volume))
        self.assertEqual(first, self.digest(self.restored(
            volume, cindernative_backup_id=full['id'])))

    def test_a_job_with_a_container(self) -> None:
        volume = self.volume()
        digest = self.digest(volume)
        made = self.good(self.job_of(
            volume, cindernative_backup_container='elsewhere'))
        self.assertEqual('elsewhere', made['container'])
        self.assertEqual([], self.objects(made['id']))
        self.assertEqual(_OBJECTS, len(self.objects(made['id'],
                                                    'elsewhere')))
        self.write(volume, 0, 'lost')
        self.assertEqual('success', self.run_of(
            self.restore_job(volume))['state'])
        self.assertEqual(digest, self.digest(volume))

    def test_retention_removes_the_objects(self) -> None:
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True, full_every=2,
                             fullbackup_rotation=1)
        made = [self.good(job_id)['id'] for _ in range(4)]
        self.assert_backups(volume, 'full', 'incremental')
        self.assertEqual(made[2:], [
            backup['id'] for backup in self.backups(volume)])
        self.assertEqual([False, False, True, True], [
            bool(self.objects(backup_id)) for backup_id in made])
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))

    def test_a_role_that_swift_does_not_know(self) -> None:
        """Swift with its defaults, and what an operator does about it."""
        def configure(**options: Any) -> None:
            self.made.swift.configure({'keystoneauth': options})
            self.made.processes['swift-proxy'].stop()
            self.made.up()

        configure(operator_roles=f'admin, {_THEIR_ROLE}')
        self.addCleanup(configure)
        volume = self.volume()
        reason = self.failed(self.job_of(volume, max_retries=0))
        for words in ('(403)', 'operator_roles', 'trusts_delegated_roles'):
            self.assertIn(words, reason)
        waiting.eventually(lambda: not self.backups(volume))
        self.delegate('member', _THEIR_ROLE)
        self.addCleanup(self.delegate, 'member')
        self.good(self.job_of(volume))

    def delegate(self, *roles: str) -> None:
        """Have trusts delegate roles, which the user gets where needed."""
        admin, url = self.made.session('admin'), self.made.settings.auth_url
        there = {role['name']: role['id'] for role in admin.call(
            'GET', f'{url}/roles')['roles']}
        member = admin.call('GET', f'{url}/users?name=user-1')['users'][0]
        for role in roles:
            role_id = there.get(role) or admin.call(
                'POST', f'{url}/roles', {'role': {'name': role}})['role'][
                    'id']
            admin.call('PUT', f'{url}/projects/{self.user.project_id}/users'
                              f'/{member["id"]}/roles/{role_id}')
        path = self.made.layout.etc / 'freezer-api.conf'
        group = '\n[service_mode]\ntrusts_delegated_roles = '
        before, *_ = path.read_text().split(group)
        path.write_text(f'{before}{group}{",".join(roles)}\n')
        self.made.processes['freezer-api'].stop()
        self.made.up()
        self.user = self.made.session('project-1')
