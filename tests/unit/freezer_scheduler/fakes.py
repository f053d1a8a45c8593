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

"""A Keystone, a Cinder, a Freezer API and a clock that do as they are told.

The three services answer at the level of HTTP, through requests_mock, so that
what is tested is what would be sent.
"""

from __future__ import annotations

import collections
import datetime
import functools
import json
import re
import urllib.parse

import requests
import requests_mock
import urllib3

from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler import settings as scheduler_settings
from tests.unit.freezer_scheduler import fake_cinder

KEYSTONE = 'http://keystone:5000/v3'
CINDER = 'http://cinder:8776/v3'
FREEZER = 'http://freezer:9090'

# Longer than the trust ids of Keystone, and easy to find in a log.
TRUST = 'trust-0123456789abcdef'
PROJECT = 'a' * 32
SERVICE_PROJECT = 'b' * 32
VOLUME = fake_cinder.VOLUME

ACCOUNT = [
    '--os-auth-url', 'http://keystone:5000', '--os-username', 'freezer',
    '--os-password', 'secret', '--os-project-name', 'service',
    '--os-user-domain-id', 'default', '--os-project-domain-id', 'default']


def parsed(*argv):
    """Return a ConfigOpts for a command line, with no files read."""
    conf = scheduler_conf.new()
    conf([*argv, 'start'], project='freezer', prog='freezer-scheduler',
         default_config_files=[], default_config_dirs=[])
    return conf


@functools.cache
def settings(*argv):
    """Return the settings of a working service mode.

    Nobody can change them; to read them takes longer than most tests.
    """
    return scheduler_settings.load(parsed('--service-mode', *ACCOUNT, *argv),
                                   {}, 'node')


def action(**keys):
    """Return a freezer_action that backs up VOLUME."""
    return {'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': VOLUME, **keys}


class FakeClock:
    """A clock that only moves when told to."""

    def __init__(self):
        self.now = 1000.0
        self.epoch = 1_800_000_000.0

    def wall(self):
        return self.epoch

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.epoch += seconds


def lost_answer(request):
    """The server got the request; the answer never came."""
    raise requests.exceptions.ReadTimeout()


def broken(request):
    """The connection broke before an answer."""
    raise requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError('Connection aborted.'))


def no_connection(request):
    """Nobody listens."""
    pool = urllib3.connectionpool.HTTPConnectionPool('nowhere')
    connection = urllib3.connection.HTTPConnection('nowhere')
    raise requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(
            pool, '/', urllib3.exceptions.NewConnectionError(
                connection, 'refused')))


