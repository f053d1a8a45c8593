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

"""Changing the definition of a table of SQLite in its place.

SQLite has no ALTER TABLE for a column's type or a foreign key. To copy the
table instead loses what an operator added to it: triggers, indexes of
expressions, constraints without a name. Where the rows stay as they are on
disk, SQLite allows to edit the definition:
https://www.sqlite.org/lang_altertable.html#otheralter
"""

from __future__ import annotations

from collections.abc import Iterator
import re

import sqlalchemy as sa

# Names, texts and comments, in which a parenthesis means nothing.
_OPAQUE = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]"""
    r"""|--[^\n]*|/\*.*?\*/""", re.DOTALL)


def lengthen(bind: sa.Connection, table: str, column: str,
             length: int) -> None:
    """Give a VARCHAR column another length.

    :raises ValueError: when its definition cannot be found
    """
    definition = _definition(bind, table)
    changed, number = re.subn(
        rf'(["`\[]?\b{re.escape(column)}\b["`\]]?\s+VARCHAR\s*)'
        r'\(\s*\d+\s*\)', rf'\g<1>({length})', definition, count=1,
        flags=re.IGNORECASE)
    if not number:
        raise ValueError(f'{table}.{column} has no length')
    _define(bind, table, changed)


def add_constraint(bind: sa.Connection, table: str, constraint: str) -> None:
    """Add a constraint, which the rows are not checked against.

    :param constraint: as CREATE TABLE has it
    """
    definition = _definition(bind, table)
    end = _end_of_columns(definition)
    _define(bind, table,
            f'{definition[:end]}\n, {constraint}{definition[end:]}')


def _definition(bind: sa.Connection, table: str) -> str:
    return str(bind.execute(sa.text(
        "SELECT sql FROM sqlite_master WHERE type = 'table' "
        'AND name = :table COLLATE NOCASE'), {'table': table}).scalar_one())


def _end_of_columns(definition: str) -> int:
    """Return where the parenthesis is that ends the columns."""
    depth = 0
    for at, character in _meaningful(definition):
        depth += {'(': 1, ')': -1}.get(character, 0)
        if character == ')' and not depth:
            return at
    raise ValueError('a table without columns')


def _meaningful(definition: str) -> Iterator[tuple[int, str]]:
    at = 0
    for opaque in _OPAQUE.finditer(definition):
        yield from enumerate(definition[at:opaque.start()], at)
        at = opaque.end()
    yield from enumerate(definition[at:], at)


def _define(bind: sa.Connection, table: str, definition: str) -> None:
    version = bind.exec_driver_sql('PRAGMA schema_version').scalar_one()
    bind.exec_driver_sql('PRAGMA writable_schema = ON')
    bind.execute(
        sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' "
                'AND name = :table COLLATE NOCASE'),
        {'sql': definition, 'table': table})
    # Other connections, and this one, read the schema again.
    bind.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    bind.exec_driver_sql('PRAGMA writable_schema = RESET')
