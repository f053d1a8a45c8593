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

"""Rows that an operator should check after an upgrade. It changes none."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from freezer_api.db import engine
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import unproven_trusts

# Number of IDs that are listed for each kind.
NAMED = 5


@dataclasses.dataclass(frozen=True)
class Sort:
    """Rows of one kind.

    :ivar title: their common property
    :ivar ids: the IDs of the first rows
    """

    title: str
    count: int
    ids: list[str]


@dataclasses.dataclass(frozen=True)
class Report:
    """All kinds with at least one row, by chapter.

    It contains neither the values that were kept aside nor trusts.
    """

    kept: list[Sort]
    orphaned: list[Sort]
    suspended: list[Sort]
    unarmed: list[Sort]
    trusts: list[Sort]
    containers: list[Sort]
    invisible: list[Sort]


def make(database: engine.Database) -> Report:
    """Create the report.

    :raises oslo_db.exception.DBError: from a failing database
    """
    with database.read() as session:
        connection = session.connection()
        present = migration_quarantine.present(connection)
        kept = migration_quarantine.KEPT_VALUES
        orphaned = migration_quarantine.ORPHANED_CREDENTIALS
        job, credential = models.Job, models.UserCredential
        status = sa.func.coalesce(job.status, '')
        return Report(
            kept=_grouped(connection, kept.c.row_id, [
                kept.c.table_name, kept.c.column_name, kept.c.reason],
                '{}.{}: {}') if kept in present else [],
            orphaned=_grouped(connection, orphaned.c.id, [
                orphaned.c.trustor_user_id],
                'a trust of user {} for a job that does not exist')
            if orphaned in present else [],
            suspended=_grouped(
                connection, job.id, [job.suspension_reason], '{}',
                rows.live(job), job.suspension_reason.is_not(None)),
            unarmed=_grouped(
                connection, job.id, [job.client_id, status],
                'client {}, status {}', rows.live(job),
                job.next_run_at.is_(None), job.run_id.is_(None),
                status.not_in(('stop', 'completed', 'removed'))),
            trusts=[
                *_grouped(connection, models.Delegation.id, [],
                          'wait for their deletion in Keystone',
                          models.Delegation.delete_after.is_not(None)),
                *_grouped(connection, models.Delegation.id, [],
                          'may remain in Keystone: see freezer-manage '
                          'trusts orphans', *unproven_trusts.UNPROVEN),
                *_grouped(connection, credential.id, [],
                          'are in plain text: see freezer-manage credential '
                          'rotate', rows.live(credential),
                          credential.trust_id != '',
                          credential.decrypt_method.is_(None))],
            containers=_grouped(
                connection, models.Action.id, [models.Action.container],
                'container {}', rows.live(models.Action),
                models.Action.actionmode == 'cindernative',
                models.Action.container.is_not(None),
                models.Action.container != ''),
            invisible=[found for model in (
                models.Job, models.Action, models.Session, models.Backup,
                models.Client) for found in _grouped(
                    connection, model.id, [], f'in {model.__tablename__}',
                    model.deleted.is_(None))])


def _grouped(connection: sa.Connection, row_id: Any, by: list[Any],
             title: str, *where: sa.ColumnElement[bool]) -> list[Sort]:
    """Count rows by some columns, and list a few IDs of each group.

    :param title: with one placeholder for each column
    """
    counted = connection.execute(
        sa.select(sa.func.count(row_id), *by).where(*where)
        .group_by(*by).order_by(*by)).all()
    found = []
    for count, *values in counted:
        if not count:
            continue
        ids = connection.scalars(
            sa.select(row_id).where(*where, *(
                column.is_(None) if value is None else column == value
                for column, value in zip(by, values, strict=True)))
            .order_by(row_id).limit(NAMED)).all()
        found.append(Sort(title.format(*(
            'none' if value in (None, '') else value for value in values)),
            count, list(ids)))
    return found
