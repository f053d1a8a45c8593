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

"""Rows of actions: what to do, with its retries."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import itertools
import operator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api import errors
from freezer_api.schemas import budgets

# Keys of freezer_action that have a column of their own; each is shown, null
# where it is not set.
COLUMNS = {'backup_name': 'backup_name', 'action': 'action',
           'mode': 'actionmode', 'container': 'container',
           'timeout': 'timeout', 'priority': 'priority',
           'path_to_backup': 'path_to_backup', 'log_file': 'log_file'}

SEARCHED = search.Columns(
    terms=models.Action.search_terms,
    keys=search.always({
        'action_id': models.Action.id,
        'project_id': models.Action.project_id,
        'user_id': models.Action.user_id,
    }),
    texts=(models.Action.id, models.Action.backup_name,
           models.Action.action, models.Action.actionmode,
           models.Action.path_to_backup, models.Action.container,
           models.Action.backup_metadata))

DEFAULT_MAX_RETRIES = 5
DEFAULT_MAX_RETRIES_INTERVAL = 6
# A change of an action changes each job that it is in, in one transaction.
MOST_JOBS = 100

# Actions of which objects are made at once.
_READ_AHEAD = 20

# Beside the definition, and no part of it.
_NO_DEFINITION = ('_version', 'user_id')


@dataclasses.dataclass(frozen=True)
class Content:
    """An action as it was sent."""

    freezer_action: Mapping[str, Any]
    max_retries: int = DEFAULT_MAX_RETRIES
    max_retries_interval: int = DEFAULT_MAX_RETRIES_INTERVAL
    mandatory: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Content:
        """Read a checked document: the action's own, or a job's entry.

        ``mandatory`` counts beside freezer_action and inside it, where
        upstream looked for it.
        """
        freezer_action = document.get('freezer_action') or {}
        mandatory = document.get(
            'mandatory', freezer_action.get('mandatory'))
        return cls(
            freezer_action=freezer_action,
            **retries(document),
            mandatory=mandatory is True)


@dataclasses.dataclass(frozen=True)
class Definition:
    """The columns of an action that its document shows."""

    id: str
    project_id: str | None
    user_id: str
    action: str
    actionmode: str | None
    path_to_backup: str | None
    backup_name: str | None
    container: str | None
    timeout: int | None
    priority: int | None
    log_file: str | None
    max_retries_interval: int | None
    max_retries: int | None
    mandatory: bool | None
    backup_metadata: dict[str, Any] | None


AnyAction = models.Action | Definition


def retries(document: Mapping[str, Any]) -> dict[str, int]:
    """Return how often and when a document wants its action tried again.

    Null means the default, as absence does: a stock scheduler cannot run an
    action with null retries.
    """
    return {name: default if document.get(name) is None else document[name]
            for name, default in (
                ('max_retries', DEFAULT_MAX_RETRIES),
                ('max_retries_interval', DEFAULT_MAX_RETRIES_INTERVAL))}


def retries_of(action: AnyAction) -> dict[str, int]:
    """Return the retries of a row; databases of upstream's hold nulls."""
    return retries({'max_retries': action.max_retries,
                    'max_retries_interval': action.max_retries_interval})


