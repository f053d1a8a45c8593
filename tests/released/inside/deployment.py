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

"""A deployment of a published freezer-api, made by its own code.

Runs inside the release's environment. Standard input says, as JSON, where the
database is and whether it is made or only read; standard output gets what the
release's own API answers about it. Keystone's middleware is replaced by the
headers that it would set, and trusts by invented ones, unless a real Keystone
is named.
"""

import json
import logging
import pathlib
import sys
import tempfile
import time
import types
import uuid

from freezer_api.api.common import middleware
from freezer_api.cmd import api
from freezer_api.common import config
from freezer_api.db import manager
import sqlalchemy as sa
import webob

CONF = config.CONF

P1, P2, SERVICE = 'a' * 32, 'b' * 32, 'f' * 32
ALICE = str(uuid.UUID(int=0xA11CE))  # 36 characters
BOB, EVE, FREEZER = (name.ljust(32, '0') for name in ('b0b', 'e4e', 'f0e'))
LONG = 'd0e'.ljust(64, '0')  # of a federated user

CINDER = {'action': 'backup', 'mode': 'cindernative',
          'cindernative_vol_id': 'v1', 'backup_name': 'nightly'}
FILES = {'action': 'backup', 'mode': 'fs', 'backup_name': 'files',
         'container': 'c', 'storage': 'local', 'engine_name': 'tar',
         'path_to_backup': '/srv/straße', 'timeout': 60, 'priority': 3,
         'log_file': '/tmp/log', 'nested': {'a': [1, None, True]},
         'nothing': None}


class Refused(Exception):
    """The release answered with an error."""


class Deployment:
    """The release's API in this process.

    :ivar lists: what its lists said at the end, by noun
    :ivar trusts: whether the release knows central clients
    """

    def __init__(self, url, folder, more=''):
        path = folder / 'freezer-api.conf'
        path.write_text(
            f'[database]\nconnection = {url}\nmysql_sql_mode = TRADITIONAL\n'
            '[storage]\ndriver = sqlalchemy\nbackend = sqlalchemy\n'
            f'[oslo_policy]\npolicy_dirs = {folder}/policy.d\n'
            f'policy_file = {folder}/policy.yaml\n' + more)
        (folder / 'policy.yaml').write_text('{}')
        config.parse_args(['--config-file', str(path)])
        logging.disable(logging.CRITICAL)
        self.driver = manager.get_db_driver(
            CONF.storage.driver, backend=CONF.storage.backend)
        self.engine = sa.create_engine(url)
        self.trusts = hasattr(CONF, 'centralized_scheduler')
        self.service = SERVICE

    def open(self, invent_trusts=True):
        self._app = middleware.ContextMiddleware(api.build_app_v2())
        if self.trusts and invent_trusts:
            self._invent_trusts()

    def _invent_trusts(self):
        from freezer_api import keystone_client
        client = keystone_client.KeystoneClient

        def create(self, user_id, project_id):
            return types.SimpleNamespace(
                id=uuid.uuid5(uuid.NAMESPACE_OID, user_id + project_id).hex,
                trustor_user_id=user_id)

        client.create_trust = create
        client.delete_trust = lambda self, trust_id, project_id: None

    def ask(self, who, method, path, body=None):
        """Send a request and return status and document.

        :param who: user, project, and a token where it matters
        """
        user, project, token = (*who, 'token')[:3]
        request = webob.Request.blank(
            f'/{project}/{path}', method=method, headers={
                'X-Identity-Status': 'Confirmed', 'X-User-Id': user,
                'X-Project-Id': project, 'X-Tenant-Id': project,
                'X-User-Name': 'Zoë'.encode().decode('latin-1'),
                'X-Roles': ('service,admin' if project == self.service
                            else 'member'),
                'X-Auth-Token': token, 'Accept': 'application/json'})
        if body is not None:
            request.body = json.dumps(body).encode()
        response = request.get_response(self._app)
        return response.status_int, (
            json.loads(response.body) if response.body else None)

    def do(self, who, method, path, body=None):
        """Send a request that is to work, and return its document."""
        status, document = self.ask(who, method, path, body)
        if status >= 300:
            raise Refused(f'{method} {path}: {status} {document}')
        return document

    def sql(self, statement, **values):
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def cell(self, table, column, row_id, value):
        """Write what no API would into a cell."""
        self.sql(f'UPDATE {table} SET {column} = :value WHERE id = :id',
                 value=value, id=row_id)

    def raw(self, document):
        """JSON as the release writes it."""
        text = json.dumps(document)
        return text.encode() if self.engine.dialect.name == 'sqlite' else text


