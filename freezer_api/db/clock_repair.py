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

"""Repair the jobs of a client whose firings were computed by a fast clock.

A last claim of the client that lies in the future shows that the clock was
ahead. Without such a claim, the process that has seen the clock being set back
reports it. The repair reads each job of the client once, in batches. The
client's ``recompute_cursor`` has the ID of the last job that was read, and is
NULL when the repair is complete. A claim only reads that column.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import collation
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.domain import clock_repair
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import run_state

# Number of jobs that one transaction repairs, and of leases that it shortens.
BATCH = 200


@dataclasses.dataclass(frozen=True)
class Change:
    """The new state of a job, and the values that it was computed from."""

    before: job_state.Runtime
    schedule: dict[str, Any]
    after: job_state.Runtime


@dataclasses.dataclass(frozen=True)
class Batch:
    """The changes to the next jobs of a client.

    :ivar begins: the batch holds jobs whose ids are greater than this one
    :ivar ends: id of the last job in the batch; None if no jobs follow it
    """

    begins: str
    ends: str | None
    changes: dict[str, Change]


def was_ahead(client: models.Client, tolerance: int, now: int) -> bool:
    """Return whether the clock was ahead at the last claim of a client.

    :param tolerance: seconds by which clocks may differ
    :param now: epoch seconds
    """
    return client.last_claim_at is not None and (
        client.last_claim_at > now + tolerance)


def pending(client: models.Client) -> bool:
    """Return whether the repair of a client's jobs is incomplete."""
    return client.recompute_cursor is not None


def begin(session: orm.Session, client_row_id: str, tolerance: int,
          set_back: int, now: int) -> int:
    """Start the repair of a client's jobs.

    :param tolerance: seconds by which clocks may differ
    :param set_back: seconds by which the clock was set back, as the caller
        has seen since its last repair of the client; 0 if it was not
    :param now: epoch seconds
    :returns: seconds by which the clock was ahead; 0 if no repair is needed,
        or another process has started it
    """
    client = session.get(models.Client, client_row_id, with_for_update=True)
    if client is None:
        return 0
    ahead = set_back
    if was_ahead(client, tolerance, now):
        ahead = (client.last_claim_at or 0) - now
        client.last_claim_at = now
    if ahead:
        client.recompute_cursor = ''
    return ahead


def foresee(session: orm.Session, client_row_id: str, rules: firing_plan.Rules,
            now: int) -> Batch | None:
    """Compute the next batch of changes without locking rows.

    :param now: epoch seconds
    :returns: None if the repair is complete
    """
    client = session.get(models.Client, client_row_id)
    if client is None or client.recompute_cursor is None:
        return None
    job = models.Job
    found = session.scalars(sa.select(job).where(
        clients.its_jobs(client), job.next_run_at.is_not(None),
        job.id > client.recompute_cursor)
        .order_by(job.id).limit(BATCH)).all()
    changes = {}
    for one in found:
        before = db_jobs.runtime(one)
        after = clock_repair.repaired(
            db_jobs.plan(one, rules), before, now)
        if after.event == 'start' and after != before:
            after = job_state.start(
                after, run_rows.start_time(session, one.id, now), now)
        if after != before:
            changes[one.id] = Change(before, db_jobs.schedule(one), after)
    return Batch(client.recompute_cursor,
                 found[-1].id if len(found) == BATCH else None, changes)


def apply(session: orm.Session, client_row_id: str, batch: Batch,
          lease: int, now: int) -> int | None:
    """Apply a batch to the jobs that have not changed since it was computed.

    :param lease: the longest lease of a run, in seconds
    :param now: epoch seconds
    :returns: number of jobs that were changed; None if another process works
        on the same batch
    """
    client = clients.lock_unless_busy(session, client_row_id)
    if client is None or client.recompute_cursor != batch.begins:
        return None
    changed = [job for job in session.scalars(
        rows.locked_by_id(models.Job, list(batch.changes)))
        if db_jobs.runtime(job) == batch.changes[job.id].before
        and db_jobs.schedule(job) == batch.changes[job.id].schedule]
    for job in changed:
        db_jobs.set_runtime(job, batch.changes[job.id].after)
    _withdraw(session, [job.id for job in changed], now)
    if batch.ends is None:
        _release(session, client, lease, now)
    client.recompute_cursor = batch.ends
    return len(changed)


def _withdraw(session: orm.Session, job_ids: Sequence[str],
              now: int) -> None:
    """Remove or shorten the records of firings that lie in the future."""
    if not job_ids:
        return
    run = models.JobRun
    session.execute(sa.delete(run).where(
        run.job_id.in_(job_ids), run.nominal_at > now,
        run.state.in_((run_state.State.MISSED, run_state.State.SKIPPED))),
        execution_options={'synchronize_session': False})
    session.execute(sa.update(run).where(
        run.job_id.in_(job_ids), run.nominal_at <= now,
        run.coalesced_until > now + 1).values(coalesced_until=now + 1),
        execution_options={'synchronize_session': False})


def _release(session: orm.Session, client: models.Client, lease: int,
             now: int) -> None:
    """Shorten leases that end later than a new lease would."""
    run = models.JobRun
    ids = session.scalars(sa.select(run.id).where(
        collation.same_text(run.client_id, client.client_id),
        run.lease_expires_at > now + lease).limit(BATCH)).all()
    session.execute(sa.update(run).where(run.id.in_(ids)).values(
        lease_expires_at=now + lease),
        execution_options={'synchronize_session': False})
