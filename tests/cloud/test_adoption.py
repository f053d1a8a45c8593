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

"""Central jobs of release 19.0.0 go on, with the trusts that they have."""

from __future__ import annotations

import datetime
from typing import Any
import uuid

from tests.cloud import service_mode
from tests.released import releases
from tools.cloud import config
from tools.cloud import rest
from tools.cloud import secrets


class AdoptionTests(service_mode.ServiceModeCase):
    """Invariant 9, with real trusts: a database that 19.0.0 has made."""

    def made_by_19(self, *jobs: dict[str, Any]) -> dict[str, Any]:
        """Have 19.0.0 make the database anew, with jobs of a user's.

        :returns: what it says of them, by id
        """
        made = self.made
        for name in ('freezer-scheduler', 'freezer-api'):
            made.processes[name].stop()
        database = made.layout.state / 'freezer/freezer.db'
        for path in database.parent.glob('freezer.db*'):
            path.unlink()
        options = config.freezer_api(
            made.layout, made.settings, secrets.load(made.layout))
        return releases.Release(releases.NEWEST).deployment(
            f'sqlite:///{database}', jobs=jobs,
            service=self.who(made.session('service')),
            who=self.who(self.user),
            more=config.render({
                'keystone_authtoken': options['keystone_authtoken']}))

    def who(self, session: rest.Session) -> list[str]:
        """User, project and token of a session."""
        answer = session.call(
            'GET', f'{self.made.settings.auth_url}/auth/tokens',
            X_Subject_Token=session.token)
        return [answer['token']['user']['id'], session.project_id,
                session.token]

    def test_jobs_run_with_the_trusts_that_they_have(self) -> None:
        volume = self.volume()
        daily = self.document(str(uuid.uuid4()))
        at_once = {**self.document(volume), 'job_schedule': {}}
        theirs = self.made_by_19(daily, at_once)
        waiting_id, job_id = theirs
        trust = theirs[job_id]['user_credentials']
        self.assertEqual([trust['trust_id']], [
            one['id'] for one in self.user.call(
                'GET', f'{self.made.settings.auth_url}/OS-TRUST/trusts'
                       f'?trustor_user_id={trust["trustor_user_id"]}'
                )['trusts']])

        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)
        for one in theirs.values():
            ours = self.api('GET', f'jobs/{one["job_id"]}')
            self.assertEqual(trust, ours['user_credentials'])
        created = theirs[waiting_id]['job_schedule']['time_created']
        self.assertEqual(
            created + 86_400, datetime.datetime.fromisoformat(
                self.api('GET', f'jobs/{waiting_id}')['next_run_at']
                ).timestamp())
