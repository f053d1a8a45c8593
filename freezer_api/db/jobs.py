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

import dataclasses
import functools
import operator

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import exact
from freezer_api.db import job_actions
from freezer_api.db import models
from freezer_api.db import queues
from freezer_api.db import rows
from freezer_api.domain import jobs as domain
from freezer_api.domain import plans

_RUNTIME = tuple(field.name for field in dataclasses.fields(domain.Runtime))
_values = operator.attrgetter(*_RUNTIME)


class Taken(Exception):
    """The id is a row's already, live or not."""


def runtime(job: models.Job) -> domain.Runtime:
    """Return where a job stands."""
    return domain.Runtime(*_values(job))


def set_runtime(job: models.Job, state: domain.Runtime) -> None:
    """Write where a job stands."""
    for name, value, before in zip(
            _RUNTIME, _values(domain.shortened(state)), _values(job),
            strict=True):
        # What is set is compared with what is stored once more.
        if value != before:
            setattr(job, name, value)


def schedule(job: models.Job) -> dict[str, object]:
    """Return what the user wrote of the schedule."""
    user, _ = domain.split_schedule(
        job.schedule if isinstance(job.schedule, dict) else {})
    return user


def plan(job: models.Job, rules: plans.Rules) -> plans.Plan:
    """Return when the job fires and becomes due."""
    return plans.Plan(schedule(job), job.id, rules)


class Plans:
    """The plans of jobs, kept from before a transaction into it."""

    def __init__(self, rules: plans.Rules) -> None:
        self.rules = rules
        self._known: dict[str, plans.Plan] = {}

    def of(self, job: models.Job) -> plans.Plan:
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
    query = sa.select(models.Job).where(
        rows.live(models.Job),
        exact.same_text(models.Job.id, exact.text('id')))
    if in_project:
        query = query.where(models.Job.project_id == exact.text('project'))
    if lock:
        query = query.with_for_update().execution_options(
            populate_existing=True)
    return query


@functools.cache
def _look_of_id(in_project: bool, lock: bool) -> sa.Select[models.Job]:
    return _of_id(in_project, lock).with_only_columns(
        *rows.shown(models.Job))


def look(session: orm.Session, project_id: str | None, job_id: str,
         lock: bool = False) -> models.Job | None:
    """Return a live job as :func:`find` does, to be looked at.

    :param lock: see :func:`find`
    """
    return next(rows.look(
        session, _look_of_id(project_id is not None, lock), models.Job,
        {'id': job_id, 'project': project_id}), None)


def of_project(project_id: str | None) -> sa.Select[models.Job]:
    """Return the query of a project's jobs, of all projects for None."""
    query = sa.select(models.Job).where(rows.live(models.Job))
    if project_id is not None:
        query = query.where(models.Job.project_id == project_id)
    return query


def suspended(session: orm.Session) -> dict[str, int]:
    """Return how many jobs are suspended, of all projects, by cause."""
    query = sa.select(models.Job.suspended, sa.func.count()).where(
        rows.live(models.Job), models.Job.suspended.is_not(None)).group_by(
            models.Job.suspended)
    return {str(cause): count for cause, count in session.execute(query)}


def add(session: orm.Session, project_id: str, user_id: str,
        job_id: str | None, client_id: str) -> models.Job:
    """Add an empty job.

    :raises Taken: when a row has the id, be it deleted or of another project
    """
    if job_id and session.get(models.Job, job_id) is not None:
        raise Taken(f'Job already registered with ID {job_id}')
    job = models.Job(id=job_id or rows.new_id(), project_id=project_id,
                     user_id=user_id, schedule={})
    give(session, job, client_id)
    session.add(job)
    return job


def give(session: orm.Session, job: models.Job, client_id: str) -> None:
    """Give a job to a client, which then knows of its project."""
    job.client_id = client_id
    queues.ensure(session, client_id, job.project_id)


# Past the session, which would read the job first. No terms hold it.
_DESCRIBE = sa.update(models.Job).where(
    rows.live(models.Job),
    models.Job.project_id == exact.text('project'),
    exact.same_text(models.Job.id, exact.text('job')),
    models.Job.run_id.is_(None), models.Job.suspended.is_(None)).values(
        description=sa.bindparam('text'))


def describe(connection: sa.Connection, project_id: str, job_id: str,
             text: str) -> bool:
    """Describe a job that nothing goes on with.

    :returns: whether there is such a job, which neither runs nor is suspended
    """
    done = connection.execute(
        _DESCRIBE, {'project': project_id, 'job': job_id, 'text': text})
    return bool(done.rowcount)


def delete(session: orm.Session, job: models.Job, now: int) -> None:
    """Delete a job and its links; a going run is told to abort."""
    job_actions.unlink(session, job)
    if job.run_id is not None:
        session.execute(sa.update(models.JobRun).where(
            models.JobRun.id == job.run_id).values(event='abort'))
    job.next_run_at = job.due_at = None
    rows.delete(job, now)
