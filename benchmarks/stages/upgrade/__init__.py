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

"""How long an upgrade from 18.0.0 takes, and how long others wait for it.

The released freezer-api 18.0.0 fills a MariaDB server that is started for
this. The database is upgraded revision by revision, while others read, change
and add rows of each table. What the release read before is compared, field by
field, with what this API reads. In the end a scheduler that claims adopts all
jobs, and the database is copied to PostgreSQL.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import pathlib
import time
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from benchmarks.environment import database
from benchmarks.environment import database_server
from benchmarks.environment import in_process
from benchmarks import report
from benchmarks.stages.upgrade import released
from benchmarks.stages.upgrade import waits
from freezer_api.db.admin import check as database_check
from freezer_api.db.admin import copy
from freezer_api.db.admin import upgrade
from freezer_api.db import adoption
from freezer_api.db import models
from freezer_api.db import search_index
from freezer_api.domain import firing_plan
from tests.migrations import test_upstream_databases
from tools.cloud import progress

_FROM = '23c8ad2655a6'


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--jobs', type=int, default=100_000)
    parser.add_argument('--released', type=int, default=5_000,
                        help='number of jobs that the release creates; the '
                             'others are copies of these')
    parser.add_argument('--minutes', type=float, default=30,
                        help='no revision begins after that; the release has '
                             'a quarter of it for its jobs')
    parser.add_argument('--memory', default='2G',
                        help='buffer pool of MariaDB')
    parser.add_argument('--copy-to', metavar='URL',
                        default=database.SERVERS['postgresql'],
                        help='PostgreSQL server for a copy in the end; empty '
                             'for none')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    if chosen.quick:
        chosen.jobs = chosen.released = 40
    end = time.monotonic() + 60 * chosen.minutes
    with database_server.running(
            'mariadb', f'--innodb-buffer-pool-size={chosen.memory}',
            '--innodb-log-file-size=512M',
            '--innodb-flush-log-at-trx-commit=2') as server:
        base = database.Database.on_server(server.url)
        base.create()
        with tell.step(f'{released.RELEASE} fills the database'):
            filled = released.fill(base.url, chosen.jobs, chosen.released,
                                   60 * chosen.minutes / 4)
        yield report.Figure('jobs', filled.jobs)
        yield report.Figure(f'jobs created by {released.RELEASE}',
                            filled.released)
        yield from Measurement(server, base, filled, end, tell).run(
            chosen.copy_to)


@dataclasses.dataclass
class Step:
    """One revision of the upgrade.

    :ivar cpu: seconds of the upgrade and of the server
    """

    name: str
    seconds: float
    cpu: tuple[float, float]
    statements: int
    waits: waits.Waits


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
    """One upgrade.

    :param end: when no step begins any more, by the monotonic clock
    """

    def __init__(self, server: database_server.DatabaseServer,
                 base: database.Database, filled: released.Filled,
                 end: float, tell: progress.Progress) -> None:
        self._server, self._base, self._filled = server, base, filled
        self._end, self._tell = end, tell
        self._steps: list[Step] = []
        self._wrong: list[str] = []

    def run(self, copy_to: str) -> Iterator[report.Item]:
        # As in a deployment, a transaction is on the disk when it ends.
        self._sql('SET GLOBAL innodb_flush_log_at_trx_commit = 1')
        entries = self._sql('SELECT SUM(JSON_LENGTH(job_actions)) FROM jobs')
        start = time.monotonic()
        found = database_check.inspect(self._base.url)
        yield report.Figure('db check', time.monotonic() - start, 's')
        yield report.Figure('its estimate of the upgrade', found.seconds, 's')
        with waits.Waiting(self._base.url) as waiting:
            for name, work in self._revisions():
                if time.monotonic() > self._end:
                    self._wrong.append(f'there was no time for {name}')
                    break
                self._step(name, work, waiting)
        yield from tables(self._steps)
        if not self._wrong:
            after = database_check.inspect(self._base.url).rows
            yield report.Table('Rows', [('table', 'before', 'after'), *(
                (name, f'{found.rows.get(name, 0):,}', f'{count:,}')
                for name, count in after.items() if count)])
            self._expect('actions of jobs', entries, after['job_actions'])
            self._expect('jobs', self._filled.jobs, after['jobs'])
            yield from self._compare()
            yield self._timed('adoption', self._adopt)
            if copy_to:
                yield self._timed('copy to PostgreSQL', functools.partial(
                    self._copy, copy_to))
        yield report.Invariant('nothing is lost', self._wrong)

    def _sql(self, statement: str) -> Any:
        with self._base.engine.begin() as connection:
            done = connection.execute(sa.text(statement))
            return done.scalar() if done.returns_rows else None

    def _expect(self, what: str, wanted: Any, found: Any) -> None:
        if wanted != found:
            self._wrong.append(f'{what}: {found} instead of {wanted}')

    def _revisions(self) -> Iterator[tuple[str, Callable[[], None]]]:
        url = self._base.url
        revisions = upgrade.revisions()

        def to(revision: str) -> None:
            with mock.patch.object(search_index, 'fill', autospec=True):
                upgrade.sync(url, revision)

        for revision in revisions[revisions.index(_FROM) + 1:]:
            yield revision, functools.partial(to, revision)
        yield 'search terms', functools.partial(upgrade.sync, url)

    def _step(self, name: str, work: Callable[[], None],
              waiting: waits.Waiting) -> None:
        waiting.longest()
        with self._tell.step(name), _counted() as statements:
            start, before = time.monotonic(), self._cpu()
            work()
            after = self._cpu()
            self._steps.append(Step(
                name, time.monotonic() - start,
                (after[0] - before[0], after[1] - before[1]),
                len(statements), waiting.longest()))

    def _cpu(self) -> tuple[float, float]:
        return time.process_time(), self._server.usage().cpu

    def _timed(self, what: str, work: Callable[[], None]) -> report.Figure:
        start = time.monotonic()
        work()
        return report.Figure(what, time.monotonic() - start, 's')

    def _compare(self) -> Iterator[report.Item]:
        """Compare what the release read with what this API reads."""
        documents = self._filled.documents
        with in_process.running(_ReadBack(self._base.url, documents)) as api:
            try:
                permitted = sorted(api.assert_nothing_lost())
                yield report.Table('Differences that are meant', [
                    ('difference',), *((one,) for one in permitted)])
            except AssertionError as error:
                self._wrong.append(f'documents differ: {error}')
        yield report.Figure('documents compared',
                            sum(map(len, documents.values())))

    def _adopt(self) -> None:
        """Let a scheduler that claims adopt all jobs."""
        now = int(time.time())
        self._sql("UPDATE jobs SET client_id = 'central'")
        with orm.Session(self._base.engine) as session, session.begin():
            session.add(models.Client(
                id='c' * 32, uuid='c' * 32, client_id='central', user_id='u',
                project_id='p', is_central=True, supports_claims=True,
                adoption_cursor=''))
        more = True
        while more:
            with orm.Session(self._base.engine) as session:
                known = adoption.foresee(session, 'c' * 32,
                                         firing_plan.Rules(), now,
                                         adoption.BATCH)
            with orm.Session(self._base.engine) as session, session.begin():
                more = adoption.adopt(
                    session, 'c' * 32, known, now, adoption.BATCH)
        self._expect('jobs on their old phase', self._sql(
            'SELECT COUNT(*) FROM jobs WHERE deleted = 0'), self._sql(
            'SELECT COUNT(*) FROM jobs WHERE deleted = 0 AND '
            f'next_run_at >= {now} - 3600 AND '
            '(next_run_at - time_created) % 86400 = 0'))

    def _copy(self, server: str) -> None:
        other = database.Database.on_server(server)
        other.create()
        try:
            copy.copy(self._base.url, other.url)
        finally:
            other.drop()


def tables(steps: Sequence[Step]) -> Iterator[report.Table]:
    """Yield what the steps took, and how long others waited for them."""
    every = Step(
        'all', sum(step.seconds for step in steps),
        (sum(step.cpu[0] for step in steps),
         sum(step.cpu[1] for step in steps)),
        sum(step.statements for step in steps),
        {table: {kind: waits.Wait(
            max(step.waits[table][kind].seconds for step in steps),
            sum(step.waits[table][kind].refused for step in steps))
            for kind in waits.KINDS} for table in waits.TABLES})

    def longest(step: Step, kind: str) -> Iterator[str]:
        for table in waits.TABLES:
            yield f'{step.waits[table][kind].seconds:.2f}'

    yield report.Table('Longest waits to change a row, in seconds', [
        ('revision', 'seconds', 'CPU, upgrade', 'CPU, server', 'statements',
         *waits.TABLES), *(
             (step.name, f'{step.seconds:.1f}', f'{step.cpu[0]:.1f}',
              f'{step.cpu[1]:.1f}', f'{step.statements:,}',
              *longest(step, 'write')) for step in (*steps, every))])
    yield report.Table('Longest waits to add a row, or to read any', [
        ('revision', *waits.TABLES, 'reader', 'refused'), *(
            (step.name, *longest(step, 'insert'),
             max(longest(step, 'read'), key=float),
             str(sum(wait.refused for waited in step.waits.values()
                     for wait in waited.values())))
            for step in (*steps, every))])


@contextlib.contextmanager
def _counted() -> Iterator[list[None]]:
    """A list with an entry for each statement that is sent."""
    sent: list[None] = []

    def note(*_arguments: Any) -> None:
        sent.append(None)

    sa.event.listen(sa.Engine, 'before_cursor_execute', note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, 'before_cursor_execute', note)
