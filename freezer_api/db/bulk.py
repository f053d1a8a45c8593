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

"""One statement that gives many rows values of their own.

A driver makes of an UPDATE with a list of parameters one statement a row, so
that a table of any size takes most of its time on the way to the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

# The server looks a row up among those of its statement one by one, and a
# statement has to fit into the packet of a server of any configuration.
_ROWS = 100
CHARACTERS = 500_000

Row = Mapping[str, Any]


class Update:
    """Sets columns of the rows that ids name.

    :param columns: names of those that get a value of a row's own
    :param only_if: a column, or what is made of one, that has to be what a
        row calls ``old``; where somebody was faster it is not
    :param same: what all rows get
    """

    def __init__(self, table: sa.TableClause, columns: Sequence[str],
                 only_if: sa.ColumnElement[Any] | None = None,
                 **same: Any) -> None:
        self._table = table
        self._columns = columns
        self._only_if = only_if
        self._same = same
        self._statements: dict[int, sa.Update] = {}

    def run(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """
        :param rows: their ``id``, the columns, and ``old``
        """
        for some in slices(rows):
            connection.execute(self._statement(len(some)), {
                f'{name}_{number}': value
                for number, row in enumerate(some)
                for name, value in row.items()})

    def _statement(self, count: int) -> sa.Update:
        if count not in self._statements:
            self._statements[count] = self._made(count)
        return self._statements[count]

    def _made(self, count: int) -> sa.Update:
        row_id = self._table.c.id
        ids = [sa.bindparam(f'id_{number}', type_=sa.String())
               for number in range(count)]

        def own(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Case[Any]:
            return sa.case(*(
                (row_id == one, sa.bindparam(f'{name}_{number}', type_=kind))
                for number, one in enumerate(ids)))

        statement = sa.update(self._table).where(row_id.in_(ids)).values(
            self._same | {name: own(name, self._table.c[name].type)
                          for name in self._columns})
        return statement if self._only_if is None else statement.where(
            self._only_if == own('old', self._only_if.type))


def slices(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows in parts, as many as are good for one statement."""
    start = characters = 0
    for number, row in enumerate(rows):
        size = sum(len(value) for value in row.values()
                   if isinstance(value, str))
        if number > start and (number - start == _ROWS
                               or characters + size > CHARACTERS):
            yield rows[start:number]
            start, characters = number, 0
        characters += size
    if rows:
        yield rows[start:]
