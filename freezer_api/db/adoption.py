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
"""Jobs of a client whose scheduler has begun to claim.

An earlier scheduler polled and kept their next firings for itself, so each of
them is given one, a batch at a time. How far that has come is kept with the
client: ``adoption_cursor`` is NULL once it is done, which is all that a claim
has to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import due_queue
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.domain import adoption
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state

# Jobs that are looked at in one transaction, each with its project's queue.
BATCH = 240


def pending(client: models.Client) -> bool:
    """Return whether jobs of a client are still to be looked at."""
    return client.adoption_cursor is not None


def foresee(session: orm.Session, client_row_id: str, rules: firing_plan.Rules,
            now: int, most: int) -> db_jobs.Plans:
    """Search the firings of the next batch of a client's jobs.

    Call it before the transaction: nothing is locked.

    :param client_row_id: see :func:`adopt`
    :returns: plans that know them
    """
    known = db_jobs.Plans(rules)
    client = session.get(models.Client, client_row_id)
    if client is not None and client.adoption_cursor is not None:
        for job in session.scalars(sa.select(models.Job).where(
                models.Job.id.in_(_following(session, client, most)))
                .options(orm.undefer(models.Job.created_at))):
            _armed(known, job, now)
    return known


def _armed(known: db_jobs.Plans, job: models.Job,
           now: int) -> job_state.Runtime:
    return adoption.adopt(known.of(job), db_jobs.runtime(job),
                          _created(job, now), now)


def adopt(session: orm.Session, client_row_id: str,
          known: db_jobs.Plans, now: int, most: int) -> bool:
    """Take over the next batch of a client's jobs.

    A job that is due already, runs, or is not to run is left as it is.

    :param client_row_id: of the row, not the name of the client
    :param known: of :func:`foresee`
    :param most: how many jobs
    :returns: whether there may be more for the caller to do. There is not
        while somebody else does it.
    """
    client = _locked(session, client_row_id)
    if client is None:
        return False
    wanted = _following(session, client, most)
    projects: set[str | None] = set()
    for job in session.scalars(
            rows.locked_by_id(models.Job, wanted)
            .options(orm.undefer(models.Job.created_at),
                     orm.undefer(models.Job.deleted))):
        if (job.deleted is not False or job.client_id != client.client_id
                or job.next_run_at is not None or job.run_id is not None):
            continue  # somebody was faster
        db_jobs.set_runtime(job, _armed(known, job, now))
        projects.add(job.project_id)
    due_queue.ensure_all(session, client.client_id, projects)
    more = len(wanted) == most
    client.adoption_cursor = wanted[-1] if more else None
    return more


def leave_out(session: orm.Session, client_row_id: str) -> str | None:
    """Pass over the next job, which cannot be adopted.

    :returns: its id, None where somebody else has come to it
    """
    client = _locked(session, client_row_id)
    if client is None:
        return None
    wanted = _following(session, client, 1)
    if not wanted:
        return None
    client.adoption_cursor = wanted[0]
    return wanted[0]


def _locked(session: orm.Session, client_row_id: str) -> models.Client | None:
    """Return the client, if its jobs are the caller's to look at."""
    client = clients.lock_unless_busy(session, client_row_id)
    if client is None or client.adoption_cursor is None:
        return None
    return client


def _following(session: orm.Session, client: models.Client,
               most: int) -> Sequence[str]:
    return session.scalars(
        sa.select(models.Job.id).where(
            clients.its_jobs(client), models.Job.next_run_at.is_(None),
            models.Job.run_id.is_(None),
            models.Job.suspension_reason.is_(None),
            models.Job.id > client.adoption_cursor)
        .order_by(models.Job.id).limit(most)).all()


def _created(job: models.Job, now: int) -> int:
    if job.created_at is None:
        return now
    return int(job.created_at.replace(tzinfo=datetime.UTC).timestamp())
