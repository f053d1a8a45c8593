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

"""A claim: leases are renewed, and a scheduler is given runs.

What a claim hands out is chosen and computed from what a reader sees, with no
lock. Then the rows are locked by primary key, in transactions of a bounded
number of rows, and whatever is no longer as it was seen is left for the next
claim. So no request of a tenant waits for a claim for longer than one of
these transactions takes, and the cost of a tenant's schedule is never paid
under a lock.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from oslo_db import exception as db_exception
from oslo_log import log
from sqlalchemy import orm

from freezer_api.conf import scheduling
from freezer_api.db import backups
from freezer_api.db import claim_decisions
from freezer_api.db import claim_sizes
from freezer_api.db import claims
from freezer_api.db import deadlines
from freezer_api.db import due_queue
from freezer_api.db import engine
from freezer_api.db import leases
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_documents
from freezer_api.db import run_rows
from freezer_api.db import session_runs
from freezer_api.db import trusts as db_trusts
from freezer_api.domain import fair_share
from freezer_api.domain import firing_plan
from freezer_api.domain import trust_errors
from freezer_api.services import client_upkeep
from freezer_api.services import dependencies
from freezer_api.services import quarantine
from freezer_api.services import request_timing
from freezer_api.services import schedulers
from freezer_api.services import trusts as trust_service

LOG = log.getLogger(__name__)

# Runs that one transaction hands out at the most.
_RUNS = 100

# Jobs whose trust does not work, each in a transaction of its own. More wait
# for the next claim.
_TRUSTLESS = 50


@dataclasses.dataclass(frozen=True)
class HandedOut:
    """A run that a scheduler is given, with all that it needs for it.

    :ivar content: see :mod:`freezer_api.db.run_documents`
    """

    job: models.Job
    run: models.JobRun
    content: Mapping[str, Any]
    credentials: trust_service.Credentials | None = None


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a scheduler asks for.

    :ivar limit: how many runs, at the most
    :ivar per_project: how many runs of a project may go on at one time
    :ivar lease: for how many seconds a run is kept without a word
    :ivar held: fences of the runs that it holds, by run id
    """

    limit: int
    per_project: int | None
    lease: int
    held: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a scheduler is given.

    :ivar renewed: what the user wants of each run whose lease was renewed
    :ivar missed: how many jobs had firings that came too late
    :ivar more: whether more is due that did not fit into one answer
    :ivar due: when jobs are due that it was not given, see
        :func:`freezer_api.db.claims.due_times`
    :ivar now: the time of the claim, in epoch seconds
    """

    renewed: Mapping[str, str | None]
    runs: Sequence[HandedOut]
    missed: int
    more: bool
    due: tuple[int | None, int | None]
    now: int


@dataclasses.dataclass(frozen=True)
class _Item:
    """What may be handed out: a run whose lease has expired, or a due job.

    :ivar id: of the run, or of the job
    :ivar due: what becomes of the job; None for a run
    :ivar trusted: whether it has a trust that works, or needs none
    """

    id: str
    job_id: str
    due: claim_decisions.Prepared | None
    trusted: bool

    @property
    def rows(self) -> int:
        """How many rows of the database it takes, with that of a session."""
        return 3 if self.due is None else self.due.rows


@dataclasses.dataclass(frozen=True)
class _Trust:
    """What a run is handed out with; nothing for members' own schedulers."""

    credentials: trust_service.Credentials | None = None
    delegation_id: str | None = None


@dataclasses.dataclass
class _Taken:
    """What has been handed out so far."""

    runs: list[HandedOut] = dataclasses.field(default_factory=list)
    missed: int = 0


class ClaimService:
    """Carries out the claims of schedulers."""

    def __init__(self, services: dependencies.Services) -> None:
        self._conf = services.conf
        self._clock = services.clock
        self._database = services.database.for_schedulers()
        self._trusts = services.trusts
        self._upkeep = client_upkeep.ClientUpkeep(services)

    def claim(self, client: models.Client, scheduler_id: str,
              wanted: Wanted) -> Claim:
        """Renew the leases of a scheduler and give it runs of its client."""
        now = self._clock()
        holder = schedulers.holder(client, scheduler_id)
        self._upkeep.before_claim(client, holder, wanted.lease, now)
        return _Claimer(
            self._database, self._trusts,
            scheduling.rules(self._conf, client.is_central), holder,
            client.is_central, self._conf.deadlines.slow_claim).claim(
                wanted, now)