class FakeCloud(fake_cinder.FakeCinder):
    """Keystone and Cinder.

    :ivar logins: bodies of the logins, in order
    :ivar token_seconds: how long a token lives; None for many years, of
        which Keystone tells only the end
    :ivar faults: for (method, part of the path): what to do instead, each
        once. A status or a (status, text) is answered; a callable is called;
        'accept-' before the name of a fault here does the work first
    """

    def __init__(self, mocker, clock):
        super().__init__(self._wall)
        self.clock = clock
        self.trusts = {TRUST: PROJECT}
        self.refused = set()
        self.disabled_projects = set()
        self.password = 'secret'
        self.logins = []
        self.roles = ['service']
        self.token_seconds = None
        self.catalogue = None
        self.requests = []
        self.faults = collections.defaultdict(list)
        self.tokens = {}
        mocker.add_matcher(self._keystone)
        mocker.add_matcher(self._cinder)

    def _wall(self):
        # Tests replace the clock.
        return self.clock.wall()

    def fail(self, method, part, *faults):
        self.faults[method, part].extend(faults)

    def _answer(self, request, status, document=None, **headers):
        return _json(request, status, document, **headers)

    def _fault(self, request):
        """Return (fault or None, whether to do the work before)."""
        for (method, part), faults in self.faults.items():
            if method == request.method and re.search(part, request.url):
                if faults:
                    fault = faults.pop(0)
                    if isinstance(fault, tuple) and fault[0] == 'accept':
                        return fault[1], True
                    return fault, False
        return None, False

    def _faulty(self, request, work):
        fault, accept = self._fault(request)
        if fault is None:
            return work()
        if accept:
            work()
        if callable(fault):
            return fault(request)
        status, text = fault if isinstance(fault, tuple) else (fault, 'no')
        return self._answer(request, status,
                            {'badRequest': {'message': text, 'code': status}})

    # -- Keystone --

    def _keystone(self, request):
        if not request.url.startswith(KEYSTONE):
            return None
        if '/OS-TRUST/trusts/' in request.url:
            return self._faulty(request, lambda: self._trust(request))
        return self._faulty(request, lambda: self._login(request))

    def _trust(self, request):
        if request.headers.get('X-Auth-Token') not in self.tokens:
            return self._answer(request, 401, _keystone_error(401))
        # requests_mock lowers the case of paths.
        known = urllib.parse.urlsplit(request.url).path.rpartition('/')[2]
        if known not in self.trusts:
            return self._answer(request, 404, _keystone_error(404))
        return self._answer(request, 200, {'trust': {'id': known}})

    def _login(self, request):
        body = request.json()
        self.logins.append(body)
        if body['auth']['identity']['password']['user']['password'] != (
                self.password):
            return self._answer(request, 401, _keystone_error(401))
        scope = body['auth']['scope']
        trust = scope.get('OS-TRUST:trust')
        if trust:
            # As Keystone answers: only a lost role and a disabled user are
            # told apart from the rest.
            if trust['id'] in self.refused:
                return self._answer(request, 403, _keystone_error(403))
            if (trust['id'] not in self.trusts or self.trusts[trust['id']]
                    in self.disabled_projects):
                return self._answer(request, 401, _keystone_error(401))
            project_id = self.trusts[trust['id']]
        else:
            project_id = SERVICE_PROJECT
        token = f'token-{len(self.logins)}'
        self.tokens[token] = trust['id'] if trust else None
        issued = expires = datetime.datetime.fromtimestamp(
            2_000_000_000, datetime.UTC)
        if self.token_seconds is not None:
            issued = expires - datetime.timedelta(seconds=self.token_seconds)
        return self._answer(request, 201, {'token': {
            'methods': ['password'], 'expires_at': expires.isoformat(),
            'issued_at': issued.isoformat(), 'user': {
                'id': 'u', 'name': 'u', 'domain': {'id': 'default'}},
            'project': {'id': project_id, 'name': 'p',
                        'domain': {'id': 'default'}},
            'roles': [{'id': role, 'name': role} for role in self.roles],
            'catalog': [entry('volumev3', f'{CINDER}/{project_id}',
                              'RegionOne'),
                        entry('backup', FREEZER, 'RegionOne')]
            if self.catalogue is None else self.catalogue,
        }}, **{'X-Subject-Token': token})

    # -- Cinder --

    def _cinder(self, request):
        if not request.url.startswith(CINDER):
            return None
        self.requests.append((request.method, request.path))
        trust = self.tokens.get(request.headers.get('X-Auth-Token'))
        if trust is None or trust not in self.trusts:
            return self._answer(request, 401, _keystone_error(401))
        return self._faulty(request, lambda: self._served(request))

    def _served(self, request):
        url = urllib.parse.urlsplit(request.url)
        if request.method == 'POST':
            assert request.headers[
                'OpenStack-API-Version'] >= 'volume 3.51'
        # requests_mock lowers the case of queries.
        status, document = self.work(fake_cinder.Request(
            request.method, url.path.removeprefix(f'/v3/{PROJECT}'),
            dict(urllib.parse.parse_qsl(url.query)),
            request.json() if request.body else None))
        return self._answer(request, status, document)


def _keystone_error(status):
    return {'error': {'code': status, 'message': 'no', 'title': 'No'}}


def _json(request, status, document, **headers):
    return requests_mock.create_response(
        request, status_code=status, json=document,
        headers={'Content-Type': 'application/json', **headers})


def entry(service_type, url, *regions):
    """Return a service of a catalogue, with an endpoint in each region."""
    return {'type': service_type, 'id': service_type, 'name': service_type,
            'endpoints': [{'interface': 'public', 'url': url, 'id': 'e',
                           'region': region, 'region_id': region}
                          for region in regions]}


