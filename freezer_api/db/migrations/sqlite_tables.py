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

"""Edit the definition of a SQLite table without a copy of its rows.

SQLite has no ALTER TABLE for the type of a column or a foreign key. A copy of
the table, which alembic would make, loses what an operator has added to it:
triggers, indexes of expressions, and constraints without a name. If the rows
do not change on disk, SQLite allows an edit of the definition:
https://www.sqlite.org/lang_altertable.html#otheralter
"""

from __future__ import annotations

import re

import sqlalchemy as sa

# Names, texts and comments, in which a parenthesis has no meaning.
_OPAQUE = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]"""
    r"""|--[^\n]*|/\*.*?\*/""", re.DOTALL)


def lengthen(bind: sa.Connection, table: str, column: str,
             length: int) -> None:
    """Give a VARCHAR column another length.

    :param length: in characters
    :raises ValueError: if its definition cannot be found
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
    """Add a constraint. Existing rows are not checked.

    :param constraint: in the form of CREATE TABLE
    :raises ValueError: if the columns of the table cannot be found
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
    """Return the position of the parenthesis that ends the columns."""
    depth = 0
    # Blanks of the same length keep the positions.
    text = _OPAQUE.sub(lambda found: ' ' * len(found[0]), definition)
    for position, character in enumerate(text):
        depth += {'(': 1, ')': -1}.get(character, 0)
        if character == ')' and not depth:
            return position
    raise ValueError('a table without columns')


def _define(bind: sa.Connection, table: str, definition: str) -> None:
    version = bind.exec_driver_sql('PRAGMA schema_version').scalar_one()
    bind.exec_driver_sql('PRAGMA writable_schema = ON')
    bind.execute(
        sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' "
                'AND name = :table COLLATE NOCASE'),
        {'sql': definition, 'table': table})
    # All connections, including this one, read the schema again.
    bind.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    bind.exec_driver_sql('PRAGMA writable_schema = RESET')
