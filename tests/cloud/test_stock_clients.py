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

"""python-freezerclient as people use it, on the real API and Keystone.

Every command is run as ``freezer COMMAND`` and as ``openstack backup
COMMAND``, and what it prints is read. One cloud serves all the tests: each
works with things of its own and deletes them again.
"""

from __future__ import annotations

import ast
import inspect
import json
import pathlib
import re
import tempfile
from typing import Any
from typing import ClassVar
import unittest
import uuid

import testscenarios

from tests.cloud import console_scripts
from tests.cloud import prepared
from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import credentials

# All that python-freezerclient 6.5.0 has.
COMMANDS = {
    'action-create', 'action-delete', 'action-list', 'action-show',
    'action-update', 'backup-create', 'backup-delete', 'backup-list',
    'backup-show', 'client-delete', 'client-list', 'client-register',
    'client-show', 'job-abort', 'job-create', 'job-delete', 'job-get',
    'job-list', 'job-show', 'job-start', 'job-stop', 'job-update',
    'session-add-job', 'session-create', 'session-delete', 'session-list',
    'session-remove-job', 'session-show', 'session-start', 'session-update',
}

FORBIDDEN = '[*] Error 403: You are not allowed to access this resource'


def table(text: str) -> list[dict[str, str]]:
    """Read the rows of a printed table, by the names of its columns."""
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in text.splitlines() if line.startswith('|')]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def field(text: str, name: str) -> Any:
    """Read the Python value that a table of fields shows in several lines."""
    lines = []
    at = ''
    for line in text.splitlines():
        if line.startswith('|'):
            left, right = line.strip('|').split('|', 1)
            at = left.strip() or at
            if at == name:
                lines.append(right.strip())
    return ast.literal_eval(' '.join(lines))


class StockClientTest(unittest.TestCase):
    """What all tests share."""

    made: ClassVar[cloud.Cloud]
    scripts: ClassVar[console_scripts.ConsoleScripts]
    program = 'freezer'

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix='documents ')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.user = self.made.session('project-1')

    def file(self, document: Any) -> str:
        path = self.folder / f'{uuid.uuid4().hex}.json'
        path.write_text(json.dumps(document))
        return str(path)

    def words(self, name: str) -> list[str]:
        """Name a command of ``freezer`` as the program does."""
        if self.program == 'freezer':
            return [name]
        noun, *verbs = name.split('-')
        return ['backup', *([noun] if noun != 'backup' else []), *verbs]

    def execute(self, name: str, *arguments: str, who: str = 'project-1',
                ) -> tuple[int, str, str]:
        """Run a command, known by its name in ``freezer``."""
        done = self.scripts.run(
            self.program, [*self.words(name), *arguments],
            commands.clean_environment(
                TZ='UTC', **credentials.variables(
                    self.made.account(who), self.made.settings.auth_url)))
        return done.returncode, done.stdout, done.stderr

    def text(self, name: str, *arguments: str,
             who: str = 'project-1') -> str:
        """Return what a command prints that has to succeed."""
        status, out, err = self.execute(name, *arguments, who=who)
        self.assertEqual((0, ''), (status, err), out)
        return out

    def silent(self, name: str, *arguments: str) -> None:
        self.assertEqual('', self.text(name, *arguments))

    def shown(self, name: str, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.text(name, *arguments, '-f', 'json'))
        return answer

    def listed(self, name: str, *arguments: str,
               who: str = 'project-1') -> list[dict[str, Any]]:
        """Return the rows of a list; the client shows none as an empty one."""
        rows: list[dict[str, Any]] = json.loads(
            self.text(name, *arguments, '-f', 'json', who=who))
        return [row for row in rows if any(
            value != '' for value in row.values())]

    def refused(self, name: str, *arguments: str,
                who: str = 'project-1') -> str:
        """Return what a command says that has to fail."""
        status, out, err = self.execute(name, *arguments, who=who)
        self.assertEqual((1, ''), (status, out), err)
        return err.strip()

    def client(self, who: str = 'project-1') -> str:
        """Register a client, without the command line."""
        client_id = f'host-{uuid.uuid4().hex[:8]}'
        session = self.made.session(who)
        url = f"{self.made.urls['freezer-api']}v2/{session.project_id}"
        session.call('POST', f'{url}/clients', {'client_id': client_id})
        self.addCleanup(session.call, 'DELETE', f'{url}/clients/{client_id}')
        return client_id

    @staticmethod
    def job_document(**more: Any) -> dict[str, Any]:
        return {
            'description': 'the accounts',
            'job_actions': [{
                'freezer_action': {
                    'action': 'backup', 'mode': 'fs', 'storage': 'local',
                    'path_to_backup': '/srv/accounts', 'container': '/mnt',
                    'backup_name': 'accounts'},
                'max_retries': 2, 'max_retries_interval': 7}],
            'job_schedule': {
                'schedule_interval': '2 days',
                'schedule_start_date': '2037-01-01T02:00:00',
                'schedule_end_date': '2038-01-01T02:00:00'},
            **more}

    def job(self, client_id: str, who: str = 'project-1',
            **more: Any) -> str:
        """Create a job, without the command line."""
        session = self.made.session(who)
        url = f"{self.made.urls['freezer-api']}v2/{session.project_id}"
        job_id: str = session.call('POST', f'{url}/jobs', self.job_document(
            client_id=client_id, **more))['job_id']
        self.addCleanup(session.call, 'DELETE', f'{url}/jobs/{job_id}')
        return job_id


