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

"""Searches as SQL: of columns, and of the terms of a row."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import re
from typing import Any
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import exact
from freezer_api.db import rows
from freezer_api.domain import search as domain

Row = TypeVar('Row')
Column = sa.ColumnElement[Any] | orm.InstrumentedAttribute[Any]
Document = dict[str, Any]

Condition = Callable[[Any], sa.ColumnElement[bool]]

_UNSTORABLE = re.compile('[\0\ud800-\udfff]')

# A search for more keys is not met again, and its statement, which would be
# kept, takes several hundred KiB.
_FEW = 4


@dataclasses.dataclass(frozen=True)
class Columns:
    """What is asked for the parts of a document.

    ``keys`` are conditions that a key has a value; the ``terms`` of a row,
    freezer_api.db.terms, answer for all other keys. ``texts`` are what a text
    is looked for in.
    """

    terms: Column
    keys: Mapping[str, Condition]
    texts: Sequence[Column]


def always(columns: Mapping[str, Column]) -> dict[str, Condition]:
    """Return the conditions of keys that each document has at its top."""
    return {key: functools.partial(equal, column)
            for key, column in columns.items()}


def unless_null(terms: Column, columns: Mapping[str, Column],
                compare: Callable[
                    [Column, Any], sa.ColumnElement[bool]] | None = None,
                ) -> dict[str, Condition]:
    """Return the conditions of keys that are absent where they are NULL.

    There the same key further down counts, which is in the terms.

    :param compare: see :func:`equal`, which is the default
    """

    def condition(key: str, column: Column,
                  value: Any) -> sa.ColumnElement[bool]:
        below = sa.and_(column.is_(None), holds(terms, key, value))
        return below if value is None else sa.or_(
            (compare or equal)(column, value), below)

    return {key: functools.partial(condition, key, column)
            for key, column in columns.items()}


def holds(terms: Column, key: str, value: Any) -> sa.ColumnElement[bool]:
    """The condition that by its terms a row has a value under a key."""
    found = exact.occurs(domain.term(key, value), sa.func.coalesce(terms, ''))
    return sa.not_(found) if value is None else found


class UnknownMarker(Exception):
    """The list has no item with the marker's id."""


@dataclasses.dataclass(frozen=True)
class Page:
    """Which part of a list is wanted.

    ``marker`` is the id of the last item before it, None for the beginning;
    ``offset`` counts from there.
    """

    limit: int
    offset: int = 0
    marker: str | None = None


def page(session: orm.Session, query: sa.Select[Any], model: type[rows.Model],
         columns: Columns, search: domain.Search, wanted: Page,
         render: Callable[[Iterator[rows.Model]], Iterable[Document]],
         ) -> Iterable[Document]:
    """Return the documents of a page of what a search finds.

    :param query: the query of all rows of ``model`` that may be found
    :param render: makes documents of rows, one each, as they are asked for
    :raises UnknownMarker: when no such row has the marker's id
    """
    if len(search.match) + len(search.match_not) > _FEW:
        session.connection().execution_options(compiled_cache=None)
    query = _narrow(_after(session, query, model, wanted.marker),
                    columns, search)
    return render(rows.look(
        session, rows.ordered(query, model)
        .with_only_columns(*rows.shown(model))
        .limit(wanted.limit).offset(wanted.offset), model))


def _after(session: orm.Session, query: sa.Select[Row], model: Any,
           marker: str | None) -> sa.Select[Row]:
    if marker is None:
        return query
    last = session.execute(
        query.with_only_columns(model.created_at, model.id)
        .where(exact.same_text(model.id, marker))).first()
    if last is None:
        raise UnknownMarker(marker)
    # In this form every engine goes on in the index where the page begins.
    return query.where(
        model.created_at >= last.created_at,
        sa.or_(model.created_at > last.created_at, model.id > last.id))


def _narrow(query: sa.Select[Row], columns: Columns,
            search: domain.Search) -> sa.Select[Row]:
    if search.text is not None and _UNSTORABLE.search(search.text):
        query = query.where(sa.false())
    elif search.text is not None:
        query = query.where(sa.or_(*(
            sa.func.lower(sa.cast(column, sa.Text)).contains(
                search.text.lower(), autoescape=True)
            for column in columns.texts)))
    for pairs, wanted in ((search.match, True), (search.match_not, False)):
        for key, value in pairs:
            condition = columns.keys.get(key) or functools.partial(
                holds, columns.terms, key)
            query = query.where(condition(value) if wanted
                                else sa.not_(condition(value)))
    return query


def equal(column: Column, value: Any) -> sa.ColumnElement[bool]:
    """The condition that a column's value is this and of this type."""
    if value is None:
        return column.is_(None)
    kinds: dict[type[Any], type[Any]] = {
        str: sa.String, bool: sa.Boolean, int: sa.Integer}
    kind = kinds.get(type(value))
    if kind is None or not isinstance(column.type, kind):
        return sa.false()
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            return sa.false()
        return sa.and_(column.is_not(None), exact.same_text(column, value))
    if abs(value) >= 2 ** 63:
        return sa.false()
    return sa.and_(column.is_not(None), column == value)
