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

"""Which token may change what a job with a trust does, or when.

The tables are :mod:`tools.callers`, which the documentation prints: each of
its requests is sent with each of its kinds of tokens. Random sequences of
requests are held to the rule behind the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from typing import Any

from falcon import inspect
import hypothesis
from hypothesis import strategies
import sqlalchemy as sa

from freezer_api.db import models
from freezer_api.keystone import trusts
from tests.functional import base
from tests import trust_requests
from tools import callers

_TOKENS: dict[str, tuple[tuple[str, Any], ...]] = {
    'restricted': (('methods', ['application_credential']),
                   ('application_credential', {'restricted': True})),
    'unrestricted': (('methods', ['application_credential']),
                     ('application_credential', {'restricted': False})),
    'trust': (('methods', ['password']),
              ('OS-TRUST:trust', {'impersonation': False})),
    'impersonating': (('methods', ['password']),
                      ('OS-TRUST:trust', {'impersonation': True})),
    'oauth1': (('methods', ['oauth1']), ('OS-OAUTH1', {})),
    'ec2': (('methods', ['ec2credential']),),
    'token': (('methods', ['token', 'password']),),
    'federated': (('methods', ['mapped', 'token']),),
    'lasting group': (('methods', ['openid']),),
    'group': (('methods', ['saml2', 'token']),),
}
_PLACES: dict[str, tuple[str | None, tuple[str, ...], str]] = {
    'admin': ('admin', ('admin', 'manager', 'member', 'reader'), 'project'),
    'reader': ('p1', ('reader',), 'project'),
    'system': (None, ('member', 'reader'), 'system'),
    'domain': (None, ('member', 'reader'), 'domain'),
    'unscoped': (None, (), 'none'),
}
_OWN = (('methods', ['password']),)


def user(kind: callers.Kind, own: bool) -> str:
    """Return whose tokens of a kind these are.

    :param own: a user who has a trust already
    """
    return f'{kind.name} {own}'


def persona(kind: callers.Kind, own: bool) -> base.Persona:
    """Return a user's token of a kind."""
    project_id, roles, scope = _PLACES.get(
        kind.name, ('p1', ('member', 'reader'), 'project'))
    return base.Persona(user(kind, own), project_id, roles,
                        _TOKENS.get(kind.name, _OWN), scope)


class GroupTrusts(base.FakeTrusts):
    """Keystone, which knows whose roles come from a mapped group only."""

    group = False

    def create(self, caller: trusts.Caller, project_id: str, mark: str,
               expires_at: int | None = None) -> str:
        self.check(caller, project_id)
        if self.group and caller.user_id.startswith('group '):
            raise trusts.TrustRefused(callers.MISSING_ROLES, 'a group')
        return super().create(caller, project_id, mark, expires_at)


class AuthorityCase(base.ApiTestCase):

    trusts: GroupTrusts

    def setUp(self) -> None:
        super().setUp()
        self.trusts.__class__ = GroupTrusts
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'own', 'claims': True}, 201)

    def requests(self, owner: base.Persona) -> trust_requests.Requests:
        def call(method: str, path: str, body: Any) -> Any:
            result = self.client.simulate_request(
                method, f'/v2/p1/{path}', json=body,
                extras=owner.environ())
            self.assertLess(result.status_code, 300, f'{path} {result.text}')
            return result.json if result.text else None

        return trust_requests.Requests(call, base.BACKUP)

    def shown(self, job_id: str) -> dict[str, Any] | None:
        """A job as the service sees it, without what a text says."""
        result = self.client.simulate_request(
            'GET', f'/v2/p1/jobs/{job_id}', extras=base.SERVICE.environ())
        return result.json if result.status_code == 200 else None


