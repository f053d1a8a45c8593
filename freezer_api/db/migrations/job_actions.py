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

"""The data step from ``jobs.job_actions`` (JSON) to table ``job_actions``.

An entry that equals a live action row of its project becomes a link to that
row. Any other entry gets an action row with its own copy of the definition, so
that the job does the same as before. If the rows do not hold all of a cell,
the cell is kept aside.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
import uuid

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import job_entries
from freezer_api.db.migrations import migration_quarantine

_COMMON = ('created_at', 'updated_at', 'deleted_at', 'deleted')


def _table(name: str, *columns: str) -> sa.TableClause:
    # Times have no type, so that they are copied as the driver returns them.
    booleans = {'deleted', 'mandatory'}
    return sa.table(name, *(
        sa.column(column, sa.Boolean if column in booleans else None)
        for column in columns))


JOBS = _table('jobs', 'id', 'project_id', 'user_id', 'job_actions', *_COMMON)
ACTIONS = _table(
    'actions', 'id', 'project_id', 'user_id', 'max_retries',
    'max_retries_interval', 'mandatory', 'backup_metadata',
    *job_entries.TEXT_COLUMNS.values(),
    *job_entries.INTEGER_COLUMNS.values(), *_COMMON)
LINKS = _table('job_actions', 'id', 'job_id', 'action_id', 'position',
               *_COMMON)


@dataclasses.dataclass
class _Batch:
    """The rows to write for a batch of jobs."""

    job_ids: list[str]
    actions: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    links: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    values: list[migration_quarantine.Value] = dataclasses.field(
        default_factory=list)


def convert_all() -> None:
    """Convert each job whose cell is not NULL, and set the cell to NULL."""
    bind = op.get_bind()
    batches.commit(bind)  # The new table exists.
    for batch in _converted(bind):
        _write(bind, batch)


def reasons(bind: sa.Connection) -> Iterator[str]:
    """Yield the reasons of each cell that would be kept aside.

    This writes nothing. The tables must be those of 16.0.0 to 18.0.0.
    """
    for batch in _converted(bind):
        for value in batch.values:
            yield value.reason


def _converted(bind: sa.Connection) -> Iterator[_Batch]:
    charset = (ddl.collation('actions', 'backup_name', bind) or (None,))[0]
    for jobs in batches.cells(bind, JOBS, 'job_actions', 'project_id',
                              'user_id', *_COMMON):
        yield _convert(bind, jobs, charset)


def _write(bind: sa.Connection, batch: _Batch) -> None:
    if batch.values:
        migration_quarantine.ensure_table()
    # Write jobs first: a link to a job takes a shared lock of its row, which
    # could not be raised while another transaction waits to write the row.
    bind.execute(JOBS.update().where(JOBS.c.id.in_(batch.job_ids))
                 .values(job_actions=None))
    # An earlier attempt may have left links; the cell takes precedence.
    bind.execute(LINKS.delete().where(LINKS.c.job_id.in_(batch.job_ids)))
    if batch.actions:
        bind.execute(ACTIONS.insert(), batch.actions)
    if batch.links:
        bind.execute(LINKS.insert(), batch.links)
    migration_quarantine.keep(batch.values)
    batches.commit(bind)


def _convert(bind: sa.Connection, jobs: Sequence[sa.Row[Any]],
             charset: str | None) -> _Batch:
    batch = _Batch([job.id for job in jobs])
    parsed = {job.id: job_entries.parse(job.cell) for job in jobs}
    rows = _action_rows(bind, (
        entry.action_id for found in parsed.values()
        for entry in found.entries))
    for job in jobs:
        found = parsed[job.id]
        for entry in found.entries:
            if entry.project_id not in (None, job.project_id):
                found.reasons.append('an entry is of another project')
            action_id = _action_id(job, entry, rows, charset, batch,
                                   found.reasons)
            if action_id is not None:
                batch.links.append({
                    'id': uuid.uuid4().hex, 'job_id': job.id,
                    'action_id': action_id, 'position': entry.position,
                    **_common(job)})
        if found.reasons:
            batch.values.append(migration_quarantine.Value.of(
                'jobs', 'job_actions', job.id, found.reasons, job.cell))
    return batch


def _action_id(job: sa.Row[Any], entry: job_entries.Entry,
               rows: dict[str, sa.Row[Any] | None], charset: str | None,
               batch: _Batch, reasons: list[str]) -> str | None:
    """Return the ID of the action of an entry, which may be a new row.

    :param reasons: gets the reasons to keep the cell aside
    :returns: None if the entry can have no action
    """
    key = None if entry.action_id is None else entry.action_id.casefold()
    row = None if key is None else rows.get(key)
    if row is not None and row.id == entry.action_id and _equals(
            row, job, entry):
        if entry.definition is None:
            reasons.append('an entry has no freezer_action')
        if entry.user_id not in (None, row.user_id):
            reasons.append('an entry is of another user than its action')
        return str(row.id)
    if entry.definition is None:
        reasons.append('an entry has no freezer_action')
        return None
    columns = job_entries.action_columns(entry.definition, charset, reasons)
    if columns is None:
        return None
    user_id = entry.user_id
    if user_id is not None and not job_entries.fits(user_id, charset, 64):
        reasons.append('user_id does not fit its column')
        user_id = None
    if user_id is None:
        user_id = job.user_id
    action_id = uuid.uuid4().hex
    if entry.action_id is not None and key is not None and key not in rows:
        # No row has the ID, so it becomes that of the new row.
        action_id = entry.action_id
        rows[key] = None
    batch.actions.append({
        'id': action_id, 'project_id': job.project_id, 'user_id': user_id,
        'max_retries': entry.max_retries,
        'max_retries_interval': entry.max_retries_interval,
        'mandatory': entry.mandatory,
        'backup_metadata': json.dumps(entry.definition),
        **columns, **_common(job)})
    return action_id


def _equals(row: sa.Row[Any], job: sa.Row[Any],
            entry: job_entries.Entry) -> bool:
    """Whether an action row is live, of the job's project and equal."""
    if row.deleted is not False or row.project_id != job.project_id:
        return False
    if entry.definition is None:
        return True
    if (row.max_retries != entry.max_retries
            or row.max_retries_interval != entry.max_retries_interval
            or bool(row.mandatory) != entry.mandatory):
        return False
    try:
        stored = job_entries.load(row.stored)
    except ValueError:
        stored = None
    return job_entries.same_definition(
        entry.definition, job_entries.overlaid(stored, row._asdict()))


def _action_rows(bind: sa.Connection, ids: Iterable[str | None]
                 ) -> dict[str, sa.Row[Any] | None]:
    """Return action rows by casefolded ID, because MySQL ignores case."""
    wanted = {action_id for action_id in ids if action_id is not None}
    stored = batches.raw(ACTIONS.c.backup_metadata, bind)
    rows: dict[str, sa.Row[Any] | None] = {}
    ordered = sorted(wanted)
    for start in range(0, len(ordered), batches.SIZE):
        for row in bind.execute(
                sa.select(ACTIONS, stored.label('stored')).where(
                    ACTIONS.c.id.in_(ordered[start:start + batches.SIZE]))):
            rows[row.id.casefold()] = row
    return rows


def _common(job: sa.Row[Any]) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _COMMON}
