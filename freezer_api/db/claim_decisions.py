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

"""Due jobs, and what a claim makes of them.

All of it is computed here, from what a reader sees, before any job is locked:
a schedule may be costly to search. A claim then locks the jobs and applies
what was computed to each that is still as it was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows as db_runs
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import run_state
from freezer_api.domain import suspension

# Firings of one job that one claim records as skipped. Where there are more
# the job stays due, and the next claim goes on.
_MOST_SKIPPED = 20


@dataclasses.dataclass(frozen=True)
class Seen:
    """What of a job its firings are computed from."""

    project_id: str | None
    client_id: str
    schedule: Mapping[str, Any]
    state: job_state.Runtime

    @classmethod
    def of(cls, job: models.Job) -> Seen:
        """Return it of a job."""
        return cls(job.project_id, job.client_id, db_jobs.schedule(job),
                   db_jobs.runtime(job))


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a claim makes of a due job.

    :ivar seen: what it was computed from
    :ivar state: where the job stands afterwards
    :ivar recorded: firings that are not run, as values of runs
    :ivar run: values of the run that begins, None where none does; without
        the holder and the lease
    :ivar again: the fence of the run that is tried once more, whose changed
        values ``run`` has then; None for a new run
    :ivar missed: whether firings came too late
    """

    job_id: str
    seen: Seen
    state: job_state.Runtime
    recorded: Sequence[Mapping[str, Any]] = ()
    run: Mapping[str, Any] | None = None
    again: int | None = None
    missed: bool = False

    @property
    def rows(self) -> int:
        """How many rows it writes or locks, with that of a session."""
        return 3 + len(self.recorded)

    @property
    def firings(self) -> set[tuple[str, int]]:
        """Job id and nominal times of the runs that are new."""
        made = [*self.recorded]
        if self.run is not None and self.again is None:
            made.append(self.run)
        return {(self.job_id, one['nominal_at']) for one in made}


def prepare(session: orm.Session, holder: db_runs.Holder,
            job_ids: Sequence[str], rules: firing_plan.Rules,
            now: int) -> list[Prepared]:
    """Compute what becomes of due jobs. Nothing is locked or changed.

    :returns: one for each of the jobs that is still due, in their order
    """
    if not job_ids:
        return []
    found = {job.id: job for job in session.scalars(
        sa.select(models.Job).where(
            models.Job.id.in_(job_ids), rows.live(models.Job)))}
    due = [job for job_id in job_ids
           if (job := found.get(job_id)) is not None
           and job.client_id == holder.client_id
           and job.due_at is not None and job.due_at <= now]
    known = db_runs.existing_firings(session, due)
    again = [job.retry_run_id for job in due if job.retry_run_id is not None]
    tried = {run.id: run for run in session.scalars(
        sa.select(models.JobRun).where(models.JobRun.id.in_(again)))
        } if again else {}
    return [_Course(session, job, db_jobs.plan(job, rules), now).prepared(
        (job.id, job.next_run_at) in known,
        tried.get(job.retry_run_id or '')) for job in due]