def shown(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a freezer_action that is sent as it is shown once it is stored.
    """
    return {**document, **{key: document.get(key) for key in COLUMNS}}


def freezer_action(action: AnyAction) -> dict[str, Any]:
    """Return the freezer_action of a row."""
    stored = action.backup_metadata
    document = dict(stored) if isinstance(stored, dict) else {}
    for key, column in COLUMNS.items():
        value = getattr(action, column)
        document[key] = document.get(key) if value is None else value
    return document


def same_definition(stored: Mapping[str, Any],
                    sent: Mapping[str, Any]) -> bool:
    """Whether two freezer_actions mean the same.

    Null is absence. So is an empty text: to restore a backup the panel makes
    an action without the blank fields, and then a job whose entry has them.
    """

    def meaning(document: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in document.items()
                if value not in (None, '') and key not in _NO_DEFINITION}

    return meaning(stored) == meaning(sent)


def is_named(action: models.Action, entry: Mapping[str, Any]) -> bool:
    """Whether a job's entry names an action and says nothing against it."""
    sent = entry.get('freezer_action')
    return entry.get('action_id') == action.id and (
        not sent or same_definition(freezer_action(action), sent))


def find(session: orm.Session, project_id: str, action_id: str,
         lock: bool = False) -> models.Action | None:
    """Return a live action of the project.

    :param lock: keep others from changing it, and from giving it to a job,
        until the transaction ends
    """
    query = sa.select(models.Action).where(
        rows.live(models.Action), models.Action.project_id == project_id,
        collation.same_text(models.Action.id, action_id))
    return session.scalars(rows.locked(query) if lock else query).first()


def find_to_change(session: orm.Session, project_id: str,
                   action_id: str) -> models.Action | None:
    """Return a live action of the project, locked after the jobs it is in.

    Whoever needs both locks jobs before actions, and each in the order of
    their ids, so that no two wait for each other.

    :raises freezer_api.errors.ApiError: see :func:`jobs_with`
    """
    action = find(session, project_id, action_id)
    if action is not None:
        # By their ids: what MySQL reads to find them it locks, too.
        session.scalars(
            sa.select(models.Job.id).where(models.Job.id.in_(
                [job.id for job in jobs_with(session, action)]))
            .order_by(models.Job.id).with_for_update()).all()
    return find(session, project_id, action_id, lock=True)


def of_project(project_id: str) -> sa.Select[models.Action]:
    """Return the query of the project's actions."""
    return sa.select(models.Action).where(
        rows.live(models.Action), models.Action.project_id == project_id)


def add(session: orm.Session, project_id: str, user_id: str,
        action_id: str | None, content: Content,
        field: str = 'freezer_action',
        owned_by_job: bool = False) -> models.Action:
    """Add an action.

    :param owned_by_job: whether it is made of a job's document, and is deleted
        when no job has it any more
    :raises freezer_api.errors.ApiError: see freezer_api.db.rows.check_new
    :raises freezer_api.schemas.InvalidDocument: when the content is too large
    """
    rows.check_new(session, models.Action, action_id)
    action = models.Action(id=action_id or rows.new_id(),
                           project_id=project_id, user_id=user_id,
                           owned_by_job=owned_by_job)
    write(action, content, field)
    session.add(action)
    return action


def write(action: models.Action, content: Content,
          field: str = 'freezer_action') -> None:
    """Give a row a content.

    :param field: what an error calls the freezer_action
    :raises freezer_api.schemas.InvalidDocument: when the content is too large
    """
    document = dict(content.freezer_action)
    budgets.check(field, document, action.backup_metadata)
    action.backup_metadata = document
    for key, column in COLUMNS.items():
        value = document.get(key)
        if column in ('timeout', 'priority') and type(value) is not int:
            value = None
        setattr(action, column, value)
    action.max_retries = content.max_retries
    action.max_retries_interval = content.max_retries_interval
    action.mandatory = content.mandatory


def update(action: models.Action, document: Mapping[str, Any]) -> None:
    """Change what a checked PATCH document names, and nothing else.

    A key of freezer_action that is sent as null is unset.

    :raises freezer_api.schemas.InvalidDocument: see :func:`write`
    """
    merged = freezer_action(action) | (document.get('freezer_action') or {})
    mandatory = document.get('mandatory', merged.get('mandatory'))
    write(action, Content(
        freezer_action={key: value for key, value in merged.items()
                        if value is not None},
        **retries({**retries_of(action), **document}),
        # Databases of upstream's hold texts there, which say nothing.
        mandatory=mandatory if isinstance(mandatory, bool)
        else bool(action.mandatory)))


def delete(session: orm.Session, action: models.Action,
           jobs: Sequence[models.Job], now: int) -> None:
    """Delete an action and take it out of the jobs that use it.

    :param jobs: what :func:`jobs_with` returns, locked
    """
    rows.delete(action, now)
    for link in session.scalars(sa.select(models.JobAction).where(
            models.JobAction.action_id == action.id,
            models.JobAction.job_id.in_([job.id for job in jobs])
            ).with_for_update()):
        link.deleted = True


def without_others(session: orm.Session, action: models.Action,
                   jobs: Sequence[models.Job]) -> list[models.Job]:
    """Return those of an action's jobs that have no other action.

    :param jobs: what :func:`jobs_with` returns, locked
    """
    link = models.JobAction
    others = set(session.scalars(
        sa.select(link.job_id)
        .join(models.Action, collation.same(models.Action.id, link.action_id))
        .where(link.job_id.in_([job.id for job in jobs]),
               link.action_id != action.id,
               models.Action.project_id == action.project_id,
               rows.live(link), rows.live(models.Action)).distinct()))
    return [job for job in jobs if job.id not in others]


# Made once: to put a query together takes longer than to ask it.
_OF_JOBS = (
    sa.select(models.JobAction.job_id, models.JobAction.position,
              models.JobAction.id, models.Action)
    .join(models.Action,
          collation.same(models.Action.id, models.JobAction.action_id))
    .join(models.Job, collation.same(models.Job.id, models.JobAction.job_id))
    .where(models.JobAction.job_id.in_(
        sa.bindparam('jobs', expanding=True)),
        collation.same(models.Action.project_id, models.Job.project_id),
        rows.live(models.JobAction), rows.live(models.Action))
    .order_by(models.Action.id))
_LOCKED_OF_JOBS = _OF_JOBS.with_for_update()


# In the order of a page of jobs. Nothing is written early for it.
@functools.cache
def _by_job(newest_first: bool,
            ) -> sa.Select[str, int | None, str, models.Action]:
    order: list[sa.UnaryExpression[Any] | sa.ColumnElement[Any]] = [
        column.desc() if newest_first else column.asc()
        for column in (models.Job.created_at, models.Job.id)]
    return _OF_JOBS.order_by(None).order_by(*order).execution_options(
        autoflush=False)


def by_job(session: orm.Session, job_ids: Collection[str],
           newest_first: bool = False,
           ) -> Iterator[tuple[str, list[models.Action]]]:
    """Yield the actions of jobs as :func:`of_jobs` has them, job by job.

    Jobs come in their stable order; one without actions does not. Only a few
    actions are read ahead.

    :returns: pairs of a job's id and its actions
    """
    read = session.execute(_by_job(newest_first), {'jobs': list(job_ids)}
                           ).yield_per(_READ_AHEAD)
    for job_id, found in itertools.groupby(read, operator.itemgetter(0)):
        yield job_id, [action for *_, action in sorted(
            found, key=lambda row: (row[1] or 0, row[2]))]


def of_job(session: orm.Session, job_id: str) -> list[models.Action]:
    """Return the live actions of one job in their order."""
    return [action for _, its in by_job(session, [job_id]) for action in its]


def of_jobs(session: orm.Session, job_ids: Iterable[str],
            lock: bool = False,
            anew: bool = False) -> dict[str, list[models.Action]]:
    """Return the live actions of jobs, each list in its order.

    :param lock: see :func:`find`
    :param anew: read again what the session knows
    """
    found: dict[str, list[models.Action]] = {}
    for job_id, _, _, action in sorted(
            session.execute(_LOCKED_OF_JOBS if lock else _OF_JOBS,
                            {'jobs': list(job_ids)},
                            execution_options={
                                'populate_existing': lock or anew}),
            key=lambda row: (row[1] or 0, row[2])):
        found.setdefault(job_id, []).append(action)
    return found


def jobs_with(session: orm.Session, action: models.Action,
              lock: bool = False) -> Sequence[models.Job]:
    """Return the live jobs of the action's project that use it.

    :raises freezer_api.errors.ApiError: action_in_too_many_jobs when they are
        more than one transaction may change
    """
    query = (
        sa.select(models.Job)
        .where(rows.live(models.Job),
               models.Job.project_id == action.project_id,
               models.Job.id.in_(
                   sa.select(collation.comparable(
                       models.JobAction.job_id, models.Job.id)).where(
                       models.JobAction.action_id == action.id,
                       rows.live(models.JobAction))))
        .order_by(models.Job.id))
    if lock:
        query = rows.locked(query)
    found = session.scalars(query.limit(MOST_JOBS + 1)).all()
    if len(found) > MOST_JOBS:
        raise errors.ApiError(
            'action_in_too_many_jobs',
            f'Action {action.id} is in more than {MOST_JOBS} jobs, the most '
            'that one request may change. Give the jobs a new action.')
    return found
