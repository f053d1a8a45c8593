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

"""Due jobs that become runs, and expired runs, in the order of claims.

Lock the job before the run, to avoid deadlocks. Rows are locked by primary
key, at most rows.MOST in one transaction. What happens to a due job is
computed before it is locked; see :mod:`freezer_api.db.claim_decisions`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import claim_decisions
from freezer_api.db import collation
from freezer_api.db import due_queue
from freezer_api.db import jobs as db_jobs
from freezer_api.db import leases
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.domain import fair_share
from freezer_api.domain import run_state


def due_times(session: orm.Session, holder: run_rows.Holder,
              now: int) -> tuple[int | None, int | None]:
    """Return when jobs are due that the holder was not given.

    :returns: since when the longest waiting one has been due, and when the
        next one will be; None where there is none
    """
    at = models.Job.due_at
    # One entry of the index of the claims is read for each.
    first = sa.select(at).where(_given_to(holder)).order_by(at).limit(1)
    if holder.project_id is not None:
        first = first.where(models.Job.project_id == holder.project_id)
    since, next_at = session.execute(sa.select(
        first.where(at <= now).scalar_subquery(),
        first.where(at > now).scalar_subquery())).one()
    return since, next_at


def _given_to(holder: run_rows.Holder) -> sa.ColumnElement[bool]:
    return collation.same_text(models.Job.client_id, holder.client_id)


def line(session: orm.Session, holder: run_rows.Holder, limit: int,
         per_project: int | None, now: int) -> list[fair_share.Entry]:
    """Return expired leases and due jobs in fair-share order.

    :param per_project: how many runs of a project may go on at one time for
        the client, whoever holds them; None for any number
    """
    if not limit:
        return []
    going: dict[str | None, int] = {}
    full: list[str] = []
    if per_project is not None:
        going = _going(session, holder)
        full = [project_id for project_id, number in going.items()
                if project_id is not None and number >= per_project]
    entries: list[fair_share.Entry] = []
    for which, closed, most in ((due_queue.EXPIRED, [], None),
                                (due_queue.DUE, full, per_project)):
        if holder.project_id is None:
            entries += due_queue.head(
                session, which, holder.client_id, now, limit, closed,
                _room(most or limit, going if most else {}))
        else:
            entries += due_queue.of_project(
                session, which, holder.client_id, holder.project_id, now,
                limit)
    return fair_share.chosen(entries, limit, going, per_project)


def _room(most: int,
          going: Mapping[str | None, int]) -> Callable[[str], int]:
    return lambda project_id: most - going.get(project_id, 0)


def _going(session: orm.Session,
           holder: run_rows.Holder) -> dict[str | None, int]:
    """Return how many runs of each project go on for the client."""
    return dict(session.execute(
        sa.select(models.JobRun.project_id, sa.func.count()).where(
            run_rows.of_client(holder),
            models.JobRun.lease_expires_at.is_not(None)).group_by(
                models.JobRun.project_id)).all())


def lock_due(session: orm.Session, wanted: Sequence[claim_decisions.Prepared],
             ) -> list[tuple[claim_decisions.Prepared, models.Job]]:
    """Lock jobs that are still as they were seen.

    Jobs that another transaction has locked or changed, and jobs whose firing
    is already recorded, are left for the next claim.
    """
    if not wanted:
        return []
    locked = {job.id: job for job in session.scalars(rows.locked_by_id(
        models.Job, [one.job_id for one in wanted], skip_locked=True).options(
            orm.undefer(models.Job.deleted)))}
    same = [(one, job) for one in wanted
            if (job := locked.get(one.job_id)) is not None
            and job.deleted is False
            and claim_decisions.Seen.of(job) == one.seen]
    firings = {firing for one, _ in same for firing in one.firings}
    if not firings:
        return same
    run = models.JobRun
    existing_firings = {tuple(row) for row in session.execute(
        sa.select(run.job_id, run.nominal_at).where(
            run.job_id.in_({job_id for job_id, _ in firings}),
            run.nominal_at.in_({at for _, at in firings})))}
    return [(one, job) for one, job in same
            if not one.firings & existing_firings]


def claim(session: orm.Session, holder: run_rows.Holder,
          due: Sequence[tuple[claim_decisions.Prepared, models.Job]],
          lease: int, now: int) -> list[leases.Claimed]:
    """Make runs of due jobs and give them to the holder.

    :param due: of :func:`lock_due`
    """
    again = [one.run['id'] for one, _ in due
             if one.run is not None and one.again is not None]
    tried = {run.id: run for run in session.scalars(
        rows.locked_by_id(models.JobRun, again))} if again else {}
    claimed = []
    for one, job in due:
        run = None
        if one.run is not None:
            run = (models.JobRun(**one.run) if one.again is None
                   else tried.get(one.run['id']))
            if run is None or one.again not in (None, run.fence):
                continue  # Maintenance has removed it, or another tried it.
            _hand_out(session, holder, run, one.run, lease, now)
            claimed.append((job, run))
        session.add_all(models.JobRun(**values) for values in one.recorded)
        db_jobs.set_runtime(job, one.state)
    return claimed


def _hand_out(session: orm.Session, holder: run_rows.Holder,
              run: models.JobRun, values: Mapping[str, Any], lease: int,
              now: int) -> None:
    for name, value in values.items():
        setattr(run, name, value)
    run.state = run_state.State.RUNNING
    run.scheduler_id = holder.scheduler_id
    run.lease_expires_at = now + lease
    session.add(run)
