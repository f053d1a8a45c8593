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

"""What all tables share: visible rows, stable pages, soft deletion."""

from __future__ import annotations

from collections.abc import Collection
import datetime
from typing import Any
from typing import TypeVar
from typing import TypeVarTuple
import uuid

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api import errors

#: Rows that one transaction locks or writes at most.
MOST = 500

Row = TypeVar('Row')
Columns = TypeVarTuple('Columns')
Model = TypeVar('Model', bound=models.Base)


def new_id() -> str:
    """Return an id as the API makes them: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def live(model: type[models.Base]) -> sa.ColumnElement[bool]:
    """The condition of a row that is not deleted.

    A NULL, which only rows made by hand have, counts as deleted.
    """
    return model.deleted == sa.false()


def locked(query: sa.Select[*Columns],
           skip_locked: bool = False) -> sa.Select[*Columns]:
    """Return a query with locks, which reads again what the session knows.

    :param skip_locked: whether to leave out rows that others have locked
    """
    return query.with_for_update(
        skip_locked=skip_locked).execution_options(populate_existing=True)


def locked_by_id(model: type[Model], ids: Collection[str],
                 skip_locked: bool = False) -> sa.Select[Model]:
    """Return the query that locks rows by primary key, in that order.

    It has no other condition, for InnoDB locks what it reads: of a range of
    another index also the gaps, where an INSERT of another tenant then waits.
    Check the rows afterwards.

    :param skip_locked: whether to leave out rows that others have locked
    """
    query = sa.select(model).where(sa.inspect(model).c.id.in_(ids))
    for dialect in ('mysql', 'mariadb'):
        # For many ids of a small table the optimizer prefers to scan it.
        query = query.with_hint(model, 'FORCE INDEX (PRIMARY)', dialect)
    return locked(query.order_by(sa.inspect(model).c.id), skip_locked)


def ordered(query: sa.Select[Row], model: Any,
            newest_first: bool = False) -> sa.Select[Row]:
    """Put a list into its stable order: creation, then id."""
    if newest_first:
        # Engines read the index of the other direction from its end.
        return query.order_by(model.created_at.desc(), model.id.desc())
    return query.order_by(model.created_at, model.id)


def check_new(session: orm.Session, model: type[models.Base],
              row_id: str | None) -> None:
    """Refuse the ID of a row, be it deleted or of another project.

    :param row_id: None for a row whose ID is still to be made
    :raises freezer_api.errors.ApiError: already_exists
    """
    if row_id and session.get(model, row_id) is not None:
        raise errors.ApiError(
            'already_exists',
            f'{model.__name__} already registered with ID {row_id}')


def naive(epoch: int) -> datetime.datetime:
    """Return a time as the published columns have it."""
    return datetime.datetime.fromtimestamp(
        epoch, datetime.UTC).replace(tzinfo=None)


def delete(row: models.Base, now: int) -> None:
    """Mark a row deleted; it stays, and so does its id."""
    row.deleted = True
    row.deleted_at = naive(now)


def restore(row: models.Base) -> None:
    """Take back that a row is deleted."""
    row.deleted = False
    row.deleted_at = None
