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

"""Byte-wise comparison of texts on every engine.

The usual collations of MySQL ignore case and trailing blanks, but IDs are
case-sensitive: a tenant's client ``Central`` must not be confused with the
operator's ``central``.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import functions

from freezer_api.db.admin import collation_repair

Parameter = sa.BindParameter[str]


def text(name: str) -> Parameter:
    """Return a text parameter for a prepared query."""
    return sa.bindparam(name, type_=sa.String())


class same_text(functions.FunctionElement[bool]):
    """The condition that two texts are equal, byte for byte.

    :param left: a column
    :param right: a text, or the parameter for one
    """

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, left: Any, right: str | Parameter) -> None:
        super().__init__(left, sa.literal(right, sa.String())
                         if isinstance(right, str) else right)

    def self_group(self, against: Any = None) -> same_text:
        """Return the condition unchanged within other conditions.

        MySQL has no booleans, so SQLAlchemy would compare it with 1 there.
        Then no index could be used: each row would be read and locked.
        """
        return self


@compiler.compiles(same_text)
def _plain(element: same_text, visitor: Any, **kwargs: Any) -> str:
    left, right = (visitor.process(one, **kwargs) for one in element.clauses)
    return f'({left} = {right})'


@compiler.compiles(same_text, 'mysql', 'mariadb')
def _mysql(element: same_text, visitor: Any, **kwargs: Any) -> str:
    left, right = (visitor.process(one, **kwargs) for one in element.clauses)
    # The first half can use the index.
    return (f'({left} = {right} AND '
            f'CAST(CONVERT({left} USING utf8mb4) AS BINARY) = '
            f'CAST(CONVERT({right} USING utf8mb4) AS BINARY))')


def _key(column: Any) -> str:
    """Return ``table.column`` of a column, also of an aliased one."""
    (base,) = getattr(column, 'expression', column).base_columns
    return f'{base.table.name}.{base.name}'


class comparable(functions.FunctionElement[str]):
    """A column, for a comparison with a column of another table.

    MySQL cannot compare columns of two collations. There, this column is
    converted to the collation of the other one, whose index remains usable.

    :param value: the column
    :param other: the column that it is compared with
    """

    type = sa.String()
    inherit_cache = True

    def __init__(self, value: Any, other: Any) -> None:
        # As text: a column would add its table to the query.
        super().__init__(value, sa.literal_column(
            f'{_key(value)} {_key(other)}'))


@compiler.compiles(comparable)
def _as_it_is(element: comparable, visitor: Any, **kwargs: Any) -> str:
    value, _ = element.clauses
    return str(visitor.process(value, **kwargs))


@compiler.compiles(comparable, 'mysql', 'mariadb')
def _converted(element: comparable, visitor: Any, **kwargs: Any) -> str:
    value, names = element.clauses
    text = str(visitor.process(value, **kwargs))
    known = visitor.execution_options.get(collation_repair.OPTION, {})
    has, wanted = (known.get(tuple(name.split('.')))
                   for name in str(names).split(' '))
    if has is None or wanted is None or has == wanted:
        return text
    return (f'CONVERT({text} USING {wanted.charset}) '
            f'COLLATE {wanted.name}')


def same(left: Any, right: Any) -> sa.ColumnElement[bool]:
    """Return the condition that columns of two tables have the same text.

    :param left: the column whose index should find the row
    """
    condition: sa.ColumnElement[bool] = left == comparable(right, left)
    return condition


class letters(functions.FunctionElement[str]):
    """A text for byte-wise comparisons.

    MySQL cannot compare texts of two tables with different collations.
    """

    type = sa.String()
    inherit_cache = True


@compiler.compiles(letters)
def _plain_letters(element: letters, visitor: Any, **kwargs: Any) -> str:
    (text,) = element.clauses
    return str(visitor.process(text, **kwargs))


@compiler.compiles(letters, 'mysql', 'mariadb')
def _mysql_letters(element: letters, visitor: Any, **kwargs: Any) -> str:
    (text,) = element.clauses
    return (f'CAST(CONVERT({visitor.process(text, **kwargs)} USING utf8mb4) '
            'AS BINARY)')


class occurs(functions.FunctionElement[bool]):
    """The condition that a text occurs in another, byte for byte.

    :param part: a text
    :param whole: a column; on MySQL with a binary collation
    """

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, part: str, whole: Any) -> None:
        super().__init__(whole, sa.literal(part, sa.String()))


@compiler.compiles(occurs)
def _instr(element: occurs, visitor: Any, **kwargs: Any) -> str:
    whole, part = (visitor.process(one, **kwargs) for one in element.clauses)
    return f'(instr({whole}, {part}) > 0)'


@compiler.compiles(occurs, 'postgresql')
def _strpos(element: occurs, visitor: Any, **kwargs: Any) -> str:
    whole, part = (visitor.process(one, **kwargs) for one in element.clauses)
    return f'(strpos({whole}, {part}) > 0)'
