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

"""The columns that a change of a job's schedule depends on.

A change of the schedule is the most frequent change of a job that has to lock
and compare. So it reads these columns, not objects of a session.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from freezer_api.db import actions
from freezer_api.db import clients
from freezer_api.db import collation
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import trusts
from freezer_api.domain import job_state


@dataclasses.dataclass(frozen=True)
class Job:
    """A locked job."""

    id: str
    project_id: str
    client_id: str
    schedule: dict[str, Any] | None
    state: job_state.Runtime


@dataclasses.dataclass(frozen=True)
class Assigned:
    """What a job is assigned to: its client, its trust and its actions."""

    client: clients.Assigned
    trust: trusts.JobTrust | None
    actions: list[actions.Definition]


_JOB = sa.select(
    models.Job.project_id, models.Job.client_id, models.Job.schedule,
    *jobs.RUNTIME).where(
        jobs.OF_ID, models.Job.project_id == collation.text('project')
        ).with_for_update()


def _columns(model: type[models.Base], made: type[Any]) -> list[Any]:
    return [getattr(model, field.name) for field in dataclasses.fields(made)]


_FROM = (
    sa.join(models.Client, models.Job, collation.same(
        models.Client.client_id, models.Job.client_id))
    .outerjoin(models.UserCredential, sa.and_(
        collation.same(models.UserCredential.job_id, models.Job.id),
        rows.live(models.UserCredential)))
    .outerjoin(models.Delegation, trusts.DELEGATION)
    .outerjoin(models.JobAction, sa.and_(
        collation.same(models.JobAction.job_id, models.Job.id),
        rows.live(models.JobAction)))
    .outerjoin(models.Action, sa.and_(
        collation.same(models.Action.id, models.JobAction.action_id),
        collation.same(models.Action.project_id, models.Job.project_id),
        rows.live(models.Action))))

_ASSIGNED = clients.named(sa.select(
    models.Client.id, models.UserCredential.trustor_user_id, trusts.REPLACED,
    models.JobAction.id, models.JobAction.position,
    *_columns(models.Client, clients.Assigned),
    *_columns(models.Action, actions.Definition)).select_from(_FROM).where(
        models.Job.id == collation.text('job')))

_BEFORE_CLIENT = 5
_BEFORE_ACTION = _BEFORE_CLIENT + len(dataclasses.fields(clients.Assigned))


def lock(connection: sa.Connection, project_id: str,
         job_id: str) -> Job | None:
    """Return a live job, and prevent others from changing it."""
    found = connection.execute(
        _JOB, {'id': job_id, 'project': project_id}).first()
    if found is None:
        return None
    own_project_id, client_id, schedule, *state = found
    return Job(job_id, own_project_id, client_id, schedule,
               job_state.Runtime(*state))


def assigned(connection: sa.Connection, job: Job, now: int) -> Assigned | None:
    """Return what a job is assigned to; None if its client does not exist.

    :param now: epoch seconds
    """
    found = connection.execute(_ASSIGNED, {
        'project': job.project_id, 'name': job.client_id, 'job': job.id,
        'now': now}).all()
    if not found:
        return None
    client_row_id, trustor, replaced = found[0][:3]
    # Each link once, should a database have two trusts of one job.
    links = {row[3]: row for row in found if row[0] == client_row_id
             and row[_BEFORE_ACTION] is not None}
    return Assigned(
        clients.Assigned(*found[0][_BEFORE_CLIENT:_BEFORE_ACTION]),
        trusts.job_trust(trustor, replaced, job.state.suspension_reason),
        [actions.Definition(*row[_BEFORE_ACTION:]) for row in sorted(
            links.values(), key=lambda row: (row[4] or 0, row[3]))])
