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

"""Classic mode: one project's scheduler, with the released freezer-agent.

The agent is that of Freezer 19.0.0, in the environment that the tests of the
stock scheduler made; the scheduler, the API and Keystone are a cloud's.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
from typing import Any
from typing import ClassVar
import unittest

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import agent_keys
from freezer_scheduler.engines.agent import action as agent_action
from tests.cloud import prepared
from tests.cloud import waiting
from tests.stock_scheduler import stock
from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import credentials
from tools.cloud import layout

# Until a run of a scheduler that died is reclaimed.
LEASE = 12


class Scheduler:
    """A scheduler in a directory of its own."""

    def __init__(self, made: cloud.Cloud, home: pathlib.Path,
                 account_name: str = 'project-1', **options: Any) -> None:
        self.home = home
        self._script = made.environments.service.script('freezer-scheduler')
        home.mkdir()
        account = credentials.variables(made.account(account_name),
                                        made.settings.auth_url)
        self.environ = commands.clean_environment(
            HOME=str(home), **account,
            PATH=f'{stock.environment().venv}/bin:{os.environ["PATH"]}')
        layout.write_private(home / 'scheduler.conf', config.render({
            'scheduler': {
                'client_id': 'web-1', 'claim_interval': 1,
                'request_timeout': 5, 'lease_seconds': LEASE,
                'concurrent_jobs': 2, 'pid_file': home / 'scheduler.pid',
                'agent_dir': home / 'agents', 'agent_grace': 5, **options}}))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> pathlib.Path:
        return self.home / 'scheduler.log'

    def command(self, *arguments: str) -> list[str]:
        return [self._script, '--config-file',
                str(self.home / 'scheduler.conf'), *arguments]

    def start(self, *arguments: str) -> None:
        with self.log.open('ab') as log:
            self.process = subprocess.Popen(
                self.command(*arguments, '--scheduler-no-daemon', 'start'),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.home, env=self.environ, start_new_session=True)

    def end(self, hard: bool = False) -> int:
        """End it; return its exit status."""
        if self.process is None:
            return 0
        if hard:
            self.process.kill()
        else:
            self.process.terminate()
        status = self.process.wait(waiting.PATIENCE)
        self.process = None
        return status

    def says(self, action: str) -> str:
        return subprocess.run(
            self.command(action), env=self.environ, check=True,
            capture_output=True, text=True).stdout


def processes(word: str) -> list[int]:
    """Return the processes that have a word in their command line."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes().split(b'\0'):
                found.append(int(path.parent.name))
    return found


