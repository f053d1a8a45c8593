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

"""The data step that keeps cells which are not the JSON they should be.

They stay where they are and read as empty. A copy is kept aside, since the
next change of the row puts something else in their place. A job whose
schedule is among them is stopped: nobody knows when it was to run.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import job_entries
from freezer_api.db.migrations import migration_quarantine

_OBJECTS = {
    'actions': ('backup_metadata',),
    'backups': ('backup_metadata',),
    'jobs': ('schedule',),
    'sessions': ('schedule', 'job'),
}
_LISTS = {
    'clients': ('supported_actions', 'supported_modes', 'supported_storages',
                'supported_engines'),
}
STOPPED = ('The schedule cannot be read. The operator finds what it was with '
           'freezer-manage db report.')


def reason_to_keep(cell: bytes | str | None,
                   wanted: type[dict[str, object]] | type[list[object]],
                   ) -> str | None:
    """Return what is wrong with a cell; None for nothing."""
    try:
        value = job_entries.load(cell)
    except ValueError:
        return 'not JSON'
    if value in (None, '') or isinstance(value, wanted):
        return None
    return 'not an object' if wanted is dict else 'not a list'


def _columns() -> Iterator[tuple[str, str, type]]:
    for tables, wanted in ((_OBJECTS, dict), (_LISTS, list)):
        for name, columns in tables.items():
            for column in columns:
                yield name, column, wanted


def keep_all() -> None:
    """Look at each cell; done again, it keeps the same."""
    for name, column, wanted in _columns():
        _keep_column(name, column, wanted)


def reasons(bind: sa.Connection, present: Mapping[str, Collection[str]]
            ) -> Iterator[tuple[str, str, str]]:
    """Yield table, column and reason of each cell to keep.

    Nothing is written.

    :param present: the columns of each table
    """
    for name, column, wanted in _columns():
        if column not in present.get(name, ()):
            continue
        table = sa.table(name, sa.column('id'), sa.column(column))
        cell = batches.raw(table.c[column], bind).label('cell')
        for rows in batches.by_id(bind, table, [cell],
                                  table.c[column].is_not(None)):
            for row in rows:
                reason = reason_to_keep(row.cell, wanted)
                if reason is not None:
                    yield name, column, reason


def _keep_column(name: str, column: str, wanted: type) -> None:
    bind = op.get_bind()
    table = sa.table(name, sa.column('id'), sa.column(column),
                     sa.column('status'), sa.column('status_reason'))
    cell = batches.raw(table.c[column], bind).label('cell')
    for rows in batches.by_id(bind, table, [cell],
                              table.c[column].is_not(None)):
        values = [
            migration_quarantine.Value.of(name, column, row.id, [reason],
                                          row.cell) for row in rows
            if (reason := reason_to_keep(row.cell, wanted)) is not None
        ]
        if values:
            migration_quarantine.ensure_table()
            migration_quarantine.keep(values)
        if values and name == 'jobs':
            bind.execute(table.update().where(
                table.c.id.in_([value.row_id for value in values])).values(
                    status='stop', status_reason=STOPPED))
        batches.commit(bind)
