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

"""The upgrade, step by step, and what follows it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import time
from typing import Any
from unittest import mock
import uuid

import sqlalchemy as sa
from sqlalchemy import orm

from benchmarks.simulation import server as database_server
from benchmarks.upgrade import released
from benchmarks.upgrade import waits
from freezer_api.db import copying
from freezer_api.db import inspection
from freezer_api.db import migration
from freezer_api.db import models
from freezer_api.db import takeover
from freezer_api.db import terms
from freezer_api.domain import plans
from tests.migrations import test_upstream_databases

FROM = '23c8ad2655a6'
TERMS = 'search terms'


@dataclasses.dataclass
class Step:
    """One part of the upgrade.

    :ivar cpu: seconds of the upgrade and of the server
    """

    name: str
    seconds: float
    cpu: tuple[float, float]
    statements: int
    waits: waits.Waits


@dataclasses.dataclass
class Result:
    """All that came out.

    :ivar check: seconds that ``db check`` took
    :ivar estimate: seconds that it said an upgrade would take
    :ivar permitted: what reads otherwise and is meant to
    :ivar after: what was done to the upgraded database, and its seconds
    """

    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    after_rows: dict[str, int] = dataclasses.field(default_factory=dict)
    check: float = 0.0
    estimate: float = 0.0
    steps: list[Step] = dataclasses.field(default_factory=list)
    compared: int = 0
    permitted: list[str] = dataclasses.field(default_factory=list)
    after: dict[str, float] = dataclasses.field(default_factory=dict)
    wrong: list[str] = dataclasses.field(default_factory=list)


class _ReadBack(test_upstream_databases.UpstreamDatabase):
    """This API on the upgraded database, in this process."""

    release = released.RELEASE

    def __init__(self, url: str, documents: dict[str, Any]) -> None:
        super().__init__()
        self._url = url
        self.answers = {'documents': documents}

    def runTest(self) -> None:
        """Not a test."""

    def url(self) -> str:
        return self._url

    def make_tables(self) -> None:
        """They are there."""

    def _check_terms(self) -> None:
        """The tests do, with fewer rows."""


class Measurement:
    """
    :param end: when no step begins any more, by the monotonic clock
    """

    def __init__(self, server: database_server.Server,
                 filled: released.Filled, end: float) -> None:
        self._server, self._filled, self._end = server, filled, end
        self._engine = sa.create_engine(
            server.url, poolclass=sa.pool.NullPool)
        self.result = Result()

    def run(self, copy_to: str | None) -> Result:
        # As in a deployment, a transaction is on the disk when it ends.
        self._sql('SET GLOBAL innodb_flush_log_at_trx_commit = 1')
        entries = self._sql('SELECT SUM(JSON_LENGTH(job_actions)) FROM jobs')
        start = time.monotonic()
        found = inspection.inspect(self._server.url)
        self.result.check = time.monotonic() - start
        self.result.rows, self.result.estimate = found.rows, found.seconds
        with waits.Waiting(self._server.url) as waiting:
            for name, work in self._upgrade():
                if time.monotonic() > self._end:
                    self.result.wrong.append(f'no time left for {name}')
                    return self.result
                self._step(name, work, waiting)
        self.result.after_rows = inspection.inspect(self._server.url).rows
        self._expect('actions of jobs', entries,
                     self.result.after_rows['job_actions'])
        self._expect('jobs', self._filled.jobs,
                     self.result.after_rows['jobs'])
        self._compare()
        self._take_over()
        if copy_to is not None:
            self._copy(sa.make_url(copy_to))
        return self.result

    def _sql(self, statement: str) -> Any:
        with self._engine.begin() as connection:
            done = connection.execute(sa.text(statement))
            return done.scalar() if done.returns_rows else None

    def _expect(self, what: str, wanted: Any, found: Any) -> None:
        if wanted != found:
            self.result.wrong.append(f'{what}: {found} instead of {wanted}')

    def _upgrade(self) -> Iterator[tuple[str, Callable[[], None]]]:
        url = self._server.url
        revisions = migration.revisions()

        def to(revision: str) -> None:
            with mock.patch.object(terms, 'fill', autospec=True):
                migration.sync(url, revision)

        for revision in revisions[revisions.index(FROM) + 1:]:
            yield revision, functools.partial(to, revision)
        yield TERMS, functools.partial(migration.sync, url)

    def _step(self, name: str, work: Callable[[], None],
              waiting: waits.Waiting) -> None:
        waiting.longest()
        with _counted() as statements:
            start, before = time.monotonic(), self._cpu()
            work()
            after = self._cpu()
            self.result.steps.append(Step(
                name, time.monotonic() - start,
                (after[0] - before[0], after[1] - before[1]),
                len(statements), waiting.longest()))
        print(f'{name:14}{self.result.steps[-1].seconds:9.1f} s', flush=True)

    def _cpu(self) -> tuple[float, float]:
        return time.process_time(), self._server.use().cpu

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.result.after[what] = time.monotonic() - start

    def _compare(self) -> None:
        """What the release read, with what is read by now."""
        documents = self._filled.documents
        self.result.compared = sum(map(len, documents.values()))
        api = _ReadBack(self._server.url, documents)
        with self._timed('reading some projects back'):
            api.setUp()
            try:
                self.result.permitted = sorted(api.assert_nothing_lost())
            except AssertionError as error:
                self.result.wrong.append(f'reads otherwise: {error}')
            finally:
                api.doCleanups()

    def _take_over(self) -> None:
        """Let a scheduler that claims take all the jobs over."""
        now = int(time.time())
        self._sql("UPDATE jobs SET client_id = 'central'")
        with orm.Session(self._engine) as session, session.begin():
            session.add(models.Client(
                id='c' * 32, uuid='c' * 32, client_id='central', user_id='u',
                project_id='p', is_central=True, claims=True,
                take_over_after=''))
        more = True
        with self._timed('take over'):
            while more:
                with orm.Session(self._engine) as session:
                    known = takeover.foresee(session, 'c' * 32, plans.Rules(),
                                             now, takeover.BATCH)
                with orm.Session(self._engine) as session, session.begin():
                    more = takeover.take_over(
                        session, 'c' * 32, known, now, takeover.BATCH)
        self._expect('jobs on their old phase', self._sql(
            'SELECT COUNT(*) FROM jobs WHERE deleted = 0'), self._sql(
            'SELECT COUNT(*) FROM jobs WHERE deleted = 0 AND '
            f'next_run_at >= {now} - 3600 AND '
            '(next_run_at - time_created) % 86400 = 0'))

    def _copy(self, server: sa.URL) -> None:
        name = f'freezer_upgrade_{uuid.uuid4().hex[:8]}'
        engine = sa.create_engine(server, isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE {name}'))
            try:
                with self._timed('copy to PostgreSQL'):
                    copying.copy(self._server.url, server.set(
                        database=name).render_as_string(False))
            finally:
                connection.execute(sa.text(f'DROP DATABASE {name}'))


@contextlib.contextmanager
def _counted() -> Iterator[list[None]]:
    """A list as long as statements were sent."""
    sent: list[None] = []

    def note(*_arguments: Any) -> None:
        sent.append(None)

    sa.event.listen(sa.Engine, 'before_cursor_execute', note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, 'before_cursor_execute', note)
