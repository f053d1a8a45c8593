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

"""Searches in SQL, by the columns and the terms of a row."""

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

from freezer_api.db import collation
from freezer_api.db import rows
from freezer_api.domain import search as domain_search

Row = TypeVar('Row')
Column = sa.ColumnElement[Any] | orm.InstrumentedAttribute[Any]
Document = dict[str, Any]

Condition = Callable[[Any], sa.ColumnElement[bool]]

_UNSTORABLE = re.compile('[\0\ud800-\udfff]')

# The statement of a search for more keys is not cached: it rarely repeats, and
# takes several hundred KiB.
_FEW = 4

# Rows of which objects are made at once. A page may end before the last.
_READ_AHEAD = 20


@dataclasses.dataclass(frozen=True)
class Columns:
    """The conditions for the parts of a document.

    :ivar terms: the terms of a row, see :mod:`freezer_api.db.search_index`,
        for keys without a condition
    :ivar keys: returns the condition that a key has a value
    :ivar texts: the columns for the search of a text
    """

    terms: Column
    keys: Mapping[str, Condition]
    texts: Sequence[Column]


def always(columns: Mapping[str, Column]) -> dict[str, Condition]:
    """Return conditions for the top-level keys of all documents."""
    return {key: functools.partial(equal, column)
            for key, column in columns.items()}


def unless_null(terms: Column, columns: Mapping[str, Column],
                compare: Callable[
                    [Column, Any], sa.ColumnElement[bool]] | None = None,
                ) -> dict[str, Condition]:
    """Return conditions for keys that are absent if their column is NULL.

    If it is NULL, the same key at a lower level counts, which is in the terms.

    :param compare: see :func:`equal`, the default
    """

    def condition(key: str, column: Column,
                  value: Any) -> sa.ColumnElement[bool]:
        below = sa.and_(column.is_(None), holds(terms, key, value))
        return below if value is None else sa.or_(
            (compare or equal)(column, value), below)

    return {key: functools.partial(condition, key, column)
            for key, column in columns.items()}


def holds(terms: Column, key: str, value: Any) -> sa.ColumnElement[bool]:
    """Return the condition that the terms have a value of a key."""
    found = collation.occurs(domain_search.term(key, value),
                             sa.func.coalesce(terms, ''))
    return sa.not_(found) if value is None else found


def page(session: orm.Session, query: sa.Select[Any], model: type[rows.Model],
         columns: Columns, wanted: domain_search.ListParams,
         render: Callable[[Iterator[rows.Model]], Iterable[Document]],
         ) -> Iterable[Document]:
    """Return the documents of a page of search results.

    :param query: the query of all rows of ``model`` that may be found
    :param render: turns rows into documents, one at a time
    :raises freezer_api.domain.search.UnknownMarker: if no such row has the
        marker's ID
    """
    search, part = wanted.search, wanted.page
    if len(search.match) + len(search.match_not) > _FEW:
        session.connection().execution_options(compiled_cache=None)
    query = _narrow(_after(session, query, model, part), columns, search)
    found: sa.ScalarResult[rows.Model] = session.scalars(
        rows.ordered(query, model, part.newest_first)
        .limit(part.limit).offset(part.offset))
    return render(found.yield_per(_READ_AHEAD))


def _after(session: orm.Session, query: sa.Select[Row], model: Any,
           wanted: domain_search.Page) -> sa.Select[Row]:
    if wanted.marker is None:
        return query
    last = session.execute(
        query.with_only_columns(model.created_at, model.id)
        .where(collation.same_text(model.id, wanted.marker))).first()
    if last is None:
        raise domain_search.UnknownMarker(wanted.marker)
    made, row_id = model.created_at, model.id
    later = row_id < last.id if wanted.newest_first else row_id > last.id
    # Rows without a time come first on SQLite and MySQL, and last on
    # PostgreSQL.
    undated_first = (session.get_bind().dialect.name == 'postgresql'
                     ) is wanted.newest_first
    if last.created_at is None:
        rest = sa.and_(made.is_(None), later)
        return query.where(sa.or_(rest, made.is_not(None))
                           if undated_first else rest)
    # With this condition every engine starts at the page in the index.
    dated = sa.and_(
        made <= last.created_at if wanted.newest_first
        else made >= last.created_at,
        sa.or_(made < last.created_at if wanted.newest_first
               else made > last.created_at, later))
    if undated_first or not _has_undated(session, query, model):
        return query.where(dated)
    return query.where(sa.or_(dated, made.is_(None)))


def _has_undated(session: orm.Session, query: sa.Select[Row],
                 model: Any) -> bool:
    """Return whether any row has no time; the index answers quickly."""
    return session.execute(query.with_only_columns(model.id).where(
        model.created_at.is_(None)).limit(1)).first() is not None


def _narrow(query: sa.Select[Row], columns: Columns,
            search: domain_search.Search) -> sa.Select[Row]:
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
    """Return the condition that a column has this value and type."""
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
        return sa.and_(column.is_not(None), collation.same_text(column, value))
    if abs(value) >= 2 ** 63:
        return sa.false()
    return sa.and_(column.is_not(None), column == value)