class ClassicTests(unittest.TestCase):

    made: ClassVar[cloud.Cloud]
    scheduler: ClassVar[Scheduler]
    directory: ClassVar[pathlib.Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        stock.environment()
        holder = tempfile.TemporaryDirectory(prefix='classic-')
        cls.addClassCleanup(holder.cleanup)
        cls.directory = pathlib.Path(holder.name)
        cls.made = cloud.Cloud(cls.directory / 'cloud')
        prepared.up(
            cls.made, cloud.Options.on_free_ports(projects=1, volumes=2),
            prepared.SERVERS)
        cls.addClassCleanup(prepared.end, cls.made)
        cls.scheduler = Scheduler(cls.made, cls.directory / 'scheduler')
        cls.scheduler.start()
        cls.addClassCleanup(cls.scheduler.end)
        cls.user = cls.made.session('project-1')

    user: ClassVar[Any]

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.show_log)
        waiting.eventually(lambda: 'web-1' in [
            one['client']['client_id']
            for one in self.api('GET', 'clients')['clients']])

    def show_log(self) -> None:
        outcome = getattr(self, '_outcome', None)
        if outcome is not None and not outcome.success:
            print(self.scheduler.log.read_text()[-4000:])

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.user.call(
            method, f'{self.made.urls["freezer-api"]}/v2'
                    f'/{self.user.project_id}/{path}', body)

    def create(self, *actions: dict[str, Any], **more: Any) -> str:
        job_id: str = self.api('POST', 'jobs', {
            'client_id': 'web-1', 'description': self.id(),
            'job_actions': [{'freezer_action': {
                'log_file': str(self.directory / 'agent.log'), **action},
                **more} for action in actions]})['job_id']
        return job_id

    def ended(self, job_id: str) -> dict[str, Any]:
        """Return the job's last run, once it is over."""
        def over() -> Any:
            runs = self.api('GET', f'jobs/{job_id}/runs')['runs']
            return runs and runs[0]['state'] != 'running' and runs[0]

        run: dict[str, Any] = waiting.eventually(over)
        return run

    def fs(self, action: str, name: str, **more: Any) -> dict[str, Any]:
        return {'action': action, 'mode': 'fs', 'storage': 'local',
                'container': str(self.directory / 'store'),
                'backup_name': name, **more}

    def command(self, command: str) -> dict[str, Any]:
        return {'action': 'exec', 'storage': 'local', 'command': command,
                'container': str(self.directory / 'store')}

    def nothing_left(self) -> bool:
        """Whether no file of an agent is there."""
        return not list((self.scheduler.home / 'agents').glob('*/*/*'))

    def test_a_directory_is_backed_up_and_restored(self) -> None:
        source = self.directory / '100% of $HOME'
        source.mkdir()
        for number in range(20):
            (source / f'file-{number}').write_bytes(os.urandom(10_000))
        back = self.directory / 'back'
        back.mkdir()
        job_id = self.create(self.fs(
            'backup', 'data', path_to_backup=str(source),
            no_incremental=True, engine='tar'))
        run = self.ended(job_id)
        self.assertEqual(('success', None), (run['state'], run['reason']))
        [record] = self.api('GET', 'backups', {
            'match': [{'job_id': job_id}]})['backups']
        self.assertEqual('available', record['status'])
        said = record['backup_metadata']
        self.assertEqual(
            ('data', 'fs', 'tar', job_id, str(source)),
            (said['backup_name'], said['mode'], said['engine_name'],
             said['job_id'], said['path_to_backup']))
        self.assertEqual(record['backup_id'], run['actions'][0]['backup_id'])
        run = self.ended(self.create(self.fs(
            'restore', 'data', restore_abs_path=str(back))))
        self.assertEqual(('success', None), (run['state'], run['reason']))
        self.assertEqual(
            {path.name: path.read_bytes() for path in source.iterdir()},
            {path.name: path.read_bytes() for path in back.iterdir()})
        self.assertTrue(self.nothing_left())

    def test_a_failed_action_ends_the_job(self) -> None:
        touched = self.directory / 'touched'
        job_id = self.create(
            self.command(f'touch {touched}'),
            self.fs('backup', 'none', path_to_backup='/no/such/thing'),
            self.command(f'touch {touched}-2'), max_retries=1,
            max_retries_interval=1)
        run = self.ended(job_id)
        self.assertTrue(touched.exists())
        self.assertFalse(touched.with_name('touched-2').exists())
        self.assertEqual(['success', 'fail', 'skipped'],
                         [step['state'] for step in run['actions']])
        self.assertEqual(2, run['actions'][1]['tries'])
        self.assertIn('freezer-agent ended with status 1: ', run['reason'])
        self.assertIn('/no/such/thing', run['reason'])
        self.assertEqual('fail', self.api('GET', f'jobs/{job_id}')[
            'job_schedule']['result'])

    def test_an_abort_kills_the_agent(self) -> None:
        job_id = self.create(self.command('sleep 98701'))
        waiting.eventually(lambda: processes('98701'))
        self.api('POST', f'jobs/{job_id}/event', {'abort': None})
        run = self.ended(job_id)
        self.assertEqual('aborted', run['state'])
        self.assertEqual([], processes('98701'))
        self.assertTrue(self.nothing_left())

    def test_kill_9_leaves_nothing_running(self) -> None:
        job_id = self.create(self.command('sleep 98702'))
        waiting.eventually(lambda: processes('98702'))
        self.assertFalse(self.nothing_left())
        self.scheduler.end(hard=True)
        waiting.eventually(lambda: not processes('98702'))
        waiting.eventually(self.nothing_left)
        self.scheduler.start()
        run = self.ended(job_id)
        self.assertEqual('fail', run['state'])
        self.assertIn('went away', run['reason'])
        self.assertEqual([], processes('98702'))

    def test_a_stop_is_the_reason_of_the_run(self) -> None:
        job_id = self.create(self.command('sleep 98703'))
        waiting.eventually(lambda: processes('98703'))
        assert self.scheduler.process is not None
        self.assertIn(f'Running with pid: {self.scheduler.process.pid}\n',
                      self.scheduler.says('status'))
        self.assertEqual(0, self.scheduler.end())
        self.assertEqual([], processes('98703'))
        self.assertEqual('Not Running\n', self.scheduler.says('status'))
        run = self.ended(job_id)
        self.assertEqual('fail', run['state'])
        self.assertIn('the scheduler was stopped', run['reason'])
        self.assertEqual([], list(
            (self.scheduler.home / 'agents').iterdir()))
        self.scheduler.start()

    def test_a_reload_applies_the_changed_file(self) -> None:
        file = self.scheduler.home / 'scheduler.conf'
        before = file.read_text()

        def reloaded(text: str, actions: list[str], places: int) -> None:
            file.write_text(text)
            self.assertEqual('', self.scheduler.says('reload'))
            waiting.eventually(lambda: actions == next(
                one['client']['supported_actions']
                for one in self.api('GET', 'clients')['clients']
                if one['client']['client_id'] == 'web-1'))
            self.assertIn(f'In flight:  0 of {places}\n',
                          self.scheduler.says('status'))

        offered = ['backup', 'restore', 'info', 'admin', 'exec']
        reloaded(before + 'max_in_flight = 7\nmax_in_flight_per_project = 2\n'
                 '[capabilities]\nsupported_actions = backup\n',
                 ['backup'], 7)
        reloaded(before, offered, 50)

    def test_cinder_backs_up_a_volume_without_an_agent(self) -> None:
        """No agent is needed for it, and success is what Cinder says."""
        volume = self.made.volumes('project-1')[0]['id']
        run = self.ended(self.create({
            'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': volume}))
        self.assertEqual(('success', None), (run['state'], run['reason']))
        self.assertEqual(['available'], [
            backup['status'] for backup in self.made.backups('project-1')
            if backup['volume_id'] == volume])

    def test_an_application_credential_for_the_account(self) -> None:
        auth_url = self.made.settings.auth_url
        token = self.user.call('GET', f'{auth_url}/auth/tokens',
                               X_Subject_Token=self.user._token)['token']
        made = self.user.call(
            'POST', f'{auth_url}/users/{token["user"]["id"]}'
                    '/application_credentials',
            {'application_credential': {'name': 'scheduler'}},
        )['application_credential']
        scheduler = Scheduler(self.made, self.directory / 'credential',
                              client_id='web-2')
        for name in [name for name in scheduler.environ
                     if name.startswith('OS_')]:
            del scheduler.environ[name]
        scheduler.environ.update(
            OS_AUTH_URL=auth_url, OS_APPLICATION_CREDENTIAL_ID=made['id'],
            OS_APPLICATION_CREDENTIAL_SECRET=made['secret'])
        scheduler.start()
        self.addCleanup(scheduler.end)
        waiting.eventually(lambda: 'web-2' in [
            one['client']['client_id']
            for one in self.api('GET', 'clients')['clients']])
        job_id: str = self.api('POST', 'jobs', {
            'client_id': 'web-2', 'job_actions': [{'freezer_action': {
                'action': 'backup', 'mode': 'cindernative',
                'cindernative_vol_id':
                    self.made.volumes('project-1')[1]['id']}}]})['job_id']
        run = self.ended(job_id)
        self.assertEqual(('success', None), (run['state'], run['reason']))
        self.assertNotIn(made['secret'], scheduler.log.read_text())

    def central(self, client_id: str, *arguments: str) -> Scheduler:
        """Start a central scheduler for the time of a test."""
        central = Scheduler(
            self.made, self.directory / client_id, 'service',
            service_mode=True, client_id=client_id)
        central.start(*arguments)
        self.addCleanup(central.end)
        waiting.eventually(lambda: client_id in [
            one['client']['client_id']
            for one in self.api('GET', 'clients')['clients']])
        return central

    def test_a_session_of_two_clients(self) -> None:
        """A job of the project's own scheduler and one of a central one."""
        self.central('central-3')
        session_id = self.api('POST', 'sessions', {
            'schedule': {'schedule_interval': '1 days'}})['session_id']
        path = f'sessions/{session_id}'
        jobs = []
        for client, action in (
                ('web-1', self.command('ls /')),
                ('central-3', {
                    'action': 'backup', 'mode': 'cindernative',
                    'cindernative_vol_id':
                        self.made.volumes('project-1')[1]['id']}),
                ('web-1', self.command('ls /no/such/thing'))):
            jobs.append(self.api('POST', 'jobs', {
                'client_id': client,
                'job_schedule': {'schedule_date': '2099-01-01T00:00:00'},
                'job_actions': [{'freezer_action': action,
                                 'max_retries': 0}]})['job_id'])
            self.api('PUT', f'{path}/jobs/{jobs[-1]}')
        self.assertEqual(1, len({self.api('GET', f'jobs/{job}')[
            'next_run_at'] for job in jobs}))

        def completed(tag: int) -> Any:
            shown = self.api('GET', path)
            self.assertLessEqual(shown['session_tag'], tag)
            return ((shown['session_tag'], shown['status'])
                    == (tag, 'completed') and shown)

        for job in jobs[:2]:
            self.api('POST', f'jobs/{job}/event', {'start': None})
        for job in jobs[:2]:
            run = self.ended(job)
            self.assertEqual(('success', None), (run['state'], run['reason']))
        shown = completed(1)
        self.assertEqual('success', shown['result'])
        self.assertEqual(['success', 'success', ''], [
            shown['jobs'][job]['result'] for job in jobs])
        self.api('PATCH', path, {'hold_off': 0})
        self.api('POST', f'jobs/{jobs[2]}/event', {'start': None})
        self.assertEqual('fail', waiting.eventually(
            lambda: completed(2))['result'])

    def test_an_agent_with_a_trust(self) -> None:
        """What an operator of a central scheduler had to name."""
        central = self.central(
            'central-2', '--capabilities-supported-modes', 'fs',
            '--capabilities-supported-storages', 'local',
            '--capabilities-supported-engines', 'tar')
        self.assertIn('RISK', central.log.read_text())
        source = self.directory / 'central-data'
        source.mkdir()
        (source / 'file').write_text('content')
        action = self.fs('backup', 'trusted', path_to_backup=str(source))
        good, bad = (self.api('POST', 'jobs', {
            'client_id': 'central-2',
            'job_actions': [{'freezer_action': {**action, **more}}]})[
                'job_id'] for more in ({}, {'log_file': '/tmp/other'}))
        run = self.ended(good)
        self.assertEqual(('success', None), (run['state'], run['reason']))
        run = self.ended(bad)
        self.assertIn('log_file: not taken from jobs in service mode',
                      run['reason'])
        [trust] = {self.api('GET', f'jobs/{job_id}')['user_credentials'][
            'trust_id'] for job_id in (good, bad)}
        for log in self.directory.glob('**/*.log'):
            self.assertNotIn(trust, log.read_text(errors='replace'), log)

    def test_job_files_without_the_api(self) -> None:
        jobs = self.directory / 'jobs'
        jobs.mkdir()
        touched = self.directory / 'from-file'
        alone = Scheduler(self.made, self.directory / 'alone')
        touch = {'freezer_action': self.command(f'touch {touched}')}
        for name, document in (
                ('job_1.conf', {'job_id': 'one', 'job_schedule': {},
                                'job_actions': [touch]}),
                ('job_2.conf', {'job_actions': 'what'})):
            (jobs / name).write_text(json.dumps(document))
        alone.start('--no-api', '-f', str(jobs))
        self.addCleanup(alone.end)
        waiting.eventually(touched.exists)
        self.assertIn('job_2.conf is left out', alone.log.read_text())
        waiting.eventually(lambda: 'job one, project files: success'
                           in alone.log.read_text())
        self.assertEqual({'job_1.conf', 'job_2.conf'},
                         {path.name for path in jobs.iterdir()})


