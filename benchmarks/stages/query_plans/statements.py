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

"""Statements as they are sent, and how the engine executes them.

An event of SQLAlchemy gets each statement before it is sent, and asks the
engine for its plan in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import re
from typing import Any

import psycopg
import sqlalchemy as sa

from benchmarks.stages.query_plans import plans

_EXPLAINED = re.compile(r'\s*(\(*SELECT|UPDATE|DELETE|WITH)\b')


@dataclasses.dataclass(frozen=True)
class Statement:
    """A statement that was sent.

    :ivar call: that it is part of
    """

    call: str
    text: str
    steps: tuple[plans.Step, ...]

    @property
    def short(self) -> str:
        """The statement without its columns, on one line."""
        text = ' '.join(self.text.split())
        text = re.sub(r'SELECT (?!1\b).*? FROM', 'SELECT FROM', text)
        return re.sub(r'\b(?:jobs|job_runs|queues|backups|actions|clients)\.',
                      '', text)


class Watch:
    """Listens to an engine.

    :ivar statements: each once, as it was sent first
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.statements: dict[tuple[str, str], Statement] = {}

    @contextlib.contextmanager
    def during(self, call: str) -> Iterator[None]:
        """Listen for a while."""

        def note(connection: sa.Connection, cursor: Any, statement: str,
                 parameters: Any, context: Any, many: bool) -> None:
            key = (call, re.sub(r'IN \([^()]*\)', 'IN (...)', statement))
            if _EXPLAINED.match(statement) and key not in self.statements:
                self.statements[key] = Statement(call, statement, tuple(
                    _steps(connection, statement,
                           parameters[0] if many else parameters)))

        sa.event.listen(self._engine, 'before_cursor_execute', note)
        try:
            yield
        finally:
            sa.event.remove(self._engine, 'before_cursor_execute', note)


def _steps(connection: sa.Connection, statement: str,
           parameters: Any) -> list[plans.Step]:
    name = connection.dialect.name
    raw: Any = connection.connection.dbapi_connection
    # ANALYZE executes the statement, and so is for reads alone.
    analyze = statement.lstrip('( ').startswith('SELECT')
    if name == 'postgresql':
        # The server takes no parameters here: the client inserts them.
        with psycopg.ClientCursor(raw) as cursor:
            cursor.execute(
                f'EXPLAIN (FORMAT JSON, ANALYZE {analyze}) {statement}',
                parameters)
            row = cursor.fetchone()
            assert row is not None
        return plans.of_postgresql(row[0][0]['Plan'])
    word = 'EXPLAIN QUERY PLAN' if name == 'sqlite' else (
        'ANALYZE' if analyze else 'EXPLAIN')
    cursor = raw.cursor()
    try:
        cursor.execute(f'{word} {statement}', parameters)
        lines = cursor.fetchall()
        if name == 'sqlite':
            return plans.of_sqlite(lines, ' LIMIT ' in statement)
        names = [column[0] for column in cursor.description]
    finally:
        cursor.close()
    return plans.of_mariadb([
        dict(zip(names, line, strict=True)) for line in lines])
