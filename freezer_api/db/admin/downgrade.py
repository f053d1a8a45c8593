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

"""Convert a database for release 19.0.0 of freezer-api.

Later tables, columns and indexes stay: 19.0.0 ignores them, and a new upgrade
uses them again. Data that 19.0.0 reads in another form are converted: the
status of a job goes back into its schedule, and trusts become plain text. Then
the database has the revision of 19.0.0. A later upgrade is like any other,
because each revision looks for its own work.

The revision is written first. If the conversion is interrupted, both an
upgrade and another downgrade are possible.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from freezer_api.db import bulk
from freezer_api.db.migrations import batches
from freezer_api.db.migrations import job_entries
from freezer_api.db import models
from freezer_api.db import search_index
from freezer_api.db import transactions
from freezer_api.keystone import crypt

RELEASE = '19.0.0'
REVISION = '7a3b9c1d2e4f'

_TABLES = models.Base.metadata.tables
JOBS = _TABLES['jobs']
RUNS = _TABLES['job_runs']
CREDENTIALS = _TABLES['user_credentials']
DELEGATIONS = _TABLES['delegations']

# Columns that move into jobs.schedule, and those that 19.0.0 does not use.
_RUNTIME = ('event', 'status', 'result', 'time_created', 'time_started',
            'time_ended', 'current_pid')
_FORGOTTEN = ('next_run_at', 'run_id', 'suspension_reason', 'suspended_at',
              'retry_run_id', 'status_reason', 'due_at',
              'consecutive_failures', 'previous_started_at',
              'previous_ended_at')


class Obstacle(upgrade.MigrationError):
    """A downgrade is not possible yet; the text says what to do first."""


@dataclasses.dataclass(frozen=True)
class Result:
    """Numbers of changed rows."""

    jobs: int
    trusts: int


def run(url: str, box: crypt.Crypt) -> Result:
    """Convert a database for 19.0.0.

    :param url: of the database
    :param box: decrypts the trusts
    :returns: the numbers of changed jobs and trusts
    :raises Obstacle: before any change
    :raises freezer_api.db.admin.upgrade.MigrationError: before any change
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with upgrade.exclusive(url) as connection:
        if connection.dialect.name == 'postgresql':
            raise Obstacle(
                f'freezer-api {RELEASE} does not work on PostgreSQL: copy '
                'the database to MariaDB first, see freezer-manage db copy')
        found = upgrade.current_of(connection)
        if found not in (upgrade.head(), REVISION):
            raise Obstacle(
                f'the database is at revision {found or "none"}, not at that '
                'of this release: run freezer-manage db sync')
        if not sa.inspect(connection).has_table(DELEGATIONS.name):
            return Result(0, 0)  # It never had a later revision.
        with transactions.lasting(connection):
            _refuse(connection)
            # Read all trusts before any write: a key may be missing.
            for _ in _trusts(connection, box):
                pass
            connection.execute(sa.update(upgrade.VERSION).values(
                version_num=REVISION))
        trusts = _decrypt_all(connection, box)
        jobs = _move_all(connection)
        for model in search_index.TABLES:
            table = _TABLES[model.__tablename__]
            # 19.0.0 changes rows without their search terms. An upgrade
            # adds them where they are NULL.
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
            f'{runs} runs are not finished: let the schedulers finish them, '
            'then stop schedulers and API. If the scheduler of a run no '
            'longer exists, abort its job and start another scheduler')
    pending = count(DELEGATIONS, DELEGATIONS.c.delete_after.is_not(None))
    if pending:
        raise Obstacle(
            f'{pending} trusts wait for their deletion in Keystone, which '
            '19.0.0 would never delete: let the API run until '
            'freezer-manage db report lists none, then stop it')


def _trusts(connection: sa.Connection, box: crypt.Crypt
            ) -> Iterator[list[dict[str, str]]]:
    """Yield batches of row IDs with decrypted trusts."""
    for rows in batches.by_id(
            connection, CREDENTIALS,
            [CREDENTIALS.c.trust_id, CREDENTIALS.c.decrypt_method],
            sa.and_(CREDENTIALS.c.decrypt_method.is_not(None),
                    CREDENTIALS.c.trust_id != '')):
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
        # 19.0.0 ignores the mark of a deletion, and would show a credential
        # without a trust.
        connection.execute(sa.delete(CREDENTIALS).where(
            CREDENTIALS.c.trust_id == ''))
    return total


def _move_all(connection: sa.Connection) -> int:
    """Copy the status of jobs into their schedules."""
    names = (*_RUNTIME, *_FORGOTTEN)
    columns = [JOBS.c[name] for name in names]
    update = bulk.Update(JOBS, ['schedule'], updated_at=JOBS.c.updated_at,
                         **dict.fromkeys(names))
    total = 0
    for rows in batches.by_id(
            connection, JOBS,
            [sa.type_coerce(JOBS.c.schedule, sa.Text()).label('cell'),
             *columns], sa.or_(*(column.is_not(None) for column in columns))):
        values = [{'id': row.id, 'schedule': merged} for row in rows
                  if (merged := _merged(row)) is not None]
        with transactions.lasting(connection):
            update.run(connection, values)
        total += len(values)
    return total


def _merged(row: sa.Row[Any]) -> dict[str, Any] | None:
    """Return a schedule in the form of 19.0.0.

    :returns: None for a schedule that is not JSON, which stays unchanged
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
    if user.get('schedule_cron'):
        # 19.0.0 does not support the key, and would run the job at once.
        merged.update(event='', status='stop')
    elif not merged.get('event'):
        # At its start, the scheduler of 19.0.0 starts all jobs that are not
        # stopped, so a completed job would run again.
        if row.next_run_at is not None:
            merged['status'] = merged.get('status') or 'scheduled'
        elif merged.get('status') == 'completed':
            merged['status'] = 'stop'
    return merged