class FakeFreezer:
    """The Freezer API, with claims.

    :ivar gathers: whether it takes reports of several runs at once
    :ivar due: run documents that the next claims hand out
    :ivar told: (run id, report) in order
    :ivar lose: run ids to be called lost
    :ivar gone: ids of jobs that do not exist any more
    :ivar events: run id to event
    :ivar faults: statuses or callables for the next requests, by the last
        part of the path or 'runs'
    """

    def __init__(self, mocker, claims=True):
        self.claims = claims
        self.gathers = True
        self.registered = []
        self.claimed = []
        self.maintained = 0
        self.due = []
        self.most = None  # runs that fit into one answer
        self.told = []
        self.lose = set()
        self.gone = set()
        self.events = {}
        self.faults = collections.defaultdict(list)
        mocker.add_matcher(self._answer)

    def states(self, run_id):
        return [report['state'] for told, report in self.told
                if told == run_id]

    def last(self, run_id):
        return [report for told, report in self.told if told == run_id][-1]

    def _answer(self, request):
        if not request.url.startswith(FREEZER):
            return None
        path = urllib.parse.urlsplit(request.url).path
        kind = 'runs' if '/runs/' in path else path.rsplit('/', 1)[-1]
        if self.faults[kind]:
            fault = self.faults[kind].pop(0)
            if callable(fault):
                return fault(request)
            status, document = fault if isinstance(fault, tuple) else (
                fault, {'title': 'no'})
            return _json(request, status, document)
        status, document = self._work(request, path, kind)
        return _json(request, status, document)

    def _work(self, request, path, kind):
        if path == '/v2':
            known = (['rel/jobs'] + ['rel/claims'] * self.claims
                     + ['rel/reports'] * self.gathers)
            return 200, {'resources': {key: {} for key in known}}
        assert path.startswith(f'/v2/{SERVICE_PROJECT}/'), path
        body = json.loads(request.body)
        if kind == 'clients':
            self.registered.append(body)
            return 201, {'client_id': body['client_id']}
        if kind == 'maintenance':
            self.maintained += 1
            return 200, {'trusts_deleted': 0, 'trusts_pending': 0}
        if kind == 'claims':
            self.claimed.append(body)
            limit = body['limit']
            cut_short = (self.most is not None
                         and self.most < min(limit, len(self.due)))
            if cut_short:
                limit = self.most
            runs, self.due = self.due[:limit], self.due[limit:]
            held = [{'run_id': held['run_id'],
                     'event': self.events.get(held['run_id'])}
                    for held in body['held']
                    if held['run_id'] not in self.lose]
            lost = [held['run_id'] for held in body['held']
                    if held['run_id'] in self.lose]
            return 200, {'runs': runs, 'held': held, 'lost': lost,
                         'more': cut_short,
                         'server_time': '2026-01-01T00:00:00Z'}
        if kind == 'reports':
            self.told += [(one['run_id'], one) for one in body['reports']]
            taken = [one['run_id'] for one in body['reports']
                     if one['run_id'] not in self.lose]
            return 200, {'reports': [
                {'run_id': run_id, 'event': self.events.get(run_id)}
                for run_id in taken]}
        if kind == 'runs' and path.endswith('/jobs'):
            asked = body['job_ids']
            return 200, {
                'run_id': path.split('/')[-2],
                'living': [one for one in asked if one not in self.gone],
                'gone': [one for one in asked if one in self.gone]}
        run_id = path.rsplit('/', 1)[-1]
        self.told.append((run_id, body))
        return 200, {'run_id': run_id, 'event': self.events.get(run_id)}


def run_document(run_id='run-1', actions=None, **keys):
    """Return a run as the API hands it out."""
    if actions is None:
        actions = [action()]
    return {
        'run_id': run_id, 'fence': 1, 'project_id': PROJECT,
        'job_id': 'job-1', 'client_id': 'central',
        'nominal_at': '2026-01-01T00:00:00Z', 'trigger': 'schedule',
        'lease_seconds': 60, 'event': None, 'actions': [],
        'job': {'job_id': 'job-1', 'job_actions': [
            {'action_id': f'action-{number}', 'freezer_action': one}
            for number, one in enumerate(actions)]},
        'credentials': {'trust_id': TRUST, 'trustor_user_id': 'u'},
        'user_id': 'u', **keys}
