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

"""Carrying a run out, from the claim to its last report.

The life of a run, from top to bottom: it is claimed (:meth:`Executor._begin`),
its actions are carried out one after the other (:meth:`Executor._work`: the
engine submits and polls), and each change of a step is reported before the
next one is made (:meth:`Executor._deliver`). Every call makes one move. What
the API has not taken is kept and offered again, however long that lasts.
"""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import Protocol

from oslo_log import log as logging

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines import base
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import job
from freezer_scheduler.runs import result
from freezer_scheduler.runs import run_login
from freezer_scheduler.runs import run_table

LOG = logging.getLogger(__name__)

_LONGEST_BACKOFF = 30
_LOGGED = 400
_ANOTHER_S = 'Run %s belongs to another scheduler now'

#: What :meth:`Executor.advance` returns of a run that was handed off.
HANDED_OFF = math.inf

_State = messages.StepState
_Report = Callable[[str, int, messages.Report], messages.Event | None]


class Table(Protocol):
    """What the executor asks of the table, see :class:`.RunTable`."""

    def lease_left(self, claimed: run_table.ClaimedRun) -> float:
        """Return the seconds for which a run is certainly ours."""

    def reserve_slot(self, claimed: run_table.ClaimedRun) -> bool:
        """Give a run a slot for one more volume, if one is free."""

    def reported(self, claimed: run_table.ClaimedRun, lease_until: float,
                 event: messages.Event | None) -> None:
        """Note that a report of a run was stored, and what its user wants."""