class Filler:
    """Fills a deployment with everything that may be there."""

    def __init__(self, deployment):
        self._d = deployment
        self.alice, self.bob, self.eve = (ALICE, P1), (BOB, P1), (EVE, P2)
        self.service = (FREEZER, SERVICE)
        self.odd = (BOB, '0' * 32)
        self.people = [self.alice, self.bob, self.eve, (LONG, P2),
                       self.service]
        #: What each row is there for, by its id.
        self.names = {}

    def fill(self):
        self._clients()
        self._actions()
        self._jobs()
        self._own_copies()
        self._states()
        self._sessions()
        self._backups()
        if self._d.trusts:
            self._central()

    # -- parts ---------------------------------------------------------------

    def _clients(self):
        for who in (self.alice, self.bob, self.eve, self.odd):
            self._d.do(who, 'POST', 'clients', {
                'client_id': 'host-1', 'hostname': 'host-1.example.org'})
        self._d.do(self.alice, 'POST', 'clients', {
            'client_id': f'{P1}_host-2', 'description': 'für Zoë',
            'hostname': 'host-2', 'supported_actions': ['backup'],
            'supported_modes': ['cindernative', 'fs'],
            'supported_storages': ['swift'], 'supported_engines': []})
        self._d.do(self.alice, 'POST', 'clients', {
            'client_id': 'gone', 'hostname': 'host-3'})
        self._d.do(self.alice, 'DELETE', 'clients/gone')

    def _action(self, name, definition, **more):
        action_id = self._d.do(self.alice, 'POST', 'actions', {
            'freezer_action': dict(definition), **more})['action_id']
        self.names[action_id] = f'action: {name}'
        return action_id

    def _actions(self):
        self._action('an action', CINDER)
        self._action('all keys', FILES, max_retries=2,
                     max_retries_interval=7, mandatory=True)
        changed = self._action('changed by half', CINDER)
        self._d.do(self.alice, 'PATCH', f'actions/{changed}', {
            'freezer_action': {'backup_name': 'new'}})
        gone = self._action('deleted', CINDER)
        self._d.do(self.alice, 'DELETE', f'actions/{gone}')

    def job(self, name, actions, schedule=None, who=None, **more):
        """Make a job of copies of entries."""
        document = {
            'client_id': 'host-1', 'description': name,
            'job_actions': json.loads(json.dumps(actions)),
            'job_schedule': dict({'schedule_interval': '1 days'}
                                 if schedule is None else schedule), **more}
        job_id = self._d.do(who or self.alice, 'POST', 'jobs',
                            document)['job_id']
        self.names[job_id] = name
        return job_id

    def get(self, job_id, who=None):
        return self._d.do(who or self.alice, 'GET', f'jobs/{job_id}')

    def _jobs(self):
        entry = {'freezer_action': CINDER}
        self.job('plain', [entry])
        self.job('of somebody else', [entry], who=self.bob)
        self.job('of another project', [entry], who=self.eve)
        self.job('retries', [{**entry, 'max_retries': 3,
                              'max_retries_interval': 9}])
        self.job('five retries', [{**entry, 'max_retries': 5,
                                   'max_retries_interval': 6}])
        self.job('mandatory', [{**entry, 'mandatory': True}, entry])
        self.job('mandatory inside', [
            {'freezer_action': {**CINDER, 'mandatory': True}}])
        self.job('all keys', [{'freezer_action': FILES}])
        self.job('no actions', [])
        named = self._action('named by jobs', CINDER)
        again = {'action_id': named, **entry}
        self.job('twice the same', [again, again], session_tag=3)
        gone = self.job('deleted', [entry])
        self._d.do(self.alice, 'DELETE', f'jobs/{gone}')
        for name, schedule in {
                'once': {}, 'continuous': {'schedule_interval':
                                           'continuous'},
                'date': {'schedule_date': '2031-01-02T03:04:05'},
                'interval': {'schedule_interval': '5 hours',
                             'schedule_start_date': '2025-01-02T03:04:05',
                             'schedule_end_date': '2035-01-02T03:04:05'},
                'cron': {'schedule_hour': '*/5', 'schedule_minute': '30'},
                'weekdays': {'schedule_day_of_week': 'mon,wed'},
        }.items():
            self.job(f'schedule: {name}', [entry], schedule)

    def _own_copies(self):
        """Jobs whose actions were changed or deleted afterwards."""
        entry = {'freezer_action': CINDER}
        job_id = self.job('action changed later', [entry])
        [one] = self.get(job_id)['job_actions']
        self._d.do(self.alice, 'PATCH', f'actions/{one["action_id"]}', {
            'freezer_action': {**CINDER, 'backup_name': 'changed'},
            'max_retries': 1, 'max_retries_interval': 1})
        job_id = self.job('action deleted later', [entry, entry])
        one = self.get(job_id)['job_actions'][0]
        self._d.do(self.alice, 'DELETE', f'actions/{one["action_id"]}')
        job_id = self.job('action changed by half', [entry])
        [one] = self.get(job_id)['job_actions']
        self._d.do(self.alice, 'PATCH', f'actions/{one["action_id"]}',
                   {'freezer_action': {'action': 'backup'}})

    def report(self, job_id, who=None, **state):
        """Write what a scheduler writes."""
        job = self.get(job_id, who)
        self._d.do(who or self.alice, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {**job['job_schedule'], **state},
            'session_id': job['session_id'],
            'session_tag': job['session_tag']})

    def _states(self):
        entry = {'freezer_action': CINDER}
        ran = int(time.time())
        for name, state in {
                'scheduled': {'status': 'scheduled', 'event': ''},
                'running': {'status': 'running', 'event': '',
                            'time_started': ran,
                            'time_ended': -1, 'current_pid': 4711},
                'succeeded': {'status': 'scheduled', 'result': 'success',
                              'event': '', 'time_started': ran,
                              'time_ended': ran + 60},
                'completed': {'status': 'completed', 'result': 'fail',
                              'event': '', 'time_started': ran,
                              'time_ended': ran + 60},
                'own event': {'status': 'completed', 'event': 'abort'},
        }.items():
            self.report(self.job(f'state: {name}', [entry]), **state)
        for event in ('start', 'stop', 'abort'):
            job_id = self.job(f'event: {event}', [entry])
            self._d.do(self.alice, 'POST', f'jobs/{job_id}/event',
                       {event: None})
        job_id = self.job('schedule erased', [entry])
        self._d.do(self.alice, 'PATCH', f'jobs/{job_id}',
                   {'description': 'schedule erased'})

    def _sessions(self):
        entry = {'freezer_action': CINDER}
        for name in ('empty', 'with jobs', 'run', 'deleted'):
            session_id = self._d.do(self.alice, 'POST', 'sessions', {
                'description': name, 'hold_off': 45, 'schedule': {
                    'schedule_interval': '2 days'}})['session_id']
            self.names[session_id] = f'session: {name}'
            if name in ('with jobs', 'run'):
                for _number in range(2):
                    job_id = self.job(f'in a session {name}', [entry])
                    self._d.do(self.alice, 'PUT',
                               f'sessions/{session_id}/jobs/{job_id}')
            if name == 'run':
                self._d.do(self.alice, 'POST',
                           f'sessions/{session_id}/action', {'start': {
                               'job_id': job_id, 'current_tag': 0}})
                self._d.do(self.alice, 'POST',
                           f'sessions/{session_id}/action', {'end': {
                               'job_id': job_id, 'current_tag': 1,
                               'result': 'success'}})
            if name == 'deleted':
                self._d.do(self.alice, 'DELETE', f'sessions/{session_id}')

    def _backups(self):
        whole = {'backup_name': 'nightly', 'container': 'c',
                 'hostname': 'host-1', 'time_stamp': 1_459_349_846,
                 'curr_backup_level': 0, 'job_id': 'j' * 32,
                 'nested': {'ü': [None, 1.5]}}
        for who in (self.alice, self.bob, self.eve):
            self._d.do(who, 'POST', 'backups', whole)
        gone = self._d.do(self.alice, 'POST', 'backups', whole)['backup_id']
        self._d.do(self.alice, 'DELETE', f'backups/{gone}')
        if self._d.trusts:
            for status in ('creating', 'error'):
                self._d.do(self.alice, 'POST', 'backups',
                           {'backup_name': 'n', 'status': status})

    def _central(self):
        """Central clients, jobs with trusts, and long user ids."""
        for hostname in ('control-1', 'control-2'):
            self._d.do(self.service, 'POST', 'clients', {
                'client_id': 'central', 'hostname': hostname,
                'is_central': True, 'supported_modes': ['cindernative']})
        entry = {'freezer_action': CINDER}
        for who in (self.alice, self.bob, self.eve, (LONG, P2)):
            self.job('central', [entry], who=who, client_id='central')
        gone = self.job('central, deleted', [entry], client_id='central')
        self._d.do(self.alice, 'DELETE', f'jobs/{gone}')

    def fill_oddly(self):
        """Cells that no API writes, in a project that is not listed."""
        entry = {'freezer_action': CINDER}
        if 'job_actions' in {column['name'] for column in sa.inspect(
                self._d.engine).get_columns('jobs')}:
            self._odd_actions()
        for name, cell in {'null': 'null', 'text': '""', 'none': None,
                           'repr': "{'schedule_interval': '1 days'}",
                           'list': '[]'}.items():
            job_id = self.job(f'odd schedule: {name}', [entry],
                              who=self.odd)
            self._d.cell('jobs', 'schedule', job_id, cell)
        job_id = self.job('deleted is null', [entry], who=self.odd)
        self._d.cell('jobs', 'deleted', job_id, None)

    def _odd_actions(self):
        foreign = self.get(next(
            job_id for job_id, name in self.names.items()
            if name == 'of another project'), self.eve)
        taken = foreign['job_actions'][0]['action_id']
        plain = {'freezer_action': CINDER}
        cells = {
            'no action id': self._d.raw([plain]),
            'foreign id': self._d.raw([{'action_id': taken, **plain}]),
            'unknown id': self._d.raw([{'action_id': 'e' * 32, **plain}]),
            'null': 'null', 'text': '""', 'none': None,
            'repr': "[{'freezer_action': {'action': 'info'}}]",
            'object': '{"action": "info"}',
            'no action': self._d.raw([{'freezer_action': {}}, 'x', plain]),
            'unknown key': self._d.raw([{**plain, 'exit_status': 1}]),
            'wrong type': self._d.raw([{'freezer_action': {
                **CINDER, 'timeout': 'abc'}, 'max_retries': 'many'}]),
        }
        if self._d.engine.dialect.name == 'sqlite':
            cells['not UTF-8'] = b'[{"freezer_action": "\xe9"}]'
        for name, cell in cells.items():
            job_id = self.job(f'odd actions: {name}', [plain], who=self.odd)
            self._d.cell('jobs', 'job_actions', job_id, cell)