def setUpModule() -> None:
    holder = tempfile.TemporaryDirectory(prefix='stock clients ')
    unittest.addModuleCleanup(holder.cleanup)
    StockClientTest.made = cloud.Cloud(holder.name)
    prepared.up(StockClientTest.made,
                cloud.Options.on_free_ports(projects=2, volumes=0))
    unittest.addModuleCleanup(prepared.end, StockClientTest.made)
    StockClientTest.scripts = console_scripts.ConsoleScripts(
        StockClientTest.made.environments.cli.python, 'freezer', 'openstack')
    unittest.addModuleCleanup(StockClientTest.scripts.close)


class EveryCommandTests(testscenarios.WithScenarios, StockClientTest):
    """The life of each noun, told by each command of it."""

    scenarios = [('freezer', {'program': 'freezer'}),
                 ('openstack', {'program': 'openstack'})]

    def test_clients(self) -> None:
        name = f'node-{uuid.uuid4().hex[:8]}'
        made = self.shown('client-register', '--file', self.file({
            'client_id': name, 'hostname': f'{name}.example.com',
            'description': 'the third from the left'}))
        client_uuid = made.pop('Client UUID')
        self.assertRegex(client_uuid, '^[0-9a-f]{32}$')
        self.assertEqual(
            {'Client ID': name, 'hostname': f'{name}.example.com',
             'description': 'the third from the left'}, made)
        self.assertEqual(made | {'Client UUID': client_uuid},
                         self.shown('client-show', name))
        rows = {row.pop('Client ID'): row for row in table(
            self.text('client-list'))}
        self.assertEqual(
            {'uuid': client_uuid, 'hostname': f'{name}.example.com',
             'description': 'the third from the left'}, rows[name])
        # Central clients are everybody's.
        self.assertEqual({'central', name}, set(rows))
        self.silent('client-delete', name)
        self.assertEqual('Client not found',
                         self.refused('client-show', name))

    def test_actions(self) -> None:
        document = {
            'freezer_action': {
                'action': 'backup', 'mode': 'fs', 'storage': 'ssh',
                'path_to_backup': '/etc', 'backup_name': 'settings',
                'container': '/mnt/etc', 'snapshot': True,
                'remove_older_than': 30},
            'max_retries': 3, 'max_retries_interval': 60}
        made = self.shown('action-create', '--file', self.file(document))
        action_id = made.pop('Action ID')
        self.assertRegex(action_id, '^[0-9a-f]{32}$')
        user_id = made['User_id']
        self.assertEqual({
            'Name': 'settings', 'Action': 'backup', 'Mode': 'fs',
            'Path to Backup or Restore': '/etc', 'Storage': 'ssh',
            'Snapshot': True, 'Container': '/mnt/etc', 'Log_file': None,
            'Remove_older_than': 30, 'Max_retries_interval': 60,
            'Max_retries': 3, 'User_id': user_id,
            'Project_id': self.user.project_id}, made)
        self.assertEqual(made | {'Action ID': action_id},
                         self.shown('action-show', action_id))
        self.assertEqual([{
            'Action ID': action_id, 'Name': 'settings', 'Action': 'backup',
            'Path to Backup or Restore': '/etc', 'Mode': 'fs',
            'Storage': 'ssh', 'snapshot': 'True'}],
            table(self.text('action-list')))
        # What is not named stays: the path, the storage, the retries.
        changed = self.shown('action-update', action_id, self.file({
            'freezer_action': {'backup_name': 'system'},
            'max_retries': 4}))
        self.assertEqual(
            made | {'Action ID': action_id, 'Name': 'system',
                    'Max_retries': 4}, changed)
        self.silent('action-delete', action_id)
        self.assertEqual('Action not found',
                         self.refused('action-show', action_id))

    def test_jobs(self) -> None:
        client_id = self.client()
        made = self.shown('job-create', '--client', client_id, '--file',
                          self.file(self.job_document()))
        job_id = made['Job ID']
        self.assertRegex(job_id, '^[0-9a-f]{32}$')
        [action] = ast.literal_eval(made.pop('Actions'))
        self.assertEqual(
            ('backup', '/srv/accounts', 2, 7),
            (action['freezer_action']['action'],
             action['freezer_action']['path_to_backup'],
             action['max_retries'], action['max_retries_interval']))
        self.assertEqual({
            'Job ID': job_id, 'Client ID': client_id,
            'User ID': action['user_id'], 'Session ID': '',
            'Description': 'the accounts',
            'Start Date': '2037-01-01T02:00:00',
            'End Date': '2038-01-01T02:00:00', 'Interval': '2 days',
            'Status': '', 'Result': '', 'Current pid': '', 'Event': ''},
            made)
        document = ast.literal_eval(self.text('job-get', job_id))
        self.assertEqual([action], document['job_actions'])
        self.assertEqual(self.user.project_id, document['project_id'])
        self.assertEqual('2 days',
                         document['job_schedule']['schedule_interval'])
        row = {'Job ID': job_id, 'Description': 'the accounts',
               '# Actions': '1', 'Result': '', 'Status': '',
               'Session ID': ''}
        for command, event in (('job-start', 'start'), ('job-stop', 'stop')):
            self.silent(command, job_id)
            self.assertEqual([row | {'Event': event}], table(
                self.text('job-list', '-C', client_id)))
        self.run_as_scheduler(job_id)
        self.silent('job-abort', job_id)
        # The schedule and the event are not named, so they stay.
        changed = self.shown('job-update', job_id, self.file({
            'description': 'the ledgers'}))
        del changed['Actions']
        self.assertEqual(made | {
            'Description': 'the ledgers', 'Status': 'running',
            'Event': 'abort', 'Current pid': 4711}, changed)
        shown = self.text('job-show', job_id)
        self.assertEqual([action], field(shown, 'Actions'))
        self.assertIn('| Description | the ledgers ', shown)
        self.silent('job-delete', job_id)
        self.assertEqual('Job not found', self.refused('job-show', job_id))

    def run_as_scheduler(self, job_id: str) -> None:
        """Do as a stock scheduler that has started the job's process."""
        url = (f"{self.made.urls['freezer-api']}v2/{self.user.project_id}"
               f'/jobs/{job_id}')
        schedule = self.user.call('GET', url)['job_schedule']
        self.user.call('PATCH', url, {'job_schedule': schedule | {
            'status': 'running', 'event': '', 'current_pid': 4711}})

    def test_sessions(self) -> None:
        client_id = self.client()
        job_id = self.job(client_id)
        made = self.shown('session-create', '--file', self.file({
            'description': 'both at once', 'hold_off': 60,
            'schedule': {'schedule_interval': '3 hours'}}))
        session_id = made['Session ID']
        self.assertRegex(session_id, '^[0-9a-f]{32}$')
        self.assertEqual({
            'Session ID': session_id, 'Session tag': 0,
            'Description': 'both at once', 'Status': 'active',
            'Result': None, 'Jobs': 'None', 'Hold off': 60,
            'Schedule': "{'schedule_interval': '3 hours'}",
            'Last start': None, 'Time start': -1, 'Time end': -1,
            'Project id': self.user.project_id,
            'User id': made['User id']}, made)
        changed = self.shown('session-update', session_id, self.file({
            'description': 'all at once'}))
        self.assertEqual(made | {'Description': 'all at once'}, changed)
        self.silent('session-add-job', '--session-id', session_id,
                    '--job-id', job_id)
        job = self.shown('job-show', job_id)
        self.assertEqual((session_id, '3 hours'),
                         (job['Session ID'], job['Interval']))
        self.silent('session-start', '--session-id', session_id,
                    '--job-id', job_id, '--job-tag', '0')
        self.assertEqual([{
            'Session ID': session_id, 'Description': 'all at once',
            'Status': 'running', 'Result': '', '# Jobs': '1'}],
            table(self.text('session-list')))
        shown = self.text('session-show', session_id)
        entry = field(shown, 'Jobs')[job_id]
        self.assertLess(0, entry.pop('time_started'))
        self.assertEqual({'client_id': client_id, 'status': 'running',
                          'result': '', 'time_ended': -1}, entry)
        self.assertEqual(1, field(shown, 'Session tag'))
        self.assertLess(0, field(shown, 'Time start'))
        self.silent('session-remove-job', '--session-id', session_id,
                    '--job-id', job_id)
        self.assertEqual({}, ast.literal_eval(
            self.shown('session-show', session_id)['Jobs']))
        self.silent('session-delete', session_id)
        self.assertEqual('Session not found',
                         self.refused('session-show', session_id))

    def test_backups(self) -> None:
        metadata = {
            'backup_name': 'accounts', 'container': '/mnt',
            'hostname': 'node-1', 'path_to_backup': '/srv/accounts',
            'time_stamp': 1459349846, 'curr_backup_level': 2}
        made = self.shown('backup-create', '--file', self.file(metadata))
        self.assertEqual(metadata, ast.literal_eval(made.pop('Metadata')))
        printed_id = made.pop('Backup ID')
        self.assertEqual(
            {'Project ID': self.user.project_id,
             'User ID': made['User ID'], 'Status': 'available'}, made)
        [row] = table(self.text('backup-list'))
        backup_id = row.pop('Backup ID')
        self.assertRegex(backup_id, '^[0-9a-f]{32}$')
        self.assertEqual(backup_id, printed_id)
        self.assertEqual(
            {'Backup UUID': '', 'Hostname': 'node-1',
             'Path': '/srv/accounts', 'Created at': '2016-03-30 14:57:26',
             'Status': 'available', 'Level': '2'}, row)
        shown = self.text('backup-show', backup_id)
        self.assertEqual(metadata, field(shown, 'Metadata'))
        self.assertEqual(
            backup_id, self.shown('backup-show', backup_id)['Backup ID'])
        self.silent('backup-delete', backup_id)
        self.assertEqual('Backup not found',
                         self.refused('backup-show', backup_id))

    def test_these_are_all_the_commands(self) -> None:
        done = self.made.run.output(
            [str(self.made.layout.bin / self.program), '--help'],
            commands.clean_environment())
        self.assertEqual(0, done.returncode, done.stderr)
        # Each stands on a line, two blanks before its description.
        found = re.findall(r'^  (\w[\w -]*?)  ', done.stdout, re.MULTILINE)
        nouns = {name.partition('-')[0] for name in COMMANDS}
        self.assertEqual(
            {' '.join(self.words(name)) for name in COMMANDS},
            {name for name in found if re.split('[ -]', name)[0] in nouns})
        source = inspect.getsource(type(self))
        self.assertEqual(set(), {
            name for name in COMMANDS if f"'{name}'" not in source})


