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

"""No request holds a lock, or waits for one, for long: real locks."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import deadlines
from freezer_api.db import engine as db_engine
from freezer_api.db import models
from tests.functional import base

SETTINGS = {'deadlines': {
    'lock': 30.0, 'lock_wait': 1, 'statement': 2, 'idle_transaction': 20,
    'retry': 0, 'slow_claim': 0.0}}

_WRITE_LOCK = {'mysql': 'LOCK TABLES jobs WRITE',
               'mariadb': 'LOCK TABLES jobs WRITE',
               'postgresql': 'LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE'}


class DeadlinesTests(base.ApiTestCase):
    settings = SETTINGS

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.job_id = self.create_job()

    def locked_rows(self) -> int:
        """Return how many jobs another transaction can lock at once."""
        with orm.Session(self.database.engine) as session:
            return len(session.scalars(
                sa.select(models.Job.id).with_for_update(
                    skip_locked=True)).all())

    def test_a_transaction_ends_at_its_deadline(self) -> None:
        """Invariant 4: it is rolled back, and its locks are released."""
        now = [0.0]

        def work(session: orm.Session) -> None:
            job = session.get_one(models.Job, self.job_id,
                                  with_for_update=True)
            job.description = 'changed'
            session.flush()
            now[0] += 10.1  # a third of what is configured
            session.get(models.Action, 'another statement')

        with mock.patch('time.monotonic', lambda: now[0]):
            with self.assertRaisesRegex(
                    deadlines.DeadlineExceeded, '30.0 seconds'):
                self.database.write(work)
            self.assertEqual(1, self.locked_rows())
            self.assertNotEqual('changed', self.job(self.job_id)[
                'description'])
            # The claims of schedulers go on: they have few rows.
            self.database.for_schedulers().write(work)
        self.assertEqual('changed', self.job(self.job_id)['description'])

    def test_a_slow_claim_tells_its_reason(self) -> None:
        self.start(self.job_id)
        with self.assertLogs('freezer_api.services.claims') as logs:
            self.claim()
        [line] = [line for line in logs.output if 'A claim of' in line]
        self.assertRegex(
            line, r'A claim of client central took \d+\.\d seconds and '
            r'handed out 1 runs: renewing 0 leases [\d.]+ s, reading what is '
            r'due [\d.]+ s, computing the firings of 1 jobs [\d.]+ s, '
            r'locking and writing rows [\d.]+ s\.')


class DeadlinesOnMySQLTests(base.MySQL, DeadlinesTests):
    """What takes a server whose rows another connection can lock."""

    def setUp(self) -> None:
        super().setUp()
        for noun in ('action', 'session'):
            body: dict[str, Any] = (
                {'freezer_action': base.BACKUP} if noun == 'action'
                else {'description': 'all', 'schedule': {}})
            setattr(self, f'{noun}_id', self.call(
                base.MEMBER, 'POST', f'{noun}s', body, 201)[f'{noun}_id'])

    action_id: str
    session_id: str

    @contextlib.contextmanager
    def holding(self, *statements: sa.Executable) -> Iterator[None]:
        """Hold what statements lock, in another connection."""
        holder = sa.create_engine(self.url(), poolclass=sa.NullPool)
        with holder.connect() as connection:
            for statement in statements:
                connection.execute(statement)
            yield
            connection.rollback()

    def refused(self, method: str, path: str, body: Any = None) -> None:
        """Send a request that has to end at a deadline."""
        result = self.client.simulate_request(
            method, f'/v2/p1/{path}', json=body,
            extras=base.MEMBER.environ())
        self.assertEqual(503, result.status_code, (path, result.text))
        self.assertEqual('database_deadline', result.json['code'], path)
        self.assertEqual('1', result.headers['Retry-After'])

    def test_a_request_does_not_wait_for_a_lock(self) -> None:
        """Invariant 4: each that needs a locked row ends with 503."""
        job = f'jobs/{self.job_id}'
        action = f'actions/{self.action_id}'
        session = f'sessions/{self.session_id}'
        schedule = {'job_schedule': {'schedule_interval': '3 hours'}}
        member = f'{session}/jobs/{self.job_id}'
        requests: list[tuple[Any, list[tuple[str, str, Any]]]] = [
            (models.Job.id, [
                ('PATCH', job, {'description': 'new'}),
                ('PATCH', job, schedule),
                ('POST', job, {'client_id': 'central', 'job_actions': [
                    {'freezer_action': base.BACKUP}], **schedule}),
                ('POST', f'{job}/event', {'start': None}),
                ('POST', f'{job}/event', {'stop': None}),
                ('PUT', member, None), ('DELETE', member, None),
                ('DELETE', job, None)]),
            (models.Action.id, [
                ('PATCH', action, {'freezer_action': {'container': 'c'}}),
                ('DELETE', action, None)]),
            (models.Session.id, [
                ('PATCH', session, {'description': 'new'}),
                ('PUT', member, None), ('DELETE', member, None),
                ('DELETE', session, None)]),
        ]
        before = self.job(self.job_id)
        for column, sent in requests:
            with self.holding(sa.select(column).with_for_update()):
                for request in sent:
                    with self.subTest(request=request):
                        self.refused(*request)
                        if column is not models.Job.id:
                            # What it had locked by then is free again.
                            self.assertEqual(1, self.locked_rows())
        self.assertEqual(before, self.job(self.job_id))
        self.call(base.MEMBER, 'PATCH', job, schedule, 200)

    def test_a_list_does_not_wait_for_ever(self) -> None:
        with self.holding(sa.text(
                _WRITE_LOCK[self.database.engine.dialect.name])):
            self.refused('GET', 'jobs')
        self.call(base.MEMBER, 'GET', 'jobs', status=200)

    def test_commands_of_an_operator_have_no_deadline(self) -> None:
        """Limits as the server has them, whatever [deadlines] says."""
        def limits(database: db_engine.Database) -> str:
            name = database.engine.dialect.name
            with database.engine.connect() as connection:
                return str(connection.scalar(sa.text(
                    'SHOW statement_timeout' if name == 'postgresql'
                    else 'SELECT @@max_statement_time')))

        unbounded = db_engine.Database(self.conf, bounded=False)
        self.addCleanup(unbounded.engine.dispose)
        self.assertEqual(0, float(limits(unbounded)))
        self.assertIn(limits(self.database), ('2s', '2.0'))


class DeadlinesOnPostgreSQLTests(base.PostgreSQL, DeadlinesOnMySQLTests):
    pass