# Answers each line, the path of a file, with what the agent makes of it.
READER = '''
import json, sys
sys.argv = ['freezer-agent']
from freezer.common import config
from freezer.utils import config as files
from oslo_config import cfg
config.config(args=[])
for line in sys.stdin:
    found = {}
    for key, value in files.Config.parse(line.strip()).default.items():
        cfg.CONF.set_override(key, value)
        found[key] = getattr(cfg.CONF, key)
        cfg.CONF.clear_override(key)
    print(json.dumps(found), flush=True)
'''

TEXTS = st.one_of(
    st.text('$%{}()[]=:;#\\"\' \n\tas', max_size=12), st.text(max_size=8),
    st.sampled_from(['False', '%(x)s', '$container', '\n[a]\nb=c', '\\$']))
# Those of a few words, and what means nothing to it.
FREE = sorted(frozenset(agent_keys.TEXTS) - {
    'action', 'compression', 'dereference_symlink', 'engine_name',
    'lvm_snapperm', 'os_identity_api_version', 'storage', 'log_file'})


class AgentReadsTests(unittest.TestCase):
    """The agent's own code gets to see what was written, in each option."""

    reader: ClassVar[subprocess.Popen[str]]
    home: ClassVar[pathlib.Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix='agent-')
        cls.addClassCleanup(holder.cleanup)
        cls.home = pathlib.Path(holder.name)
        cls.reader = subprocess.Popen(
            [stock.environment().python, '-c', READER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=commands.clean_environment(HOME=str(cls.home)))
        cls.addClassCleanup(cls.reader.wait)
        assert cls.reader.stdin is not None
        cls.addClassCleanup(cls.reader.stdin.close)

    def read(self, text: str) -> dict[str, Any]:
        assert self.reader.stdin and self.reader.stdout
        file = self.home / 'action.conf'
        file.write_text(text)
        print(file, file=self.reader.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.reader.stdout.readline())
        return found

    @hypothesis.given(st.dictionaries(st.sampled_from(FREE), TEXTS,
                                      max_size=5))
    @hypothesis.settings(deadline=None, max_examples=200)
    def test_the_agent_reads_any_text_as_it_was_written(
            self, document: dict[str, str]) -> None:
        try:
            action = agent_action.read(document, False, '')
            text = action.text()
        except agent_action.Unusable:
            return
        self.assertEqual(action.values, self.read(text))

    def test_every_key_is_known_to_it(self) -> None:
        document: dict[str, object] = {
            **dict.fromkeys(agent_keys.TEXTS, 'x'),
            **dict.fromkeys(agent_keys.FLAGS, True),
            **dict.fromkeys(agent_keys.NUMBERS, 3)}
        document |= {'compression': 'xz', 'dereference_symlink': 'all',
                     'engine_name': 'tar', 'lvm_snapperm': 'ro',
                     'os_identity_api_version': '3', 'storage': 'local',
                     'action': 'info'}
        action = agent_action.read(document, False, '')
        self.assertEqual(document, self.read(action.text()))
