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

"""What a project may have: every way to add to it is held to its limits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import contextlib
import dataclasses
import itertools
import threading
from typing import Any
from unittest import mock
import uuid

from falcon import testing
import hypothesis
from hypothesis import strategies as st
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api import app
from freezer_api.db.admin import usage_recount
from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.domain import quota
from freezer_api.keystone import unified_limits
from freezer_api.services import dependencies as api_services
from freezer_api.services import quotas
from tests.functional import base

_LARGE = {'schedule_interval': '2 days', 'schedule_start_date':
          '2030-01-01T00:00:00', 'schedule_end_date': '2040-01-01T00:00:00'}
_ACTION = {'freezer_action': base.BACKUP}
_METADATA = {'hostname': 'h', 'backup_name': 'nightly', 'time_stamp': 1,
             'container': 'c' * 100}


def _new_id() -> str:
    return uuid.uuid4().hex


class Limited(base.ApiTestCase):
    """Tests whose limits change while they run."""

    def setUp(self) -> None:
        self.limits = dict.fromkeys(quota.Resource, quota.UNLIMITED)
        super().setUp()
        self.register_central()

    def _services(self) -> api_services.Services:
        return dataclasses.replace(super()._services(), quotas=quotas.Quotas(
            self.database, quotas.Configured(self.limits)))

    def shown(self, persona: base.Persona = base.MEMBER,
              ) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = self.call(
            persona, 'GET', 'limits', status=200)['limits']
        return found

    def usage(self) -> dict[str, int]:
        return {name: one['usage'] for name, one in self.shown().items()}

    def member(self, method: str, path: str, body: Any = None,
               status: int | None = None) -> Any:
        return self.call(base.MEMBER, method, path, body, status)

    def job(self, **more: Any) -> dict[str, Any]:  # type: ignore[override]
        return {'client_id': 'central', 'job_actions': [_ACTION],
                'job_schedule': {'schedule_interval': '1 days'}, **more}

    def everything(self) -> list[Any]:
        """What the project has, to see that nothing has changed."""
        return [self.member('GET', f'{noun}?limit=1000', status=200)
                for noun in ('jobs', 'actions', 'clients', 'sessions',
                             'backups')]


Request = tuple[str, str, Any]
Make = Callable[[Limited], Request]


def _job(test: Limited) -> str:
    made: str = test.member('POST', 'jobs', test.job(), 201)['job_id']
    return made


def _action(test: Limited) -> str:
    made: str = test.member('POST', 'actions', _ACTION, 201)['action_id']
    return made


def _session(test: Limited) -> str:
    made: str = test.member('POST', 'sessions', {
        'description': 'weekly', 'schedule': {}}, 201)['session_id']
    return made


def _backup(test: Limited) -> str:
    made: str = test.member('POST', 'backups', _METADATA, 201)['backup_id']
    return made


def _replace_job(test: Limited, **more: Any) -> Request:
    return 'POST', f'jobs/{_job(test)}', test.job(**more)


def _join(test: Limited) -> Request:
    return 'PUT', f'sessions/{_session(test)}/jobs/{_job(test)}', None


_TWO = [_ACTION, {'freezer_action': {**base.BACKUP, 'backup_name': 'b'}}]
_LARGER_ACTION = {'freezer_action': {**base.BACKUP,
                                     'backup_name': 'n' * 100}}

# Each way to have more of something: what it is, and what has to be there
# before. A request is that of a route; the last test here knows them all.
ADDING: list[tuple[str, str, str, Make]] = [
    ('jobs', 'POST', '/jobs', lambda t: ('POST', 'jobs', t.job())),
    ('jobs', 'POST', '/jobs/{job_id}',
     lambda t: ('POST', f'jobs/{_new_id()}', t.job())),
    ('actions', 'POST', '/jobs', lambda t: ('POST', 'jobs', t.job())),
    # The action that it had goes with the replacement.
    ('actions', 'POST', '/jobs/{job_id}',
     lambda t: _replace_job(t, job_actions=_TWO)),
    ('actions', 'PATCH', '/jobs/{job_id}',
     lambda t: ('PATCH', f'jobs/{_job(t)}', {'job_actions': _TWO})),
    ('actions', 'POST', '/actions', lambda t: ('POST', 'actions', _ACTION)),
    ('actions', 'POST', '/actions/{action_id}',
     lambda t: ('POST', f'actions/{_new_id()}', _ACTION)),
    ('clients', 'POST', '/clients',
     lambda t: ('POST', 'clients', {'client_id': _new_id()})),
    ('sessions', 'POST', '/sessions',
     lambda t: ('POST', 'sessions', {'schedule': {}})),
    ('sessions', 'POST', '/sessions/{session_id}',
     lambda t: ('POST', f'sessions/{_new_id()}', {'schedule': {}})),
    ('backups', 'POST', '/backups',
     lambda t: ('POST', 'backups', _METADATA)),
    ('stored_bytes', 'POST', '/jobs', lambda t: ('POST', 'jobs', t.job())),
    ('stored_bytes', 'POST', '/jobs/{job_id}',
     lambda t: _replace_job(t, job_schedule=_LARGE)),
    ('stored_bytes', 'PATCH', '/jobs/{job_id}',
     lambda t: ('PATCH', f'jobs/{_job(t)}', {'job_schedule': _LARGE})),
    ('stored_bytes', 'PATCH', '/jobs/{job_id}',
     lambda t: ('PATCH', f'jobs/{_job(t)}', {
         'job_schedule': _LARGE, 'description': 'd'})),
    ('stored_bytes', 'PATCH', '/jobs/{job_id}',
     lambda t: ('PATCH', f'jobs/{_job(t)}', {'job_actions': _TWO})),
    ('stored_bytes', 'POST', '/actions',
     lambda t: ('POST', 'actions', _ACTION)),
    ('stored_bytes', 'POST', '/actions/{action_id}',
     lambda t: ('POST', f'actions/{_action(t)}', _LARGER_ACTION)),
    ('stored_bytes', 'PATCH', '/actions/{action_id}',
     lambda t: ('PATCH', f'actions/{_action(t)}', _LARGER_ACTION)),
    ('stored_bytes', 'POST', '/sessions',
     lambda t: ('POST', 'sessions', {'schedule': _LARGE})),
    ('stored_bytes', 'POST', '/sessions/{session_id}',
     lambda t: ('POST', f'sessions/{_session(t)}', {'schedule': _LARGE})),
    ('stored_bytes', 'PATCH', '/sessions/{session_id}',
     lambda t: ('PATCH', f'sessions/{_session(t)}', {'schedule': _LARGE})),
    ('stored_bytes', 'PUT', '/sessions/{session_id}/jobs/{job_id}', _join),
    ('stored_bytes', 'POST', '/backups',
     lambda t: ('POST', 'backups', _METADATA)),
    ('stored_bytes', 'PATCH', '/backups/{backup_id}',
     lambda t: ('PATCH', f'backups/{_backup(t)}', {
         'backup_metadata': {'note': 'n' * 100}})),
]

# Routes that write and that no limit stops, and why.
NEVER_REFUSED = {
    ('POST', '/clients/{client_id}/claims'): 'runs of jobs that are there',
    # Only what goes beyond a reserve is left out.
    ('PATCH', '/clients/{client_id}/runs/{run_id}'): 'a report of a run',
    ('POST', '/clients/{client_id}/reports'): 'reports of runs',
    ('POST', '/clients/{client_id}/runs/{run_id}/jobs'): 'writes nothing',
    ('POST', '/jobs/{job_id}/event'): 'runs a job that is there',
    ('POST', '/sessions/{session_id}/action'): 'a report of a job',
    ('POST', '/maintenance'): 'removes',
}


class LimitTests(Limited):
    """... on SQLite."""

    def test_each_way_to_add_is_held_to_the_limit(self) -> None:
        for name, method, route, make in ADDING:
            with self.subTest(resource=name, request=f'{method} {route}'):
                self._refused_then_accepted(quota.Resource(name), make)

    def _refused_then_accepted(self, resource: quota.Resource,
                               make: Make) -> None:
        self.limits.update(dict.fromkeys(quota.Resource, quota.UNLIMITED))
        method, path, body = make(self)
        before, there = self.usage(), self.everything()
        self.limits[resource] = before[resource]
        error = self.member(method, path, body, 403)
        self.assertEqual('quota_exceeded', error['code'])
        self.assertEqual('Quota Exceeded', error['title'])
        self.assertIn(
            f'The limit for {resource} is exceeded: the limit of the project '
            f'is {before[resource]}, its usage is {before[resource]}, ',
            error['description'])
        self.assertEqual(before, self.usage())
        self.assertEqual(there, self.everything())
        requested = int(error['description'].split('needs ')[1].split()[0])
        self.limits[resource] = before[resource] + requested
        self.member(method, path, body)
        self.assertEqual(before[resource] + requested,
                         self.usage()[resource])

    def test_no_route_that_writes_is_forgotten(self) -> None:
        known = {(method, route) for _, method, route, _ in ADDING}
        writing = {
            (method.upper(), path) for path, resource in app.ROUTES
            for method in ('post', 'put', 'patch')
            if hasattr(resource, f'on_{method}')}
        self.assertEqual(writing, known | set(NEVER_REFUSED))

    def test_each_resource_is_in_the_table(self) -> None:
        self.assertEqual({resource.value for resource in quota.Resource},
                         {name for name, *_ in ADDING})

    def test_nothing_at_all_is_allowed(self) -> None:
        self.limits.update(dict.fromkeys(quota.Resource, 0))
        for path, body in (('jobs', self.job()), ('actions', _ACTION),
                           ('clients', {'client_id': 'c'}),
                           ('sessions', {'schedule': {}}),
                           ('backups', _METADATA)):
            self.member('POST', path, body, 403)
        self.assertEqual([], [one for one in self.usage().values() if one])

    def test_what_is_above_a_limit_goes_on(self) -> None:
        job_id, session_id = _job(self), _session(self)
        action_id, backup_id = _action(self), _backup(self)
        self.member('POST', 'clients', {'client_id': 'own'}, 201)
        self.limits.update(dict.fromkeys(quota.Resource, 0))
        used = self.usage()
        for path in (f'jobs/{job_id}', f'actions/{action_id}', 'clients/own',
                     f'sessions/{session_id}', f'backups/{backup_id}'):
            self.member('GET', path, status=200)
        self.member('PATCH', f'jobs/{job_id}', {'description': 'x'}, 200)
        self.member('PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': '9 days'}}, 200)
        self.member('PATCH', f'actions/{action_id}', {
            'freezer_action': {'backup_name': 'less'}}, 200)
        self.member('PATCH', f'sessions/{session_id}', {
            'description': 'y'}, 200)
        self.member('PATCH', f'backups/{backup_id}', {
            'backup_metadata': {'container': ''}}, 200)
        self.member('POST', 'clients', {'client_id': 'own'}, 201)
        self.clock.now += 10
        self.start(job_id)
        run = self.one_run()
        self.report(run, backups=[{
            'backup_id': _new_id(), 'status': 'creating',
            'backup_metadata': {'backup_name': 'nightly'}}])
        self.report(run, 'success')
        self.assertEqual(used['backups'] + 1, self.usage()['backups'])
        for path in (f'jobs/{job_id}', f'actions/{action_id}', 'clients/own',
                     f'sessions/{session_id}', f'backups/{backup_id}'):
            self.member('DELETE', path, status=204)
        self.assertEqual((0, 0, 0), tuple(
            self.usage()[name] for name in ('jobs', 'clients', 'sessions')))

    def test_deleting_makes_room(self) -> None:
        self.limits[quota.Resource.JOBS] = 1
        for _ in range(3):
            job_id = _job(self)
            self.member('POST', 'jobs', self.job(), 403)
            self.member('DELETE', f'jobs/{job_id}', status=204)
            self.member('DELETE', f'jobs/{job_id}', status=204)

    def test_a_run_is_never_refused_a_record(self) -> None:
        job_id = _job(self)
        self.limits.update(dict.fromkeys(quota.Resource, 0))
        self.clock.now += 10
        self.start(job_id)
        run = self.one_run()
        ids = [_new_id() for _ in range(3)]
        for status in ('creating', 'available'):
            for number in range(1, 4):
                self.report(run, backups=[{
                    'backup_id': backup_id, 'status': status,
                    'backup_metadata': {'backup_name': 'n' * number}}
                    for backup_id in ids])
        self.report(run, 'success')
        used = self.usage()
        self.assertEqual(3, used['backups'])
        self.member('POST', 'backups', _METADATA, 403)

    def test_reports_of_a_projects_own_scheduler_end_at_a_reserve(
            self) -> None:
        """Whoever has a token of a member can report anything of his runs."""
        reserves = {quota.Resource.BACKUPS: 20,
                    quota.Resource.STORED_BYTES: 20_000}
        for resource, reserve in reserves.items():
            for route in ('run', 'reports'):
                for records in ('new', 'known', 'of users'):
                    with (self.subTest(resource=resource, route=route,
                                       records=records),
                          mock.patch.object(
                              quota, 'RESERVES', reserves)):
                        self._report_without_end(
                            resource, reserve, route, records)

    def _report_without_end(self, resource: quota.Resource, reserve: int,
                            route: str, records: str) -> None:
        self.limits.update(dict.fromkeys(quota.Resource, quota.UNLIMITED))
        self.member('POST', 'clients', {
            'client_id': 'own', 'claims': True}, 201)
        job_id = self.create_job(client='own')
        ids = [self.member('POST', 'backups', {
            **_METADATA, 'job_id': job_id}, 201)['backup_id']
            for _ in range(9)]
        self.start(job_id)
        [run] = self.claim(client='own', persona=base.MEMBER)['runs']
        self.limits[resource] = limit = self.usage()[resource]
        for number in range(1, 12):
            if records == 'new':
                ids = [_new_id() for _ in range(9)]
            self._report(route, run, 'running', [{
                'backup_id': one, 'status': 'creating', 'backup_metadata': (
                    {} if records == 'new' and resource == 'backups'
                    else {f'more-{number}': 'x' * 900})} for one in ids])
            # One report may go beyond.
            self.assertLess(
                self.usage()[resource], limit + reserve + 9 * 1000)
        if resource == 'backups':
            self.assertLess(self.usage()[resource], limit + reserve + 9)
        # What needs no room is written all the same, and the run ends.
        self._report(route, run, 'success', [
            {'backup_id': one, 'status': 'available'} for one in ids])
        [shown] = self.runs(job_id)
        self.assertEqual('success', shown['state'])
        if records == 'new' or resource == 'stored_bytes':
            self.assertIn(f'limit for {resource}', shown['reason'])
        if records != 'new':
            self.assertEqual({'available'}, {
                self.member('GET', f'backups/{one}', status=200)['status']
                for one in ids})
        self.member('DELETE', f'jobs/{job_id}', status=204)

    def _report(self, route: str, run: dict[str, Any], state: str,
                records: list[dict[str, Any]]) -> None:
        said = {'fence': run['fence'], 'state': state, 'backups': records}
        path = f'clients/own/{route}s/{run["run_id"]}'
        if route == 'reports':
            path = 'clients/own/reports'
            said = {'reports': [{**said, 'run_id': run['run_id']}]}
        self.member('POST' if route == 'reports' else 'PATCH', path,
                    {'scheduler_id': 's1', **said}, 200)

    def test_the_end_of_a_legacy_schedulers_backup_is_kept(self) -> None:
        backup_id = self.member('POST', 'backups', {
            **_METADATA, 'status': 'creating'}, 201)['backup_id']
        self.limits[quota.Resource.STORED_BYTES] = 1
        self.member('PATCH', f'backups/{backup_id}', {'more': 'x'}, 403)
        self.member('PATCH', f'backups/{backup_id}', {
            'status': 'available', 'time_stamp': 1, 'log': 'l' * 500}, 200)
        # Whatever it says it is, there is no more than the reserve.
        self.usage_follows = False
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.ProjectUsage).where(
                models.ProjectUsage.id == 'p1').values(
                    stored_bytes=quota.RESERVE))
        self.member('PATCH', f'backups/{backup_id}', {
            'status': 'error', 'more': 'x' * 500}, 403)

    def test_the_project_of_the_path_is_counted(self) -> None:
        for persona in (base.ADMIN, base.SERVICE):
            with self.subTest(persona.user_id):
                before = self.usage()['backups']
                self.limits[quota.Resource.BACKUPS] = before + 1
                self.call(persona, 'POST', '/v2/p1/backups', _METADATA, 201)
                self.call(persona, 'POST', '/v2/p1/backups', _METADATA, 403)
                self.assertEqual(before + 1, self.usage()['backups'])

    def test_projects_have_limits_of_their_own(self) -> None:
        self.limits[quota.Resource.SESSIONS] = 1
        for persona in (base.MEMBER, base.STRANGER):
            self.call(persona, 'POST', 'sessions', {'schedule': {}}, 201)
            self.call(persona, 'POST', 'sessions', {'schedule': {}}, 403)

    def test_no_trust_is_made_for_what_is_refused(self) -> None:
        self.limits[quota.Resource.JOBS] = 0
        for _ in range(3):
            self.member('POST', 'jobs', self.job(), 403)
        self.assertEqual(0, self.trusts.made)
        self.assertEqual({}, self.trusts.live)

    def test_who_may_look(self) -> None:
        for persona in (base.MEMBER, base.READER):
            self.assertEqual({
                resource.value: {'limit': -1, 'usage': 0}
                for resource in quota.Resource}, self.shown(persona))
        for persona in (base.ADMIN, base.SERVICE):
            self.call(persona, 'GET', '/v2/p1/limits', status=200)
        self.call(base.STRANGER, 'GET', '/v2/p1/limits', status=403)


class RaceTests(Limited):
    """Requests at one time, at one less than the limit."""

    def together(self, *requests: Request) -> list[int]:
        """Send requests at once and return their statuses, sorted."""
        def send(request: Request) -> int:
            method, path, body = request
            result = self.client.simulate_request(
                method, f'/v2/p1/{path}', json=body,
                extras=base.MEMBER.environ())
            return result.status_code

        with futures.ThreadPoolExecutor(len(requests)) as threads:
            return sorted(threads.map(send, requests))

    def test_exactly_one_gets_the_last_place(self) -> None:
        for noun, body in (('jobs', self.job()), ('actions', _ACTION),
                           ('sessions', {'schedule': {}}),
                           ('backups', _METADATA)):
            with self.subTest(noun):
                self.member('POST', noun, body, 201)
                self.limits[quota.Resource(noun)] = self.usage()[noun] + 1
                statuses = self.together(*[('POST', noun, body)] * 6)
                self.assertEqual([201, *[403] * 5], statuses)

    def test_a_project_that_had_nothing(self) -> None:
        self.limits[quota.Resource.SESSIONS] = 2
        statuses = self.together(*[('POST', 'sessions', {'schedule': {}})] * 6)
        self.assertEqual([201, 201, *[403] * 4], statuses)

    def test_one_client_takes_one_place(self) -> None:
        self.limits[quota.Resource.CLIENTS] = 1
        statuses = self.together(*[('POST', 'clients', {
            'client_id': 'own', 'hostname': 'h'})] * 6)
        self.assertEqual([201] * 6, statuses)
        self.assertEqual(1, self.usage()['clients'])

    def test_what_is_deleted_twice_counts_once(self) -> None:
        for name in ('stays', 'own'):
            self.member('POST', 'clients', {'client_id': name}, 201)
        for path in (f'jobs/{_job(self)}', f'actions/{_action(self)}',
                     f'sessions/{_session(self)}',
                     f'backups/{_backup(self)}',
                     'clients/own'):
            self.together(*[('DELETE', path, None)] * 6)
        used = self.usage()
        self.assertEqual(1, used['clients'])
        self.assertEqual((0, 0, 0), tuple(
            used[name] for name in ('jobs', 'sessions', 'backups')))

    def test_a_client_that_two_have_found_is_deleted_once(self) -> None:
        self.member('POST', 'clients', {'client_id': 'own'}, 201)
        self.member('POST', 'clients', {'client_id': 'stays'}, 201)
        both = threading.Barrier(2)

        def work(session: orm.Session) -> None:
            client = clients.find_visible(session, 'p1', 'own')
            # On SQLite there is one writer at a time.
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(2)
            if client is not None:
                clients.delete(session, client, self.clock.now)

        with futures.ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(self.database.write, work)
                         for _ in range(2)]:
                done.result()
        self.assertEqual(1, self.usage()['clients'])

    def test_changes_at_one_time_are_all_counted(self) -> None:
        backup_id, action_id = _backup(self), _action(self)
        session_id = _session(self)
        self.together(*itertools.chain.from_iterable((
            ('PATCH', f'backups/{backup_id}', {
                'backup_metadata': {f'k{number}': 'v' * number}}),
            ('PATCH', f'actions/{action_id}', {
                'freezer_action': {'backup_name': 'n' * number}}),
            ('PATCH', f'sessions/{session_id}', {
                'schedule': {'schedule_interval': f'{number} days'}}))
            for number in (1, 5, 25, 125)))
        # The end of each test compares it with what is there.
        self.assertGreater(self.usage()['stored_bytes'], 0)

    def test_a_report_and_a_change_of_its_record(self) -> None:
        """Both are kept, and both are counted."""
        job_id = _job(self)
        self.clock.now += 10
        self.start(job_id)
        run, backup_id = self.one_run(), _new_id()
        self.report(run, backups=[{
            'backup_id': backup_id, 'status': 'creating',
            'backup_metadata': {'backup_name': 'nightly'}}])

        def report(number: int) -> None:
            self.report(run, backups=[{
                'backup_id': backup_id, 'status': 'creating',
                'backup_metadata': {'r' * number: number}}])

        def change(number: int) -> None:
            self.member('PATCH', f'backups/{backup_id}', {
                'backup_metadata': {'c' * number: number}}, 200)

        with futures.ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(send, number)
                         for number in range(1, 9)
                         for send in (report, change)]:
                done.result()
        metadata = self.member(
            'GET', f'backups/{backup_id}', status=200)['backup_metadata']
        for number in range(1, 9):
            self.assertIn('r' * number, metadata)
            self.assertIn('c' * number, metadata)


_PATHS = ('jobs', 'actions', 'sessions', 'backups')


@st.composite
def _steps(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    return draw(st.lists(st.tuples(
        st.sampled_from(('add', 'put', 'change', 'delete', 'limit')),
        st.integers(0, 3), st.integers(0, 60)), max_size=25))


class GeneratedTests(Limited):
    """Whatever is done in whichever order, the numbers are right."""

    @hypothesis.settings(max_examples=12, deadline=None,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(_steps())
    def test_usage_is_what_a_recount_finds(
            self, steps: list[tuple[str, int, int]]) -> None:
        self.limits.update(dict.fromkeys(quota.Resource, quota.UNLIMITED))
        made: list[list[str]] = [[], [], [], []]
        for step, noun, number in steps:
            self._take(step, noun, number, made)
        with self.database.read() as session:
            counted = usage_recount.count(session.connection(), 'p1').get(
                'p1', dict.fromkeys(quota.Resource, 0))
        self.assertEqual(counted, self.usage())

    def _take(self, step: str, noun: int, number: int,
              made: list[list[str]]) -> None:
        path, ids = _PATHS[noun], made[noun]
        body = (self.job(job_actions=[{'freezer_action': {
                    **base.BACKUP, 'backup_name': 'n' * number}}] * 2),
                {'freezer_action': {**base.BACKUP, 'container': 'c' * number},
                 'mandatory': bool(number % 2)},
                {'schedule': {'schedule_interval': f'{number + 1} days'}},
                {**_METADATA, 'n\u00fc': '\u00fc' * number})[noun]
        chosen = ids[number % len(ids)] if ids else _new_id()
        if step == 'limit':
            resource = list(quota.Resource)[number % len(quota.Resource)]
            self.limits[resource] = self.usage()[resource] + number % 3
        elif step == 'add':
            found = self.member('POST', path, body)
            ids.extend(value for key, value in found.items()
                       if key.endswith('_id'))
        elif step == 'put' and path != 'backups':
            self.member('POST', f'{path}/{chosen}', body)
        elif step == 'change':
            self.member('PATCH', f'{path}/{chosen}', {
                key: value for key, value in body.items()
                if key != 'client_id'})
        elif step == 'delete':
            self.member('DELETE', f'{path}/{chosen}')


class RecountTests(Limited):
    """A database that something else has written to."""

    def test_only_what_is_wrong_is_put_right(self) -> None:
        for _ in range(3):
            _job(self)
            _backup(self)
        right = self.usage()
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.ProjectUsage).where(
                models.ProjectUsage.id == 'p1').values(jobs=7, backups=0))
            connection.execute(sa.insert(models.ProjectUsage).values(
                id='gone', jobs=3))
            connection.execute(sa.insert(models.Session).values(
                id=_new_id(), project_id='p9', user_id='u', deleted=False,
                schedule={'a': 1}, search_terms=''))
        self.terms_follow = False
        with self.database.engine.connect() as connection:
            if connection.dialect.name == 'sqlite':
                connection.begin()
            self.assertEqual(3, usage_recount.repair(connection))
            if connection.dialect.name == 'sqlite':
                connection.commit()
        self.assertEqual(right, self.usage())

    def test_the_numbers_never_fall_below_zero(self) -> None:
        job_id = _job(self)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.ProjectUsage).values(
                jobs=0, stored_bytes=1))
        self.member('DELETE', f'jobs/{job_id}', status=204)
        self.assertEqual(0, self.usage()['jobs'])
        self.assertEqual(0, self.usage()['stored_bytes'])
        self.usage_follows = False


class Hanging:
    """Limits that are in a Keystone which does not answer.

    :ivar during: what happens while a request waits
    """

    def __init__(self, during: Callable[[], object]) -> None:
        self.during = during
        self.asked = 0

    def cached(self, project_id: str) -> None:
        return None

    def get(self, project_id: str) -> Any:
        self.asked += 1
        self.during()
        raise unified_limits.Unavailable('away')


class UnavailableTests(Limited):
    """Keystone does not tell the limits."""

    def setUp(self) -> None:
        super().setUp()
        self.made = (_job(self), _session(self), _backup(self))
        self.source = Hanging(self._others_go_on)
        self.client = testing.TestClient(app.make_resources(
            dataclasses.replace(self.services, quotas=quotas.Quotas(
                self.database, self.source))))

    def _others_go_on(self) -> None:
        # It would wait for a row, for ever, on each engine.
        with self.database.engine.begin() as connection:
            for model in (models.ProjectUsage, models.Job, models.Session,
                          models.Backup, models.Client):
                connection.execute(sa.update(model).values(
                    updated_at=sa.func.current_timestamp()))

    def test_no_transaction_waits_for_keystone(self) -> None:
        job_id, session_id, backup_id = self.made
        for method, path, body in (
                ('POST', 'jobs', self.job()),
                ('POST', f'jobs/{job_id}', self.job(job_actions=_TWO)),
                ('PATCH', f'jobs/{job_id}', {'job_schedule': _LARGE}),
                ('POST', 'actions', _ACTION),
                ('POST', 'clients', {'client_id': 'own'}),
                ('POST', 'sessions', {'schedule': {}}),
                ('PUT', f'sessions/{session_id}/jobs/{job_id}', None),
                ('POST', 'backups', _METADATA),
                ('PATCH', f'backups/{backup_id}', {'more': 'x'})):
            with self.subTest(method=method, path=path):
                asked = self.source.asked
                error = self.member(method, path, body, 503)
                self.assertEqual('limits_unavailable', error['code'])
                self.assertEqual(asked + 1, self.source.asked)
        self.assertEqual(
            503, self.client.simulate_get(
                '/v2/p1/limits', extras=base.MEMBER.environ()).status_code)
        self.assertEqual(1, self.trusts.made)

    def test_what_adds_nothing_does_not_wait(self) -> None:
        job_id, session_id, backup_id = self.made
        self.member('PATCH', f'jobs/{job_id}', {'description': 'x'}, 200)
        self.member('PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': '3 days'}}, 200)
        self.register_central()
        self.clock.now += 10
        self.start(job_id)
        run = self.one_run()
        self.report(run, 'success', backups=[{
            'backup_id': _new_id(), 'status': 'available',
            'backup_metadata': {'backup_name': 'nightly'}}])
        for path in (f'backups/{backup_id}', f'sessions/{session_id}',
                     f'jobs/{job_id}'):
            self.member('DELETE', path, status=204)
        self.assertEqual(0, self.source.asked)


class LimitTestsOnMySQL(base.MySQL, LimitTests):
    """... on MySQL."""


class LimitTestsOnPostgreSQL(base.PostgreSQL, LimitTests):
    """... on PostgreSQL."""


class RaceTestsOnMySQL(base.MySQL, RaceTests):
    """... on MySQL."""


class RaceTestsOnPostgreSQL(base.PostgreSQL, RaceTests):
    """... on PostgreSQL."""


class GeneratedTestsOnMySQL(base.MySQL, GeneratedTests):
    """... on MySQL."""


class GeneratedTestsOnPostgreSQL(base.PostgreSQL, GeneratedTests):
    """... on PostgreSQL."""


class RecountTestsOnMySQL(base.MySQL, RecountTests):
    """... on MySQL."""


class RecountTestsOnPostgreSQL(base.PostgreSQL, RecountTests):
    """... on PostgreSQL."""


class UnavailableTestsOnMySQL(base.MySQL, UnavailableTests):
    """... on MySQL."""


class UnavailableTestsOnPostgreSQL(base.PostgreSQL, UnavailableTests):
    """... on PostgreSQL."""