class _Course:
    """Where one job goes, firing by firing."""

    def __init__(self, session: orm.Session, job: models.Job,
                 plan: firing_plan.Plan, now: int) -> None:
        self._session = session
        self._job = job
        self._plan = plan
        self._now = now
        self._seen = Seen.of(job)
        self._state = self._seen.state
        self._recorded: list[dict[str, Any]] = []
        self._missed = False

    def prepared(self, existing_firings: bool,
                 tried: models.JobRun | None) -> Prepared:
        """Return what becomes of the job.

        :param existing_firings: whether its next firing has a run already
        :param tried: the run that is to be tried once more
        """
        if self._state.run_id is not None:
            # An API of an earlier revision knows nothing of the column.
            self._state = dataclasses.replace(self._state, due_at=None)
            return self._made()
        if self._state.retry_run_id is not None:
            return self._again(tried)
        if existing_firings:
            self._pass_on()
        if run_state.too_late(self._state, self._now, self._plan.rules.window):
            self._miss()
        if not self._skip():
            return self._made()
        return self._run()

    def _made(self, run: Mapping[str, Any] | None = None,
              again: int | None = None) -> Prepared:
        return Prepared(self._job.id, self._seen, self._state,
                        self._recorded, run, again, self._missed)

    def _had(self) -> bool:
        """Return whether the next firing has a run already."""
        at = self._state.next_run_at
        return at is not None and (
            any(one['nominal_at'] == at for one in self._recorded)
            or self._session.scalar(sa.select(models.JobRun.id).where(
                models.JobRun.job_id == self._job.id,
                models.JobRun.nominal_at == at)) is not None)

    def _latest(self) -> tuple[int, int] | None:
        """See :func:`freezer_api.db.run_rows.latest`."""
        made = [(one['nominal_at'],
                 max(one['nominal_at'], (one['coalesced_until'] or 0) - 1))
                for one in self._recorded]
        stored = db_runs.latest(self._session, self._job.id, self._now)
        return max(made if stored is None else [*made, stored], default=None)

    def _pass_on(self) -> None:
        """Pass on from a firing that was run already."""
        if run_state.trigger(self._state) is run_state.Trigger.START:
            # One may have begun this very second.
            self._state = job_state.start(self._state, db_runs.start_time(
                self._session, self._job.id, self._now), self._now)
        else:
            latest = self._latest()
            self._state = job_state.miss(self._plan, self._state, self._now,
                                         0 if latest is None else latest[1])

    def _record(self, state: run_state.State, reason: str,
                until: int | None) -> None:
        self._recorded.append(db_runs.skipped_values(
            self._job, self._plan, self._state, state, self._now, reason,
            until))

    def _miss(self) -> None:
        """Pass on from firings that came too late."""
        self._missed = True
        missed = job_state.miss(self._plan, self._state, self._now)
        self._record(
            run_state.State.MISSED, 'No scheduler claimed the run within '
            f'{self._plan.rules.window} seconds of its time.',
            missed.next_run_at)
        self._state = missed
        if (missed.due_at is not None and missed.due_at <= self._now
                and self._had()):
            self._pass_on()

    def _skip(self) -> bool:
        """Pass on from late firings that came while a run of the job went on.

        The end of a run has done so already where it is to.

        :returns: whether that came to an end
        """
        rules = self._plan.rules
        if rules.coalesce or rules.overlap is not firing_plan.Overlap.SKIP:
            return True
        for _ in range(_MOST_SKIPPED):
            at = self._state.next_run_at
            if at is None or not job_state.overdue(self._state, self._now):
                return True
            ended = db_runs.overlapped_until(self._session, self._job.id, at)
            if ended is None:
                return True
            self._record_skipped(ended)
        return False

    def _record_skipped(self, ended: int) -> None:
        self._record(run_state.State.SKIPPED, db_runs.OVERLAP, ended + 1)
        self._state = job_state.miss(self._plan, self._state, self._now, ended)
        if self._had():
            self._pass_on()

    def _run(self) -> Prepared:
        """Make a run of the job, if it is due."""
        state = self._state
        if (state.next_run_at is None or state.due_at is None
                or state.due_at > self._now):
            return self._made()
        run_id = rows.new_id()
        run = {
            'id': run_id, 'job_id': self._job.id,
            'project_id': self._job.project_id,
            'client_id': self._job.client_id,
            'nominal_at': state.next_run_at,
            'coalesced_until': self._coalesced_until(state.next_run_at),
            'trigger': run_state.trigger(state), 'fence': 1,
            'time_started': self._now}
        self._state = job_state.claim(self._plan, state, run_id, self._now)
        return self._made(run)

    def _again(self, tried: models.JobRun | None) -> Prepared:
        """Try a run again that the job's trust did not allow before."""
        if (tried is None or tried.state != run_state.State.WAITING
                or not suspension.Firing(
                    tried.id, tried.nominal_at,
                    self._plan.rules.window).in_time(self._now)):
            self._state = job_state.miss(self._plan, self._state, self._now)
            return self._made()
        run = {
            'id': tried.id, 'fence': tried.fence + 1,
            'client_id': self._job.client_id, 'reason': None,
            'trust_error': None, 'time_ended': None, 'delegation_id': None,
            'coalesced_until': tried.coalesced_until
            or self._coalesced_until(tried.nominal_at)}
        self._state = job_state.claim(self._plan, self._state, tried.id,
                                      self._now)
        return self._made(run, tried.fence)

    def _coalesced_until(self, nominal_at: int) -> int | None:
        until = job_state.stands_until(self._plan, self._state, self._now) + 1
        return job_state.stands_for(self._plan, self._state, nominal_at, until)
