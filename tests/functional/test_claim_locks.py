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

"""An open claim blocks no other tenant: neither INSERT nor UPDATE waits.

The claim's transaction is stopped just before its commit, with every lock
that it takes, while another tenant sends requests with a short lock timeout.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import concurrent.futures
import contextlib
import threading
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.domain import schedule
from tests.functional import base

TENANT = base.Persona('tom', 'p9', ('member', 'reader'))

_DEADLINE = 60


class _Transactions:
    """The statements of the transaction of each thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._local = threading.local()
        sa.event.listen(engine, 'begin', self._begin)
        sa.event.listen(engine, 'before_cursor_execute', self._execute)

    @property
    def statements(self) -> list[str]:
        """The statements of this thread's transaction."""
        found: list[str] = getattr(self._local, 'statements', [])
        return found

    @property
    def locks_jobs(self) -> bool:
        """Whether this thread holds locks of jobs."""
        return any(one == 'BEGIN IMMEDIATE' or (
            'FROM jobs' in one and 'FOR UPDATE' in one)
            for one in self.statements)

    def _begin(self, connection: Any) -> None:
        self._local.statements = []

    def _execute(self, connection: Any, cursor: Any, statement: str,
                 *rest: Any) -> None:
        self.statements.append(statement)


class ClaimLocksTests(base.ApiTestCase):
    # What waits for a lock is told so at once.
    settings = {'deadlines': {'lock_wait': 1, 'retry': 0}}

    def setUp(self) -> None:
        super().setUp()
        engine = self.database.engine
        self.register_central()
        self.claim(limit=0)  # Nothing is left to adopt.
        # Between the jobs of many tenants, in both indexes of due jobs.
        self.due = [self.create_job(
            persona=base.Persona(f'u{n % 7}', f'p{n % 7}',
                                 ('member', 'reader')),
            schedule={'schedule_interval': '1 hours'}) for n in range(35)]
        self.clock.now += 3600
        # These come due after the jobs of the claim.
        self.others = [self.create_job(
            persona=TENANT, schedule={'schedule_interval': f'{n} minutes'})
            for n in (1, 61, 600)]
        self.transactions = _Transactions(engine)

    def test_no_firing_is_searched_while_a_claim_holds_locks(self) -> None:
        """Invariant 4: a costly schedule costs its claim time, not locks."""
        searched, under_locks = [], []
        real = schedule.next_firing

        def noted(*args: Any) -> Any:
            searched.append(args)
            if self.transactions.locks_jobs:
                under_locks.append(args)
            return real(*args)

        for job_id in self.others:
            self.start(job_id, TENANT)
        with mock.patch.object(schedule, 'next_firing', noted):
            runs = self.claim(limit=100)['runs']
            self.assertEqual(len(self.due + self.others), len(runs))
            self.assertNotEqual([], searched)
            self.assertEqual([], under_locks)
            searched.clear()
            # They went on for so long that firings came meanwhile.
            self.clock.now += 7200
            self.call(base.SERVICE, 'POST', 'clients/central/reports', {
                'scheduler_id': 's1', 'reports': [
                    {'run_id': run['run_id'], 'fence': run['fence'],
                     'state': 'success'} for run in runs]}, 200)
            self.assertNotEqual([], searched)
            self.assertEqual([], under_locks)
            # What came too late while nobody asked, and what ran before.
            self.clock.now += 7300
            searched.clear()
            self.claim(limit=100)
        self.assertNotEqual([], searched)
        self.assertEqual([], under_locks)


class ClaimLocksOnMySQLTests(base.MySQL, ClaimLocksTests):
    """SQLite has one writer at a time, whatever it locks."""

    @contextlib.contextmanager
    def held_open(self, request: Callable[[], Any],
                  ) -> Iterator[concurrent.futures.Future[Any]]:
        """Stop a request before its commit, with the locks of its jobs."""
        reached, go_on = threading.Event(), threading.Event()

        def stop(connection: Any) -> None:
            if self.transactions.locks_jobs and not reached.is_set():
                reached.set()
                go_on.wait(_DEADLINE)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            sa.event.listen(self.database.engine, 'commit', stop)
            asked = pool.submit(request)
            try:
                self.assertTrue(reached.wait(_DEADLINE))
                yield asked
            finally:
                go_on.set()

    def test_no_request_of_another_tenant_waits_for_a_claim(self) -> None:
        """Invariant 4."""
        with self.held_open(lambda: self.claim(limit=20)) as asked:
            # Due in the midst of what is claimed, before and after it.
            new = self.create_job(persona=TENANT, schedule={})
            self.start(new, TENANT)
            for job_id in self.others:
                self.start(job_id, TENANT)
                self.call(TENANT, 'PATCH', f'jobs/{job_id}', {
                    'job_schedule': {'schedule_interval': '59 minutes'}},
                    200)
                self.call(TENANT, 'POST', f'jobs/{job_id}/event',
                          {'stop': None}, 202)
            self.call(TENANT, 'DELETE', f'jobs/{self.others[0]}', status=204)
            # Of another client, which has had no jobs so far.
            self.register_central('second')
            self.create_job(persona=TENANT, client='second', schedule={})
            self.assertFalse(asked.done())
            # A second scheduler takes what is left.
            second = self.claim(limit=100, scheduler='s2')['runs']
        first = asked.result()['runs']
        self.assertEqual(20, len(first))
        ids = [run['job_id'] for run in first + second]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertLessEqual({*self.due, new}, set(ids))

    def test_a_claim_locks_rows_by_their_ids(self) -> None:
        """Invariant 4: no range of an index is locked."""
        statements: list[str] = []

        def note(connection: Any, cursor: Any, statement: str,
                 *rest: Any) -> None:
            if statement.endswith(('FOR UPDATE', 'SKIP LOCKED')):
                statements.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        self.claim(limit=20)
        self.clock.now += 3600
        self.pass_lease(persona=base.SERVICE)
        self.claim(limit=20, scheduler='s2')
        self.assertNotEqual([], statements)
        for statement in statements:
            condition = statement.partition('WHERE')[2]
            self.assertNotIn('due_at', condition)
            self.assertNotIn('lease_expires_at', condition)
            self.assertNotIn('client_id', condition)

    def test_a_claim_waits_for_no_session(self) -> None:
        """Invariant 4: a session that is locked delays its own jobs alone."""
        session_id = self.call(TENANT, 'POST', 'sessions', {
            'description': 'all', 'schedule': {}}, 201)['session_id']
        self.call(TENANT, 'PUT',
                  f'sessions/{session_id}/jobs/{self.others[0]}', status=204)
        for job_id in self.others[:2]:
            self.start(job_id, TENANT)
        with orm.Session(self.database.engine) as session:
            session.scalars(sa.select(models.Session.id).where(
                models.Session.id == session_id).with_for_update()).one()
            first = self.claim(limit=100)['runs']
        self.assertEqual({*self.due, self.others[1]},
                         {run['job_id'] for run in first})
        [run] = self.claim(limit=100)['runs']
        self.assertEqual(self.others[0], run['job_id'])
        self.assertEqual('running', self.call(
            TENANT, 'GET', f'sessions/{session_id}', status=200)['status'])


class ClaimLocksOnPostgreSQLTests(base.PostgreSQL, ClaimLocksOnMySQLTests):
    pass
