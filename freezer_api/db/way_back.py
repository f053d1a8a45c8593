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

"""Bring a database back to where release 19.0.0 of freezer-api works on it.

Tables, columns and indexes that came later stay: they are in nobody's way, and
whoever comes forward again finds them. What 19.0.0 reads in another place is
put there: where a job stands goes back into its schedule, trusts become plain
text. Then the database says that it is at the revision of 19.0.0. Coming
forward is an upgrade like any other, since each revision looks for its own
work.

The version is written first. Wherever this ends early, the database is one
that an upgrade takes forward and another attempt takes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa

from freezer_api import crypt
from freezer_api.db import bulk
from freezer_api.db import migration
from freezer_api.db.migrations import job_entries
from freezer_api.db import models
from freezer_api.db import terms
from freezer_api.db import transactions

RELEASE = '19.0.0'
REVISION = '7a3b9c1d2e4f'
_BATCH = 500

_TABLES = models.Base.metadata.tables
JOBS = _TABLES['jobs']
RUNS = _TABLES['job_runs']
CREDENTIALS = _TABLES['user_credentials']
DELEGATIONS = _TABLES['delegations']

# What moves into jobs.schedule, and what 19.0.0 has no notion of.
_RUNTIME = ('event', 'status', 'result', 'time_created', 'time_started',
            'time_ended', 'current_pid')
_FORGOTTEN = ('next_run_at', 'run_id', 'suspended', 'suspended_at',
              'retry_run_id', 'status_reason', 'due_at', 'failures')


class Obstacle(Exception):
    """Something has to be done first; the text says what."""


@dataclasses.dataclass(frozen=True)
class Result:
    """How many rows were changed."""

    jobs: int
    trusts: int


def go(url: str, box: crypt.Crypt) -> Result:
    """Bring a database back.

    :param box: reads the trusts
    :raises Obstacle: nothing was changed
    :raises freezer_api.db.migration.MigrationError: likewise
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with migration.exclusive(url) as connection:
        if connection.dialect.name == 'postgresql':
            raise Obstacle(
                f'freezer-api {RELEASE} does not work on PostgreSQL: copy '
                'the database to MariaDB first, see freezer-manage db copy')
        found = migration.current_of(connection)
        if found not in (migration.head(), REVISION):
            raise Obstacle(
                f'the database is at revision {found or "none"}, not at that '
                'of this release: run freezer-manage db sync')
        if not sa.inspect(connection).has_table(DELEGATIONS.name):
            return Result(0, 0)  # It never was anywhere else.
        with transactions.lasting(connection):
            _refuse(connection)
            # Read before anything is written: a key may be missing.
            for _ in _trusts(connection, box):
                pass
            connection.execute(sa.update(sa.table(
                migration.VERSION_TABLE, sa.column('version_num'))).values(
                version_num=REVISION))
        trusts = _decrypt_all(connection, box)
        jobs = _move_all(connection)
        for model in terms.TABLES:
            table = _TABLES[model.__tablename__]
            # 19.0.0 changes rows and not their terms. An upgrade makes new
            # ones where there are none.
            with transactions.lasting(connection):
                connection.execute(
                    sa.update(table).values(
                        search_terms=None, updated_at=table.c.updated_at
                    ).where(table.c.search_terms.is_not(None)))
        return Result(jobs, trusts)


def _refuse(connection: sa.Connection) -> None:
    def count(table: Any, *where: sa.ColumnElement[bool]) -> int:
        return connection.scalar(sa.select(sa.func.count()).select_from(
            table).where(*where)) or 0

    runs = count(RUNS, RUNS.c.lease_expires_at.is_not(None))
    if runs:
        raise Obstacle(
            f'{runs} runs are going on: let the schedulers end them, then '
            'stop schedulers and API. A run whose scheduler is gone ends '
            'when its job is aborted and another scheduler has been started')
    pending = count(DELEGATIONS, DELEGATIONS.c.delete_after.is_not(None))
    if pending:
        raise Obstacle(
            f'{pending} trusts wait for their deletion in Keystone, which '
            '19.0.0 would never delete: let the API run until '
            'freezer-manage db report names none, then stop it')


def _trusts(connection: sa.Connection, box: crypt.Crypt
            ) -> Iterator[list[dict[str, str]]]:
    """Yield batches of ids of rows and readable trusts."""
    last = ''
    while True:
        rows = connection.execute(
            sa.select(CREDENTIALS.c.id, CREDENTIALS.c.trust_id,
                      CREDENTIALS.c.decrypt_method)
            .where(CREDENTIALS.c.decrypt_method.is_not(None),
                   CREDENTIALS.c.trust_id != '', CREDENTIALS.c.id > last)
            .order_by(CREDENTIALS.c.id).limit(_BATCH)).all()
        if not rows:
            return
        last = rows[-1].id
        yield [{'id': row.id, 'trust_id': box.decrypt(
            row.trust_id, row.decrypt_method)} for row in rows]


def _decrypt_all(connection: sa.Connection, box: crypt.Crypt) -> int:
    update = bulk.Update(CREDENTIALS, ['trust_id'], decrypt_method=None,
                         updated_at=CREDENTIALS.c.updated_at)
    total = 0
    for batch in _trusts(connection, box):
        with transactions.lasting(connection):
            update.run(connection, batch)
        total += len(batch)
    with transactions.lasting(connection):
        # 19.0.0 does not look whether a credential was taken away, and would
        # show one without a trust.
        connection.execute(sa.delete(CREDENTIALS).where(
            CREDENTIALS.c.trust_id == ''))
    return total


def _move_all(connection: sa.Connection) -> int:
    """Put where jobs stand back into their schedules."""
    names = (*_RUNTIME, *_FORGOTTEN)
    cell = sa.type_coerce(JOBS.c.schedule, sa.Text())
    update = bulk.Update(JOBS, ['schedule'], updated_at=JOBS.c.updated_at,
                         **dict.fromkeys(names))
    total = 0
    last = ''
    while True:
        rows: Sequence[sa.Row[Any]] = connection.execute(
            sa.select(JOBS.c.id, cell.label('cell'),
                      *(JOBS.c[name] for name in names))
            .where(sa.or_(*(JOBS.c[name].is_not(None) for name in names)),
                   JOBS.c.id > last)
            .order_by(JOBS.c.id).limit(_BATCH)).all()
        if not rows:
            return total
        last = rows[-1].id
        values = [{'id': row.id, 'schedule': merged} for row in rows
                  if (merged := _merged(row)) is not None]
        with transactions.lasting(connection):
            update.run(connection, values)
        total += len(values)


def _merged(row: sa.Row[Any]) -> dict[str, Any] | None:
    """Return a schedule as 19.0.0 has it.

    None for one that nobody can read, which stays as it is.
    """
    try:
        user = job_entries.load(row.cell)
    except ValueError:
        return None
    if not user:
        user = {}
    if not isinstance(user, dict):
        return None
    merged = {**user, **{name: getattr(row, name) for name in _RUNTIME
                         if getattr(row, name) is not None}}
    if not merged.get('event'):
        # Its scheduler starts, when it starts itself, whatever is not
        # stopped: what has completed would run once more.
        if row.next_run_at is not None:
            merged['status'] = merged.get('status') or 'scheduled'
        elif merged.get('status') == 'completed':
            merged['status'] = 'stop'
    return merged
