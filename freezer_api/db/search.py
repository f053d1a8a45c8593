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

"""Searches as SQL, as far as their keys are columns.

What is left of a search is asked of the rows that remain, a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
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

_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Columns:
    """What of a document stands in columns.

    ``keys`` are compared, ``texts`` are what a text is looked for in.
    """

    keys: Mapping[str, Column]
    texts: Sequence[Column]


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


def page(session: orm.Session, query: sa.Select[Row], model: Any,
         columns: Columns, search: domain.Search, wanted: Page,
         render: Callable[[Sequence[Row]], list[Document]],
         ) -> list[Document]:
    """Return the documents of a page of what a search finds.

    :param query: the query of all rows of ``model`` that may be found
    :param render: makes documents of rows, one each
    :raises UnknownMarker: when no such row has the marker's id
    """
    query, rest = _narrow(
        _after(session, query, model, wanted.marker), columns, search)
    query = rows.ordered(query, model)
    limit, offset = wanted.limit, wanted.offset
    if not rest:
        return render(session.scalars(
            query.limit(limit).offset(offset)).all())
    found = (document for document in _documents(session, query, render)
             if domain.answers(document, rest))
    return list(itertools.islice(found, offset, offset + limit))


def _documents(session: orm.Session, query: sa.Select[Row],
               render: Callable[[Sequence[Row]], list[Document]],
               ) -> Iterator[Document]:
    for start in itertools.count(0, _CHUNK):
        chunk = session.scalars(query.limit(_CHUNK).offset(start)).all()
        yield from render(chunk)
        if len(chunk) < _CHUNK:
            return


def _after(session: orm.Session, query: sa.Select[Row], model: Any,
           marker: str | None) -> sa.Select[Row]:
    if marker is None:
        return query
    last: Any = session.scalars(
        query.where(exact.same_text(model.id, marker))).first()
    if last is None:
        raise UnknownMarker(marker)
    return query.where(sa.or_(
        model.created_at > last.created_at,
        sa.and_(model.created_at == last.created_at, model.id > last.id)))


def _narrow(query: sa.Select[Row], columns: Columns, search: domain.Search,
            ) -> tuple[sa.Select[Row], domain.Search]:
    """Return the query with what can be asked in SQL, and what is left."""
    if search.text is not None:
        query = query.where(sa.or_(*(
            sa.func.lower(sa.cast(column, sa.Text)).contains(
                search.text.lower(), autoescape=True)
            for column in columns.texts)))
    for pairs, wanted in ((search.match, True), (search.match_not, False)):
        for key, value in pairs:
            if key in columns.keys:
                equal = _equal(columns.keys[key], value)
                query = query.where(equal if wanted else sa.not_(equal))
    return query, domain.Search(
        tuple(pair for pair in search.match if pair[0] not in columns.keys),
        tuple(pair for pair in search.match_not
              if pair[0] not in columns.keys))


def _equal(column: Column, value: Any) -> sa.ColumnElement[bool]:
    """The condition that a column's value is this and of this type."""
    if value is None:
        return column.is_(None)
    kinds: dict[type[Any], type[Any]] = {
        str: sa.String, bool: sa.Boolean, int: sa.Integer}
    kind = kinds.get(type(value))
    if kind is None or not isinstance(column.type, kind):
        return sa.false()
    if isinstance(value, int) and abs(value) >= 2 ** 63:
        return sa.false()
    return sa.and_(column.is_not(None), exact.same_text(column, value)
                   if isinstance(value, str) else column == value)
