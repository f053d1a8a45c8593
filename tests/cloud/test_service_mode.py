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

"""Service mode on a real Keystone and a real Cinder, with faults.

One cloud serves all the tests of this module: each works with volumes and
jobs of its own. Volumes are so large that a backup takes seconds, so that
there is a middle to be killed in.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import signal
import subprocess
from typing import Any
from typing import ClassVar
import urllib.request
import uuid

from tests.cloud import service_mode
from tests.cloud import waiting
from tools.cloud import ports
from tools.cloud import rest
from tools.cloud import secrets

# Until a run of a scheduler that died is reclaimed.
LEASE = 20


class ServiceModeTests(service_mode.ServiceModeCase):

    OPTIONS: ClassVar[dict[str, int]] = {'volumes': 11, 'mib_per_gb': 400}
    DEBUG = True
    TUNED: ClassVar[dict[str, int]] = {
        'lease_seconds': LEASE, 'request_timeout': 5, 'claim_interval': 1}

    def test_kill_in_the_middle_of_a_backup_ends_in_one(self) -> None:
        """Invariant 1: kill -9 once Cinder is at work, then a restart."""
        volume, job_id = self.at_work()
        self.scheduler.kill()
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)

    def at_work(self) -> tuple[str, str]:
        """Return a volume that Cinder is backing up, and the job."""
        # On a busy machine a backup may end before it is seen.
        for _attempt in range(3):
            volume = self.volume()
            job_id = self.job(volume)
            [backup] = waiting.eventually(
                functools.partial(self.backups, volume), pause=0.1)
            if backup['status'] == 'creating':
                return volume, job_id
        self.fail('the volumes are too small to have a middle')

    def test_a_stopped_scheduler_hands_back_what_it_holds(self) -> None:
        self.addCleanup(self.tune, **self.TUNED)
        # It does not expire while the test lasts.
        self.tune(lease_seconds=10 * waiting.PATIENCE)
        volume = self.volume()
        job_id = self.job(volume)
        waiting.eventually(lambda: self.backups(volume))
        self.scheduler.stop(waiting.PATIENCE)
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)

    def test_a_scheduler_that_slept_changes_nothing(self) -> None:
        """SIGSTOP for longer than the lease, another goes on, SIGCONT."""
        volume = self.volume()
        job_id = self.job(volume)
        waiting.eventually(lambda: self.backups(volume))
        with self.second_scheduler(), self.frozen('freezer-scheduler'):
            self.assertEqual('success', self.result(job_id))
        [run] = self.runs(job_id)
        # It woke up, and learned that the run is not its own any more.
        waiting.eventually(
            lambda: self.said('is not ours any more', run['run_id'])
            or self.said('belongs to another scheduler', run['run_id']))
        self.assert_one_good_backup(volume, job_id)

    def test_two_schedulers_share_the_work(self) -> None:
        """At most one backup per firing, by whichever scheduler."""
        work = {}
        with self.second_scheduler():
            for project in ('project-1', 'project-2'):
                session = self.made.session(project)
                for _ in range(2):
                    volume = self.volume(project)
                    work[volume] = (project, session,
                                    self.job(volume, session=session))
            for volume, (project, session, job_id) in work.items():
                self.assertEqual('success', self.result(job_id, session))
                self.assert_one_good_backup(volume, job_id, project, session)

    def test_cinders_error_is_the_users_reason(self) -> None:
        """Invariant 3: upstream reports success."""
        volume = self.volume()
        for path in pathlib.Path(
                self.made.layout.state / 'cinder').rglob(f'*{volume}*'):
            path.unlink()
        job_id = self.job(volume)
        self.assertEqual('fail', self.result(job_id))
        reason = self.api('GET', f'jobs/{job_id}')['status_reason']
        self.assertIn('No such file', reason)
        self.assertIn('No such file', self.runs(job_id)[0]['reason'])
        self.assertNotIn('available', [
            backup['status'] for backup in self.backups(volume)])

    def test_a_volume_that_is_not_there(self) -> None:
        job_id = self.job('11111111-1111-4111-8111-111111111111')
        self.assertEqual('fail', self.result(job_id))
        self.assertIn('11111111', self.runs(job_id)[0]['reason'])

    def test_a_volume_of_another_project_is_out_of_reach(self) -> None:
        """Invariant 7: a trust gives the user's own authority, no more."""
        theirs = self.made.volumes('project-2')[0]['id']
        job_id = self.job(theirs)
        self.assertEqual('fail', self.result(job_id))
        self.assertEqual([], self.backups(theirs, 'project-2'))

    def trusts(self) -> list[dict[str, Any]]:
        service = self.made.session('service')
        user = service.call(
            'GET', f'{self.made.settings.auth_url}/auth/tokens',
            X_Subject_Token=service._token)['token']['user']['id']
        found: list[dict[str, Any]] = service.call(
            'GET', f'{self.made.settings.auth_url}/OS-TRUST/trusts'
                   f'?trustee_user_id={user}')['trusts']
        return found

    def test_the_life_of_a_trust(self) -> None:
        session = self.made.session('project-2')

        def ours() -> list[dict[str, Any]]:
            return [trust for trust in self.trusts()
                    if trust['project_id'] == session.project_id]

        for job in self.api('GET', 'jobs?limit=1000', None,
                            session)['jobs']:
            self.api('DELETE', f'jobs/{job["job_id"]}', None, session)
        self.assertEqual([], ours())
        first = self.job(str(uuid.uuid4()), start=False,
                         session=session)
        second = self.job(str(uuid.uuid4()), start=False,
                          session=session)
        [trust] = ours()
        self.assertTrue(trust['impersonation'])
        self.assertEqual(0, trust['redelegation_count'])
        shown = self.api('GET', f'jobs/{first}', None, session)
        self.assertEqual(trust['id'], shown['trust_id'])
        roles = self.made.session('service').call(
            'GET', f'{self.made.settings.auth_url}/OS-TRUST/trusts'
                   f'/{trust["id"]}/roles')['roles']
        self.assertEqual(['member'], [role['name'] for role in roles])
        self.api('DELETE', f'jobs/{first}', None, session)
        self.assertEqual(1, len(ours()))
        self.api('DELETE', f'jobs/{second}', None, session)
        self.assertEqual([], ours())

    def test_an_application_credential_is_told_what_to_do(self) -> None:
        auth_url = self.made.settings.auth_url
        token = self.user.call('GET', f'{auth_url}/auth/tokens',
                               X_Subject_Token=self.user._token)['token']
        made = self.user.call(
            'POST', f'{auth_url}/users/{token["user"]["id"]}'
                    '/application_credentials',
            {'application_credential': {'name': 'app'}})
        _, headers = rest.request('POST', f'{auth_url}/auth/tokens', {
            'auth': {'identity': {
                'methods': ['application_credential'],
                'application_credential': {
                    name: made['application_credential'][name]
                    for name in ('id', 'secret')}}}})
        session = self.made.session('project-1')
        session._token = headers['X-Subject-Token']
        said = self.refused(403, 'POST', 'jobs',
                            self.document(str(uuid.uuid4())), session)
        self.assertIn('delegation_needs_own_token', said)
        # All but the delegation is open to it.
        self.api('GET', 'jobs', None, session)

    def test_an_admin_cannot_delegate_for_another_project(self) -> None:
        admin = self.made.session('admin')
        admin.project_id = self.user.project_id
        said = self.refused(403, 'POST', 'jobs',
                            self.document(str(uuid.uuid4())), admin)
        self.assertIn('delegation_wrong_project', said)

    def test_role_service_alone_makes_a_central_scheduler(self) -> None:
        service = self.made.session('service')
        token = service.call(
            'GET', f'{self.made.settings.auth_url}/auth/tokens',
            X_Subject_Token=service._token)['token']
        self.assertEqual(['service'],
                         [role['name'] for role in token['roles']])
        client = self.api('GET', 'clients/central')['client']
        self.assertTrue(client['is_central'])
        self.assertEqual((['backup', 'restore', 'admin'], ['cindernative']), (
            client['supported_actions'], client['supported_modes']))

    def test_an_operator_sees_a_run_without_a_secret(self) -> None:
        """Status, metrics, log and report of one run, without a secret."""
        [port] = ports.find_free(1)
        volume = self.volume()
        self.scheduler.stop()
        self.addCleanup(self.made.up)
        with self.second_scheduler(
                # All that the libraries have to say, too.
                '\n[DEFAULT]\ndebug = true\n'
                'default_log_levels = urllib3=DEBUG\n'
                f'\n[metrics]\nenabled = true\nport = {port}\n') as config:
            job_id = self.job(volume)
            [held] = waiting.eventually(
                lambda: self.status(config, 'json')['runs'])
            text = self.status(config)
            waiting.eventually(lambda: self.result(job_id))
            shown = self.status(config, 'json')
            with urllib.request.urlopen(f'http://127.0.0.1:{port}') as answer:
                metrics = answer.read().decode()
            os.kill(shown['pid'], signal.SIGUSR2)
            report = waiting.eventually(self.reports)[0]
            waiting.eventually(lambda: '"runs"' in report.read_text())
            self.assertEqual(shown['pid'], self.status(config, 'json')['pid'])
        self.assert_one_good_backup(volume, job_id)
        [run] = self.runs(job_id)
        self.assertEqual((run['run_id'], job_id, self.user.project_id), (
            held['run_id'], held['job_id'], held['project_id']))
        self.assertIn(job_id, text)
        self.assertEqual(('central', [], None), (
            shown['client_id'], shown['runs'], shown['claim_error']))
        for line in ('freezer_scheduler_runs_total{result="success"} 1.0',
                     'freezer_scheduler_runs_claimed_total{kind="new"} 1.0',
                     'freezer_scheduler_call_seconds_count{operation='
                     '"create_backup",outcome="2xx",service="cinder"} 1.0'):
            self.assertIn(line, metrics)
        self.assertEqual(0o600, report.stat().st_mode & 0o777)
        log = (self.made.layout.log / 'second.log').read_text()
        ids = (f'[req-{uuid.UUID(run["run_id"])} job {job_id} run '
               f'{run["run_id"]} project {self.user.project_id}]')
        made = [line for line in log.splitlines()
                if 'cinder create_backup: 202 (req-' in line]
        self.assertEqual([True], [ids in line for line in made])
        # It is logged under the run's id there as well.
        self.assertIn(str(uuid.UUID(run['run_id'])), (
            self.made.layout.log / 'cinder.log').read_text())
        for secret in (self.api('GET', f'jobs/{job_id}')['trust_id'],
                       self.made.account('service').password, 'gAAAA'):
            for seen in (log, report.read_text(), metrics, text, str(shown)):
                self.assertNotIn(secret, seen)

    def status(self, config: pathlib.Path, form: str = 'text') -> Any:
        """Return what ``status`` prints, read where it is JSON."""
        said = subprocess.run(
            [str(self.made.environments.service.script('freezer-scheduler')),
             '--config-file', str(config), '--scheduler-pid-file',
             str(self.second_pid_file), '--format', form, 'status'],
            check=True, capture_output=True, text=True,
            env={'PATH': os.environ['PATH'], 'HOME': '/'}).stdout
        return json.loads(said) if form == 'json' else said

    def reports(self) -> list[pathlib.Path]:
        return list(self.made.layout.log.glob('*_gurumeditation_*'))

    def test_secrets_stay_where_they_belong(self) -> None:
        """At level debug of all libraries, and for a trust's whole life."""
        session = self.made.session('project-2')
        volume = self.volume('project-2')
        job_id = self.job(volume, session=session)
        self.assertEqual('success', self.result(job_id, session))
        keep = secrets.load(self.made.layout)
        # A token that the API was sent is not kept, either.
        hidden = {session._token, keep.freezer, keep.admin, keep.cinder,
                  keep.credential_key,
                  *(trust['id'] for trust in self.trusts())}
        self.assertLess(5, len(hidden))
        self.api('DELETE', f'jobs/{job_id}', None, session)
        held = [self.made.layout.state / 'freezer' / 'freezer.db',
                *self.made.layout.log.glob('freezer*'),
                *self.made.layout.log.glob('second*'),
                *pathlib.Path('/proc').glob('[0-9]*/cmdline'),
                *pathlib.Path('/proc').glob('[0-9]*/environ')]
        said = {path: text for path in held
                if (text := self.text(path)) is not None}
        for path, text in said.items():
            self.assert_no_secret(hidden, text, path)
        # The tokens that the processes got for themselves, too.
        for name in ('freezer-api', 'freezer-scheduler'):
            text = said[self.made.layout.log / f'{name}.log']
            self.assertIn(' DEBUG urllib3', text)
            self.assertNotRegex(text, 'gAAAA[A-Za-z0-9_-]{60}')
        for path in self.made.layout.state.rglob('*'):
            if path.is_file() and path.stat().st_mode & 0o077:
                self.assert_no_secret(hidden, self.text(path) or '', path)

    def assert_no_secret(self, hidden: set[str], text: str,
                         path: pathlib.Path) -> None:
        found = [line for line in text.splitlines()
                 if any(secret in line for secret in hidden)]
        self.assertEqual([], found[:1], path)

    @staticmethod
    def text(path: pathlib.Path) -> str | None:
        """Return what stands in a file, None for one that cannot be read."""
        try:
            return path.read_text(errors='replace')
        except OSError:
            return None
