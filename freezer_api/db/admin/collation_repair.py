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

"""The collations of text columns on MySQL and MariaDB.

Text columns of one character set and two collations cannot be compared there:
``Illegal mix of collations``. Tables of a deployment can differ if some were
restored, converted, or created under another default of the database.
:func:`refresh` tells freezer_api.db.collation which columns need a conversion,
and :func:`repair` gives all of them one collation.

SQLAlchemy's compiler sees only the options of the statement, not those of the
engine or the connection. So :func:`listen` adds the collations to each
statement of an engine, as the execution option :data:`OPTION`.

Columns whose collation the models set, such as ``search_terms``, are ignored.
"""

from __future__ import annotations

import collections
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import re
from typing import Any
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import interfaces
from sqlalchemy import schema

from freezer_api.db import models

#: The execution option of a statement with :data:`Collations`, if columns
#: differ. That of an engine is the object that adds them to its statements.
OPTION = 'freezer_collations'

# Only an upgrade creates this table. The API does not load its module, which
# needs alembic.
_ORPHANED = 'orphaned_user_credentials'

# The larger a character set, the more texts it can store.
_CHARSETS = ('utf8mb4', 'utf8mb3', 'utf8')

_COLUMN = re.compile(
    r'^\s*`(?P<name>[^`]+)` (?P<type>\w+(?:\([^)]*\))?)'
    r'(?: CHARACTER SET \w+)?(?: COLLATE \w+)?(?P<rest>.*?),?$', re.MULTILINE)


class Collation(NamedTuple):
    """Character set and collation of a column."""

    charset: str
    name: str


Collations = Mapping[tuple[str, str], Collation]


def _fixed() -> set[tuple[str, str]]:
    dialect = mysql.dialect()
    return {(table.name, column.name)
            for table in models.Base.metadata.tables.values()
            for column in table.columns
            if getattr(column.type.dialect_impl(dialect), 'collation', None)}


def read(connection: sa.Connection) -> Collations:
    """Return the collation of each text column, by table and column.

    :returns: empty on other engines, which have no such conflict
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    if connection.dialect.name not in ('mysql', 'mariadb'):
        return {}
    tables = [*models.Base.metadata.tables, _ORPHANED]
    found = connection.execute(
        sa.text('SELECT table_name, column_name, character_set_name, '
                'collation_name FROM information_schema.columns '
                'WHERE table_schema = DATABASE() AND table_name IN :tables '
                'AND character_set_name IS NOT NULL '
                'ORDER BY table_name, ordinal_position').bindparams(
                    sa.bindparam('tables', tables, expanding=True))).all()
    fixed = _fixed()
    return {(table, column): Collation(charset, name)
            for table, column, charset, name in found
            if (table, column) not in fixed
            and (table == _ORPHANED or column
                 in models.Base.metadata.tables[table].columns)}


class _CollationOption:
    """The collations of an engine's database."""

    def __init__(self) -> None:
        self.collations: Collations = {}

    def add_to(self, connection: sa.Connection, statement: Any,
               multiple: Any, parameters: Any, options: Any,
               ) -> tuple[Any, Any, Any]:
        """Add the collations to a statement before it is compiled."""
        if self.collations and isinstance(statement, sa.Executable):
            statement = statement.execution_options(
                **{OPTION: self.collations})
        return statement, multiple, parameters


def listen(engine: sa.Engine) -> None:
    """Add the collations of :func:`refresh` to an engine's statements.

    :param engine: a new engine; its existing connections are not affected
    """
    if engine.dialect.name in ('mysql', 'mariadb'):
        option = _CollationOption()
        sa.event.listen(engine, 'before_execute', option.add_to, retval=True)
        engine.update_execution_options(**{OPTION: option})


def refresh(connection: sa.Connection) -> None:
    """Read the collations, so that statements can compare any texts.

    Call it again after columns were added or changed. It has no effect for an
    engine without :func:`listen`.

    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    engine = connection.engine
    option = engine.get_execution_options().get(OPTION)
    if option is None:
        return
    found = read(connection)
    option.collations = found if len(set(found.values())) > 1 else {}
    # The key of the cache does not include the options of a statement.
    engine.clear_compiled_cache()


def differences(connection: sa.Connection) -> list[str]:
    """Return each collation and its columns, in words.

    :returns: empty if all columns have the same collation
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    tables: dict[Collation, dict[str, list[str]]] = {}
    columns = read(connection)
    for (table, column), collation in columns.items():
        tables.setdefault(collation, {}).setdefault(table, []).append(column)
    if len(tables) < 2:
        return []
    number = collections.Counter(table for table, _ in columns)
    return [f'{collation.name}: ' + ', '.join(
        table if len(names) == number[table]
        else ', '.join(f'{table}.{name}' for name in names)
        for table, names in sorted(has.items()))
        for collation, has in sorted(tables.items())]