class _Claimer:
    """Carries out a claim.

    :param central: whether runs need a trust
    :param slow: from how many seconds on a claim is logged as slow
    """

    def __init__(self, database: engine.Database,
                 trusts: trust_service.TrustService, rules: firing_plan.Rules,
                 holder: run_rows.Holder, central: bool, slow: float) -> None:
        self._database = database
        self._trusts = trusts
        self._rules = rules
        self._holder = holder
        self._central = central
        self._slow = slow

    def claim(self, wanted: Wanted, now: int) -> Claim:
        """Renew leases and hand out runs."""
        watch = request_timing.RequestTiming()
        with watch.of(f'renewing {len(wanted.held)} leases'):
            renewed = self._renew(wanted, now)
        with watch.of('reading what is due'), self._database.read() as session:
            line, more = claim_sizes.fitting(session, claims.line(
                session, self._holder, wanted.limit, wanted.per_project, now))
        with (watch.of(f'computing the firings of {len(line)} jobs'),
              self._database.read() as session):
            items = self._items(session, line, now)
        taken = _Taken()
        with watch.of('locking and writing rows'):
            self._take_all(items, wanted.lease, now, taken)
            self._note_turns(taken.runs, now)
        with self._database.read() as session:
            due = claims.due_times(session, self._holder, now)
        if watch.total >= self._slow:
            LOG.warning('A claim of client %s took %.1f seconds and handed '
                        'out %d runs: %s.', self._holder.client_id,
                        watch.total, len(taken.runs), watch)
        return Claim(renewed, taken.runs, taken.missed,
                     more and bool(taken.runs), due, now)

    def _renew(self, wanted: Wanted, now: int) -> dict[str, str | None]:
        renewed: dict[str, str | None] = {}
        held = sorted(wanted.held.items())
        for start in range(0, len(held), rows.MOST):
            renewed |= self._database.write(functools.partial(
                leases.renew, holder=self._holder, now=now, lease=wanted.lease,
                held=dict(held[start:start + rows.MOST])))
        return renewed

    def _items(self, session: orm.Session, line: Sequence[fair_share.Entry],
               now: int) -> list[_Item]:
        """Compute what becomes of what is in line. Nothing is locked."""
        if not line:
            return []
        runs = leases.expired_runs(
            session, [entry.id for entry in line if entry.goes_on])
        due = claim_decisions.prepare(
            session, self._holder,
            [entry.id for entry in line if not entry.goes_on],
            self._rules, now)
        trusts = self._trusts_of(
            session, [one.job_id for one in due], runs)
        return [*(_Item(run_id, job_id, None, isinstance(
                    trusts[run_id], _Trust))
                  for run_id, (job_id, _) in runs.items()),
                *(_Item(one.job_id, one.job_id, one,
                        one.run is None or isinstance(
                            trusts[one.job_id], _Trust))
                  for one in due)]

    def _take_all(self, items: Sequence[_Item], lease: int, now: int,
                  taken: _Taken) -> None:
        """Hand out, some in each transaction.

        What fails must not keep a scheduler from the runs that it has been
        given by then.
        """
        trustless = [item for item in items if not item.trusted]
        parts = [*_parts([item for item in items if item.trusted]),
                 *([item] for item in trustless[:_TRUSTLESS])]
        for some in parts:
            try:
                self._take(some, lease, now, taken)
            except (db_exception.DBError,
                    deadlines.DeadlineExceeded) as error:
                if not taken.runs:
                    raise
                LOG.error('A claim of client %s has ended after %d runs: %s',
                          self._holder.client_id, len(taken.runs),
                          type(error).__name__)
                return

    def _note_turns(self, runs: Sequence[HandedOut], now: int) -> None:
        """Store which projects have had a turn.

        It is another transaction, because a user who creates a job locks the
        same rows. The runs are handed out whether it succeeds or not.
        """
        projects = sorted({run.run.project_id for run in runs
                           if run.run.project_id is not None})
        for start in range(0, len(projects), rows.MOST):
            try:
                self._database.write(functools.partial(
                    due_queue.note_turns, client_id=self._holder.client_id,
                    project_ids=projects[start:start + rows.MOST],
                    now=now))
            except (db_exception.DBError,
                    deadlines.DeadlineExceeded) as error:
                LOG.warning('The turns of a claim of client %s are not '
                            'stored: %s', self._holder.client_id,
                            type(error).__name__)

    def _take(self, some: Sequence[_Item], lease: int, now: int,
              taken: _Taken) -> None:
        """Hand out, in halves where the database refuses a value."""
        try:
            made = quarantine.write(self._database, functools.partial(
                self._taken, items=some, lease=lease, now=now))
        except quarantine.Refused:
            if len(some) > 1:
                half = len(some) // 2
                self._take(some[:half], lease, now, taken)
                self._take(some[half:], lease, now, taken)
                return
            [item] = some
            (quarantine.end_run if item.due is None else quarantine.stop_job)(
                self._database, item.id, now)
            return
        taken.runs.extend(made.runs)
        taken.missed += made.missed

    def _taken(self, session: orm.Session, items: Sequence[_Item],
               lease: int, now: int) -> _Taken:
        """Hand out in one transaction what is as it was seen.

        A job without a trust that works comes alone, and its run ends here.
        """
        expired = leases.lock_expired(
            session, self._holder, {item.id: item.job_id for item in items
                                    if item.due is None}, now)
        due = claims.lock_due(session, [
            item.due for item in items if item.due is not None])
        trusts = self._trusts_of(
            session, [one.job_id for one, _ in due],
            {run.id: (job.id, run.delegation_id) for job, run in expired})
        if items[0].trusted:
            # Such a job comes alone to the next claim.
            expired = [one for one in expired
                       if isinstance(trusts[one[1].id], _Trust)]
            due = [one for one in due if one[0].run is None
                   or isinstance(trusts[one[0].job_id], _Trust)]
        sessions = session_runs.lock(session, [
            job for one, job in due if one.run is not None])
        # The next claim gets a job whose user changes its session right now.
        due = [(one, job) for one, job in due
               if job.session_id not in sessions.busy]
        leases.reclaim(expired, self._holder, lease, now)
        begun = claims.claim(session, self._holder, due, lease, now)
        content = run_documents.of_runs(session, [run for _, run in expired])
        content |= run_documents.add(session, begun)
        made = []
        for job, run in (*expired, *begun):
            trust = trusts.get(run.id) or trusts[job.id]
            if isinstance(trust, _Trust):
                run.delegation_id = trust.delegation_id
                made.append(HandedOut(job, run, content[run.id],
                                      trust.credentials))
                continue
            if trust is trust_errors.Cause.MISSING:
                trust = trust_errors.Cause(
                    trust_errors.lasting(job.suspension_reason) or trust)
            run_rows.refuse(session, job, run, trust, self._rules, now)
            backups.give_up(session, job, run, trust.advice, now)
        session_runs.begin(sessions, [
            (job, run) for job, run in begun
            if run.lease_expires_at is not None], now)
        return _Taken(made, sum(one.missed for one, _ in due))

    def _trusts_of(self, session: orm.Session, due: Collection[str],
                   expired: Mapping[str, tuple[str, str | None]],
                   ) -> dict[str, _Trust | trust_errors.Cause]:
        """Return what runs are handed out with, or why there is nothing.

        :param due: IDs of jobs that have no run yet
        :param expired: IDs of job and trust of the other runs, by run ID
        :returns: by the ID of the job or the run
        """
        job_of = {job_id: job_id for job_id in due} | {
            run_id: job_id for run_id, (job_id, _) in expired.items()}
        if not self._central:
            # Members run it, with an authority of their own.
            return dict.fromkeys(job_of, _Trust())
        found = db_trusts.of_jobs(session, job_of.values())
        decrypted = trust_service.Decrypted(self._trusts)
        made: dict[str, _Trust | trust_errors.Cause] = {}
        for key, job_id in job_of.items():
            current = found.get(job_id)
            stored = (db_trusts.of_run(session, current, expired[key][1])
                      if key in expired else current)
            if stored is None:
                made[key] = (trust_errors.Cause.GONE if current
                             else trust_errors.Cause.MISSING)
            elif (read := decrypted.get(stored)) is None:
                made[key] = trust_errors.Cause.UNREADABLE
            else:
                made[key] = _Trust(
                    read, stored.id if isinstance(stored, models.Delegation)
                    else stored.delegation_id)
        return made


def _parts(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """Yield parts for one transaction each."""
    part: list[_Item] = []
    for item in items:
        if part and (len(part) == _RUNS or rows.MOST < item.rows + sum(
                one.rows for one in part)):
            yield part
            part = []
        part.append(item)
    if part:
        yield part
