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

"""The engine of freezer-agent, with programs that the tests write.

Its clock is a fake: what waits for a time limit does not wait.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import logging
import os
import pathlib
import signal
import stat
import subprocess
import sys
import textwrap
import time

import fixtures
import testtools

from freezer_scheduler.conf import service_auth
from freezer_scheduler.engines.agent import engine as agent
from freezer_scheduler.engines.agent import files as agent_files
from freezer_scheduler.engines.agent import process as agent_process
from freezer_scheduler.engines import base
from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler import fakes

State = messages.StepState
WITHIN = 30
PASSWORD = 'pa$$word-%-1'

# Notes that it runs, and waits until it is ended.
WAITS = '''
    note('pid', os.getpid())
    time.sleep(600)
'''


def alive(pid):
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(')')[2].split()[0] not in 'ZX'


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.notes = self.home / 'notes'
        self.notes.mkdir()
        self.clock = fakes.FakeClock()
        self.limits = agent.Limits(at_once=1, timeout=3600, grace=10)
        self.lease = 60.0
        self.files = agent_files.AgentFiles(self.home / 'agents')
        self.files.open()
        self.engine = self.make()
        self.addCleanup(lambda: self.engine.close(time.sleep))

    def make(self, shared=False, command=None):
        auth = service_auth.read(fakes.parsed(*fakes.ACCOUNT[:4]), {
            'OS_PASSWORD': PASSWORD, 'OS_PROJECT_NAME': 'web'})
        return agent.AgentEngine(agent.Dependencies(
            command=command or str(self.home / 'freezer-agent'),
            environment=lambda trust_id: agent_process.environment(
                {**os.environ, 'OS_TOKEN': 'stale', 'OS_PROJECT_ID': 'other',
                 'NOTIFY_SOCKET': '/nowhere'}, auth, False, trust_id),
            secrets=(PASSWORD,), shared=shared, files=self.files,
            clock=self.clock, limits=lambda: self.limits))

    def program(self, *texts):
        """Make the agent: a program that can note things for the test."""
        path = self.home / 'freezer-agent'
        path.write_text(f'#!{sys.executable} -IS\n' + textwrap.dedent('''\
            import json, os, pathlib, signal, subprocess, sys, time

            def note(name, value):
                there = pathlib.Path({notes!r}, name)
                there.with_suffix('.new').write_text(json.dumps(value))
                there.with_suffix('.new').rename(there)

            ''').format(notes=str(self.notes)) + ''.join(
                map(textwrap.dedent, texts)))
        path.chmod(0o755)

    def noted(self, name):
        """Return what the program noted, once it is there."""
        path = self.notes / name
        self.until(path.exists, f'nothing noted as {name}')
        return json.loads(path.read_text())

    def until(self, condition, what):
        deadline = time.monotonic() + WITHIN
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def context(self, trust='', **keys):
        return base.ActionContext(
            run_id='run-1', job_id='job-1', project_id=fakes.PROJECT,
            trust_id=trust, freezer_action={
                'action': 'backup', 'mode': 'fs', 'path_to_backup': '/x',
                **keys},
            step=messages.Step('action-1', 0, tries=1), engine_state=None,
            lease_left=lambda: self.lease)

    def call(self, context, verb='poll'):
        progress = getattr(self.engine, verb)(context)
        return progress, dataclasses.replace(
            context, step=progress.step, engine_state=progress.engine_state)

    def running(self, **keys):
        """Return the context of an action whose agent runs."""
        progress, context = self.call(self.context(**keys), 'start')
        self.assertIs(State.SUBMITTING, progress.step.state)
        progress, context = self.call(context)
        self.assertIs(State.SUBMITTED, progress.step.state, progress.step)
        return context

    def end(self, context, verb='poll'):
        """Call until the action is over."""
        deadline = time.monotonic() + WITHIN
        while True:
            progress, context = self.call(context, verb)
            if progress.step.state.final:
                return progress
            self.assertLess(time.monotonic(), deadline, 'it does not end')
            time.sleep(0.02)

    def folders(self):
        """Return what is there for agents now."""
        return [path for path in (self.home / 'agents').glob('*/*')
                if path.is_dir()]


class TestAgent(Case):

    def test_a_backup(self):
        self.program('''
            print(json.dumps({'action': 'backup', 'mode': 'fs',
                              'curr_backup_level': 0, 'nested': {'a': 1},
                              'backup_id': 'mine', 'time_stamp': 17}),
                  end='')
            ''')
        progress = self.end(self.running())
        self.assertEqual((State.SUCCESS, None), (
            progress.step.state, progress.step.reason))
        [backup] = progress.backups
        self.assertEqual('available', backup.status)
        self.assertEqual(progress.step.backup_id, backup.backup_id)
        self.assertEqual({'action': 'backup', 'mode': 'fs', 'time_stamp': 17,
                          'curr_backup_level': 0}, backup.metadata)
        self.assertEqual([], self.folders())

    def test_what_it_is_started_with(self):
        self.program('''
            conf = pathlib.Path(sys.argv[4])
            note('seen', {
                'argv': sys.argv[1:], 'conf': conf.read_text(),
                'modes': [conf.stat().st_mode, conf.parent.stat().st_mode],
                'environ': dict(os.environ), 'group': os.getpgid(0),
                'pid': os.getpid(), 'ignored': [
                    signal.getsignal(number) is signal.SIG_IGN
                    for number in (signal.SIGTERM, signal.SIGINT)],
                'blocked': list(signal.pthread_sigmask(
                    signal.SIG_BLOCK, ()))})
            ''')
        # As the scheduler does.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        self.end(self.running(backup_name='50% of $HOME', priority='high'))
        seen = self.noted('seen')
        self.assertEqual(['--metadata-out', '-', '--config'],
                         seen['argv'][:3])
        self.assertIn('backup_name = 50%% of $$HOME\n', seen['conf'])
        self.assertNotIn('priority', seen['conf'])
        self.assertIn("no 'priority'", self.log.output)
        self.assertEqual([0o600, 0o700],
                         [stat.S_IMODE(mode) for mode in seen['modes']])
        self.assertEqual((PASSWORD, 'web'), (
            seen['environ']['OS_PASSWORD'],
            seen['environ']['OS_PROJECT_NAME']))
        for name in ('OS_TOKEN', 'OS_PROJECT_ID', 'NOTIFY_SOCKET'):
            self.assertNotIn(name, seen['environ'])
        self.assertNotIn(PASSWORD, ' '.join(seen['argv']) + seen['conf'])
        self.assertEqual(seen['pid'], seen['group'])
        self.assertEqual(([False, False], []),
                         (seen['ignored'], seen['blocked']))

    def test_a_trust_replaces_the_project(self):
        self.engine = self.make(shared=True)
        self.program('''
            note('seen', dict(os.environ))
            note('conf', pathlib.Path(sys.argv[4]).read_text())
            print('trouble with ' + os.environ['OS_TRUST_ID'],
                  file=sys.stderr)
            sys.exit(1)
            ''')
        progress = self.end(self.running(trust=fakes.TRUST))
        self.assertEqual(fakes.TRUST, self.noted('seen')['OS_TRUST_ID'])
        self.assertNotIn('OS_PROJECT_NAME', self.noted('seen'))
        self.assertIn(f'os_trust_id = {fakes.TRUST}\n', self.noted('conf'))
        self.assertIn('trouble with ***', progress.step.reason)
        self.assertNotIn(fakes.TRUST, self.log.output)

    def test_a_failure_has_the_agent_s_reason(self):
        self.program('''
            print('a warning', file=sys.stderr)
            print('Critical Error: no space left, ' + os.environ[
                'OS_PASSWORD'], file=sys.stderr)
            print('bye', file=sys.stderr)
            sys.exit(3)
            ''')
        progress = self.end(self.running())
        self.assertIs(State.FAIL, progress.step.state)
        self.assertEqual('freezer-agent ended with status 3: no space left, '
                         '***', progress.step.reason)
        self.assertTrue(progress.retry)
        self.assertEqual((), progress.backups)
        self.assertNotIn(PASSWORD, self.log.output)

    def test_metadata_of_a_failure_is_a_record_in_error(self):
        self.program('''
            print(json.dumps({'action': 'backup'}))
            sys.exit(1)
            ''')
        progress = self.end(self.running())
        self.assertEqual(['error'],
                         [backup.status for backup in progress.backups])

    def test_removed_records(self):
        ids = ['0' * 32, 'not an id', '1' * 32, 7]
        self.program(f'''
            print(json.dumps({{'deleted_freezer_backup_ids': {ids!r}}}))
            ''')
        progress = self.end(self.running(action='admin'))
        self.assertEqual([('0' * 32, 'deleted'), ('1' * 32, 'deleted')], [
            (backup.backup_id, backup.status)
            for backup in progress.backups])
        self.assertIsNone(progress.step.backup_id)

    def test_any_output_is_bounded(self):
        for said in (b'\xff\xfe', b'[' * 100_000, b'[1, 2]', b'"x"', b'{',
                     b'{"action": "backup", "x": NaN}'):
            (self.notes / 'said').write_bytes(said)
            self.program(f'''
                sys.stdout.buffer.write(pathlib.Path(
                    {str(self.notes / 'said')!r}).read_bytes())
                ''')
            progress = self.end(self.running())
            self.assertIs(State.SUCCESS, progress.step.state, repr(said[:9]))

    def test_a_flood_is_cut(self):
        self.program('''
            for _ in range(1000):
                sys.stdout.write('x' * 100_000)
                sys.stderr.write('y' * 10_000)
            sys.stderr.write('\\nthe end\\n')
            sys.exit(1)
            ''')
        progress = self.end(self.running())
        self.assertTrue(progress.step.reason.endswith(': the end'))

    def test_metadata_that_no_record_can_hold(self):
        self.program('''
            print(json.dumps({'action': 'backup', 'long': 'x' * 100_000, **{
                f'key-{n}': 'y' * 900 for n in range(500)}}))
            ''')
        [backup] = self.end(self.running()).backups
        self.assertLess(len(json.dumps(backup.to_document())), 60_000)
        self.assertEqual(1000, len(backup.metadata['long']))

    def test_there_is_no_agent(self):
        self.engine = self.make(command='no-such-agent')
        progress, context = self.call(self.context(), 'start')
        progress = self.end(context)
        self.assertIn('no-such-agent is not on the scheduler\'s host',
                      progress.step.reason)
        self.assertEqual([], self.folders())
        # Its slot is free again.
        progress, _context = self.call(self.context(), 'start')
        self.assertIs(State.SUBMITTING, progress.step.state)

    def test_it_cannot_be_executed(self):
        path = self.home / 'freezer-agent'
        path.write_text('#!/no/such/interpreter\n')
        path.chmod(0o755)
        progress = self.end(self.running())
        self.assertIn('freezer-agent cannot be run: No such file',
                      progress.step.reason)

    def test_what_cannot_be_read_is_not_begun(self):
        progress, _context = self.call(
            self.context(backup_name='x\n[other]'), 'start')
        self.assertIs(State.FAIL, progress.step.state)
        self.assertFalse(progress.retry)
        self.assertIn('backup_name: holds line breaks',
                      progress.step.reason)

    def test_without_a_lease_nothing_is_started(self):
        self.program(WAITS)
        _progress, context = self.call(self.context(), 'start')
        self.lease = 1
        progress, context = self.call(context)
        self.assertIs(State.SUBMITTING, progress.step.state)
        self.assertEqual([], self.folders())
        self.lease = 60
        progress, context = self.call(context)
        self.assertIs(State.SUBMITTED, progress.step.state)

    def test_an_agent_waits_for_a_free_slot(self):
        self.program(WAITS)
        first = self.running()
        progress, second = self.call(self.context(), 'start')
        self.assertEqual((State.PENDING, 1), (progress.step.state,
                                              progress.step.tries))
        progress, second = self.call(second)
        self.assertIs(State.PENDING, progress.step.state)
        self.end(first, 'abort')
        progress, second = self.call(second)
        self.assertIs(State.SUBMITTING, progress.step.state)

    def test_a_dropped_run_frees_its_slot_and_ends_its_agent(self):
        self.program(WAITS)
        context = self.running()
        pid = self.noted('pid')
        del context
        gc.collect()
        self.until(lambda: not alive(pid), 'the agent goes on')
        self.until(lambda: not self.folders(), 'its files stay')
        progress, _context = self.call(self.context(), 'start')
        self.assertIs(State.SUBMITTING, progress.step.state)


class TestEnvironment(testtools.TestCase):

    def made(self, *argv, insecure=False, **environ):
        auth = service_auth.read(fakes.parsed(*fakes.ACCOUNT, *argv), {})
        return agent_process.environment(environ, auth, insecure, '')

    def test_certificates_are_checked(self):
        """An agent that is told of no authorities checks none."""
        self.assertTrue(pathlib.Path(self.made()['OS_CACERT']).is_file())
        self.assertEqual('/own', self.made(
            '--os-cacert', '/own', REQUESTS_CA_BUNDLE='/b')['OS_CACERT'])
        self.assertEqual('/b', self.made(
            REQUESTS_CA_BUNDLE='/b')['OS_CACERT'])
        made = self.made(insecure=True)
        self.assertNotIn('OS_CACERT', made)
        self.assertEqual('True', made['OS_INSECURE'])

    def test_no_secret_that_is_of_no_use(self):
        made = self.made('--os-application-credential-id', 'i',
                         '--os-application-credential-secret', 's')
        self.assertEqual([], [name for name in made if 'CREDENTIAL' in name])

    def test_the_rest_is_as_it_was(self):
        made = self.made(PATH='/bin', OS_ANYTHING='x', NOTIFY_SOCKET='y')
        self.assertEqual('/bin', made['PATH'])
        self.assertNotIn('OS_ANYTHING', made)
        self.assertNotIn('NOTIFY_SOCKET', made)


class TestTheEnd(Case):

    def test_abort_ends_the_agent_and_all_that_it_started(self):
        self.program('''
            child = subprocess.Popen(['sleep', '600'])
            note('child', child.pid)
            ''', WAITS)
        context = self.running()
        pid, child = self.noted('pid'), self.noted('child')
        progress = self.end(context, 'abort')
        self.assertEqual((State.ABORTED, False),
                         (progress.step.state, progress.retry))
        self.assertFalse(alive(pid))
        self.until(lambda: not alive(child), 'what it started goes on')
        self.assertEqual([], self.folders())

    def test_one_that_does_not_listen_is_killed(self):
        self.limits = dataclasses.replace(self.limits, grace=0.2)
        self.program('''
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ''', WAITS)
        context = self.running()
        pid = self.noted('pid')
        self.assertIs(State.ABORTED,
                      self.end(context, 'abort').step.state)
        self.assertFalse(alive(pid))

    def test_one_that_succeeds_in_spite_of_it(self):
        self.program('''
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            ''', WAITS)
        context = self.running()
        self.noted('pid')
        self.assertIs(State.SUCCESS, self.end(context, 'abort').step.state)

    def test_abort_of_what_was_not_started(self):
        for context in (self.context(), self.call(self.context(), 'start')[1]):
            progress, _context = self.call(context, 'abort')
            self.assertIs(State.ABORTED, progress.step.state)
        progress, _context = self.call(self.context(), 'start')
        self.assertIs(State.SUBMITTING, progress.step.state)

    def test_an_agent_that_another_process_ends(self):
        self.program(WAITS)
        context = self.running()
        os.kill(self.noted('pid'), signal.SIGTERM)
        progress = self.end(context)
        self.assertEqual((State.ABORTED, False),
                         (progress.step.state, progress.retry))

    def test_a_time_limit(self):
        self.program(WAITS)
        context = self.running()
        pid = self.noted('pid')
        self.clock.sleep(3601)
        progress = self.end(context)
        self.assertEqual((State.FAIL, False),
                         (progress.step.state, progress.retry))
        self.assertIn('was ended after 3600 seconds', progress.step.reason)
        self.assertFalse(alive(pid))

    def test_a_run_that_is_another_s_ends(self):
        self.program(WAITS)
        context = self.running()
        pid = self.noted('pid')
        deadline = time.monotonic() + WITHIN
        while (progress := self.engine.clean_up(context)) is not None:
            self.assertLess(time.monotonic(), deadline, 'it does not end')
            context = dataclasses.replace(context,
                                          engine_state=progress.engine_state)
            time.sleep(0.02)
        self.assertFalse(alive(pid))
        self.assertEqual([], self.folders())

    def test_a_reclaimed_run_fails(self):
        for state, words in ((State.SUBMITTING, 'whether it did'),
                             (State.SUBMITTED, 'which ended the agent')):
            context = self.context()
            context = dataclasses.replace(
                context, step=dataclasses.replace(context.step, state=state))
            progress, _context = self.call(context)
            self.assertEqual((State.FAIL, False),
                             (progress.step.state, progress.retry))
            self.assertIn(words, progress.step.reason)
            progress, _context = self.call(context, 'abort')
            self.assertIs(State.ABORTED, progress.step.state)

    def test_a_clean_stop(self):
        self.program('''
            def end(*_):
                time.sleep(1)
                sys.exit(1)
            signal.signal(signal.SIGTERM, end)
            ''', WAITS)
        context = self.running()
        pid = self.noted('pid')
        progress = self.engine.left(context)
        del context
        gc.collect()
        self.assertIs(State.FAIL, progress.step.state)
        self.assertIn('the scheduler was stopped', progress.step.reason)
        self.engine.close(time.sleep)
        self.assertFalse(alive(pid))
        self.assertEqual([], list((self.home / 'agents').iterdir()))

    def test_a_clean_stop_before_the_start(self):
        context = self.call(self.context(), 'start')[1]
        progress = self.engine.left(context)
        self.assertEqual((State.PENDING, 0),
                         (progress.step.state, progress.step.tries))
        self.assertIsNone(self.engine.left(self.context()))


class TestASchedulerThatIsKilled(Case):

    SCHEDULER = '''
        import pathlib, sys, time
        from freezer_scheduler.engines.agent import files as agent_files
        from freezer_scheduler.engines.agent import process as agent_process
        files = agent_files.AgentFiles(pathlib.Path(sys.argv[1]))
        files.open()
        file = files.add('action.conf', 'secret')
        made = agent_process.AgentProcess(
            [sys.argv[2]], {}, file.parent, 10)
        time.sleep(600)
        '''

    def test_no_agent_and_no_file_outlives_it(self):
        self.program('''
            note('child', subprocess.Popen(['/bin/sleep', '600']).pid)
            ''', WAITS)
        scheduler = subprocess.Popen([
            sys.executable, '-c', textwrap.dedent(self.SCHEDULER),
            str(self.home / 'agents'), str(self.home / 'freezer-agent')])
        self.addCleanup(scheduler.wait)
        self.addCleanup(scheduler.kill)
        pid, child = self.noted('pid'), self.noted('child')
        self.assertNotEqual([], self.folders())
        scheduler.kill()
        for one in (pid, child):
            self.until(lambda one=one: not alive(one), 'it goes on')
        self.until(lambda: not self.folders(), 'its files stay')

    def test_the_next_scheduler_removes_the_files_that_are_left(self):
        self.program(WAITS)
        scheduler = subprocess.Popen([
            sys.executable, '-c', textwrap.dedent(self.SCHEDULER),
            str(self.home / 'agents'), str(self.home / 'freezer-agent')])
        self.addCleanup(scheduler.wait)
        self.addCleanup(scheduler.kill)
        pid = self.noted('pid')
        [folder] = self.folders()
        # Nothing could remove the file: the supervisor was killed as well.
        children = pathlib.Path(f'/proc/{scheduler.pid}/task/{scheduler.pid}'
                                f'/children').read_text().split()
        for supervisor in map(int, children):
            os.kill(supervisor, signal.SIGKILL)
        self.until(lambda: not alive(pid), 'the agent outlives its supervisor')
        ours = self.home / 'agents'
        agent_files.AgentFiles(ours).open()
        self.assertTrue(folder.exists(), 'swept under a living scheduler')
        scheduler.kill()
        scheduler.wait()
        following = agent_files.AgentFiles(ours)
        following.open()
        self.assertFalse(folder.exists())
        following.close()

    def test_a_folder_of_others_is_refused(self):
        shared = self.home / 'shared'
        shared.mkdir()
        shared.chmod(0o777)
        self.assertRaises(agent_files.Unsafe,
                          agent_files.AgentFiles(shared).open)
        (self.home / 'link').symlink_to(self.home / 'agents')
        self.assertRaises(agent_files.Unsafe,
                          agent_files.AgentFiles(self.home / 'link').open)