def _best(columns: Collations) -> Collation:
    """Return the collation for all columns."""
    counts = collections.Counter(columns.values())

    def rank(collation: Collation) -> tuple[int, int, str]:
        charset = (_CHARSETS.index(collation.charset)
                   if collation.charset in _CHARSETS else len(_CHARSETS))
        return charset, -counts[collation], collation.name

    return min(counts, key=rank)


def repair(connection: sa.Connection) -> int:
    """Give all text columns one collation.

    It is the most common collation of the largest character set. The server
    copies each table; writers of the table wait.

    :param connection: not in a transaction
    :returns: the number of converted tables
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database, or if
        two keys of a table are equal in that collation
    """
    columns = read(connection)
    changed: list[str] = []
    if len(set(columns.values())) > 1:
        best = _best(columns)
        changed = sorted({table for (table, _), collation in columns.items()
                          if collation != best})
        drop_foreign_keys(connection)
        for table in changed:
            convert(connection, table, best)
    # An interrupted repair may have dropped them.
    add_foreign_keys(connection)
    refresh(connection)
    return len(changed)


def drop_foreign_keys(connection: sa.Connection) -> list[
        tuple[str, interfaces.ReflectedForeignKeyConstraint]]:
    """Drop our foreign keys, because the server cannot convert their columns.

    :returns: the dropped keys, with their tables
    """
    quote = connection.dialect.identifier_preparer.quote
    found = list(_foreign_keys(connection))
    for table, key in found:
        connection.exec_driver_sql(
            f'ALTER TABLE {quote(table)} '
            f'DROP FOREIGN KEY {quote(str(key["name"]))}')
    return found


def _foreign_keys(connection: sa.Connection) -> Iterator[
        tuple[str, interfaces.ReflectedForeignKeyConstraint]]:
    inspector = sa.inspect(connection)
    present = inspector.get_table_names()
    for table in models.Base.metadata.tables:
        if table in present:
            for key in inspector.get_foreign_keys(table):
                if key['referred_table'] in models.Base.metadata.tables:
                    yield table, key


def add_foreign_keys(connection: sa.Connection) -> None:
    """Add our missing foreign keys.

    Existing rows are not checked, so dangling references remain.
    """
    if connection.dialect.name not in ('mysql', 'mariadb'):
        return
    present = {(table, key['constrained_columns'][0])
               for table, key in _foreign_keys(connection)}
    # Use copies of the tables: SQLAlchemy marks a constraint that is added
    # separately, and from then on creates its table without it.
    copies = sa.MetaData()
    missing = [constraint
               for table in [table.to_metadata(copies) for table
                             in models.Base.metadata.sorted_tables]
               for constraint in table.foreign_key_constraints
               if (table.name, constraint.column_keys[0]) not in present]
    if not missing:
        return
    connection.exec_driver_sql('SET SESSION foreign_key_checks = 0')
    for constraint in missing:
        connection.execute(schema.AddConstraint(constraint))
    connection.exec_driver_sql('SET SESSION foreign_key_checks = 1')


def convert(connection: sa.Connection, table: str, collation: Collation,
            only: Collection[str] | None = None) -> None:
    """Convert the text columns of a table to a collation.

    ``CONVERT TO CHARACTER SET`` would also change types and the collations
    that the models set.

    :param only: names of the columns; None for all
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    names = {column for name, column in read(connection) if name == table
             and (only is None or column in only)}
    quote = connection.dialect.identifier_preparer.quote
    definition = connection.exec_driver_sql(
        f'SHOW CREATE TABLE {quote(table)}').one()[1]
    changes = [*_changes(definition, names, collation)]
    if only is None:
        changes.append(f'DEFAULT CHARACTER SET {collation.charset} '
                       f'COLLATE {collation.name}')
    connection.execute(sa.text(
        f'ALTER TABLE {quote(table)} '
        + ', '.join(changes).replace(':', r'\:')))


def _changes(definition: str, names: set[str],
             collation: Collation) -> Iterator[str]:
    for column in _COLUMN.finditer(definition):
        if column['name'] in names:
            yield (f'MODIFY `{column["name"]}` {column["type"]} '
                   f'CHARACTER SET {collation.charset} '
                   f'COLLATE {collation.name}{column["rest"]}')
