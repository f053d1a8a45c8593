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

"""The changes of each revision to existing columns and tables.

freezer_api.db.admin.operator_objects compares them with the objects that an
operator has added to a database. A test compares them with the revisions.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum
from typing import NamedTuple


class How(enum.Enum):
    """How a revision changes a column."""

    DROPPED = 'drops'
    RENAMED = 'renames'
    RETYPED = 'changes the type of'
    WRITTEN = 'writes'


class Column(NamedTuple):
    """A column that a revision changes if it exists."""

    revision: str
    table: str
    name: str
    how: How


COLUMNS = (
    Column('1333cef214d9', 'actions', 'mode', How.RENAMED),
    Column('e74c32f034c5', 'actions', 'src_file', How.RENAMED),
    Column('4f8c679a1d3b', 'backups', 'user_name', How.DROPPED),
    Column('a1b2c3d4e5f6', 'jobs', 'job_actions', How.DROPPED),
    *(Column('7a3b9c1d2e4f', table, 'user_id', How.RETYPED)
      for table in ('jobs', 'sessions', 'clients', 'actions',
                    'action_reports', 'backups')),
    Column('19efaf5fa3ab', 'user_credentials', 'job_id', How.RETYPED),
    Column('4f8917efba5b', 'jobs', 'schedule', How.WRITTEN),
)

# Tables whose rows a revision updates.
ROWS: dict[str, tuple[str, ...]] = {
    '23c8ad2655a6': ('clients',),
    'a1b2c3d4e5f6': ('jobs', 'actions', 'job_actions'),
    '19efaf5fa3ab': ('user_credentials',),
    '4f8917efba5b': ('jobs',),
    'ebaeedeb2197': ('clients',),
}

# Tables to which a revision adds rows.
ADDED = {'a1b2c3d4e5f6': ('actions', 'job_actions')}

# Tables of which a revision deletes rows.
DELETED = {'a1b2c3d4e5f6': ('job_actions',),
           '19efaf5fa3ab': ('user_credentials',)}

# Tables that new foreign keys refer to.
REFERRED = {'a1b2c3d4e5f6': ('jobs', 'actions'), '19efaf5fa3ab': ('jobs',),
            'ebaeedeb2197': ('jobs',)}

# After the last revision, rows of these tables get their search terms.
FILLED = ('actions', 'backups', 'clients', 'jobs', 'sessions')

# Tables that get a foreign key, and those that it refers to.
LINKED: dict[str, tuple[str, ...]] = {
    'a1b2c3d4e5f6': ('jobs', 'actions', 'job_actions'),
    '19efaf5fa3ab': ('jobs', 'user_credentials'),
    'ebaeedeb2197': ('jobs',),
}

# A user_id of this length, in characters, is not changed.
_LONG = 64


@dataclasses.dataclass(frozen=True)
class Changes:
    """The changes of some revisions to a database.

    :ivar columns: existing columns that change
    :ivar written: tables whose rows are updated
    :ivar added: tables that get new rows
    :ivar linked: tables that get a foreign key, or that one refers to
    """

    columns: Sequence[Column]
    written: Collection[str]
    added: Collection[str]
    linked: Collection[str]

    def of(self, *how: How) -> list[Column]:
        """Return the columns that change in one of some ways."""
        return [column for column in self.columns if column.how in how]


def of(revisions: Collection[str],
       lengths: Mapping[str, Mapping[str, int | None]]) -> Changes:
    """Return the changes of some revisions, and of the work after the last.

    :param lengths: length of each column, or None, by table and column of the
        existing tables
    """
    return Changes(
        [column for column in COLUMNS
         if column.revision in revisions
         and column.name in lengths.get(column.table, {})
         and not (column.name == 'user_id'
                  and (lengths[column.table]['user_id'] or 0) >= _LONG)],
        {*FILLED, *_tables(ROWS, revisions)}, set(_tables(ADDED, revisions)),
        set(_tables(LINKED, revisions)))


def rights(revisions: Collection[str]) -> dict[str, set[str]]:
    """Return the rights that some revisions need on each table."""
    found: dict[str, set[str]] = {'alembic_version': {'UPDATE'}}
    for right, tables in (
            ('UPDATE', {*FILLED, *_tables(ROWS, revisions)}),
            ('INSERT', _tables(ADDED, revisions)),
            ('DELETE', _tables(DELETED, revisions)),
            ('REFERENCES', _tables(REFERRED, revisions))):
        for table in tables:
            found.setdefault(table, set()).add(right)
    return found


def _tables(by_revision: Mapping[str, Sequence[str]],
            revisions: Collection[str]) -> Iterator[str]:
    for revision in revisions:
        yield from by_revision.get(revision, ())