class Reader:
    """Reads a deployment back through the release's own API."""

    def __init__(self, deployment, people):
        self._d = deployment
        self._people = people

    def read(self):
        """Return documents: (single, listed) by noun, project and id."""
        found = {}
        for noun, key in (('clients', None), ('jobs', 'job_id'),
                          ('actions', 'action_id'),
                          ('sessions', 'session_id'),
                          ('backups', 'backup_id')):
            documents = found[noun] = {}
            for who in self._people:
                listed = self._d.do(who, 'GET', f'{noun}?limit=10000')[noun]
                for one in listed:
                    if who[1] != one['project_id']:
                        continue  # of all projects, or central
                    row_id = (one['client']['uuid'] if key is None
                              else one[key])
                    path = (one['client']['client_id'] if key is None
                            else row_id)
                    # Two clients of a name: the item shows only the first.
                    documents[row_id] = {
                        'who': who, 'listed': one,
                        'single': None if key is None else self._d.do(
                            who, 'GET', f'{noun}/{path}')}
        return found

    def answers(self, who, ids):
        """Return status and document of each of some jobs."""
        return {job_id: self._d.ask(who, 'GET', f'jobs/{job_id}')
                for job_id in ids}


def make(wanted, folder):
    deployment = Deployment(wanted['url'], folder, wanted.get('more', ''))
    if wanted.get('sync', True):
        deployment.driver.db_sync()
    if 'jobs' in wanted:
        return delegated(deployment, wanted['service'], wanted['who'],
                         wanted['jobs'])
    made = {}
    if wanted.get('fill', True):
        deployment.open()
        filler = Filler(deployment)
        filler.fill()
        reader = Reader(deployment, filler.people)
        made = {'names': filler.names, 'documents': reader.read()}
        # Afterwards: from then on the release cannot list all jobs.
        filler.fill_oddly()
        made |= {'odd': {'who': filler.odd, 'answers': reader.answers(
                    filler.odd, (
                        job_id for job_id, name in filler.names.items()
                        if name.startswith('odd')))}}
    return made


def delegated(deployment, service, who, jobs):
    """Make jobs of a central client, with trusts of a real Keystone."""
    from keystonemiddleware import auth_token  # registers its options
    assert auth_token
    deployment.open(invent_trusts=False)
    deployment.service = service[1]
    deployment.do(service, 'POST', 'clients', {
        'client_id': 'central', 'hostname': 'control-1', 'is_central': True})
    made = [deployment.do(who, 'POST', 'jobs', job)['job_id']
            for job in jobs]
    return {job_id: deployment.do(who, 'GET', f'jobs/{job_id}')
            for job_id in made}


def main():
    wanted = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        json.dump(make(wanted, pathlib.Path(folder)), sys.stdout)


if __name__ == '__main__':
    main()