class Executor:
    """Makes the moves of runs.

    :param report: stores a report with the API; raises ApiError
    :param table: has the leases and the slots of the runs
    :param delegated: whether a run needs a trust of its user's
    :param login: has trusts logged in with
    """

    def __init__(self, report: _Report, engines: registry.Registry,
                 clock: scheduler_clock.Clock, table: Table,
                 delegated: bool = True,
                 login: run_login.RunLogin | None = None) -> None:
        self._report = report
        self._engines = engines
        self._clock = clock
        self._table = table
        self._delegated = delegated
        self._login = login or run_login.RunLogin()

    def advance(
        self, claimed: run_table.ClaimedRun,
        together: Callable[[run_table.ClaimedRun, messages.Report],
                           bool] = lambda _held, _report: False
    ) -> float | None:
        """Make one move.

        :param together: may take a run to send its report with others; then
            it calls :meth:`answered`
        :returns: seconds until the next one; None when the run is over here,
            HANDED_OFF when it was taken
        """
        progress = claimed.progress
        try:
            if self._login.waits(claimed, self._native):
                return progress.after
            if claimed.lost or progress.orphaned:
                return self._abandon(claimed)
            if progress.unstored is None:
                self._move(claimed)
                if self._login.waits(claimed):
                    return progress.after
            if progress.unstored is None:
                return progress.after
            self._login.judge(progress)
            if not progress.failures and together(claimed, progress.offer(
                    progress.unstored, self._clock.monotonic())):
                return HANDED_OFF
            return self._deliver(claimed, progress.unstored)
        # Without this the worker would end, and the work on other runs.
        except Exception:
            LOG.exception('Run %s of job %s, project %s: an error in the '
                          'scheduler', claimed.run.run_id, claimed.run.job_id,
                          claimed.run.project_id)
        return self._end_badly(
            claimed, 'an error in the scheduler; its log has '
            'the details under the id of this run')

    def _move(self, claimed: run_table.ClaimedRun) -> None:
        """Change the steps of a run, and keep a report of that."""
        progress, now = claimed.progress, int(self._clock.wall())
        progress.idle = False
        if not progress.actions and not self._begin(claimed):
            return
        before = tuple(progress.steps)
        progress.skip_not_begun(claimed.aborting, now)
        backups: tuple[messages.Backup, ...] = ()
        current = progress.current
        if current is not None:
            backups = self._work(claimed, current)
            progress.skip_not_begun(claimed.aborting, now)
        # Without a change: reclaimed after the last action, before the end.
        if (tuple(progress.steps) != before or backups
                or progress.current is None):
            progress.keep(backups)

    # -- claimed --

    def _begin(self, claimed: run_table.ClaimedRun) -> bool:
        """Read the actions, and what was done of them before.

        :returns: whether an action can be carried out now
        """
        run, progress = claimed.run, claimed.progress
        now = int(self._clock.wall())
        if run.problem:
            progress.break_off(run.problem, now)
            return False
        try:
            progress.read(job.read_actions(run.job))
        except job.Unusable as error:
            progress.break_off(str(error), now)
            return False
        LOG.info('Run %s of job %s, project %s: %s', run.run_id, run.job_id,
                 run.project_id, 'reclaimed' if run.reclaimed else 'begins')
        cause = None if run.steps else self._login.check(run.trust_id)
        if cause is not None:
            progress.unstored = messages.Report(
                messages.RunState.FAIL, cause.advice, (), cause=cause)
            return False
        return not self._wait_for_try(claimed)

    def _wait_for_try(self, claimed: run_table.ClaimedRun) -> bool:
        """Wait on for a try that an earlier holder was waiting for."""
        progress, current = claimed.progress, claimed.progress.current
        if current is None or claimed.aborting or not progress.begins:
            return False
        progress.after = progress.actions[current].retries.left(
            progress.steps[current], self._clock.wall())
        progress.idle = progress.after > 0
        return progress.idle

    # -- executed: submitted, and polled --

    def _work(self, claimed: run_table.ClaimedRun,
              current: int) -> tuple[messages.Backup, ...]:
        """Have the engine do one step of the current action."""
        progress = claimed.progress
        action, step = progress.actions[current], progress.steps[current]
        begins = progress.begins
        if begins and not claimed.aborting:
            step = step.begun()
        trust_id = self._authority(claimed)
        try:
            if trust_id is None:
                raise registry.Refused(registry.NO_TRUST)
            if step.state is _State.PENDING:
                step = self._engines.begin(action.freezer_action, step)
            engine = self._engines.engine_of(step)
        except registry.Refused as error:
            return progress.fail(current, step, str(error),
                                 int(self._clock.wall()))
        context = self._context(claimed, action, step, trust_id)
        if claimed.aborting:
            answer = engine.abort(context)
        elif begins:
            answer = engine.start(context)
        else:
            answer = engine.poll(context)
        progress.take(current, answer, self._another_try(
            claimed, action, answer))
        self._login.pause(progress, progress.steps[current])
        return answer.backups

    def _another_try(self, claimed: run_table.ClaimedRun,
                     action: job.JobAction,
                     answer: base.Progress) -> messages.Step | None:
        """Return a step that failed as it waits for its next try, if any."""
        if (answer.step.state is not _State.FAIL or not answer.retry
                or claimed.aborting):
            return None
        again = action.retries.after(answer.step, self._clock.wall())
        if again is not None:
            LOG.warning('Run %s: action %s, %s', claimed.run.run_id,
                        again.action_id,
                        messages.shortened(again.reason, _LOGGED))
        return again

    def _context(self, claimed: run_table.ClaimedRun, action: job.JobAction,
                 step: messages.Step, trust_id: str) -> base.ActionContext:
        return base.ActionContext(
            run_id=claimed.run.run_id, job_id=claimed.run.job_id,
            project_id=claimed.run.project_id, trust_id=trust_id,
            freezer_action=action.freezer_action, step=step,
            engine_state=claimed.progress.engine_state,
            lease_left=lambda: self._table.lease_left(claimed),
            retries=action.retries, room=result.room(claimed.progress.steps),
            reserve_slot=lambda: self._table.reserve_slot(claimed),
            due_at=claimed.run.due_at, fence=claimed.run.fence,
            zone=job.read_zone(claimed.run.job))

    def _native(self, claimed: run_table.ClaimedRun, current: int) -> bool:
        """Return whether an action works by the run's trust."""
        progress = claimed.progress
        step = progress.steps[current]
        if step.state is _State.PENDING:
            try:
                step = self._engines.begin(
                    progress.actions[current].freezer_action, step)
            except registry.Refused:
                return False
        # An agent logs in by itself.
        return self._delegated and step.engine == registry.NATIVE

    def _authority(self, claimed: run_table.ClaimedRun) -> str | None:
        """Return the trust to act by; none is needed with one's own jobs."""
        return (claimed.run.trust_id or None) if self._delegated else ''

    # -- reported --

    def _deliver(self, claimed: run_table.ClaimedRun,
                 report: messages.Report) -> float | None:
        """Send a report alone."""
        run, progress = claimed.run, claimed.progress
        if claimed.lost:
            return self._abandon(claimed)
        report = progress.offer(report, self._clock.monotonic())
        try:
            event = self._report(run.run_id, run.fence, report)
        except freezer_client.ApiError as error:
            problem: freezer_client.ApiError = error
        else:
            return self._stored(claimed, report, event)
        if isinstance(problem, freezer_client.StaleFence):
            LOG.warning(_ANOTHER_S, run.run_id)
            return self._abandon(claimed)
        if isinstance(problem, freezer_client.ApiRefused) and not (
                problem.status == 403
                or problem.code == 'client_not_found'):
            return self._report_refused(claimed, problem)
        # The report is not at fault: the scheduler lost its role or its
        # client, and may get it back.
        progress.failures += 1
        if progress.failures == 1:
            LOG.warning('Run %s: the report is kept: %s', run.run_id,
                        problem)
        return min(2.0 ** min(progress.failures - 1, 10), _LONGEST_BACKOFF)

    def answered(self, claimed: run_table.ClaimedRun,
                 answer: messages.Event | freezer_client.ApiError | None,
                 ) -> float | None:
        """Go on, as :meth:`advance`, after a report was sent with others."""
        progress = claimed.progress
        if isinstance(answer, freezer_client.StaleFence):
            LOG.warning(_ANOTHER_S, claimed.run.run_id)
            progress.orphaned = True
            return 0
        if isinstance(answer, freezer_client.ApiError):
            # It may be another one's fault, so this one goes alone next.
            progress.failures += 1
            return 1
        assert progress.unstored is not None
        return self._stored(claimed, progress.unstored, answer)

    def _stored(self, claimed: run_table.ClaimedRun, report: messages.Report,
                event: messages.Event | None) -> float | None:
        run, progress = claimed.run, claimed.progress
        progress.stored()
        news = event is not None and event is not claimed.event
        # A lease counts from before the request, whatever that takes.
        self._table.reported(
            claimed, progress.offered_at + run.lease_seconds, event)
        if report.state is messages.RunState.RUNNING:
            # However long it was to wait: that may be over now.
            return 0 if news else progress.after
        LOG.info('Run %s of job %s, project %s: %s%s', run.run_id,
                 run.job_id, run.project_id, report.state,
                 f': {messages.shortened(report.reason, _LOGGED)}'
                 if report.reason else '')
        return None

    def _report_refused(self, claimed: run_table.ClaimedRun,
                        error: freezer_client.ApiRefused) -> float | None:
        LOG.error('Run %s: the API refuses the report: %s', claimed.run.run_id,
                  error)
        if error.status == 404:
            return None
        return self._end_badly(claimed, 'the scheduler\'s report was refused')

    def _end_badly(self, claimed: run_table.ClaimedRun,
                   reason: str) -> float | None:
        """Say at least that it failed; where that fails too, let it go."""
        if claimed.progress.bad_end:
            return None
        claimed.progress.bad_end = True
        claimed.progress.break_off(reason, int(self._clock.wall()))
        return 0

    # -- handed back, or lost --

    def release(self, claimed: run_table.ClaimedRun) -> None:
        """Hand a run back, for another scheduler to go on with."""
        progress = claimed.progress
        current = progress.current
        if (progress.unstored is None and current is not None
                and not self._leave(claimed, current)
                and progress.after == 0
                and progress.steps[current].state is _State.SUBMITTING
                and not claimed.aborting):
            # Between the intent and the request. To send it is quicker than
            # to have another scheduler find out that it was not.
            self.advance(claimed)
        self._login.judge(progress)
        report = progress.unstored
        if report is None or report.state is messages.RunState.RUNNING:
            report = messages.Report(
                messages.RunState.RUNNING, None, progress.known_steps,
                backups=report.backups if report else (), release=True)
        try:
            self._deliver(claimed, report)
        # Here too: the others have to be handed back as well.
        except Exception:
            LOG.exception('Run %s: an error in the scheduler',
                          claimed.run.run_id)

    def _leave(self, claimed: run_table.ClaimedRun, current: int) -> bool:
        """End what does not go on without this process, if it is so."""
        progress = claimed.progress
        if progress.engine_state is None:
            return False
        step = progress.steps[current]
        answer = self._engines.engine_of(step).left(self._context(
            claimed, progress.actions[current], step,
            self._authority(claimed) or ''))
        if answer is not None:
            progress.steps[current], progress.engine_state = answer.step, None
            progress.skip_not_begun(claimed.aborting, int(self._clock.wall()))
            progress.keep(answer.backups)
        return answer is not None

    def _abandon(self, claimed: run_table.ClaimedRun) -> float | None:
        """Report nothing more; have the engine clear up behind itself."""
        progress = claimed.progress
        progress.orphaned = True
        current, trust_id = progress.current, self._authority(claimed)
        if (current is None or progress.engine_state is None
                or trust_id is None):
            return None
        step = progress.steps[current]
        answer = self._engines.engine_of(step).clean_up(self._context(
            claimed, progress.actions[current], step, trust_id))
        if answer is None:
            return None
        progress.engine_state = answer.engine_state
        return answer.after
