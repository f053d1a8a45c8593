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

"""Comparing texts to the letter, on every engine.

The usual collations of MySQL take ``a`` for ``A`` and ignore blanks at the
end, but ids are case-sensitive: a tenant's ``Central`` must never be taken
for the ``central`` of the operator.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import functions

Parameter = sa.BindParameter[str]


def text(name: str) -> Parameter:
    """A parameter of a query that is made once: a text."""
    return sa.bindparam(name, type_=sa.String())


class same_text(functions.FunctionElement[bool]):
    """The condition that two texts are the same, byte for byte.

    :param left: a column
    :param right: a text, or the parameter that stands for it
    """

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, left: Any, right: str | Parameter) -> None:
        super().__init__(left, sa.literal(right, sa.String())
                         if isinstance(right, str) else right)

    def self_group(self, against: Any = None) -> same_text:
        """Return what stands among other conditions: this, as it is.

        MySQL has no booleans, so SQLAlchemy would compare it with 1 there,
        and then no index serves: each row would be read, and locked.
        """
        return self


@compiler.compiles(same_text)
def _plain(element: same_text, visitor: Any, **kwargs: Any) -> str:
    left, right = (visitor.process(one, **kwargs) for one in element.clauses)
    return f'({left} = {right})'


@compiler.compiles(same_text, 'mysql', 'mariadb')
def _mysql(element: same_text, visitor: Any, **kwargs: Any) -> str:
    left, right = (visitor.process(one, **kwargs) for one in element.clauses)
    # The first half is for the index.
    return (f'({left} = {right} AND '
            f'CAST({left} AS BINARY) = CAST({right} AS BINARY))')


class letters(functions.FunctionElement[str]):
    """A text that others are compared with to the letter.

    Texts of two tables may have collations that MySQL compares not at all.
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
    return f'CAST({visitor.process(text, **kwargs)} AS BINARY)'


class occurs(functions.FunctionElement[bool]):
    """The condition that a text is part of another, byte for byte.

    :param part: a text
    :param whole: a column, on MySQL of a binary collation
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
