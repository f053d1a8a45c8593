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
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import models
from freezer_api.db import runs
from freezer_api.domain import causes
from freezer_api.domain import plans
from freezer_api.domain import runs as domain


@dataclasses.dataclass(frozen=True)
class Report:
    """What a scheduler says of a run that it holds.

    :ivar cause: set where it ended because of its trust
    :ivar age: for how many seconds the report was kept
    :ivar backups: documents of records to be made or changed
    """

    run_id: str
    fence: int
    state: domain.State
    reason: str | None
    actions: list[dict[str, Any]]
    release: bool
    cause: causes.Cause | None = None
    age: int = 0
    backups: Sequence[dict[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Taken:
    """What became of reports, by ids of runs.

    :ivar events: of the runs whose reports were written
    :ivar stale: runs that are no longer the holder's; nothing is changed
    """

    events: dict[str, str | None]
    stale: list[str]


def take(session: orm.Session, holder: runs.Holder, said: Sequence[Report],
         rules: plans.Rules, now: int) -> Taken:
    """Write what the holder says of its runs.

    :returns: what became of it; a run that the client does not have is not
        in there
    """
    found = _locked(session, holder, {one.run_id for one in said})
    records = backups.of_ids(session, (
        record['backup_id'] for one in said for record in one.backups))
    taken = Taken({}, [])
    # Sessions of jobs are locked too, in the order of their ids.
    for one in sorted(
            (one for one in said if one.run_id in found),
            key=lambda one: found[one.run_id][0].session_id or ''):
        job, run = found[one.run_id]
        if (run.fence != one.fence or run.lease_expires_at is None
                or run.scheduler_id != holder.scheduler_id):
            taken.stale.append(run.id)
            continue
        _write(session, job, run, one, rules, now)
        for record in one.backups:
            backups.report(
                session, job, records, record['backup_id'], record['status'],
                record.get('backup_metadata', {}), now)
        taken.events[run.id] = run.event
    return taken


def holds(session: orm.Session, holder: runs.Holder, said: Report) -> bool:
    """Return whether the run that is reported on is the holder's."""
    run = models.JobRun
    return session.scalar(sa.select(run.id).where(
        run.id == said.run_id, runs.of_client(holder),
        run.scheduler_id == holder.scheduler_id, run.fence == said.fence,
        run.lease_expires_at.is_not(None))) is not None


def _locked(session: orm.Session, holder: runs.Holder,
            run_ids: Collection[str],
            ) -> dict[str, tuple[models.Job, models.JobRun]]:
    """Return the client's runs by id, each with its job, deleted or not."""
    run = models.JobRun
    job_of = dict(session.execute(sa.select(run.id, run.job_id).where(
        run.id.in_(run_ids), runs.of_client(holder))).all())
    jobs = {row.id: row for row in _each(
        session, models.Job, job_of.values())}
    return {row.id: (jobs[row.job_id], row)
            for row in _each(session, run, job_of)}


def _each(session: orm.Session, model: Any, ids: Iterable[str]) -> Any:
    return session.scalars(
        sa.select(model).where(model.id.in_(list(ids))).order_by(model.id)
        .with_for_update().execution_options(populate_existing=True))


def _write(session: orm.Session, job: models.Job, run: models.JobRun,
           said: Report, rules: plans.Rules, now: int) -> None:
    run.actions = said.actions
    run.reason = said.reason
    ended = max(run.time_started or 0, now - said.age)
    if said.cause is not None and said.state is domain.State.FAIL:
        runs.refuse(session, job, run, said.cause, rules, now, ended)
    elif said.state.final:
        runs.end(session, job, run, said.state, said.reason, rules, now,
                 ended)
    elif said.release:
        run.lease_expires_at = now
