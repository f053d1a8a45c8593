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

"""The data step that takes what schedulers wrote out of ``jobs.schedule``."""

from __future__ import annotations

from collections.abc import Iterator
import json
from typing import Any

from alembic import op
import sqlalchemy as sa

from freezer_api.db import bulk
from freezer_api.db.migrations import batches
from freezer_api.db.migrations import job_entries
from freezer_api.db.migrations import migration_quarantine

TEXT_KEYS = ('event', 'status', 'result')
INTEGER_KEYS = ('time_created', 'time_started', 'time_ended', 'current_pid')
KEYS = (*TEXT_KEYS, *INTEGER_KEYS)

JOBS = sa.table('jobs', sa.column('id'), sa.column('schedule', sa.Text),
                *(sa.column(key, sa.String(16)) for key in TEXT_KEYS),
                *(sa.column(key, sa.BigInteger) for key in INTEGER_KEYS))


def split(cell: bytes | str | None
          ) -> tuple[dict[str, Any], dict[str, Any], list[str]] | None:
    """Part a schedule: (the user's keys, the columns, reasons to keep it).

    Returns None where there is nothing to take out, a cell that cannot be
    read among them: it stays as it is.
    """
    try:
        schedule = job_entries.load(cell)
    except ValueError:
        return None
    if not isinstance(schedule, dict) or not any(
            key in schedule for key in KEYS):
        return None
    columns: dict[str, Any] = {}
    reasons: list[str] = []
    for key in KEYS:
        value = schedule.pop(key, None)
        if value is not None and not _fits(key, value):
            reasons.append(f'{key} does not fit its column')
            value = None
        columns[key] = value
    return schedule, columns, reasons


def _fits(key: str, value: Any) -> bool:
    if key in TEXT_KEYS:
        return (isinstance(value, str) and len(value) <= 16
                and value.isascii() and '\0' not in value)
    return (isinstance(value, int) and not isinstance(value, bool)
            and -2 ** 63 <= value < 2 ** 63)


def reasons(bind: sa.Connection) -> Iterator[str]:
    """Yield why each schedule that does not fit is kept.

    Nothing is written.
    """
    cell = batches.raw(JOBS.c.schedule, bind).label('cell')
    for jobs in batches.by_id(bind, JOBS, [cell],
                              JOBS.c.schedule.is_not(None)):
        for job in jobs:
            parts = split(job.cell)
            if parts is not None and parts[2]:
                yield '; '.join(dict.fromkeys(parts[2]))


def move_all() -> None:
    """Move the runtime keys of each job; done ones have none left."""
    bind = op.get_bind()
    update = bulk.Update(JOBS, ['schedule', *KEYS])
    batches.commit(bind)  # The new columns are there.
    cell = batches.raw(JOBS.c.schedule, bind).label('cell')
    for jobs in batches.by_id(bind, JOBS, [cell],
                              JOBS.c.schedule.is_not(None)):
        changes = []
        values = []
        for job in jobs:
            parts = split(job.cell)
            if parts is None:
                continue
            schedule, columns, reasons = parts
            changes.append({'id': job.id, 'schedule': json.dumps(schedule),
                            **columns})
            if reasons:
                values.append(
                    migration_quarantine.Value.of('jobs', 'schedule', job.id,
                                                  reasons, job.cell))
        if values:
            migration_quarantine.ensure_table()
            migration_quarantine.keep(values)
        update.run(bind, changes)
        batches.commit(bind)
