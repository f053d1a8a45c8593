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

"""What schedulers say of the runs that they hold.

Reports of many runs take as many statements as one. The jobs are locked
before the runs, and each in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.db import usage
from freezer_api.domain import firing_plan
from freezer_api.domain import quota
from freezer_api.domain import run_state
from freezer_api.domain import trust_errors

_NO_ROOM = ('Not all records of backups could be stored: the project has '
            'reached its limit for {}. Delete backup records that you no '
            'longer need, or ask the administrator for a higher limit.')


@dataclasses.dataclass(frozen=True)
class Report:
    """What a scheduler says of a run that it holds.

    :ivar cause: set where it ended because of its trust
    :ivar age: for how many seconds the report was kept
    :ivar lease: for how many seconds the run is kept from now on, if it goes
        on; None leaves its lease as it is
    :ivar backups: documents of records to be made or changed
    """

    run_id: str
    fence: int
    state: run_state.State
    reason: str | None
    actions: list[dict[str, Any]]
    release: bool
    cause: trust_errors.Cause | None = None
    age: int = 0
    lease: int | None = None
    backups: Sequence[dict[str, Any]] = ()

    def ended(self, started: int | None, now: int) -> int:
        """Return when the run ended, for one that has.

        :param started: when it began
        """
        # A clock that was ahead may have told of a later start.
        return min(now, max(started or 0, now - self.age))


@dataclasses.dataclass(frozen=True)
class Taken:
    """What became of reports, by ids of runs.

    :ivar events: of the runs whose reports were written
    :ivar stale: runs that are no longer the holder's; nothing is changed
    """

    events: dict[str, str | None]
    stale: list[str]

    def add(self, other: Taken) -> None:
        """Add what became of more reports."""
        self.events.update(other.events)
        self.stale.extend(other.stale)


def parts(said: Sequence[Report]) -> Iterator[list[Report]]:
    """Yield parts for one transaction each, of at most rows.MOST rows."""
    part: list[Report] = []
    size = 0
    for one in said:
        # Its job, its run, its session, its records of backups.
        size += 3 + len(one.backups)
        if part and size > rows.MOST:
            yield part
            part, size = [], 3 + len(one.backups)
        part.append(one)
    if part:
        yield part


def take(session: orm.Session, holder: run_rows.Holder, said: Sequence[Report],
         known: jobs.Plans, now: int,
         limits: quota.Limits | None = None) -> Taken:
    """Write what the holder says of its runs.

    :param known: of :func:`foresee`
    :param limits: of the project whose own client reports. Without room for
        more, records of backups are not added and do not grow. They are
        checked once, so that one transaction may go beyond.
    :returns: what became of it; a run that the client does not have is not
        in there
    """
    found = _locked(session, holder, {one.run_id for one in said})
    exhausted = limits and limits.exhausted(
        usage.of_project(session, limits.project_id))
    records = backups.of_ids(session, (
        record['backup_id'] for one in said for record in one.backups))
    taken = Taken({}, [])
    # Sessions of jobs are locked too, in the order of their ids.
    for one in sorted(
            (one for one in said if one.run_id in found),
            key=lambda one: found[one.run_id][0].session_id or ''):
        job, run = found[one.run_id]
        if not holder.has(run, one.fence):
            taken.stale.append(run.id)
            continue
        _write(session, job, run, one, known, now)
        for record in one.backups:
            if exhausted and record['status'] != 'deleted':
                backups.set_status(
                    job, records.get(record['backup_id']), record['status'])
                run.reason = run.reason or _NO_ROOM.format(exhausted)
                continue
            backups.report(
                session, job, records, record['backup_id'], record['status'],
                record.get('backup_metadata', {}), now)
        taken.events[run.id] = run.event
    return taken


def foresee(session: orm.Session, holder: run_rows.Holder,
            said: Sequence[Report], rules: firing_plan.Rules,
            now: int) -> jobs.Plans:
    """Search the firings that reports lead to, before anything is locked.

    A job that changes meanwhile has them searched once more, in the
    transaction: one of a few, and no schedule takes long.
    """
    known = jobs.Plans(rules)
    final = {one.run_id: one for one in said if one.state.final}
    if not final:
        return known
    run, job = models.JobRun, models.Job
    job_of = {run_id: (job_id, started) for run_id, job_id, started
              in session.execute(sa.select(
                  run.id, run.job_id, run.time_started).where(
                      run.id.in_(final), run_rows.of_client(holder)))}
    found = {row.id: row for row in session.scalars(sa.select(job).where(
        job.id.in_({job_id for job_id, _ in job_of.values()}),
        rows.live(job)))}
    for run_id, (job_id, started) in job_of.items():
        if job_id in found and found[job_id].run_id == run_id:
            one = final[run_id]
            run_rows.foresee(found[job_id], known, now, one.ended(
                started, now), one.state is run_state.State.SUCCESS)
    return known


def _locked(session: orm.Session, holder: run_rows.Holder,
            run_ids: Collection[str],
            ) -> dict[str, tuple[models.Job, models.JobRun]]:
    """Return the client's runs by id, each with its job, deleted or not."""
    run = models.JobRun
    job_of = dict(session.execute(sa.select(run.id, run.job_id).where(
        run.id.in_(run_ids), run_rows.of_client(holder))).all())
    if not job_of:
        return {}
    locked = {row.id: row for row in session.scalars(rows.locked_by_id(
        models.Job, set(job_of.values())))}
    return {row.id: (locked[row.job_id], row) for row in session.scalars(
        rows.locked_by_id(run, list(job_of)))}


def _write(session: orm.Session, job: models.Job, run: models.JobRun,
           said: Report, known: jobs.Plans, now: int) -> None:
    run.actions = said.actions
    run.reason = said.reason
    ended = said.ended(run.time_started, now)
    if said.cause is not None and said.state is run_state.State.FAIL:
        run_rows.refuse(session, job, run, said.cause, known, now, ended)
    elif said.state.final:
        run_rows.end(session, job, run, said.state, said.reason, known, now,
                     ended)
    elif said.release:
        run.lease_expires_at = now
    elif said.lease is not None:
        run.lease_expires_at = max(run.lease_expires_at or 0, now + said.lease)
