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

"""What one tenant's documents may cost: sizes, rows, terms and answers.

Costs are counted, never timed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import json
import sys
from types import FrameType
from typing import Any
from unittest import mock
import uuid

import hypothesis
from hypothesis import strategies as st
import sqlalchemy as sa

from freezer_api.api import responses
from freezer_api.db import actions
from freezer_api.db import job_size
from freezer_api.db import models
from freezer_api.domain import search
from freezer_api.schemas import budgets
from freezer_api.schemas import jobs as schema
from tests.functional import base

KIB = 1024
ID_OF = {'jobs': ('job_id',), 'actions': ('action_id',),
         'sessions': ('session_id',), 'backups': ('backup_id',),
         'clients': ('client', 'uuid')}

# Text that takes the most room in JSON.
WIDE = '\N{GRINNING FACE}'


def characters(document: Any) -> int:
    return len(json.dumps(document))


def action(size: int, keys: int = 20, **more: Any) -> dict[str, Any]:
    """Return a freezer_action of so many characters and keys."""
    made = {**base.BACKUP, **more}
    made |= {f'key-{number}': number for number in range(keys - len(made) - 1)}
    made['padding'] = ''
    made['padding'] = 'x' * (size - characters(made))
    return made


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels - 1):
        value = {'deeper': value}
    return {**base.BACKUP, 'deep': value}


TOO_LARGE = {
    'characters': (action(16 * KIB + 1), '16385', '16384'),
    'keys': (action(16 * KIB, keys=257), '257', '256'),
    'keys in objects': (
        {**base.BACKUP, 'in': [{f'k{n}': {'v': n}} for n in range(126)]},
        '257', '256'),
    'levels': (nested(9), '9', '8'),
    'levels of lists': (
        {**base.BACKUP, 'deep': [[[[[[[[1]]]]]]]]}, '9', '8'),
}
LARGEST = {
    'characters': action(16 * KIB),
    'keys': action(16 * KIB, keys=256),
    'levels': nested(8),
}

_CONTENT = st.builds(
    action, st.sampled_from([400, 5000, 14_000, 16 * KIB, 16 * KIB + 1]),
    st.sampled_from([8, 12, 256, 257])) | st.sampled_from([
        base.BACKUP, nested(8), nested(9),
        {**base.BACKUP, 'texts': [WIDE * 1000]},
        {**base.BACKUP, 'tree': [{f'k{n}': {f'l{n}': n}} for n in range(99)]}])
_WRAPPED = st.builds(lambda content: {'freezer_action': content}, _CONTENT)
_SCHEDULE = st.sampled_from([
    {}, {'schedule_interval': '1 days'},
    {'schedule_interval': '9' * 9 + ' weeks'},
    {'schedule_day': ','.join('123456789'), 'schedule_month': '1'}])
_DESCRIPTION = st.sampled_from(['', 'd', WIDE * 255])
_JOB = st.builds(
    lambda entries, times, schedule, text: {
        'client_id': 'central', 'job_actions': (entries * times)[:256],
        'job_schedule': schedule, 'description': text},
    st.lists(st.just({}) | _WRAPPED, min_size=1, max_size=4),
    st.sampled_from([1, 2, 4, 8, 256]), _SCHEDULE, _DESCRIPTION)
_OF_ACTIONS = st.tuples(
    st.sampled_from([('POST', 'actions'), ('PATCH', 'actions/{actions}'),
                     ('POST', 'actions/{actions}')]),
    _WRAPPED).map(lambda one: (*one[0], one[1]))
_OF_JOBS = st.tuples(
    st.sampled_from([('POST', 'jobs'), ('PATCH', 'jobs/{jobs}'),
                     ('POST', 'jobs/{jobs}')]),
    _JOB).map(lambda one: (*one[0], one[1]))
_OTHERS = st.one_of(
    st.tuples(st.just('PATCH'), st.just('jobs/{jobs}'), st.one_of(
        st.builds(lambda text: {'description': text}, _DESCRIPTION),
        st.builds(lambda when: {'job_schedule': when}, _SCHEDULE),
        st.just({'session_id': 's' * 36, 'session_tag': 2 ** 31 - 1}))),
    st.tuples(st.just('PUT'), st.just('sessions/{session}/jobs/{jobs}'),
              st.none()),
    st.tuples(st.just('POST'), st.just('backups'), st.builds(
        lambda content: {**content, 'backup_name': 'b', 'container': 'c',
                         'hostname': 'h'}, _CONTENT)),
    st.tuples(st.just('DELETE'),
              st.sampled_from(['actions/{actions}', 'jobs/{jobs}']),
              st.none()))
WRITES = st.one_of(_OF_ACTIONS, _OF_JOBS, _OTHERS)


class BudgetTests(base.ApiTestCase):

    # Older rows are written past the API.
    usage_follows = False

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'h'}, 201)

    def add_action(self, document: dict[str, Any],
                   persona: base.Persona = base.MEMBER) -> str:
        action_id: str = self.call(persona, 'POST', 'actions', {
            'freezer_action': document}, 201)['action_id']
        return action_id

    def add_job(self, *action_ids: str, client: str = 'central',
                persona: base.Persona = base.MEMBER) -> str:
        job_id: str = self.call(persona, 'POST', 'jobs', {
            'client_id': client, 'job_actions': [
                {'action_id': one} for one in action_ids]}, 201)['job_id']
        return job_id

    def action(self, action_id: str) -> dict[str, Any]:
        made: dict[str, Any] = self.call(
            base.MEMBER, 'GET', f'actions/{action_id}', status=200)
        return made

    def rewrite(self, model: Any, row_id: str, **values: Any) -> None:
        """Store what an API without budgets would have stored."""
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(model).where(
                model.id == row_id).values(**values))

    @contextlib.contextmanager
    def written(self) -> Iterator[list[int]]:
        """Count the rows that each transaction writes."""
        rows = [0]

        def begin(connection: sa.Connection) -> None:
            rows.append(0)

        def note(connection: Any, cursor: Any, statement: str, *more: Any,
                 ) -> None:
            if statement.startswith(('INSERT', 'UPDATE', 'DELETE')):
                rows[-1] += max(cursor.rowcount, 0)

        events = (('begin', begin), ('after_cursor_execute', note))
        for name, listener in events:
            sa.event.listen(self.database.engine, name, listener)
        try:
            yield rows
        finally:
            for name, listener in events:
                sa.event.remove(self.database.engine, name, listener)

    # Actions.

    def test_an_action_that_is_too_large_is_refused_everywhere(self) -> None:
        kept = self.add_action(base.BACKUP)
        job_id = self.add_job(kept)
        job = self.job(job_id)
        for name, (document, found, most) in TOO_LARGE.items():
            sent = {'freezer_action': document}
            for method, path, body in (
                    ('POST', 'actions', sent), ('POST', 'actions/new', sent),
                    ('POST', f'actions/{kept}', sent),
                    ('PATCH', f'actions/{kept}', sent),
                    ('POST', 'jobs', {
                        'client_id': 'central', 'job_actions': [sent]}),
                    ('POST', 'jobs/new', {
                        'client_id': 'central', 'job_actions': [sent]}),
                    ('POST', f'jobs/{job_id}', {
                        'client_id': 'central', 'job_actions': [sent]}),
                    ('PATCH', f'jobs/{job_id}', {'job_actions': [sent]}),
                    ('POST', 'jobs', {
                        'client_id': 'central', 'action_defaults': document,
                        'job_actions': [{'freezer_action': {}}]})):
                with self.subTest(name, method=method, path=path):
                    answer = self.call(base.MEMBER, method, path, body, 400)
                    self.assertEqual('invalid_document', answer['code'])
                    for text in ('freezer_action', found, most):
                        self.assertIn(text, answer['description'])
        self.assertEqual(job, self.job(job_id))
        for path in ('actions/new', 'jobs/new'):
            self.call(base.MEMBER, 'GET', path, status=404)

    def test_the_largest_actions_are_accepted(self) -> None:
        for name, document in LARGEST.items():
            with self.subTest(name):
                action_id = self.add_action(document)
                shown = self.action(action_id)['freezer_action']
                self.assertEqual(document, {
                    key: shown[key] for key in document})
                self.add_job(action_id)

    def test_an_action_cannot_grow_step_by_step(self) -> None:
        action_id = self.add_action(action(16 * KIB - 100))
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}', {
            'freezer_action': {'more': 'x' * 200}}, 400)
        self.assertNotIn('more', self.action(action_id)['freezer_action'])

    # Jobs.

    def test_a_job_is_small_with_all_its_actions(self) -> None:
        large = self.add_action(action(16 * KIB, keys=256))
        small = self.add_action(base.BACKUP)
        names = {'action_id': large}
        job_id = self.add_job(large, large, large)
        before = self.job(job_id)
        self.assertLessEqual(characters(before), job_size.MOST)
        too_many = {'client_id': 'central', 'job_actions': [names] * 8}
        many_small = {'client_id': 'central',
                      'job_actions': [{'action_id': small}] * 200}
        for document in (too_many, many_small):
            for method, path in (
                    ('POST', 'jobs'), ('POST', 'jobs/new'),
                    ('POST', f'jobs/{job_id}'), ('PATCH', f'jobs/{job_id}')):
                with self.subTest(method, path=path):
                    answer = self.call(
                        base.MEMBER, method, path, document, 422)
                    self.assertEqual('action_refused', answer['code'])
                    for text in ('job_actions', str(job_size.MOST_OF_ACTIONS)):
                        self.assertIn(text, answer['description'])
        self.assertEqual(before, self.job(job_id))

    def test_a_shared_action_cannot_make_its_jobs_too_large(self) -> None:
        shared = self.add_action(base.BACKUP)
        jobs = [self.add_job(*[shared] * times) for times in (1, 5)]
        before = [self.job(job_id) for job_id in jobs]
        sent = {'freezer_action': action(14 * KIB)}
        for method in ('PATCH', 'POST'):
            answer = self.call(
                base.MEMBER, method, f'actions/{shared}', sent, 422)
            self.assertEqual('action_refused', answer['code'])
            self.assertEqual(before, [self.job(one) for one in jobs])
        self.call(base.MEMBER, 'DELETE', f'jobs/{jobs[1]}', status=204)
        self.call(base.MEMBER, 'PATCH', f'actions/{shared}', sent, 200)

    def test_what_changes_without_its_actions_has_room(self) -> None:
        """The widest text everywhere, in the largest job."""
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'o' * 255, 'hostname': 'h'}, 400)
        wide = self.add_action(action(10 * KIB))
        job_id = self.add_job(*[wide] * 5)
        more = characters(self.action(wide)) + len(', ') - 10 * KIB
        size = job_size.MOST_OF_ACTIONS // 5 - more
        for one, status in ((size + 1, 422), (size, 200)):
            self.call(base.MEMBER, 'PATCH', f'actions/{wide}', {
                'freezer_action': action(one)}, status)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'description': WIDE * 255, 'session_tag': 2 ** 31 - 1,
            'session_id': 'x' * 36, 'job_schedule': {
                'schedule_interval': '1 hours'}}, 200)
        self.start(job_id)
        run = self.one_run()
        self.report(run, 'fail', reason=WIDE * 4096)
        job = self.job(job_id)
        self.assertIn(WIDE, job['status_reason'])
        self.assertIn('trust_id', job)
        self.assertLessEqual(characters(job), job_size.MOST)

    def test_a_long_reason_is_cut(self) -> None:
        job_id = self.create_job()
        for letter, kept in (('r', 2000), (WIDE, 150)):
            self.clock.now += 60
            self.start(job_id)
            self.report(self.one_run(), 'fail', reason=letter * 4096)
            reason = self.job(job_id)['status_reason']
            self.assertTrue(reason.startswith(letter * kept))
            self.assertTrue(reason.endswith('...'))
            self.assertLessEqual(characters(reason), 2 * KIB)

    # What is older.

    def older_action(self, size: int = 60 * KIB) -> str:
        action_id = self.add_action(base.BACKUP)
        self.rewrite(models.Action, action_id,
                     backup_metadata=action(size, keys=3000))
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}', {
            'max_retries': 3}, 200)
        return action_id

    def older_job(self, action_id: str, times: int) -> str:
        job_id = self.add_job(self.add_action(base.BACKUP))
        with self.database.engine.begin() as connection:
            connection.execute(sa.delete(models.JobAction).where(
                models.JobAction.job_id == job_id))
            connection.execute(sa.insert(models.JobAction), [
                {'id': f'{job_id}-{number}', 'job_id': job_id,
                 'action_id': action_id, 'position': number,
                 'deleted': False} for number in range(times)])
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': '1 hours'}}, 200)
        return job_id

    def test_an_older_action_may_stay_or_shrink(self) -> None:
        action_id = self.older_action()
        job_id = self.add_job(self.add_action(base.BACKUP))
        shown = self.action(action_id)['freezer_action']
        self.assertGreater(characters(shown), 60 * KIB)
        for change in ({'mandatory': True}, {'freezer_action': shown},
                       {'freezer_action': {'padding': 'y'}}):
            self.call(base.MEMBER, 'PATCH', f'actions/{action_id}', change,
                      200)
        now = characters(self.action(action_id)['freezer_action'])
        self.assertLess(now, 60 * KIB)
        for change in ({'more': 1}, {'padding': 'y' * 1000}):
            answer = self.call(
                base.MEMBER, 'PATCH', f'actions/{action_id}',
                {'freezer_action': change}, 400)
            self.assertIn('freezer_action', answer['description'])
        self.assertEqual(
            now, characters(self.action(action_id)['freezer_action']))
        self.call(base.MEMBER, 'POST', f'actions/{action_id}', {
            'freezer_action': {
                key: value for key, value in self.action(
                    action_id)['freezer_action'].items()
                if value is not None}}, 201)
        # It can be given to no other job, unless that stays small.
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_actions': [{'action_id': action_id}] * 2}, 422)

    def test_an_older_job_stays_of_use(self) -> None:
        action_id = self.older_action()
        job_id = self.older_job(action_id, 8)
        self.assertGreater(characters(self.job(job_id)), 480 * KIB)
        [listed] = [job for job in self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs']
            if job['job_id'] == job_id]
        self.assertEqual(8, len(listed['job_actions']))
        self.start(job_id)
        run = self.one_run()
        self.assertEqual(8, len(run['job']['job_actions']))
        self.report(run, 'success')
        for change in ({'description': 'longer than it was'},
                       {'job_schedule': {'schedule_interval': '2 hours'}},
                       {'job_actions': [{'action_id': action_id}] * 8},
                       {'job_actions': [{'action_id': action_id}] * 7}):
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', change, 200)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_actions': [{'action_id': action_id}] * 8}, 422)
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}', {
            'max_retries': 7, 'freezer_action': {'padding': 'y'}}, 200)
        self.assertEqual(7, len(self.job(job_id)['job_actions']))

    # Rows of a transaction.

    def share(self, jobs: int) -> str:
        """Return an action that many jobs have, as their second."""
        shared = self.add_action(base.BACKUP)
        first = self.add_job(self.add_action(base.BACKUP), shared)
        templates = self.of_job(models.JobAction, first)
        [job] = self.of_job(models.Job, first)
        with self.database.engine.begin() as connection:
            for number in range(jobs - 1):
                row_id = f'{number:032}'
                connection.execute(sa.insert(models.Job).values(
                    {**job, 'id': row_id}))
                for link, template in enumerate(templates):
                    connection.execute(sa.insert(models.JobAction).values({
                        **template, 'id': f'{link}{row_id[1:]}',
                        'job_id': row_id}))
        return shared

    def of_job(self, model: Any, job_id: str) -> list[dict[str, Any]]:
        column = model.id if model is models.Job else model.job_id
        with self.database.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(
                sa.select(model.__table__).where(column == job_id))]

    def test_a_shared_action_changes_at_most_so_many_rows(self) -> None:
        shared = self.share(actions.MOST_JOBS)
        for persona in (base.MEMBER, base.MATE):
            with self.written() as rows:
                self.call(persona, 'PATCH', f'actions/{shared}', {
                    'freezer_action': {'by': persona.user_id}}, 200)
            self.assertGreater(max(rows), actions.MOST_JOBS)
            self.assertLessEqual(max(rows), 500)
        with self.written() as rows:
            self.call(base.MATE, 'DELETE', f'actions/{shared}', status=204)
        self.assertLessEqual(max(rows), 500)

    def test_actions_of_jobs_that_share_them_are_measured_once(self) -> None:
        """Not once for each job: a small request would cost much."""
        ids = [self.add_action(base.BACKUP) for _ in range(20)]
        for _ in range(10):
            self.add_job(*ids)
        real = job_size.of_action
        with mock.patch.object(job_size, 'of_action', autospec=True,
                               side_effect=real) as measured:
            self.call(base.MEMBER, 'PATCH', f'actions/{ids[0]}', {
                'freezer_action': {'backup_name': 'n' * 200}}, 200)
        # The one that changes also before and after, and before the
        # transaction that ends because the document is yet to be read.
        self.assertLessEqual(measured.call_count, len(ids) + 3)

    def test_an_action_of_too_many_jobs_cannot_be_changed(self) -> None:
        shared = self.share(actions.MOST_JOBS + 1)
        before = self.action(shared)
        for method, body in (
                ('PATCH', {'max_retries': 7}), ('DELETE', None),
                ('POST', {'freezer_action': {**base.BACKUP, 'x': 1}})):
            with self.written() as rows:
                answer = self.call(
                    base.MEMBER, method, f'actions/{shared}', body, 422)
            self.assertEqual('action_in_too_many_jobs', answer['code'])
            self.assertIn(str(actions.MOST_JOBS), answer['description'])
            self.assertEqual(0, max(rows))
        self.assertEqual(before, self.action(shared))
        # Its jobs can be.
        self.call(base.MEMBER, 'PATCH', f'jobs/{0:032}', {
            'job_actions': [{'freezer_action': base.BACKUP}]}, 200)
        self.call(base.MEMBER, 'PATCH', f'actions/{shared}', {
            'max_retries': 7}, 200)

    def test_a_job_of_many_actions_writes_few_rows(self) -> None:
        tiny = {'freezer_action': {
            'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': base.VOLUME.replace('-', '')}}
        most = 0
        for count in range(150, 0, -1):
            status = self.client.simulate_post(
                '/v2/p1/jobs', json={'client_id': 'central',
                                     'job_actions': [tiny] * count},
                extras=base.MEMBER.environ()).status_code
            if status == 201:
                most = count
                break
        self.assertGreater(most, 100)
        job_id = self.create_job()
        for persona in (base.MEMBER, base.MATE):
            with self.written() as rows:
                self.call(persona, 'POST', f'jobs/{job_id}', {
                    'client_id': 'central', 'job_actions': [tiny] * most},
                    201)
            self.assertLessEqual(max(rows), 500)
        with self.written() as rows:
            self.call(base.MATE, 'DELETE', f'jobs/{job_id}', status=204)
        self.assertLessEqual(max(rows), 500)

    def test_an_older_job_of_many_actions_is_replaced_in_few_rows(
            self) -> None:
        most = schema.CREATE.schema['properties']['job_actions']['maxItems']
        tiny = {'freezer_action': {
            'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': base.VOLUME.replace('-', '')}}
        self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central', 'job_actions': [tiny] * (most + 1)}, 400)
        named = [self.add_action(base.BACKUP)]
        for persona, entries in (
                (base.MATE, [tiny] * most), (base.MEMBER, [tiny]),
                (base.MATE, [{'action_id': one} for one in named] * most)):
            for method in ('PATCH', 'POST'):
                job_id = self.older_job(self.add_action(base.BACKUP), 256)
                with self.subTest(method=method, entries=len(entries)):
                    with self.written() as rows:
                        self.call(persona, method, f'jobs/{job_id}', {
                            'client_id': 'central', 'job_actions': entries},
                            200 if method == 'PATCH' else 201)
                    self.assertLessEqual(max(rows), 500)
                    self.assertEqual(len(entries), len(
                        self.job(job_id)['job_actions']))

    def test_statements_do_not_grow_with_the_actions_of_a_job(self) -> None:
        """A repeated or named action is not read once for each entry."""
        ids = [self.add_action(base.BACKUP) for _ in range(60)]
        makes: dict[str, Callable[[int], list[dict[str, Any]]]] = {
            'one action many times': lambda n: [{'action_id': ids[0]}] * n,
            'many actions': lambda n: [{'action_id': one} for one in ids[:n]],
            'many that are repeated': lambda n: [
                {'action_id': one, 'freezer_action': base.BACKUP}
                for one in ids[:n]],
            'many new ones': lambda n: [{'freezer_action': base.BACKUP}] * n}
        for name, make in makes.items():
            for method in ('POST', 'PATCH', 'replace'):
                with self.subTest(actions=name, method=method):
                    few, many = (self._statements(method, make(n))
                                 for n in (5, 60))
                    self.assertLessEqual(many, few + 3)

    def _statements(self, method: str, entries: list[dict[str, Any]]) -> int:
        """Return how many statements it takes to set a job's actions."""
        body = {'client_id': 'central', 'job_actions': entries}
        path, status = 'jobs', 201
        if method != 'POST':
            path = f'jobs/{self.create_job()}'
        if method == 'PATCH':
            status = 200
        number = 0

        def count(*more: Any) -> None:
            nonlocal number
            number += 1

        sa.event.listen(
            self.database.engine, 'after_cursor_execute', count)
        try:
            self.call(base.MEMBER, 'PATCH' if method == 'PATCH' else 'POST',
                      path, body, status)
        finally:
            sa.event.remove(
                self.database.engine, 'after_cursor_execute', count)
        return number

    def test_actions_of_a_job_are_kept_in_order(self) -> None:
        """Links that serve again, fewer, more, and in another order."""
        ids = [self.add_action({**base.BACKUP, 'backup_name': f'n-{number}'})
               for number in range(5)]
        job_id = self.add_job(*ids[:3])
        for wanted in ([2, 1, 0], [0], [0, 1, 2, 3, 4], [4, 4, 1], [1, 4, 4],
                       [3]):
            with self.subTest(wanted):
                self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                    'job_actions': [{'action_id': ids[one]}
                                    for one in wanted]}, 200)
                self.assertEqual(
                    [ids[one] for one in wanted],
                    [one['action_id']
                     for one in self.job(job_id)['job_actions']])

    # Terms.

    def terms(self, model: Any) -> list[str]:
        with self.database.engine.connect() as connection:
            return [found or '' for found in connection.scalars(
                sa.select(model.search_terms))]

    def test_terms_are_few_and_the_topmost(self) -> None:
        wide = self.add_action(action(16 * KIB, keys=256))
        other = self.add_action({**base.BACKUP, **{
            f'other-{number}': {'inner': number, f'in-{number}': 1}
            for number in range(80)}})
        self.add_job(wide, other)
        for model in (models.Job, models.Action):
            for found in self.terms(model):
                self.assertLessEqual(len(found), search.MOST_TERMS * 33)
                self.assertTrue(found.isascii())
        self.assertEqual(
            search.MOST_TERMS * 33, max(map(len, self.terms(models.Job))))
        for match, count in (
                ({'project_id': 'p1'}, 1), ({'action_id': other}, 1),
                ({'key-1': 1}, 1), ({'in-79': 1}, 0)):
            found = self.call(base.MEMBER, 'GET', 'jobs', {
                'match': [match]}, 200)['jobs']
            self.assertEqual(count, len(found), match)

    def test_making_terms_takes_few_steps(self) -> None:
        """Counted as calls of functions, which no other process disturbs."""

        def steps(document: dict[str, Any]) -> int:
            calls = 0

            def count(frame: FrameType, event: str, argument: Any) -> None:
                nonlocal calls
                calls += event in ('call', 'c_call')

            sys.setprofile(count)
            try:
                search.terms(document)
            finally:
                sys.setprofile(None)
            return calls

        largest = steps({'job_actions': [
            {'freezer_action': action(16 * KIB, keys=256)}] * 3})
        older = steps({'job_actions': [
            {'freezer_action': action(60 * KIB, keys=4000, n=number)}
            for number in range(8)]})
        self.assertLess(largest, 10_000)
        self.assertLess(older, 10_000)

    # Sessions and backups.

    def test_a_session_has_room_for_so_many_jobs(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 days'}}, 201)['session_id']
        members = {f'{number:032}': {
            'client_id': 'own', 'status': '', 'result': '',
            'time_started': -1, 'time_ended': -1}
            for number in range(budgets.SESSION_JOBS - 1)}
        self.rewrite(models.Session, session_id, job=members)
        first, second = self.create_job(), self.create_job()
        path = f'sessions/{session_id}/jobs'
        self.call(base.MEMBER, 'PUT', f'{path}/{first}', status=204)
        answer = self.call(base.MEMBER, 'PUT', f'{path}/{second}', status=400)
        for text in ('jobs', '256', '257'):
            self.assertIn(text, answer['description'])
        # Again, and in a session that has more from before.
        self.call(base.MEMBER, 'PUT', f'{path}/{first}', status=204)
        self.rewrite(models.Session, session_id, job={
            **members, first: {'client_id': 'central'},
            'x' * 32: {'client_id': 'own'}})
        self.call(base.MEMBER, 'PUT', f'{path}/{first}', status=204)
        self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}', {
            'jobs': {'x' * 32: {'status': 'running'}}}, 200)
        self.call(base.MEMBER, 'DELETE', f'{path}/{"x" * 32}', status=204)
        self.call(base.MEMBER, 'PUT', f'{path}/{second}', status=400)

    def test_the_metadata_of_a_backup_is_small(self) -> None:
        record = {'backup_name': 'b', 'container': 'c', 'hostname': 'h'}
        for name, (document, _, most) in TOO_LARGE.items():
            with self.subTest(name):
                answer = self.call(base.MEMBER, 'POST', 'backups', {
                    **record, **document}, 400)
                self.assertIn('backup_metadata', answer['description'])
                self.assertIn(most, answer['description'])
        backup_id = self.call(
            base.MEMBER, 'POST', 'backups', record, 201)['backup_id']
        path = f'backups/{backup_id}'
        for name, (document, _, _) in TOO_LARGE.items():
            for body in (document, {'backup_metadata': document}):
                with self.subTest(name):
                    self.call(base.MEMBER, 'PATCH', path, body, 400)
        self.rewrite(models.Backup, backup_id,
                     backup_metadata={**record, 'more': 'x' * 60 * KIB})
        for body, status in (
                ({'status': 'error'}, 200),
                ({'backup_metadata': {'more': 'y' * 50 * KIB}}, 200),
                ({'backup_metadata': {'more': 'y' * 55 * KIB}}, 400)):
            self.call(base.MEMBER, 'PATCH', path, body, status)
        self.start(self.create_job())
        answer = self.report(self.one_run(), 'running', 400, backups=[{
            'backup_id': 'd' * 32, 'status': 'creating',
            'backup_metadata': {'x': 'y' * 17 * KIB}}])
        self.assertIn('backups.0.backup_metadata', answer['description'])

    def test_clients_are_small(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'wide', 'hostname': 'h' + WIDE * 127,
            'description': WIDE * 255, 'more': ['x' * 1000] * 50}, 201)
        self.assertLess(characters(self.call(
            base.MEMBER, 'GET', 'clients/wide', status=200)), 8 * KIB)

    # Answers.

    def fill(self, count: int) -> str:
        """Make so many of each noun; return a job with as many runs."""
        for number in range(count):
            job_id = self.create_job()
            self.call(base.MEMBER, 'POST', 'sessions', {
                'schedule': {}, 'description': f'{number}'}, 201)
            self.call(base.MEMBER, 'POST', 'backups', {
                'backup_name': f'{number}', 'container': 'c',
                'hostname': 'h'}, 201)
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': f'c{number}', 'hostname': 'h'}, 201)
        for _ in range(count):
            self.start(job_id)
            self.report(self.one_run(), 'success')
            self.clock.now += 1
        return job_id

    def test_a_page_that_ends_early_links_to_the_next(self) -> None:
        job_id = self.fill(7)
        for path, query, body in (
                *((noun, '', {}) for noun in ID_OF),
                ('jobs', '&all_projects=false',
                 {'match': [{'client_id': 'central'}]}),
                ('backups', '&offset=2', {}), (f'jobs/{job_id}/runs', '', {}),
                (f'jobs/{job_id}/runs', '&offset=3', {})):
            noun = path.rpartition('/')[2]
            whole = self.call(base.MEMBER, 'GET', f'{path}?limit=100{query}',
                              body, 200)
            self.assertEqual([noun], list(whole))
            self.assertGreater(len(whole[noun]), 3)
            # One item is not enough, three are too much.
            most = characters(whole[noun][:3]) + len(noun)
            seen: list[Any] = []
            pages = 0
            link = f'/v2/p1/{path}?limit=100{query}'
            with self.subTest(path, query=query), \
                    mock.patch.object(responses, 'MOST', most), \
                    mock.patch.object(responses, '_ROOM_TO_END', 0):
                while link:
                    page = self.call(base.MEMBER, 'GET', link, body, 200)
                    self.assertTrue(page[noun])
                    seen += page[noun]
                    pages += 1
                    links = page.get(f'{noun}_links')
                    link = ''
                    if links:
                        [one] = links
                        self.assertEqual('next', one['rel'])
                        link = one['href']
                        self.assertIn('limit=100', link)
                self.assertEqual(whole[noun], seen)
                self.assertGreater(pages, 1)

    def test_an_item_larger_than_an_answer_is_shown(self) -> None:
        self.fill(2)
        with mock.patch.object(responses, 'MOST', 10):
            page = self.call(base.MEMBER, 'GET', 'jobs', status=200)
        self.assertEqual(1, len(page['jobs']))
        self.assertIn('marker=', page['jobs_links'][0]['href'])

    def test_answers_end_at_their_most(self) -> None:
        """What stock clients ask for fits; what is more ends early."""
        large = self.add_action(action(16 * KIB, keys=256))
        names = [large] * 3 + [self.add_action(action(2 * KIB))]
        jobs = [self.add_job(*names) for _ in range(170)]
        size = characters(self.job(jobs[0]))
        self.assertGreater(size, 50 * KIB)

        def get(query: str) -> tuple[dict[str, Any], int]:
            answer = self.client.simulate_get(
                f'/v2/p1/jobs?{query}', extras=base.MEMBER.environ())
            return answer.json, len(answer.content)

        page, length = get('limit=100')
        self.assertEqual(100, len(page['jobs']))
        self.assertNotIn('jobs_links', page)
        page, length = get('limit=1000')
        self.assertLessEqual(length, 8 * KIB * KIB)
        self.assertGreater(length, 8 * KIB * KIB - 2 * job_size.MOST)
        seen = page['jobs']
        page, _ = get(page['jobs_links'][0]['href'].partition('?')[2])
        # Each once; many are of one second.
        self.assertCountEqual(jobs, [
            job['job_id'] for job in seen + page['jobs']])

    # Whatever is sent.

    def test_whatever_is_accepted_stays_within_the_budgets(self) -> None:
        # Made here: each engine's class runs it.
        hypothesis.settings(
            max_examples=12, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck))(
                hypothesis.given(st.lists(
                    st.tuples(WRITES, st.integers(0, 99)),
                    min_size=4, max_size=12))(self._within_the_budgets))()

    def _within_the_budgets(
            self, steps: list[tuple[tuple[str, str, Any], int]]) -> None:
        member = dataclasses.replace(
            base.MEMBER, project_id=uuid.uuid4().hex)
        session_id = self.call(member, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 days'}}, 201)['session_id']
        known: dict[str, list[str]] = {'actions': ['none'], 'jobs': ['none']}
        for (method, path, body), which in steps:
            noun = path.partition('/')[0]
            chosen = {name: ids[which % len(ids)]
                      for name, ids in known.items()}
            sent = body
            if body and 'job_actions' in body:
                sent = {**body, 'job_actions': [
                    entry or {'action_id': chosen['actions']}
                    for entry in body['job_actions']]}
            url = path.format(session=session_id, **chosen)
            with self.written() as rows:
                result = self.client.simulate_request(
                    method, f'/v2/{member.project_id}/{url}', json=sent,
                    extras=member.environ())
            self.assertLess(result.status_code, 500, result.text)
            self.assertLessEqual(max(rows), 500)
            if result.status_code == 201 and noun in known:
                known[noun].append(result.json[ID_OF[noun][0]])
        for noun in ID_OF:
            answer = self.client.simulate_get(
                f'/v2/{member.project_id}/{noun}?limit=1000',
                extras=member.environ())
            self.assertLessEqual(len(answer.content), 8 * KIB * KIB)
            if noun in ('jobs', 'actions'):
                for one in answer.json[noun]:
                    self.assertLessEqual(
                        characters(one), 64 * KIB if noun == 'jobs'
                        else 17 * KIB)
        for model in (models.Job, models.Action, models.Session,
                      models.Backup, models.Client):
            for found in self.terms(model):
                self.assertLessEqual(len(found), search.MOST_TERMS * 33)


class BudgetTestsOnMySQL(base.MySQL, BudgetTests):
    pass


class BudgetTestsOnPostgreSQL(base.PostgreSQL, BudgetTests):
    pass
