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

"""The scheduler of Freezer 19.0.0, as released, against this API.

It knows nothing of claims: it polls, keeps its own clock, takes events out of
the job's document and writes the whole of it back. The API keeps out of its
way, in both of its modes.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import pathlib
import tempfile
import threading
from typing import Any
from typing import ClassVar

import testtools
from testtools import content

from tests.cloud import console_scripts
from tests.cloud import prepared
from tests.cloud import waiting
from tests.stock_scheduler import stock
from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import credentials
from tools.cloud import rest

State = tuple[str | None, str | None, str | None]


class StockCase(testtools.TestCase):
    """One cloud and one stock scheduler for the tests of a class."""

    account: str
    client: str
    options: ClassVar[dict[str, dict[str, object]]]
    made: ClassVar[cloud.Cloud]
    scripts: ClassVar[console_scripts.ConsoleScripts]
    scheduler: ClassVar[stock.StockScheduler]
    directory: ClassVar[pathlib.Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix='stock-')
        cls.addClassCleanup(holder.cleanup)
        cls.directory = pathlib.Path(holder.name)
        cls.made = cloud.Cloud(cls.directory / 'cloud')
        options = cloud.Options.on_free_ports(projects=2, volumes=2)
        # Our own scheduler has nothing to do here.
        prepared.up(cls.made, dataclasses.replace(options, mib_per_gb=4),
                    prepared.SERVERS)
        cls.addClassCleanup(prepared.end, cls.made)
        cls.scripts = console_scripts.ConsoleScripts(
            cls.made.environments.cli.python, 'freezer')
        cls.addClassCleanup(cls.scripts.close)
        cls.scheduler = stock.StockScheduler(
            cls.made, cls.directory / 'stock', cls.account, {
                'scheduler': {'client_id': cls.client, **cls.options[
                    'scheduler']},
                'capabilities': cls.options['capabilities']})
        cls.scheduler.start()
        cls.addClassCleanup(cls.scheduler.stop)

    def setUp(self) -> None:
        super().setUp()
        self.user = self.made.session('project-1')
        self.addOnException(lambda info: self.addDetail(
            'scheduler', content.text_content(
                self.scheduler.log.read_text(errors='replace')[-8000:])))
        waiting.eventually(lambda: self.client in [
            one['client']['client_id']
            for one in self.api('GET', 'clients')['clients']])

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.user.call(
            method, f'{self.made.urls["freezer-api"]}/v2'
                    f'/{self.user.project_id}/{path}', body)

    def freezer(self, *arguments: str) -> Any:
        """Run the stock command line client."""
        done = self.scripts.run(
            'freezer', list(arguments), commands.clean_environment(
                **credentials.variables(self.made.account('project-1'),
                                        self.made.settings.auth_url)))
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def create(self, *actions: dict[str, Any], stopped: bool = True,
               schedule: dict[str, Any] | None = None) -> str:
        """Create a job, by default one that waits to be started."""
        document = self.directory / 'job.json'
        document.write_text(json.dumps({
            'description': self.id(), 'job_actions': actions,
            'job_schedule': {**(schedule or {}),
                             **({'status': 'stop'} if stopped else {})}}))
        job_id: str = json.loads(self.freezer(
            'job-create', '--client', self.client, '--file', str(document),
            '-f', 'json'))['Job ID']
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.api('GET', f'jobs/{job_id}')
        # Its scheduler alone knows when a stock job is due.
        self.assertNotIn('next_run_at', shown)
        return shown

    def state(self, job_id: str) -> State:
        schedule = self.job(job_id)['job_schedule']
        return (schedule.get('event'), schedule.get('status'),
                schedule.get('result'))

    def reaches(self, job_id: str, *wanted: State) -> State:
        def reached() -> State | None:
            state = self.state(job_id)
            return state if state in wanted else None

        state: State = waiting.eventually(reached)
        return state

    @contextlib.contextmanager
    def recorded(self, job_id: str) -> Iterator[list[State]]:
        """Record the states of a job, read one after the other."""
        life = [self.state(job_id)]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                state = self.state(job_id)
                if state != life[-1]:
                    life.append(state)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield life
        finally:
            done.set()
            watcher.join()
            if life[-1] != (last := self.state(job_id)):
                life.append(last)

    def assert_life(self, life: list[State], *states: State) -> None:
        """Check that a recorded job passed through states, up to the last.

        A state that lasts shorter than one look at it is not recorded.
        """
        left = iter(states)
        self.assertEqual([], [state for state in life if state not in left],
                         str(life))
        self.assertEqual(states[-1], life[-1])

    def polled(self) -> None:
        """Wait until the scheduler knows what the API has by now."""
        def polls() -> int:
            return self.scheduler.log.read_text(errors='replace').count(
                'Polling for jobs')

        # The next poll reads it, and has dealt with it when another begins.
        begun = polls()
        waiting.eventually(lambda: polls() >= begun + 2)

    def backups_of(self, job_id: str) -> list[dict[str, Any]]:
        """The records that a search finds, as the panel would ask."""
        found: list[dict[str, Any]] = self.api(
            'GET', 'backups', {'match': [{'job_id': job_id}]})['backups']
        return found


class ClassicTests(StockCase):
    """Classic mode: an agent beside it, a user's own credentials."""

    account = 'project-1'
    client = 'web-1'
    options = {'scheduler': {}, 'capabilities': {}}

    def files(self, name: str = 'data', **more: Any) -> dict[str, Any]:
        """A backup of a small directory into another one."""
        source = self.directory / name
        source.mkdir(exist_ok=True)
        (source / 'file').write_text('content')
        store = self.directory / 'store'
        store.mkdir(exist_ok=True)
        return {'freezer_action': {
            'action': 'backup', 'mode': 'fs', 'storage': 'local',
            'backup_name': name, 'path_to_backup': str(source),
            'container': str(store),
            'log_file': str(self.directory / 'agent.log')},
            'max_retries': 0, 'max_retries_interval': 1, **more}

    def failing(self) -> dict[str, Any]:
        action = self.files()
        action['freezer_action']['path_to_backup'] = '/nowhere'
        return action

    def test_it_registers_like_any_other_client(self) -> None:
        shown = self.api('GET', f'clients/{self.client}')
        self.assertFalse(shown['client']['is_central'])
        self.assertEqual(self.user.project_id, shown['project_id'])
        self.assertIn(self.client, self.freezer('client-list'))

    def test_a_job_starts_runs_and_completes(self) -> None:
        job_id = self.create(self.files())
        self.reaches(job_id, ('', 'stop', None))
        with self.recorded(job_id) as life:
            with self.scheduler.agents_held():
                self.freezer('job-start', job_id)
                self.reaches(job_id, ('', 'running', ''))
            self.reaches(job_id, ('', 'completed', 'success'),
                         ('', 'completed', 'fail'))
        # How long the event is seen depends on when the next poll comes.
        self.assert_life(
            [state for state in life if state[0] != 'start'],
            ('', 'stop', None), ('', 'scheduled', ''), ('', 'running', ''),
            ('', 'completed', 'success'))
        shown = self.job(job_id)['job_schedule']
        self.assertLessEqual(shown['time_created'], shown['time_started'])
        self.assertLess(shown['time_started'], shown['time_ended'] + 1)
        [backup] = self.backups_of(job_id)
        self.assertEqual('available', backup['status'])
        self.assertEqual(('data', 'fs', job_id), tuple(
            backup['backup_metadata'][key]
            for key in ('backup_name', 'mode', 'job_id')))
        self.assertIn(backup['backup_id'], self.freezer('backup-list'))
        # It ran once: a completed job is not listed to its scheduler.
        self.freezer('job-start', job_id)
        waiting.eventually(lambda: len(self.backups_of(job_id)) == 2)

    def test_a_new_job_starts_by_itself(self) -> None:
        job_id = self.create(self.files(), stopped=False)
        self.reaches(job_id, ('', 'completed', 'success'))
        self.assertEqual(1, len(self.backups_of(job_id)))

    def test_a_failed_agent_is_a_failed_job(self) -> None:
        job_id = self.create({**self.failing(), 'max_retries': 1},
                             stopped=False)
        self.reaches(job_id, ('', 'completed', 'fail'))

    def test_a_stop_takes_effect_after_the_run(self) -> None:
        """It takes effect once the run is over."""
        job_id = self.create(self.failing(), schedule={
            'schedule_interval': '2 seconds'})
        self.reaches(job_id, ('', 'stop', None))
        with self.scheduler.agents_held():
            self.freezer('job-start', job_id)
            self.running(job_id)
            self.freezer('job-stop', job_id)
            self.polled()
            self.assertEqual(('stop', 'running', ''), self.state(job_id))
        self.reaches(job_id, ('', 'completed', 'fail'),
                     ('stop', 'completed', 'fail'))

    def running(self, job_id: str) -> None:
        """Wait until a job runs and its agent is known."""
        waiting.eventually(lambda: self.job(job_id)['job_schedule'].get(
            'current_pid'))
        self.assertEqual(('', 'running', ''), self.state(job_id))

    def test_an_abort_is_recorded_while_the_job_runs(self) -> None:
        """A stock scheduler kills nothing; the API says what it was told."""
        job_id = self.create(self.failing())
        self.reaches(job_id, ('', 'stop', None))
        with self.scheduler.agents_held():
            self.freezer('job-start', job_id)
            self.running(job_id)
            self.freezer('job-abort', job_id)
            self.polled()
            self.assertEqual(('abort', 'running', ''), self.state(job_id))
        # Two of its threads write at the end, in either order.
        self.reaches(job_id, *(
            (event, status, result) for event in ('abort', '')
            for status in ('completed', 'stop')
            for result in ('fail', 'aborted')))

    def test_an_abort_before_the_first_run_leaves_others_alone(self) -> None:
        """It would end the poll of the jobs of all projects."""
        job_id = self.create(self.files(), stopped=False, schedule={
            'schedule_interval': '1 hours'})
        self.reaches(job_id, ('', 'scheduled', None))
        self.freezer('job-abort', job_id)
        self.reaches(job_id, ('', 'stop', None))
        self.api('PATCH', f'jobs/{job_id}', {'description': 'still there'})
        other = self.create(self.files('other'), stopped=False)
        self.reaches(other, ('', 'completed', 'success'))

    def test_an_interval_is_armed_again_and_again(self) -> None:
        job_id = self.create(self.files('again'), stopped=False, schedule={
            'schedule_interval': '1 hours'})
        self.reaches(job_id, ('', 'scheduled', None))
        # A user's new schedule reaches it: the first one is far away.
        self.interval(job_id, '10 seconds')
        waiting.eventually(lambda: len(self.backups_of(job_id)) >= 2)
        self.reaches(job_id, ('', 'scheduled', 'success'))
        # What happened is kept, also from a run that may be under way.
        self.interval(job_id, '1 hours')
        self.reaches(job_id, ('', 'scheduled', 'success'))
        self.assertGreater(
            self.job(job_id)['job_schedule']['time_started'], 0)
        self.freezer('job-stop', job_id)
        self.reaches(job_id, ('', 'stop', 'success'),
                     ('', 'completed', 'success'))
        shown = self.job(job_id)['job_schedule']
        self.assertEqual('1 hours', shown['schedule_interval'])
        self.assertGreater(shown['time_started'], 0)

    def interval(self, job_id: str, interval: str) -> None:
        self.api('PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': interval}})

    def test_an_edit_of_the_description_leaves_other_jobs_alone(self) -> None:
        job_id = self.create(self.files(), stopped=False, schedule={
            'schedule_interval': '1 hours'})
        self.reaches(job_id, ('', 'scheduled', None))
        self.api('PATCH', f'jobs/{job_id}', {'description': 'edited'})
        other = self.create(self.files('other'), stopped=False)
        self.reaches(other, ('', 'completed', 'success'))
        self.assertEqual(('', 'scheduled', None), self.state(job_id))
        self.assertEqual('edited', self.job(job_id)['description'])

    def test_a_session_of_two_jobs(self) -> None:
        jobs = [self.create(self.files(name)) for name in ('one', 'two')]
        for job_id in jobs:
            self.reaches(job_id, ('', 'stop', None))
        session_id = self.api('POST', 'sessions', {
            'schedule': {}, 'description': 'together',
            # However long it takes to start both.
            'hold_off': 3600})['session_id']
        for job_id in jobs:
            self.freezer('session-add-job', '--session-id', session_id,
                         '--job-id', job_id)
            self.assertEqual(('', 'stop', None), self.state(job_id))
        for job_id in jobs:
            self.freezer('job-start', job_id)
        shown = waiting.eventually(lambda: (
            found := self.api('GET', f'sessions/{session_id}'))[
                'status'] == 'completed' and found)
        self.assertEqual(('success', 1),
                         (shown['result'], shown['session_tag']))
        self.assertEqual(
            dict.fromkeys(jobs, ('completed', 'success')),
            {job_id: (one['status'], one['result'])
             for job_id, one in shown['jobs'].items()})
        for job_id in jobs:
            self.reaches(job_id, ('', 'completed', 'success'))
            self.assertEqual((session_id, 1), (
                self.job(job_id)['session_id'],
                self.job(job_id)['session_tag']))

    def test_it_pages_through_all_its_jobs(self) -> None:
        """Ten a page, with a search in the body of a GET."""
        jobs = [self.create(self.files()) for _ in range(11)]
        jobs.append(self.create(self.files('last'), stopped=False))
        self.reaches(jobs[-1], ('', 'completed', 'success'))
        for job_id in jobs[:-1]:
            self.reaches(job_id, ('', 'stop', None))
            self.api('DELETE', f'jobs/{job_id}')


