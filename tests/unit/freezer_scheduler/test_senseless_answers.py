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

"""Each request of the scheduler times each kind of senseless answer."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
import re
import time
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import fixture as ks_fixture
import requests
import testtools

from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler.keystone import sessions as keystone_sessions
from tests.unit import byte_server
from tests.unit.freezer_scheduler import fakes
from tests.unit import senseless

TIMEOUT = 1
# How much later than its deadline a request may end on a busy machine.
GRACE = 5
SLOW = ('a dripping head', 'a dripping body', 'no end', 'a bomb')

BACKUP = '22222222-2222-4222-8222-222222222222'
SHOWN = {'id': BACKUP, 'status': 'available', 'volume_id': fakes.VOLUME,
         'metadata': {}}
VOLUME = {'id': fakes.VOLUME, 'status': 'available', 'metadata': {}}
STEP = messages.Step('a', 0)
REPORT = messages.Report(messages.RunState.RUNNING, None, (STEP,))

# Lists and counts may be empty; what needs no content is known by its status.
CINDER_UNKNOWN = (cinder_client.Unknown, cinder_client.NotSent)


@dataclasses.dataclass(frozen=True)
class Verb:
    """One request.

    :ivar sends: has it sent
    :ivar path: which one it is
    :ivar unknown: what it raises where the answer is senseless
    :ivar content: whether the content of a success matters
    """

    sends: Callable[[Parts], object]
    method: str
    path: str
    status: int
    sane: object
    unknown: tuple[type[Exception], ...]
    content: bool = True


@dataclasses.dataclass(frozen=True)
class Parts:
    """What requests are sent with."""

    identity: keystone_sessions.Identity
    cinder: cinder_client.CinderClient
    api: freezer_client.Api


def cinder(sends: Callable[[cinder_client.CinderClient], object],
           method: str, path: str, status: int, sane: object,
           content: bool = True) -> Verb:
    return Verb(lambda parts: sends(parts.cinder), method, '/cinder' + path,
                status, sane, CINDER_UNKNOWN, content)


def freezer(sends: Callable[[freezer_client.Api],
                            object], method: str, path: str, status: int,
            sane: object, content: bool = True) -> Verb:
    return Verb(lambda parts: sends(parts.api), method, '/freezer' + path,
                status, sane, (freezer_client.ApiUnreachable,), content)


VERBS: Mapping[str, Verb] = {
    'show a backup': cinder(
        lambda made: made.backup(BACKUP), 'GET', f'/backups/{BACKUP}', 200,
        {'backup': SHOWN}),
    'list backups': cinder(
        lambda made: list(made.backups(fakes.VOLUME)), 'GET',
        '/backups/detail', 200, {'backups': [SHOWN]}),
    'create a backup': cinder(
        lambda made: made.create_backup(
            fakes.VOLUME, 'n', '', None, False, {}),
        'POST', '/backups', 202, {'backup': {'id': BACKUP, 'name': 'n'}}),
    'delete a backup': cinder(
        lambda made: made.delete(BACKUP), 'DELETE', f'/backups/{BACKUP}',
        202, None, content=False),
    'restore a backup': cinder(
        lambda made: made.restore(BACKUP, fakes.VOLUME), 'POST',
        f'/backups/{BACKUP}/restore', 202, {'restore': {
            'backup_id': BACKUP, 'volume_id': fakes.VOLUME}}),
    'show a volume': cinder(
        lambda made: made.volume(fakes.VOLUME), 'GET',
        f'/volumes/{fakes.VOLUME}', 200, {'volume': VOLUME}),
    'list volumes': cinder(
        lambda made: list(made.volumes()), 'GET', '/volumes/detail', 200,
        {'volumes': [VOLUME]}),
    'create a volume': cinder(
        lambda made: made.create_volume('n', 1, None, {}),
        'POST', '/volumes', 202, {'volume': {**VOLUME, 'name': 'n'}}),
    'delete a volume': cinder(
        lambda made: made.delete_volume(fakes.VOLUME), 'DELETE',
        f'/volumes/{fakes.VOLUME}', 202, None, content=False),
    'log in with a trust': Verb(
        lambda parts: parts.cinder.login(), 'POST', '/v3/auth/tokens', 201,
        ..., (cinder_client.NotSent,)),
    'log in': Verb(
        lambda parts: parts.api.project_id(), 'POST', '/v3/auth/tokens', 201,
        ..., (freezer_client.ApiUnreachable,)),
    'discover': freezer(
        lambda made: made.check_claims(), 'GET', '/v2', 200,
        {'resources': {'rel/claims': {}}}),
    'register': freezer(
        lambda made: made.register(
            'central', 'host', fakes.settings().capabilities, True),
        'POST', '/v2/p/clients', 201, {'client_id': 'central'}),
    'claim': freezer(
        lambda made: made.claim('central', 1, 60, [], 9), 'POST',
        '/v2/p/clients/central/claims', 200,
        {'runs': [], 'held': [], 'lost': []}),
    'report': freezer(
        lambda made: made.report('central', 'r1', 1, REPORT), 'PATCH',
        '/v2/p/clients/central/runs/r1', 200,
        {'run_id': 'r1', 'event': None}),
    'report on many': freezer(
        lambda made: made.report_all('central', [{'run_id': 'r1'}]), 'POST',
        '/v2/p/clients/central/reports', 200,
        {'reports': [{'run_id': 'r1', 'event': None}]}),
    'ask for jobs': freezer(
        lambda made: made.gone_jobs('central', 'r1', 1, ['j']), 'POST',
        '/v2/p/clients/central/runs/r1/jobs', 200,
        {'run_id': 'r1', 'living': [], 'gone': ['j']}),
    'maintain': freezer(
        lambda made: made.maintenance(), 'POST', '/v2/p/maintenance', 200,
        {'trusts_pending': 0}, content=False),
}


class SenselessCase(testtools.TestCase):
    """Keystone, Cinder and the API on one server, sane but for one verb."""

    def setUp(self) -> None:
        super().setUp()
        self.trap = byte_server.ByteServer(
            lambda _seen: [byte_server.plain(200)])
        self.addCleanup(self.trap.close)
        self.server = byte_server.ByteServer(self.answer)
        self.addCleanup(self.server.close)
        self.kinds = senseless.kinds(self.trap.url)
        self.verb: Verb | None = None
        self.kind: senseless.Kind | None = None

    def answer(self, seen: byte_server.Seen) -> Any:
        path = seen.path.partition('?')[0]
        if (self.kind is not None and self.verb is not None
                and (seen.method, path) == (self.verb.method,
                                            self.verb.path)):
            return self.kind(self.verb.status)
        if path == '/v3/auth/tokens':
            return [self.token()]
        assert self.verb is not None
        return [byte_server.plain(self.verb.status, b'' if (
            self.verb.sane is None) else json.dumps(self.verb.sane).encode())]

    def token(self) -> bytes:
        token = ks_fixture.V3Token(project_id='p')
        token.set_project_scope(id='p')
        for name, path in (('volumev3', '/cinder'), ('backup', '/freezer')):
            token.add_service(name, name=name).add_endpoint(
                'public', self.server.url + path, region='RegionOne')
        return byte_server.document(201, token, X_Subject_Token='t0')

    def parts(self) -> Parts:
        settings = dataclasses.replace(
            fakes.settings('--os-auth-url', self.server.url),
            request_timeout=TIMEOUT)
        known = keystone_sessions.Identity(settings)
        return Parts(known, cinder_client.CinderClient(
            known, fakes.TRUST, 'public', None), freezer_client.Api(
                known.service(), 'host:1:a', 'public', None, None))


class TestTable(SenselessCase):

    def test_what_is_sane_is_taken(self) -> None:
        for name, verb in VERBS.items():
            self.verb = verb
            parts = self.parts()
            verb.sends(parts)
            if verb.sane is ...:
                continue
            text = json.dumps(verb.sane).encode() if verb.sane else b''
            self.kind = lambda ok, text=text: [
                byte_server.zipped(ok, text)]
            verb.sends(parts)
            self.kind = lambda ok, text=text: byte_server.chunked(
                ok, [text] if text else [])
            verb.sends(parts)
            self.kind = None
            self.assertEqual(verb.path, self.server.seen[-1].path.partition(
                '?')[0], name)

    def check(self, names: list[str]) -> None:
        for verb_name, verb in VERBS.items():
            self.verb, self.kind = verb, None
            parts = self.parts()
            if verb.sane is not ...:
                # The login stands, so that what follows is about the verb.
                verb.sends(parts)
            for name in names:
                self.verb, self.kind = verb, self.kinds[name]
                before = len(self.asked(verb))
                began = time.monotonic()
                problem = None
                try:
                    verb.sends(parts)
                except verb.unknown as error:
                    problem = error
                took = time.monotonic() - began
                what = f'{verb_name}: {name}: {problem}'
                if verb.content:
                    self.assertIsNotNone(problem, what)
                self.assertLess(took, 2 * TIMEOUT + GRACE, what)
                self.assertTrue(str(problem).isprintable(), what)
                self.assertNotIn(fakes.TRUST, str(problem))
                self.assertNotIsInstance(problem, freezer_client.LoginRefused,
                                         what)
                if verb.method == 'POST' and '/cinder' in verb.path:
                    self.assertEqual(before + 1, len(self.asked(verb)), what)
        self.assertEqual([], self.trap.seen)

    def asked(self, verb: Verb) -> list[byte_server.Seen]:
        return [seen for seen in self.server.seen
                if (seen.method, seen.path) == (verb.method, verb.path)]

    def test_what_is_senseless_is_unknown(self) -> None:
        self.check([name for name in self.kinds if name not in SLOW])

    def test_what_takes_long_is_unknown(self) -> None:
        self.check(list(SLOW))


class TestLogins(SenselessCase):

    def test_no_trust_is_judged_by_it(self) -> None:
        """What is wrong with a trust suspends the jobs of its user."""
        self.verb = VERBS['log in with a trust']
        for name, kind in self.kinds.items():
            self.kind = kind
            if name not in SLOW:
                self.assertIsNone(self.parts().identity.check(fakes.TRUST),
                                  name)

    def test_no_trust_is_gone_for_it(self) -> None:
        known = self.parts().identity
        path = f'/v3/OS-TRUST/trusts/{fakes.TRUST}'
        self.verb = Verb(lambda parts: None, 'GET', path, 200, None, ())

        def refuse(status: int) -> senseless.Kind:
            return lambda _ok: [byte_server.document(status, {'error': {
                'code': status, 'message': 'no', 'title': 'No'}})]

        self.kind = refuse(401)
        error = ks_exceptions.Unauthorized(
            http_status=401,
            response=requests.get(self.server.url + path, timeout=5))
        for name, kind in self.kinds.items():
            self.kind = kind
            if name not in SLOW:
                self.assertIsNone(known.judge(fakes.TRUST, error), name)
        self.kind = refuse(404)
        self.assertEqual('trust_gone', known.judge(fakes.TRUST, error))

    def test_it_is_one_line_about_which_url(self) -> None:
        for verb, option in (('log in', 'os_auth_url'),
                             ('discover', 'os_backup_url')):
            self.verb = VERBS[verb]
            for name in ('redirect 301', 'a page', 'a page with 404',
                         'a page with 401', 'a page with 503'):
                self.kind = self.kinds[name]
                error = self.assertRaises(freezer_client.ApiUnreachable,
                                          self.verb.sends, self.parts())
                text = str(error)
                self.assertIn(self.server.url + self.verb.path, text)
                self.assertIn(option, text)
                self.assertTrue(re.search(
                    'redirect to ' + re.escape(self.trap.url)
                    if 'redirect' in name else r'answered|40\d|50\d', text),
                    text)
