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

"""The usage of projects, counted in the transaction that changes it.

``project_usage`` has a row for each project. A transaction collects its
changes. Before it commits, it adds them to the rows of its projects, in the
order of their IDs and after all other locks. The statement that adds also
checks the limits. So the numbers are exact with any number of writers, the
cost of a check does not depend on the number of jobs, and there are no
deadlocks.

Changes by an API of an earlier release are not counted: ``freezer-manage db
repair`` counts again, see :mod:`freezer_api.db.admin.usage_recount`.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.domain import quota

#: The counted models, and their columns with documents of users.
COUNTED: dict[type[Any], tuple[quota.Resource, tuple[str, ...]]] = {
    models.Job: (quota.Resource.JOBS, ('schedule',)),
    models.Action: (quota.Resource.ACTIONS, ('backup_metadata',)),
    models.Client: (quota.Resource.CLIENTS, ()),
    models.Session: (quota.Resource.SESSIONS, ('schedule', 'job')),
    models.Backup: (quota.Resource.BACKUPS, ('backup_metadata',)),
}

_BYTES = quota.Resource.STORED_BYTES


def size(document: Any) -> int:
    """Return the size of a document in its cell, in bytes."""
    return 0 if document is None else len(json.dumps(document))


def of_project(session: orm.Session,
               project_id: str) -> dict[quota.Resource, int]:
    """Return the usage of a project."""
    return _counts(session.connection().execute(
        _READ, {'project': project_id}).first())


def _counts(row: Sequence[int] | None) -> dict[quota.Resource, int]:
    return dict(zip(_COLUMNS, row or [0] * len(_COLUMNS), strict=True))


class Usage:
    """The changes of usage in a transaction.

    :param limits: of the project of the request; None for changes without a
        limit, such as the reports of runs, which are counted
    """

    def __init__(self, limits: quota.Limits | None) -> None:
        self.limits = limits
        self._changes: dict[str, dict[quota.Resource, int]] = {}

    def add(self, project_id: str | None, resource: quota.Resource,
            number: int) -> None:
        """Add to the usage of a project; ``number`` can be negative."""
        if project_id is not None and number:
            changes = self._changes.setdefault(project_id, {})
            changes[resource] = changes.get(resource, 0) + number

    def note(self, session: orm.Session) -> None:
        """Collect the changes of the next flush."""
        for row in session.new:
            if type(row) in COUNTED and not row.deleted:
                self._count(row, 1)
        for row in session.dirty:
            if type(row) in COUNTED:
                self._compare(row)

    def _count(self, row: Any, sign: int) -> None:
        resource, documents = COUNTED[type(row)]
        self.add(row.project_id, resource, sign)
        self.add(row.project_id, _BYTES, sign * sum(
            size(getattr(row, name)) for name in documents))

    def _compare(self, row: Any) -> None:
        was = _before(row, 'deleted') is False
        if not was and row.deleted is False:
            self._count(row, 1)
        elif was and row.deleted:
            resource, documents = COUNTED[type(row)]
            self.add(row.project_id, resource, -1)
            self.add(row.project_id, _BYTES, -sum(
                size(_before(row, name)) for name in documents))
        elif was:
            for name in COUNTED[type(row)][1]:
                before = _before(row, name)
                if before is not getattr(row, name):
                    self.add(row.project_id, _BYTES,
                             size(getattr(row, name)) - size(before))

    def check(self, session: orm.Session) -> None:
        """Check the limits early and without a lock.

        :raises freezer_api.domain.quota.Exceeded: see :meth:`write`
        :raises freezer_api.domain.quota.LimitsUnknown: see :meth:`write`
        """
        session.flush()
        if self.limits is not None:
            project_id = self.limits.project_id
            self.limits.check(of_project(session, project_id),
                              self._changes.get(project_id, {}))

    def write(self, session: orm.Session) -> None:
        """Check the limits and write the usage, after all other writes.

        :raises freezer_api.domain.quota.Exceeded: if the change exceeds a
            limit
        :raises freezer_api.domain.quota.LimitsUnknown: if the change increases
            the usage and the limits have not been read
        """
        session.flush()
        changes, self._changes = self._changes, {}
        if changes:
            write(session.connection(), changes, self.limits)


def write(connection: sa.Connection, changes: Mapping[str, quota.Counts],
          limits: quota.Limits | None) -> None:
    """Change the usage of projects, as the last writes of a transaction.

    :param changes: by how much the usage of each project grows
    :param limits: of one of the projects
    :raises freezer_api.domain.quota.Exceeded: see :meth:`Usage.write`
    :raises freezer_api.domain.quota.LimitsUnknown: see :meth:`Usage.write`
    """
    if limits is not None and limits.by_resource is None:
        # Raise LimitsUnknown before anything is locked.
        limits.check({}, changes.get(limits.project_id, {}))
    for project_id, change in sorted(changes.items()):
        limited = limits is not None and limits.project_id == project_id
        if not any(change.values()) or _add(
                connection, project_id, change, limits if limited else None):
            continue
        found = connection.execute(
            _READ.with_for_update(), {'project': project_id}).first()
        if limited and limits is not None:
            limits.check(_counts(found), change)
        if found is None:
            connection.execute(sa.insert(models.ProjectUsage).values(
                id=project_id, **{resource: max(0, change.get(resource, 0))
                                  for resource in quota.Resource}))
        else:
            _add(connection, project_id, change, None)


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger())


def _increased(resource: quota.Resource) -> sa.ColumnElement[int]:
    total = _COLUMNS[resource] + _number(f'more_{resource}')
    # Never below zero: an earlier release may have added a row that is
    # deleted now.
    return sa.case((total < 0, 0), else_=total)


_COLUMNS = {resource: models.ProjectUsage.__table__.c[resource]
            for resource in quota.Resource}
_OF_PROJECT = models.ProjectUsage.id == collation.text('project')
_READ = sa.select(*_COLUMNS.values()).where(_OF_PROJECT)
_ADD = sa.update(models.ProjectUsage).where(_OF_PROJECT, *(
    column <= _number(f'most_{resource}')
    for resource, column in _COLUMNS.items())).values({
        resource.value: _increased(resource) for resource in quota.Resource})
_UNLIMITED = 2 ** 63 - 1


def _add(connection: sa.Connection, project_id: str, change: quota.Counts,
         limits: quota.Limits | None) -> bool:
    """Change the usage of a project within its limits, in one statement.

    :returns: False if that would exceed a limit, or no row is there yet
    """
    most = {} if limits is None else limits.most_before(change)
    numbers = {}
    for resource in quota.Resource:
        numbers[f'more_{resource}'] = change.get(resource, 0)
        numbers[f'most_{resource}'] = most.get(resource, _UNLIMITED)
    return bool(connection.execute(
        _ADD, {'project': project_id, **numbers}).rowcount)


def watched(session: orm.Session) -> Usage | None:
    """Return the usage counter of a session, None if it has none."""
    return getattr(session, 'usage', None)


def _before(row: Any, name: str) -> Any:
    """Return the value of a column in the database."""
    history = orm.attributes.get_history(row, name)
    if history.deleted:
        return history.deleted[0]
    return getattr(row, name)
