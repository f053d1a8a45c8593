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

"""Rows of jobs."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses
import functools
import operator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import due_queue
from freezer_api.db import job_actions
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import run_state

_RUNTIME = tuple(field.name for field in dataclasses.fields(job_state.Runtime))
_values = operator.attrgetter(*_RUNTIME)

#: The columns of a :class:`freezer_api.domain.job_state.Runtime`.
RUNTIME: tuple[sa.ColumnElement[Any], ...] = _values(models.Job)


#: The condition of the live job whose ID is the parameter ``id``.
OF_ID = sa.and_(rows.live(models.Job),
                collation.same_text(models.Job.id, collation.text('id')))


def runtime(job: models.Job) -> job_state.Runtime:
    """Return where a job stands."""
    return job_state.Runtime(*_values(job))


def set_runtime(job: models.Job, state: job_state.Runtime) -> None:
    """Write where a job stands.

    A run that waited to be tried again, and now is not, ends as skipped.
    """
    waited = job.retry_run_id
    for name, value, before in zip(
            _RUNTIME, _values(job_state.shortened(state)), _values(job),
            strict=True):
        # What is set is compared with what is stored once more.
        if value != before:
            setattr(job, name, value)
    if waited is not None and waited not in (job.retry_run_id, job.run_id):
        end_waiting(job, waited)


def end_waiting(job: models.Job, run_id: str | None) -> None:
    """End a run of a locked job that waits to be tried again, if it does."""
    session = orm.object_session(job)
    if run_id is not None and session is not None:
        session.execute(sa.update(models.JobRun).where(
            models.JobRun.id == run_id,
            models.JobRun.state == run_state.State.WAITING).values(
                state=run_state.State.SKIPPED))


def schedule(job: models.Job) -> dict[str, object]:
    """Return what the user wrote of the schedule."""
    return user_part(job.schedule)


def user_part(stored: object) -> dict[str, object]:
    """Return what the user wrote of a stored schedule."""
    user, _ = job_state.split_schedule(
        stored if isinstance(stored, dict) else {})
    return user


def plan(job: models.Job, rules: firing_plan.Rules) -> firing_plan.Plan:
    """Return when the job fires and becomes due."""
    return firing_plan.Plan(schedule(job), job.id, rules)


class Plans:
    """The plans of jobs, kept from before a transaction into it."""

    def __init__(self, rules: firing_plan.Rules) -> None:
        self.rules = rules
        self._known: dict[str, firing_plan.Plan] = {}

    def of(self, job: models.Job) -> firing_plan.Plan:
        """Return the plan of a job, a new one if its schedule has changed."""
        known = self._known.get(job.id)
        if known is None or known.schedule != schedule(job):
            known = self._known[job.id] = plan(job, self.rules)
        return known


def find(session: orm.Session, project_id: str | None, job_id: str,
         lock: bool = False) -> models.Job | None:
    """Return a live job.

    :param project_id: None finds a job of any project
    :param lock: keep others from changing it until the transaction ends
    """
    return session.scalars(
        _of_id(project_id is not None, lock),
        {'id': job_id, 'project': project_id}).first()


# Made once: to put a query together takes longer than to ask it.
@functools.cache
def _of_id(in_project: bool, lock: bool) -> sa.Select[models.Job]:
    query = sa.select(models.Job).where(OF_ID)
    if in_project:
        query = query.where(models.Job.project_id == collation.text('project'))
    return rows.locked(query) if lock else query


def living(session: orm.Session, project_id: str | None,
           job_ids: Collection[str]) -> set[str]:
    """Return those of the ids that are live jobs of a project."""
    found = set(session.scalars(sa.select(models.Job.id).where(
        models.Job.id.in_(job_ids), rows.live(models.Job),
        models.Job.project_id == project_id)))
    # A collation may find a job whose id has other letters.
    return found & set(job_ids)


def of_project(project_id: str | None) -> sa.Select[models.Job]:
    """Return the query of a project's jobs, of all projects for None."""
    query = sa.select(models.Job).where(rows.live(models.Job))
    if project_id is not None:
        query = query.where(models.Job.project_id == project_id)
    return query


def suspended(session: orm.Session) -> dict[str, int]:
    """Return how many jobs are suspended, of all projects, by cause."""
    query = sa.select(models.Job.suspension_reason, sa.func.count()).where(
        rows.live(models.Job),
        models.Job.suspension_reason.is_not(None)).group_by(
            models.Job.suspension_reason)
    return {str(cause): count for cause, count in session.execute(query)}


def add(session: orm.Session, project_id: str, user_id: str,
        job_id: str | None, client_id: str) -> models.Job:
    """Add an empty job.

    :raises freezer_api.errors.ApiError: see freezer_api.db.rows.check_new
    """
    rows.check_new(session, models.Job, job_id)
    job = models.Job(id=job_id or rows.new_id(), project_id=project_id,
                     user_id=user_id, schedule={})
    assign(session, job, client_id)
    session.add(job)
    return job


def assign(session: orm.Session, job: models.Job, client_id: str) -> None:
    """Give a job to a client, which then knows of its project."""
    job.client_id = client_id
    due_queue.ensure(session, client_id, job.project_id)


# Past the session, which would read the job first. No terms hold it.
_DESCRIBE = sa.update(models.Job).where(
    rows.live(models.Job),
    models.Job.project_id == collation.text('project'),
    collation.same_text(models.Job.id, collation.text('job')),
    models.Job.run_id.is_(None),
    models.Job.suspension_reason.is_(None)).values(
        description=sa.bindparam('text'))


def describe(connection: sa.Connection, project_id: str, job_id: str,
             text: str) -> bool:
    """Describe a job that nothing goes on with.

    :returns: whether there is such a job, which neither runs nor is suspended
    """
    done = connection.execute(
        _DESCRIBE, {'project': project_id, 'job': job_id, 'text': text})
    return bool(done.rowcount)


def unqueue(connection: sa.Connection, job_id: str) -> None:
    """Keep a job from coming due, and write nothing else of it."""
    connection.execute(sa.update(models.Job).where(
        models.Job.id == job_id).values(due_at=None))


def delete(session: orm.Session, job: models.Job, now: int) -> None:
    """Delete a job and its links; a going run is told to abort."""
    job_actions.unlink(session, job, now)
    if job.run_id is not None:
        session.execute(sa.update(models.JobRun).where(
            models.JobRun.id == job.run_id).values(event='abort'))
    end_waiting(job, job.retry_run_id)
    job.next_run_at = job.due_at = None
    rows.delete(job, now)