class CentralTests(StockCase):
    """Centralized mode: every project's jobs, with the trusts of its users.

    The role service is enough for its account, which upstream's API wants to
    be an administrator's.
    """

    account = 'service'
    client = 'stock-central'
    options = {
        'scheduler': {'centralized_scheduler': True},
        'capabilities': {'supported_actions': 'backup,restore,admin',
                         'supported_modes': 'cindernative',
                         'supported_storages': 'swift',
                         'supported_engines': 'tar'}}

    def backup(self, volume: str) -> dict[str, Any]:
        return {'freezer_action': {
            'action': 'backup', 'mode': 'cindernative',
            'backup_name': 'nightly', 'cindernative_vol_id': volume,
            'log_file': str(self.directory / 'agent.log')},
            'max_retries': 0, 'max_retries_interval': 1}

    def test_a_job_starts_runs_and_completes(self) -> None:
        shown = self.api('GET', f'clients/{self.client}')
        self.assertTrue(shown['client']['is_central'])
        volume = self.made.volumes('project-1')[0]['id']
        job_id = self.create(self.backup(volume), stopped=False)
        user_id = self.job(job_id)['user_id']
        with self.recorded(job_id) as life:
            self.reaches(job_id, ('', 'completed', 'success'),
                         ('', 'completed', 'fail'))
        self.assert_life(
            [state for state in life if state[0] == ''],
            ('', 'scheduled', None), ('', 'running', ''),
            ('', 'completed', 'success'))
        self.assertGreater(
            self.job(job_id)['job_schedule']['time_started'], 0)
        [made] = [one for one in self.made.backups('project-1')
                  if one['volume_id'] == volume]
        self.assertEqual(user_id, self.job(job_id)['user_id'])
        [record] = self.backups_of(job_id)
        self.assertEqual(('available', user_id, self.user.project_id), (
            record['status'], record['user_id'], record['project_id']))
        self.assertEqual(
            (made['id'], 'nightly'), tuple(
                record['backup_metadata'][key]
                for key in ('cinder_backup_id', 'backup_name')))

    def test_what_it_cannot_do_never_reaches_it(self) -> None:
        refused = self.assertRaises(
            rest.HttpError, self.api, 'POST', 'jobs', {
                'client_id': self.client, 'job_actions': [{
                    'freezer_action': {'action': 'exec', 'command': 'id'}}]})
        self.assertEqual(422, refused.status)

    def test_a_job_that_never_ran_is_aborted(self) -> None:
        volume = self.made.volumes('project-1')[1]['id']
        armed = self.create(self.backup(volume), stopped=False, schedule={
            'schedule_interval': '1 days'})
        self.reaches(armed, ('', 'scheduled', None))
        self.freezer('job-abort', armed)
        self.reaches(armed, ('', 'stop', None))
        other = self.create(self.backup(volume), stopped=False)
        self.reaches(other, ('', 'completed', 'success'))
