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

"""The data step that moves what schedulers wrote out of ``jobs.schedule``.

Cells that are not the JSON that they should be stay where they are and read as
empty. A copy is kept aside, because the next change of the row overwrites
them. A job whose schedule is such a cell is stopped, because it is unknown
when it should run.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from alembic import op
import sqlalchemy as sa

from freezer_api.db import bulk
from freezer_api.db.migrations import batches
from freezer_api.db.migrations import job_entries
from freezer_api.db.migrations import migration_quarantine

_TEXT_KEYS = ('event', 'status', 'result')
_INTEGER_KEYS = ('time_created', 'time_started', 'time_ended', 'current_pid')
_KEYS = (*_TEXT_KEYS, *_INTEGER_KEYS)

_JOBS = sa.table('jobs', sa.column('id'), sa.column('schedule', sa.Text),
                 *(sa.column(key, sa.String(16)) for key in _TEXT_KEYS),
                 *(sa.column(key, sa.BigInteger) for key in _INTEGER_KEYS))

# Table, column, and the type of its documents.
_DOCUMENTS: tuple[tuple[str, str, type], ...] = (
    ('actions', 'backup_metadata', dict),
    ('backups', 'backup_metadata', dict),
    ('jobs', 'schedule', dict),
    ('sessions', 'schedule', dict),
    ('sessions', 'job', dict),
    ('clients', 'supported_actions', list),
    ('clients', 'supported_modes', list),
    ('clients', 'supported_storages', list),
    ('clients', 'supported_engines', list),
)
STOPPED = ('The schedule cannot be read. The operator finds what it was with '
           'freezer-manage db report.')


@dataclasses.dataclass(frozen=True)
class Parted:
    """A schedule in two parts.

    :ivar schedule: the keys of the user
    :ivar columns: the values of schedulers, for the columns
    :ivar reasons: why the whole schedule is kept aside, if it is
    """

    schedule: dict[str, Any]
    columns: dict[str, Any]
    reasons: list[str]


def _part(cell: bytes | str | None) -> Parted | None:
    """Part a schedule.

    :returns: None if there is nothing to move. That includes a cell that
        cannot be read, which stays as it is
    """
    try:
        schedule = job_entries.load(cell)
    except ValueError:
        return None
    if not isinstance(schedule, dict) or not any(
            key in schedule for key in _KEYS):
        return None
    columns: dict[str, Any] = {}
    reasons: list[str] = []
    for key in _KEYS:
        value = schedule.pop(key, None)
        if value is not None and not _fits(key, value):
            reasons.append(f'{key} does not fit its column')
            value = None
        columns[key] = value
    return Parted(schedule, columns, reasons)


def _fits(key: str, value: Any) -> bool:
    if key in _TEXT_KEYS:
        return (isinstance(value, str) and len(value) <= 16
                and value.isascii() and '\0' not in value)
    return (isinstance(value, int) and not isinstance(value, bool)
            and -2 ** 63 <= value < 2 ** 63)


def reasons(bind: sa.Connection) -> Iterator[str]:
    """Yield the reasons of each schedule that would be kept aside.

    This writes nothing.
    """
    for jobs in batches.cells(bind, _JOBS, 'schedule'):
        for job in jobs:
            parted = _part(job.cell)
            if parted is not None and parted.reasons:
                yield '; '.join(dict.fromkeys(parted.reasons))


def move_all() -> None:
    """Move the runtime keys of each job; a moved schedule has none left."""
    bind = op.get_bind()
    update = bulk.Update(_JOBS, ['schedule', *_KEYS])
    batches.commit(bind)  # The new columns exist.
    for jobs in batches.cells(bind, _JOBS, 'schedule'):
        parted = [(job, found) for job in jobs
                  if (found := _part(job.cell)) is not None]
        _keep([migration_quarantine.Value.of(
            'jobs', 'schedule', job.id, found.reasons, job.cell)
            for job, found in parted if found.reasons])
        update.run(bind, [
            {'id': job.id, 'schedule': json.dumps(found.schedule),
             **found.columns} for job, found in parted])
        batches.commit(bind)


def _keep(values: list[migration_quarantine.Value]) -> None:
    if values:
        migration_quarantine.ensure_table()
        migration_quarantine.keep(values)


def _problem(cell: bytes | str | None, wanted: type) -> str | None:
    """Return why a cell is not a document of a type, or None."""
    try:
        value = job_entries.load(cell)
    except ValueError:
        return 'not JSON'
    if value in (None, '') or isinstance(value, wanted):
        return None
    return 'not an object' if wanted is dict else 'not a list'


def _unreadable(bind: sa.Connection, name: str, column: str, wanted: type,
                ) -> Iterator[list[migration_quarantine.Value]]:
    """Yield the unreadable cells of each batch of rows."""
    table = sa.table(name, sa.column('id'), sa.column(column))
    for rows in batches.cells(bind, table, column):
        yield [migration_quarantine.Value.of(
            name, column, row.id, [problem], row.cell) for row in rows
            if (problem := _problem(row.cell, wanted)) is not None]


def unreadable(bind: sa.Connection, existing: Mapping[str, Collection[str]],
               ) -> Iterator[migration_quarantine.Value]:
    """Yield each unreadable cell. This writes nothing.

    :param existing: the columns of each table
    """
    for name, column, wanted in _DOCUMENTS:
        if column in existing.get(name, ()):
            for values in _unreadable(bind, name, column, wanted):
                yield from values


def keep_unreadable() -> None:
    """Keep a copy of each unreadable cell; a repetition has the same result.
    """
    bind = op.get_bind()
    jobs = sa.table('jobs', sa.column('id'), sa.column('status'),
                    sa.column('status_reason'))
    for name, column, wanted in _DOCUMENTS:
        for values in _unreadable(bind, name, column, wanted):
            _keep(values)
            if values and name == 'jobs':
                bind.execute(jobs.update().where(
                    jobs.c.id.in_([value.row_id for value in values])).values(
                        status='stop', status_reason=STOPPED))
            batches.commit(bind)