class FreezerCommandTests(StockClientTest):
    """Searches, other people's things and errors, told by ``freezer``."""

    def found(self, name: str, search: str, *arguments: str) -> list[Any]:
        """Return the first column of a list that is searched."""
        return [next(iter(row.values())) for row in table(
            self.text(name, '--search', search, *arguments))
            if next(iter(row.values()))]

    def test_search_for_a_text(self) -> None:
        client_id = self.client()
        mine = self.job(client_id, description='Nightly accounts, 100%')
        self.job(client_id, description='weekly')
        self.assertEqual([mine], self.found('job-list', 'nightly'))
        self.assertEqual([mine], self.found('job-list', '100%'))
        self.assertEqual([mine], self.found('job-list', mine))
        self.assertEqual([client_id], self.found('client-list', client_id))
        [client] = self.listed('client-list', '--search', client_id)
        self.assertEqual([client_id],
                         self.found('client-list', client['uuid']))
        self.assertEqual([], self.found('job-list', 'monthly'))

    def test_search_for_pairs(self) -> None:
        client_id = self.client()
        mine = self.job(client_id, description='nightly')
        other = self.job(self.client(), description='nightly')

        def search(**pairs: Any) -> list[Any]:
            return self.found('job-list', json.dumps([pairs]))

        self.assertEqual({mine, other}, set(search(description='nightly')))
        self.assertEqual([], search(description='night'))
        self.assertEqual([mine], search(client_id=client_id))
        self.assertEqual([mine], search(description='nightly', job_id=mine))
        self.assertEqual([], search(description='weekly', job_id=mine))

    def test_jobs_of_a_client(self) -> None:
        client_id = self.client()
        nightly = self.job(client_id, description='nightly')
        weekly = self.job(client_id, description='weekly')
        self.job(self.client(), description='nightly')

        def of(*arguments: str) -> set[str]:
            return {row['Job ID'] for row in self.listed(
                'job-list', '--client', client_id, *arguments)}

        self.assertEqual({nightly, weekly}, of())
        self.assertEqual({nightly}, of('--search', 'nightly'))

    def test_pages(self) -> None:
        client_id = self.client()
        jobs = {self.job(client_id) for _ in range(3)}
        pages = [self.listed('job-list', '-C', client_id, '--limit', '2',
                             '--offset', offset) for offset in ('0', '2')]
        self.assertEqual([2, 1], [len(page) for page in pages])
        self.assertEqual(jobs, {row['Job ID'] for page in pages
                                for row in page})

    def test_all_projects(self) -> None:
        mine = self.job(self.client())
        theirs = self.job(self.client('project-2'), 'project-2')

        def seen(who: str, *arguments: str) -> set[str]:
            return {mine, theirs} & {row['Job ID'] for row in self.listed(
                'job-list', *arguments, who=who)}

        for who in ('admin', 'service'):
            self.assertEqual({mine, theirs}, seen(who, '--all-projects'))
            self.assertEqual(set(), seen(who))
        self.assertEqual({mine}, seen('project-1'))
        self.assertEqual(FORBIDDEN, self.refused('job-list',
                                                 '--all-projects'))

    def test_what_belongs_to_others_is_not_there(self) -> None:
        theirs = self.job(self.client('project-2'), 'project-2')
        document = self.file({'description': 'mine now'})
        self.assertEqual('Job not found', self.refused('job-show', theirs))
        self.assertIn('[*] Error 404: ',
                      self.refused('job-update', theirs, document))
        self.assertIn('[*] Error 404: ', self.refused('job-start', theirs))
        # As always for an id that is not there.
        self.silent('job-delete', theirs)
        self.assertIn('| Description | the accounts ', self.text(
            'job-show', theirs, who='project-2'))
        self.assertEqual(FORBIDDEN,
                         self.refused('client-delete', 'central'))

    def test_a_job_that_has_an_id_already(self) -> None:
        """The client then posts to the item: create, then replace."""
        client_id = self.client()
        job_id = uuid.uuid4().hex
        self.addCleanup(self.execute, 'job-delete', job_id)
        for description in ('first', 'second'):
            made = self.shown(
                'job-create', '-C', client_id, '--file', self.file(
                    self.job_document(job_id=job_id,
                                      description=description)))
            self.assertEqual((job_id, description, '2 days', ''), (
                made['Job ID'], made['Description'], made['Interval'],
                made['Event']))
        self.assertEqual([job_id], [row['Job ID'] for row in self.listed(
            'job-list', '-C', client_id)])

    def test_job_get_without_format(self) -> None:
        job_id = self.job(self.client())
        line = self.text('job-get', '--no-format', job_id)
        self.assertEqual(1, line.count('\n'))
        self.assertEqual(ast.literal_eval(self.text('job-get', job_id)),
                         ast.literal_eval(line))

    def test_an_endpoint_with_version_and_project(self) -> None:
        client_id = self.client()
        self.assertEqual(client_id, json.loads(self.made.freezer(
            'project-1', '--os-backup-url',
            f"{self.made.urls['freezer-api']}v2/{self.user.project_id}",
            'client-show', client_id, '-f', 'json').stdout)['Client ID'])

    def test_refused_documents(self) -> None:
        client_id = self.client()
        for said, command, document in (
                ("[*] Error 400: 'freezer_action' is a required property",
                 ['action-create', '--file'], {}),
                ("[*] Error 400: 'schedule' is a required property",
                 ['session-create', '--file'], {'description': 'x'}),
                ("[*] Error 400: 'job_actions' is a required property",
                 ['job-create', '-C', client_id, '--file'], {}),
                ('[*] Error 422: Client not found with ID nobody',
                 ['job-create', '-C', 'nobody', '--file'],
                 self.job_document())):
            self.assertEqual(said, self.refused(*command,
                                                self.file(document)))
        said = self.refused('backup-create', '--file',
                            self.file({'backup_name': 'x'}))
        self.assertRegex(said, r'^\[\*\] Error 400: .*container')

    def test_refused_numbers(self) -> None:
        self.assertRegex(self.refused('job-list', '--limit', '-1'),
                         r'^\[\*\] Error 400: .*limit')

    def test_a_session_that_is_not_started(self) -> None:
        session_id = self.shown('session-create', '--file', self.file(
            {'schedule': {}}))['Session ID']
        self.addCleanup(self.execute, 'session-delete', session_id)
        job_id = self.job(self.client())
        start = ['session-start', '--session-id', session_id,
                 '--job-id', job_id, '--job-tag']
        self.assertRegex(self.refused(*start, '0'), r'^\[\*\] Error 400: ')
        self.silent('session-add-job', '--session-id', session_id,
                    '--job-id', job_id)
        self.assertEqual(
            '[*] Error 400: requested tag value too high. '
            'Session Tag: 0 Job Tag: 7', self.refused(*start, '7'))
        self.assertRegex(self.refused(*start, 'seven'),
                         r'^\[\*\] Error 400: ')
        self.assertRegex(
            self.refused('session-add-job', '--session-id', session_id,
                         '--job-id', 'nothing'), r'^\[\*\] Error 404: ')

    def test_a_client_that_is_not_registered(self) -> None:
        """The command stumbles over the error, but fails as it should."""
        self.assertEqual(
            "'ApiClientException' object has no attribute 'message'",
            self.refused('client-register', '--file',
                         self.file({'client_id': 'a b'})))
