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

"""What a session writes of many rows, in one statement on MySQL.

PyMySQL does so with the rows of an INSERT. Those of an UPDATE it sends one by
one, each to be waited for and read anew by the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import re
from typing import Any

import sqlalchemy as sa

from freezer_api.db import bulk

# As SQLAlchemy writes it for rows that are known by their id.
_ID = re.compile(
    r'UPDATE (?P<table>\w+) SET (?P<columns>.+) '
    r'WHERE (?P<id>\w+\.id) = %\((?P<key>\w+)\)s')
_COLUMN = re.compile(r'(\w+)=%\((\w+)\)s')


def update_together(engine: sa.Engine) -> None:
    """Have an engine on MySQL change rows together that change alike."""
    sa.event.listen(engine, 'do_executemany', _execute)


def _execute(cursor: Any, statement: str, parameters: Any,
             context: Any) -> bool | None:
    whole = _ID.fullmatch(statement)
    if whole is None or not isinstance(parameters[0], dict):
        return None
    columns = [_COLUMN.fullmatch(part)
               for part in whole['columns'].split(', ')]
    if None in columns:
        return None
    known = {match[1]: match[2] for match in columns if match is not None}
    # The session looks whether it has met each row.
    cursor.rowcount = sum(cursor.execute(*_made(whole, known, rows))
                          for rows in bulk.slices(parameters))
    return True


def _made(whole: re.Match[str], columns: Mapping[str, str],
          rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return the statement that changes some rows, and its parameters.

    :param columns: names of parameters by columns
    """
    key, row_id = whole['key'], whole['id']
    values = {f'id_{number}': row[key] for number, row in enumerate(rows)}
    changes = []
    for column, name in columns.items():
        first = rows[0][name]
        if all(row[name] == first for row in rows):
            values[name] = first
            changes.append(f'{column}=%({name})s')
            continue
        values |= {f'{name}_{number}': row[name]
                   for number, row in enumerate(rows)}
        cases = ' '.join(f'WHEN %(id_{number})s THEN %({name}_{number})s'
                         for number in range(len(rows)))
        changes.append(f'{column}=CASE {row_id} {cases} END')
    ids = ', '.join(f'%(id_{number})s' for number in range(len(rows)))
    # By its key, however few rows there are: a scan would lock them all.
    table = f'{whole["table"]} FORCE INDEX (PRIMARY)'
    return (
        f'UPDATE {table} SET {", ".join(changes)} '  # noqa: S608  # nosec B608
        f'WHERE {row_id} IN ({ids})'), values