def user_schedule(job: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a job_schedule that its user wrote."""
    return {key: value for key, value in job['job_schedule'].items()
            if key.startswith('schedule_')}


def does(job: dict[str, Any] | None) -> Any:
    """What a job does and when, as its document has it."""
    if job is None:
        return None
    schedule = user_schedule(job)
    actions = [{key: action[key] for key in (
        'action_id', 'freezer_action', 'max_retries',
        'max_retries_interval')} for action in job['job_actions']]
    return job['client_id'], job['session_id'], schedule, actions


class TableTests(AuthorityCase):

    def setUp(self) -> None:
        super().setUp()
        self.owners: set[str] = set()
        self.refused: dict[tuple[callers.Request, str], tuple[
            trust_requests.Prepared, dict[str, Any] | None]] = {}

    def expected(self, kind: callers.Kind, request: callers.Request,
                 own: bool) -> callers.Answer | None:
        """Return the refusal of a request, None where it succeeds.

        :param own: the job has a trust of the caller's
        """
        for refused in (kind.answers['own'],):
            if refused.status >= 400:
                return refused
        if request.needs is callers.Needs.SERVICE:
            return (None if kind.name == 'admin'
                    else callers.Answer(403, callers.FORBIDDEN))
        if request.needs in (callers.Needs.ANY, callers.Needs.REDUCES):
            return None
        refused = kind.answers['take over']
        if refused.status < 400:
            return None
        if refused.code == callers.MISSING_ROLES and (
                own or request.needs is callers.Needs.DELEGATING
                or not request.takes_trust):
            # Only Keystone knows, when it is to make a trust.
            return None
        return refused

    kinds: Sequence[callers.Kind] = callers.KINDS

    def owner(self, kind: callers.Kind, own: bool) -> base.Persona:
        return base.Persona(user(kind, True) if own else 'bob', 'p1',
                            ('member', 'reader'), _OWN)

    def check(self, kind: callers.Kind, request: callers.Request,
              own: bool) -> str | None:
        """Send a request; return what is wrong with what came of it."""
        self.trusts.group = False
        owner, caller = self.owner(kind, own), persona(kind, own)
        if own and owner.user_id not in self.owners:
            # So that there is a trust of his, whichever job has it.
            self.create_job(owner)
            self.owners.add(owner.user_id)
        # What was refused to others has changed nothing.
        kept = self.refused.pop((request, owner.user_id), None)
        if kept is None:
            made = self.requests(owner).prepare(request)
            before = self.shown(made.job_id) if made.job_id else None
        else:
            made, before = kept
        self.trusts.group = kind.name == 'group'
        result = self.client.simulate_request(
            made.method, f'/v2/p1/{made.path}', json=made.body,
            extras=caller.environ())
        job_id = made.job_id
        if job_id is None and result.status_code == 201:
            job_id = result.json.get('job_id')
        after = self.shown(job_id) if job_id else None
        said = callers.Answer(
            result.status_code,
            result.json.get('code') if result.status_code >= 400 else None)
        refused = self.expected(kind, request, own)
        if said != (refused or callers.Answer(result.status_code)) or (
                refused is None and said.status >= 300):
            return f'{said}, and not {refused or "yes"}'
        if refused is not None:
            if before != after:
                return 'refused and changed'
            self.refused[request, owner.user_id] = made, after
            return None
        return self.effect(request, caller.user_id, before, after)

    def effect(self, request: callers.Request, user_id: str, before: Any,
               after: Any) -> str | None:
        needs = request.needs
        trustor = after and after.get('trustor_user_id')
        if needs is callers.Needs.TRUSTOR:
            if request.takes_trust:
                return (None if trustor == user_id
                        else f'trustor: {trustor}')
            return None if trustor is None else 'the trust is left'
        if before is None:
            return None
        if needs is callers.Needs.REDUCES:
            if after and trustor not in (None, before['trustor_user_id']):
                return f'trustor: {trustor}'
            if after and does(after)[3] != does(before)[3]:
                return 'other actions'
            return None
        if before.get('trustor_user_id') != trustor:
            return f'trustor: {trustor}'
        if trustor and does(before) != does(after):
            return f'changed: {does(before)} {does(after)}'
        return None

    def test_each_request_with_each_kind_of_token(self) -> None:
        """Invariant 6: a delegation needs a token that could give it."""
        wrong = []
        for request in callers.WRITES:
            for kind in self.kinds:
                for own in (True, False):
                    fault = self.check(kind, request, own)
                    if fault:
                        wrong.append(
                            f'{request.method} {request.path} '
                            f'({request.case}), {kind.name}, '
                            f'{"own" if own else "other"} job: {fault}')
        self.assertEqual([], wrong, '\n'.join(wrong))

    def test_no_route_is_forgotten(self) -> None:
        routes = {(method.method, route.path.removeprefix(
            '/v2/{project_id}'))
            for route in inspect.inspect_routes(self.app)
            for method in route.methods
            if not method.internal and method.method != 'GET'}
        self.assertEqual(routes, {(request.method, request.path)
                                  for request in callers.WRITES})


# What a token may do is decided before a database is asked. These three send
# it each statement that there is: a user's own, those of a trust that Keystone
# refuses, and the administrator's.
_SOME = tuple(kind for kind in callers.KINDS if kind.name in (
    'password', 'group', 'admin'))


class TableTestsOnMySQL(base.MySQL, TableTests):
    kinds = _SOME


class TableTestsOnPostgreSQL(base.PostgreSQL, TableTests):
    kinds = _SOME


class LegacyTests(AuthorityCase):
    """A central client whose scheduler polls and writes jobs back."""

    scheduler = base.Persona(
        'alice', 'p1', ('member', 'reader'),
        (('OS-TRUST:trust', {'impersonation': True}),))

    def setUp(self) -> None:
        super().setUp()
        self.register_central('legacy', claims=False)

    def say(self, job_id: str, wanted: int, **said: Any) -> None:
        job = self.job(job_id)
        self.call(self.scheduler, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {**job['job_schedule'], **said},
            'session_id': job['session_id'],
            'session_tag': job['session_tag']}, wanted)

    def test_a_report_does_not_start_a_job(self) -> None:
        job_id = self.create_job(client='legacy')
        self.start(job_id)
        for said in ({'event': '', 'status': 'scheduled'},
                     {'event': '', 'status': 'running', 'current_pid': 1},
                     {'event': '', 'status': 'completed',
                      'result': 'success'}):
            self.say(job_id, 200, **said)
        before = self.job(job_id)
        for said in ({'event': 'start', 'status': ''},
                     {'event': '', 'status': ''},
                     {'event': '', 'status': 'scheduled'}):
            self.say(job_id, 403, **said)
            self.assertEqual(before, self.job(job_id))
        # Nor where the document is no report.
        for schedule in ({'event': 'start'}, {'status': ''}):
            self.call(self.scheduler, 'PATCH', f'jobs/{job_id}', {
                'job_schedule': {**user_schedule(before), **schedule}}, 403)
        self.assertEqual(before, self.job(job_id))
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {**user_schedule(before), 'event': 'start'}},
            200)


class LegacyTestsOnMySQL(base.MySQL, LegacyTests):
    pass


class LegacyTestsOnPostgreSQL(base.PostgreSQL, LegacyTests):
    pass


_MEMBERS = [
    base.Persona(name, 'p1', ('member', 'reader'), token)
    for name in ('alice', 'bob')
    for token in (_OWN, _TOKENS['restricted'], _TOKENS['trust'])]
_CALLERS = [*_MEMBERS, base.ADMIN, base.READER, base.SERVICE]

_STEPS: dict[str, Callable[[dict[str, str]], tuple[str, str, Any]]] = {
    'one action': lambda ids: ('PATCH', 'jobs/{job}', {
        'job_actions': [{'action_id': ids['own']}]}),
    'both actions': lambda ids: ('PATCH', 'jobs/{job}', {
        'job_actions': [{'action_id': ids['shared']},
                        {'action_id': ids['own']}]}),
    'schedule': lambda _: ('PATCH', 'jobs/{job}', {
        'job_schedule': trust_requests.OTHER}),
    'to the project': lambda _: ('PATCH', 'jobs/{job}',
                                 {'client_id': 'own'}),
    'to central': lambda _: ('PATCH', 'jobs/{job}',
                             {'client_id': 'central'}),
    'withdraw': lambda _: ('PATCH', 'jobs/{job}', {'user_credentials': {}}),
    'withdraw and change': lambda _: ('PATCH', 'jobs/{job}', {
        'user_credentials': {}, 'job_schedule': trust_requests.DAILY}),
    'describe': lambda _: ('PATCH', 'jobs/{job}', {'description': 'd'}),
    'replace': lambda ids: ('POST', 'jobs/{job}', {
        'client_id': 'central', 'job_schedule': trust_requests.DAILY,
        'job_actions': [{'action_id': ids['own']}]}),
    'start': lambda _: ('POST', 'jobs/{job}/event', {'start': None}),
    'stop': lambda _: ('POST', 'jobs/{job}/event', {'stop': None}),
    'abort': lambda _: ('POST', 'jobs/{job}/event', {'abort': None}),
    'change the action': lambda _: ('PATCH', 'actions/{shared}', {
        'freezer_action': {'backup_name': 'other'}}),
    'change it back': lambda _: ('POST', 'actions/{shared}', {
        'freezer_action': base.BACKUP}),
    'delete the action': lambda _: ('DELETE', 'actions/{shared}', None),
    'schedule of the session': lambda _: ('PATCH', 'sessions/{session}', {
        'schedule': {'schedule_interval': '9 days'}}),
    'join': lambda _: ('PUT', 'sessions/{session}/jobs/{job}', None),
    'leave': lambda _: ('DELETE', 'sessions/{session}/jobs/{job}', None),
    'round': lambda ids: ('POST', 'sessions/{session}/action', {
        'start': {'job_id': ids['job'], 'current_tag': 0}}),
}


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a job does, by whose trust, and whether it is due."""

    content: Any
    trustor: str | None
    due: bool


class SequenceTests(AuthorityCase):

    examples = 60

    def send(self, caller: base.Persona, method: str, path: str,
             body: Any) -> int:
        return int(self.client.simulate_request(
            method, f'/v2/p1/{path}', json=body,
            extras=caller.environ()).status_code)

    def begin(self) -> dict[str, str]:
        """Make two jobs of a member's that share an action."""
        shared, own = (self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': base.BACKUP}, 201)['action_id']
            for _number in range(2))
        session = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': trust_requests.OTHER}, 201)['session_id']
        jobs = [self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central', 'job_schedule': trust_requests.DAILY,
            'job_actions': [{'action_id': shared}, {'action_id': own}]},
            201)['job_id'] for _number in range(2)]
        return {'shared': shared, 'own': own, 'session': session,
                'job': jobs[0], 'other': jobs[1]}

    def cached(self, job_id: str) -> Standing:
        job = self.shown(job_id)
        assert job is not None
        client, _, schedule, actions = does(job)
        with self.database.read() as session:
            [next_at] = session.scalars(sa.select(
                models.Job.next_run_at).where(models.Job.id == job_id))
        return Standing((client, schedule, actions),
                        job.get('trustor_user_id'),
                        next_at is not None and next_at <= self.clock.now)

    def test_a_trustor_determined_what_his_job_does(self) -> None:
        """Invariant 6, for any requests in any order."""

        @hypothesis.settings(
            max_examples=self.examples, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(strategies.lists(strategies.tuples(
            strategies.sampled_from(_CALLERS),
            strategies.sampled_from(sorted(_STEPS)),
            strategies.booleans()), min_size=1, max_size=12))
        def check(steps: list[tuple[base.Persona, str, bool]]) -> None:
            ids = self.begin()
            jobs = ids['job'], ids['other']
            standing = [self.cached(job_id) for job_id in jobs]
            for caller, name, other in steps:
                standing = self.step(
                    ids | ({'job': ids['other']} if other else {}),
                    jobs, standing, caller, name)

        check()

    def step(self, ids: dict[str, str], jobs: Sequence[str],
             before: Sequence[Standing], caller: base.Persona,
             name: str) -> list[Standing]:
        """Send a request, and compare the jobs; return how they are now."""
        method, path, body = _STEPS[name](ids)
        status = self.send(caller, method, path.format(**ids), body)
        could = caller.project_id == 'p1' and caller.token == _OWN
        after = [self.cached(job_id) for job_id in jobs]
        for was, now in zip(before, after, strict=True):
            told = f'{name} by {caller}: {status}, {was}, {now}'
            if status >= 400:
                self.assertEqual(was, now, told)
            if now.trustor != was.trustor and now.trustor is not None:
                self.assertEqual((now.trustor, True),
                                 (caller.user_id, could), told)
            if was.content != now.content and (was.trustor or now.trustor):
                self.assertTrue(could, told)
                if now.trustor is not None:
                    self.assertEqual(caller.user_id, now.trustor, told)
            if now.due and not was.due and now.trustor is not None:
                self.assertTrue(could, told)
        return after


class SequenceTestsOnMySQL(base.MySQL, SequenceTests):
    examples = 10


class SequenceTestsOnPostgreSQL(base.PostgreSQL, SequenceTests):
    examples = 10


class OthersTests(AuthorityCase):
    """Runs, records and rows that are not the caller's to write."""

    def setUp(self) -> None:
        super().setUp()
        self.call(base.MATE, 'POST', 'clients', {
            'client_id': 'mine', 'hostname': 'h', 'claims': True}, 201)

    def written(self) -> Any:
        """What is stored of runs and of records."""
        with self.database.read() as session:
            return (
                [(run.id, run.state, run.fence, run.scheduler_id,
                  run.lease_expires_at) for run in session.scalars(
                    sa.select(models.JobRun).order_by(models.JobRun.id))],
                [(row.id, row.status, row.job_id, row.backup_metadata,
                  row.deleted) for row in session.scalars(
                    sa.select(models.Backup).order_by(models.Backup.id))])

    def test_a_run_is_reported_by_its_client_and_holder_only(self) -> None:
        job_id = self.create_job(client='own')
        self.start(job_id)
        run = self.one_run(client='own', persona=base.MEMBER)
        central = self.create_job()
        self.start(central)
        held = self.one_run()
        before = self.written()
        for one in (run, held):
            for status, client, scheduler in (
                    (404, 'mine', 's1'),
                    *(((409, 'own', 's2'),) if one is run else
                      ((404, 'own', 's1'),))):
                self.report(one, 'success', status, scheduler, client,
                            base.MATE)
            for scheduler in ('s1', 's2'):
                said = {'run_id': one['run_id'], 'fence': one['fence']}
                answer = self.call(
                    base.MATE, 'POST', 'clients/mine/reports', {
                        'scheduler_id': scheduler, 'reports': [
                            {**said, 'state': 'success'}]}, 200)
                self.assertEqual([one['run_id']], answer['lost'])
                answer = self.claim(held=[said], scheduler=scheduler,
                                    client='mine', persona=base.MATE)
                self.assertEqual([one['run_id']], answer['lost'])
                self.assertEqual([], answer['runs'])
        self.assertEqual(before, self.written())
        self.report(run, 'success', client='own', persona=base.MEMBER)
        self.report(held, 'success')

    def test_a_run_writes_records_of_its_own_job_only(self) -> None:
        central = self.create_job()
        self.start(central)
        record = 'b' * 32
        self.report(self.one_run(), 'success', backups=[{
            'backup_id': record, 'status': 'available',
            'backup_metadata': {'cinder_backup_id': 'c1'}}])
        job_id = self.create_job(persona=base.MATE, client='mine')
        self.start(job_id, base.MATE)
        run = self.one_run(client='mine', persona=base.MATE)
        _, before = self.written()
        for status, metadata in (
                ('error', {'cinder_backup_id': 'c2'}),
                ('available', {'job_id': central}),
                ('deleted', {'cinder_backup_id': 'c2'}), ('deleted', {})):
            self.report(run, client='mine', persona=base.MATE, backups=[{
                'backup_id': record, 'status': status,
                'backup_metadata': metadata}])
            self.assertEqual(before, self.written()[1])

    def test_a_record_of_another_project_is_not_there(self) -> None:
        record = self.call(base.MEMBER, 'POST', 'backups', {
            'backup_name': 'b', 'container': 'c', 'hostname': 'h'}, 201)[
                'backup_id']
        before = self.written()
        for caller, project, status in (
                (base.STRANGER, 'p2', 404), (base.STRANGER, 'p1', 403),
                (base.READER, 'p1', 403), (base.ADMIN, 'p2', 404)):
            for method, body in (('PATCH', {'status': 'error'}),
                                 ('DELETE', None)):
                self.call(caller, method,
                          f'/v2/{project}/backups/{record}', body, status)
        self.assertEqual(before, self.written())

    def test_a_row_that_is_there_is_not_created_again(self) -> None:
        """By nobody: of the project or not, living or deleted."""
        action = self.call(base.MEMBER, 'POST', 'actions', {
            'action_id': 'theirs', 'freezer_action': base.BACKUP}, 201)
        job_id = self.create_job(job_id='theirs', job_actions=[
            {'action_id': action['action_id']}])
        job: dict[str, Any] = {
            'job_id': 'theirs', 'client_id': 'own',
            'job_actions': [{'freezer_action': base.BACKUP}]}
        session = self.call(base.MEMBER, 'POST', 'sessions/theirs',
                            {'schedule': {}, 'session_tag': 0}, 201)
        before = self.shown(job_id)

        def refused(caller: base.Persona, *, replaces: bool) -> None:
            if caller is base.STRANGER:
                self.call(caller, 'POST', 'clients', {
                    'client_id': caller.project_id, 'hostname': 'h'}, 201)
                job['client_id'] = caller.project_id
            for path, body in (
                    ('actions', {'action_id': 'theirs',
                                 'freezer_action': base.BACKUP}),
                    ('jobs', job)):
                self.call(caller, 'POST', path, body, 409)
                if replaces:
                    self.call(caller, 'POST', f'{path}/theirs', {
                        key: value for key, value in body.items()
                        if not key.endswith('_id')
                        or key == 'client_id'}, 409)
            if replaces:
                self.call(caller, 'POST', 'sessions/theirs', {
                    'schedule': {}, 'session_tag': 0}, 409)

        refused(base.MEMBER, replaces=False)
        refused(base.MATE, replaces=False)
        refused(base.STRANGER, replaces=True)
        self.assertEqual(before, self.shown(job_id))
        for path in ('jobs/theirs', 'actions/theirs',
                     f'sessions/{session["session_id"]}'):
            self.call(base.MEMBER, 'DELETE', path, status=204)
        job['client_id'] = 'own'
        refused(base.MEMBER, replaces=True)

    def test_a_service_token_beside_the_users_adds_nothing(self) -> None:
        """A service passes requests on with a token of its own."""
        job_id = self.create_job()
        before = self.shown(job_id)
        service = {'HTTP_X_SERVICE_ROLES': 'service,admin',
                   'HTTP_X_SERVICE_USER_ID': 'freezer',
                   'HTTP_X_SERVICE_PROJECT_ID': 'svc',
                   'HTTP_X_SERVICE_IDENTITY_STATUS': 'Confirmed'}
        expired = base.Persona('alice', 'p1', ('member', 'reader'), (
            ('expires_at', '2020-01-01T00:00:00.000000Z'),))
        limited = _MEMBERS[1]
        change = {'job_schedule': trust_requests.OTHER}
        for caller, method, path, body in (
                (base.MEMBER, 'POST', 'maintenance', {}),
                (base.MEMBER, 'POST', 'clients', {
                    'client_id': 'c', 'hostname': 'h', 'is_central': True}),
                (base.READER, 'PATCH', f'jobs/{job_id}', change),
                (limited, 'PATCH', f'jobs/{job_id}', change),
                (expired, 'PATCH', f'jobs/{job_id}', change),
                (expired, 'POST', f'jobs/{job_id}/event', {'start': None})):
            result = self.client.simulate_request(
                method, f'/v2/p1/{path}', json=body,
                extras=caller.environ() | service)
            self.assertEqual(403, result.status_code, (caller, path))
        self.assertEqual(before, self.shown(job_id))


class OthersTestsOnMySQL(base.MySQL, OthersTests):
    pass


class OthersTestsOnPostgreSQL(base.PostgreSQL, OthersTests):
    pass
