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

"""Leases of runs: renewed, extended, expired, and given up.

A scheduler has a run as long as it renews the lease. Then another scheduler
can reclaim the run. If none does so for long, the run ends, so that its
failure is visible and its job continues. A scheduler that returns after that
finds its reports refused.

After an outage of all schedulers, for example of the API, all leases have
expired, and the first scheduler to claim would reclaim the runs of others that
work. So these leases are extended once, and each running scheduler has its
runs again before they expire.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.domain import firing_plan
from freezer_api.domain import run_state

# A run, with its job.
Claimed = tuple[models.Job, models.JobRun]

# Maximum number of abandoned runs that one call returns.
_ABANDONED = 100

# Number of projects' clients that one call examines.
_CLIENTS = 200


def renew(session: orm.Session, holder: run_rows.Holder,
          held: Mapping[str, int], now: int,
          lease: int) -> dict[str, str | None]:
    """Renew the leases of the runs that the holder still has.

    :param held: fences by run ID, at most rows.MOST
    :param lease: seconds until a lease expires without renewal
    :returns: the event of each of these runs, by run ID
    """
    run = models.JobRun
    # Not whole runs with their reports: there are thousands of leases.
    locked = session.execute(rows.locked_by_id(
        run, sorted(held)).with_only_columns(
            run.id, run.fence, run.event, run.client_id, run.project_id,
            run.scheduler_id, run.lease_expires_at)).all()
    ours = {row.id: row.event for row in locked
            if holder.has(row, held[row.id])}
    _set(session, ours, now + lease)
    return ours


def to_extend(session: orm.Session, holder: run_rows.Holder, last: int | None,
              lease: int, now: int) -> dict[str, int | None]:
    """Return the ends of some leases to extend after an outage, by run ID.

    :param last: time of the last claim for the client, in epoch seconds
    :param lease: seconds
    :param now: epoch seconds
    :returns: rows.MOST leases if there may be more
    """
    run = models.JobRun
    held = [run_rows.of_client(holder), run.lease_expires_at < now + lease]
    if last is not None:
        # Leases that were returned or had expired before are not extended.
        held.append(run.lease_expires_at > last + lease // 2)
    return dict(session.execute(sa.select(run.id, run.lease_expires_at).where(
        *held).limit(rows.MOST)).all())


def extend(session: orm.Session, found: Mapping[str, int | None],
           until: int) -> int:
    """Extend leases that have not changed since they were read.

    :param found: the result of :func:`to_extend`
    :param until: their new end, in epoch seconds
    :returns: number of extended leases
    """
    if not found:
        return 0
    run = models.JobRun
    same = [row.id for row in session.execute(rows.locked_by_id(
        run, list(found)).with_only_columns(run.id, run.lease_expires_at))
        if row.lease_expires_at == found[row.id]]
    _set(session, same, until)
    return len(same)


def _set(session: orm.Session, run_ids: Collection[str], until: int) -> None:
    if run_ids:
        # One statement for all, past the session.
        session.connection().execute(
            sa.update(models.JobRun).where(models.JobRun.id.in_(run_ids))
            .values(lease_expires_at=until))


def expired_runs(session: orm.Session, run_ids: Sequence[str],
                 ) -> dict[str, tuple[str, str | None]]:
    """Return the IDs of job and trust of each run, in the order of runs."""
    if not run_ids:
        return {}
    run = models.JobRun
    found = {run_id: (job_id, delegation_id)
             for run_id, job_id, delegation_id in session.execute(
                 sa.select(run.id, run.job_id, run.delegation_id).where(
                     run.id.in_(run_ids)))}
    return {run_id: found[run_id] for run_id in run_ids if run_id in found}


def lock_expired(session: orm.Session, holder: run_rows.Holder,
                 wanted: Mapping[str, str], now: int) -> list[Claimed]:
    """Lock runs whose lease has expired, and their jobs, deleted or not.

    :param wanted: ids of jobs by ids of runs
    """
    jobs = {job.id: job for job in session.scalars(rows.locked_by_id(
        models.Job, set(wanted.values()), skip_locked=True))} if wanted else {}
    ids = [run_id for run_id, job_id in wanted.items() if job_id in jobs]
    if not ids:
        return []
    locked = {run.id: run for run in session.scalars(rows.locked_by_id(
        models.JobRun, ids, skip_locked=True))}
    return [(jobs[run.job_id], run) for run_id in ids
            if (run := locked.get(run_id)) is not None and holder.serves(run)
            and run.lease_expires_at is not None
            and run.lease_expires_at <= now]


def reclaim(expired: Sequence[Claimed], holder: run_rows.Holder, lease: int,
            now: int) -> None:
    """Give the holder runs of :func:`lock_expired`."""
    for _, run in expired:
        run.scheduler_id = holder.scheduler_id
        run.lease_expires_at = now + lease
        run.fence += 1


class AbandonedRuns:
    """Finds runs that no scheduler continues, some with each call.

    A call examines the central clients, and some of the projects' clients,
    whose number is unlimited. The next call continues from there.
    """

    def __init__(self) -> None:
        # Each process has its own position.
        self._seen = ''

    def find(self, session: orm.Session, before: int) -> list[str]:
        """Return the IDs of some runs whose lease had expired at a time.

        :param before: in epoch seconds
        """
        run = models.JobRun
        found: list[str] = []
        for client_id in self._clients(session):
            # One query for each client: for a join MariaDB reads all runs.
            found += session.scalars(sa.select(run.id).where(
                run.client_id == client_id, run.lease_expires_at <= before)
                .limit(_ABANDONED - len(found)))
            if len(found) == _ABANDONED:
                break
        return found

    def _clients(self, session: orm.Session) -> Iterator[str]:
        """Yield clients that have or had jobs, by one index entry each."""
        yield from session.scalars(sa.select(models.Client.client_id).where(
            rows.live(models.Client),
            models.Client.is_central == sa.true())).all()
        for _ in range(_CLIENTS):
            known = session.scalar(
                sa.select(sa.func.min(models.Queue.client_id)).where(
                    models.Queue.client_id > self._seen))
            if known is None:
                self._seen = ''
                return
            yield known
            self._seen = known


def give_up(session: orm.Session, run_id: str, rules: firing_plan.Rules,
            after: int, now: int) -> bool:
    """End a run, unless a scheduler has continued it.

    :param after: seconds since the end of its lease
    :param now: epoch seconds
    :returns: whether it was ended
    """
    run = session.get_one(models.JobRun, run_id)
    job = session.get_one(models.Job, run.job_id, with_for_update=True,
                          populate_existing=True)
    session.refresh(run, with_for_update=True)
    if run.lease_expires_at is None or run.lease_expires_at > now - after:
        return False
    reason = (f'No scheduler of client {run.client_id} has continued the run '
              f'since {firing_plan.iso(run.lease_expires_at)}.')
    backups.give_up(session, job, run, reason, now)
    run_rows.end(session, job, run, run_state.State.FAIL, reason, rules, now)
    return True
