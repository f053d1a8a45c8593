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

"""Count the usage of projects from the rows themselves.

It is for upgraded databases, and for those that an API of an earlier release
has changed. Documents are ASCII JSON, so their number of characters is their
number of bytes on each engine.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db import transactions

_RESOURCES = ('jobs', 'actions', 'clients', 'sessions', 'backups')
_BYTES = 'stored_bytes'
_DOCUMENTS = {'jobs': ('schedule',), 'actions': ('backup_metadata',),
              'clients': (), 'sessions': ('schedule', 'job'),
              'backups': ('backup_metadata',)}
_CHUNK = 500

_USAGE = sa.table('project_usage', sa.column('id', sa.String()),
                  sa.column('deleted', sa.Boolean()),
                  *(sa.column(name, sa.BigInteger())
                    for name in (*_RESOURCES, _BYTES)))

Counts = dict[str, int]

_NOTHING = dict.fromkeys((*_RESOURCES, _BYTES), 0)


def _query(name: str) -> sa.Select[Any]:
    documents = _DOCUMENTS[name]
    table = sa.table(
        name, sa.column('project_id', sa.String()),
        sa.column('deleted', sa.Boolean()),
        *(sa.column(document, sa.Text()) for document in documents))
    total: sa.ColumnElement[int] = sa.literal(0)
    for document in documents:
        total = total + sa.func.coalesce(
            sa.func.length(table.c[document]), 0)
    return sa.select(
        table.c.project_id, sa.func.count(),
        sa.func.coalesce(sa.func.sum(total), 0)).where(
            table.c.deleted == sa.false(),
            table.c.project_id.is_not(None)).group_by(table.c.project_id)


def count(connection: sa.Connection,
          project_id: str | None = None) -> dict[str, Counts]:
    """Return the usage of each project by its ID.

    :param project_id: None for all projects
    """
    found: dict[str, Counts] = {}
    for name in _RESOURCES:
        query = _query(name)
        if project_id is not None:
            query = query.where(
                sa.column('project_id', sa.String()) == project_id)
        for project, number, size in connection.execute(query):
            counts = found.setdefault(project, {**_NOTHING})
            counts[name] += number
            counts[_BYTES] += int(size)
    return found


def count_all(connection: sa.Connection) -> None:
    """Count all projects again while no API of this release runs."""
    connection.execute(sa.delete(_USAGE))
    found = [{'id': project, 'deleted': False, **counts}
             for project, counts in sorted(count(connection).items())]
    for start in range(0, len(found), _CHUNK):
        connection.execute(sa.insert(_USAGE), found[start:start + _CHUNK])


def repair(connection: sa.Connection) -> int:
    """Correct the stored usage while the API runs.

    All projects are counted first, without a lock. Only those that differ
    are counted again, each with its row locked, so that its usage does not
    change meanwhile.

    :param connection: in a transaction on SQLite only
    :returns: the number of corrected projects
    """
    with transactions.lasting(connection):
        counted = count(connection)
        stored = _stored(connection)
    return sum(
        _repair(connection, project) for project in sorted({*counted, *stored})
        if counted.get(project, _NOTHING) != stored.get(project, _NOTHING))


def _stored(connection: sa.Connection, *where: sa.ColumnElement[bool],
            lock: bool = False) -> dict[str, Counts]:
    query = sa.select(_USAGE).where(*where)
    if lock:
        query = query.with_for_update()
    return {row.id: {name: getattr(row, name) for name in _NOTHING}
            for row in connection.execute(query)}


def _repair(connection: sa.Connection, project_id: str) -> bool:
    own = _USAGE.c.id == project_id
    with transactions.lasting(connection):
        known = bool(_stored(connection, own))
    if not known:
        with transactions.lasting(connection):
            connection.execute(sa.insert(_USAGE).values(
                id=project_id, deleted=False, **_NOTHING))
    with transactions.lasting(connection):
        # Lock first: later reads see the current rows.
        stored = _stored(connection, own, lock=True).get(project_id)
        counts = count(connection, project_id).get(project_id, _NOTHING)
        if stored is None or stored == counts:
            return False
        connection.execute(sa.update(_USAGE).where(own).values(**counts))
        return True
