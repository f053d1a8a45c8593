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

"""Carrying a run out: its actions in order, its tries, its reports.

Every call makes one move and stores it with the API before the next. What the
API has not taken is kept and offered again, however long that lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import math

from oslo_log import log as logging

from freezer_api.domain import capabilities as domain_capabilities
from freezer_api.domain import causes
from freezer_scheduler import api as freezer_api
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines import choice
from freezer_scheduler import job
from freezer_scheduler import outcome
from freezer_scheduler import runs

LOG = logging.getLogger(__name__)

_LONGEST_BACKOFF = 30
_LOGGED = 400
_TAKEN_OUT = 'was taken out of the job while it was carried out'

#: What :meth:`Executor.advance` returns of a run that somebody else has now.
ELSEWHERE = math.inf

_State = documents.StepState
_Report = Callable[[str, int, documents.Report], documents.Event | None]


class Executor:
    """Makes the moves of runs.

    :param report: stores a report with the API; raises ApiError
    :param engines: by name, see :mod:`freezer_scheduler.engines.choice`
    :param offered: what this scheduler may do, asked before each action
    :param one_more: asks for a place for another volume of a run
    :param delegated: whether a run needs a trust of its user's
    :param check: returns what is the matter with a trust, if anything
    """

    def __init__(self, report: _Report, engines: Mapping[str, base.Engine],
                 offered: Callable[[], domain_capabilities.Capabilities],
                 clock: scheduler_clock.Clock,
                 lease_left: Callable[[runs.HeldRun], float],
                 one_more: Callable[[runs.HeldRun], bool],
                 delegated: bool = True,
                 check: Callable[[str | None], causes.Cause | None]
                 = lambda _: None) -> None:
        self._report = report
        self._engines = engines
        self._offered = offered
        self._clock = clock
        self._lease_left = lease_left
        self._one_more = one_more
        self._delegated, self._check = delegated, check

    def advance(self, held: runs.HeldRun,
                together: Callable[[runs.HeldRun, documents.Report], bool]
                = lambda _held, _report: False) -> float | None:
        """Make one move.

        :param together: may take a run to send its report with others; then
            it calls :meth:`answered`
        :returns: seconds until the next one; None when the run is over for
            this scheduler, ELSEWHERE when it was taken
        """
        try:
            if held.lost or held.forsaken:
                return self._forsake(held)
            if held.unstored is None:
                self._move(held)
            if held.unstored is None:
                return held.after
            if not held.failures and together(held, held.kept(
                    held.unstored, self._clock.monotonic())):
                return ELSEWHERE
            return self._deliver(held, held.unstored)
        # A run must not take others along: without this the worker would end,
        # and with it the work on every other run.
        except Exception:
            LOG.exception('Run %s of job %s, project %s: an error in the '
                          'scheduler', held.run.run_id, held.run.job_id,
                          held.run.project_id)
        return self._end_badly(
            held, 'an error in the scheduler; its log has the details under '
                  'the id of this run')

    def answered(self, held: runs.HeldRun,
                 answer: documents.Event | freezer_api.ApiError | None,
                 ) -> float | None:
        """Go on, as :meth:`advance`, after a report was sent with others."""
        if isinstance(answer, freezer_api.StaleFence):
            LOG.warning('Run %s belongs to another scheduler now',
                        held.run.run_id)
            held.forsaken = True
            return 0
        if isinstance(answer, freezer_api.ApiError):
            # It may be another one's fault, so this one goes alone next.
            held.failures += 1
            return 1
        assert held.unstored is not None
        return self._stored(held, held.unstored, answer)

    def release(self, held: runs.HeldRun) -> None:
        """Hand a run back, for another scheduler to go on with."""
        current = outcome.current(held.steps)
        if held.unstored is None and current is not None and not self._leave(
                held, current) and (
                held.after == 0
                and held.steps[current].state is _State.SUBMITTING
                and held.event is not documents.Event.ABORT):
            # Between the intent and the request. It is quicker to send it
            # than to have another scheduler find out that it was not.
            self.advance(held)
        report = held.unstored
        if report is None or report.state is documents.RunState.RUNNING:
            report = documents.Report(
                documents.RunState.RUNNING, None,
                tuple(held.steps or held.run.steps),
                backups=report.backups if report else (), release=True)
        try:
            self._deliver(held, report)
        # Here too: the others have to be handed back as well.
        except Exception:
            LOG.exception('Run %s: an error in the scheduler',
                          held.run.run_id)

    # -- one move --

    def _move(self, held: runs.HeldRun) -> None:
        held.idle = False
        if not held.actions and not self._prepare(held):
            return
        before = tuple(held.steps)
        self._pass_over(held)
        backups: tuple[documents.Backup, ...] = ()
        current = outcome.current(held.steps)
        if current is not None:
            backups = self._work(held, current)
            self._pass_over(held)
        if tuple(held.steps) != before or backups:
            self._keep(held, backups)
        elif outcome.current(held.steps) is None:
            # Taken over after the last action, before the run's end.
            self._keep(held)

    def _prepare(self, held: runs.HeldRun) -> bool:
        """Read the job, and match it with what was done before."""
        if held.run.problem:
            self._break_off(held, held.run.problem)
            return False
        try:
            held.actions = job.read_actions(held.run.job)
        except job.Unusable as error:
            self._break_off(held, str(error))
            return False
        stored = {(step.position, step.action_id): step
                  for step in held.run.steps}
        held.steps = [
            stored.pop((position, action.action_id),
                       documents.Step(action.action_id, position))
            for position, action in enumerate(held.actions)]
        LOG.info('Run %s of job %s, project %s: %s', held.run.run_id,
                 held.run.job_id, held.run.project_id,
                 'taken over' if held.run.taken_over else 'begins')
        left = [step for step in stored.values() if not step.state.final]
        for step in left:
            LOG.warning('Run %s: action %s %s%s', held.run.run_id,
                        step.action_id, _TAKEN_OUT, outcome.unknown(step))
        if left:
            # Their steps go with this report, so it closes their records.
            self._keep(held, outcome.closed(left, _TAKEN_OUT))
            return False
        cause = None if held.run.steps else self._check(held.run.trust_id)
        if cause is not None:
            held.unstored = documents.Report(
                documents.RunState.FAIL, cause.advice, (), cause=cause)
            return False
        return not self._wait_for_try(held)

    def _wait_for_try(self, held: runs.HeldRun) -> bool:
        """Wait on for a try that an earlier holder was waiting for."""
        current = outcome.current(held.steps)
        if (current is None or held.event is documents.Event.ABORT
                or held.steps[current].state is not _State.PENDING):
            return False
        held.after = held.actions[current].retries.left(
            held.steps[current], self._clock.wall())
        held.idle = held.after > 0
        return held.idle

    def _pass_over(self, held: runs.HeldRun) -> None:
        outcome.pass_over(held, int(self._clock.wall()))

    def _work(self, held: runs.HeldRun,
              current: int) -> tuple[documents.Backup, ...]:
        """Have the engine do one step of the current action."""
        action = held.actions[current]
        step = held.steps[current]
        begins = step.state is _State.PENDING and held.memory is None
        aborting = held.event is documents.Event.ABORT
        if begins and not aborting:
            step = step.begun()
        engine, refusal = self._engine(held, action, step)
        trust_id = self._authority(held)
        if engine is None or trust_id is None:
            held.steps[current] = outcome.broken_off(
                step, refusal, int(self._clock.wall()))
            held.memory, held.after, held.under_way = None, 0, 0
            return outcome.closed([step], refusal)
        order = self._order(held, action, step, trust_id)
        if aborting:
            progress = engine.abort(order)
        elif begins:
            progress = engine.start(order)
        else:
            progress = engine.poll(order)
        self._take(held, current, action, progress)
        return progress.backups

    def _leave(self, held: runs.HeldRun, current: int) -> bool:
        """End what does not go on without this process, if it is so."""
        action, step = held.actions[current], held.steps[current]
        engine, _refusal = self._engine(held, action, step)
        progress = None if engine is None else engine.left(self._order(
            held, action, step, self._authority(held) or ''))
        if progress is not None:
            held.steps[current], held.memory = progress.step, None
            self._pass_over(held)
            self._keep(held, progress.backups)
        return progress is not None

    def _order(self, held: runs.HeldRun, action: job.JobAction,
               step: documents.Step, trust_id: str) -> base.Order:
        return base.Order(
            run_id=held.run.run_id, job_id=held.run.job_id,
            project_id=held.run.project_id, trust_id=trust_id,
            freezer_action=action.freezer_action, step=step,
            memory=held.memory,
            lease_left=lambda: self._lease_left(held),
            retries=action.retries, room=self._room(held),
            place=lambda: self._one_more(held), due_at=held.run.due_at)

    def _engine(self, held: runs.HeldRun, action: job.JobAction,
                step: documents.Step) -> tuple[base.Engine | None, str]:
        """Return who does it, or None and the reason."""
        if self._authority(held) is None:
            return None, choice.NO_TRUST
        return choice.engine_of(self._engines, self._offered(),
                                action.freezer_action, step)

    def _authority(self, held: runs.HeldRun) -> str | None:
        """Return the trust to act by; none is needed with one's own jobs."""
        return (held.run.trust_id or None) if self._delegated else ''

    @staticmethod
    def _room(held: runs.HeldRun) -> int:
        """Return how many volumes one more action may be of.

        All that is stored of a run has to fit into one cell.
        """
        parts = sum(len(step.parts) for step in held.steps)
        return min(documents.MOST_PARTS,
                   documents.MOST_STEPS - len(held.steps)) - parts

    def _take(self, held: runs.HeldRun, current: int, action: job.JobAction,
              progress: base.Progress) -> None:
        """Note an engine's answer, and whether there is another try."""
        step = progress.step
        held.memory, held.after = progress.memory, progress.after
        again = None
        if (step.state is _State.FAIL and progress.retry
                and held.event is not documents.Event.ABORT):
            again = action.retries.after(step, self._clock.wall())
        if again is not None:
            LOG.warning('Run %s: action %s, %s', held.run.run_id,
                        step.action_id,
                        documents.shortened(again.reason, _LOGGED))
            step = again
            held.memory, held.after = None, action.retries.interval
        elif step.state.final:
            held.memory, held.after = None, 0
        held.idle = step.state is _State.PENDING
        held.under_way = len([leaf for leaf in step.leaves if leaf.under_way])
        held.steps[current] = step

    # -- reports --

    def _keep(self, held: runs.HeldRun,
              backups: tuple[documents.Backup, ...] = ()) -> None:
        """Keep a report until the API has taken it."""
        state, reason = outcome.of_run(held.steps)
        cause = (self._check(held.run.trust_id)
                 if state is documents.RunState.FAIL else None)
        held.unstored = documents.Report(state, reason, tuple(held.steps),
                                         backups, cause=cause)

    def _break_off(self, held: runs.HeldRun, reason: str) -> None:
        held.unstored = outcome.report_broken_off(
            held.steps or held.run.steps, reason, int(self._clock.wall()),
            held.unstored.backups if held.unstored else ())

    def _deliver(self, held: runs.HeldRun,
                 report: documents.Report) -> float | None:
        run = held.run
        if held.lost:
            return self._forsake(held)
        report = held.kept(report, self._clock.monotonic())
        try:
            event = self._report(run.run_id, run.fence, report)
        except freezer_api.ApiError as error:
            problem: freezer_api.ApiError = error
        else:
            return self._stored(held, report, event)
        if isinstance(problem, freezer_api.StaleFence):
            LOG.warning('Run %s belongs to another scheduler now',
                        run.run_id)
            return self._forsake(held)
        if isinstance(problem, freezer_api.ApiRefused) and not (
                problem.status == 403
                or problem.code == 'client_not_found'):
            return self._report_refused(held, problem)
        # What is wrong is not the report: somebody took away our role or our
        # client, and may give it back.
        held.failures += 1
        if held.failures == 1:
            LOG.warning('Run %s: the report is kept: %s', run.run_id,
                        problem)
        return min(2.0 ** min(held.failures - 1, 10), _LONGEST_BACKOFF)

    def _forsake(self, held: runs.HeldRun) -> float | None:
        """Report nothing more; have the engine clear up behind itself."""
        held.forsaken = True
        current = outcome.current(held.steps)
        trust_id = self._authority(held)
        if current is None or held.memory is None or trust_id is None:
            return None
        action, step = held.actions[current], held.steps[current]
        engine, _refusal = self._engine(held, action, step)
        progress = None if engine is None else engine.forsaken(
            self._order(held, action, step, trust_id))
        if progress is None:
            return None
        held.memory = progress.memory
        return progress.after

    def _stored(self, held: runs.HeldRun, report: documents.Report,
                event: documents.Event | None) -> float | None:
        run = held.run
        held.unstored, held.failures = None, 0
        news = event is not None and event is not held.event
        if news:
            held.event = event
        if report.state is documents.RunState.RUNNING:
            # However long it was to wait: that may be over now.
            return 0 if news else held.after
        LOG.info('Run %s of job %s, project %s: %s%s', run.run_id,
                 run.job_id, run.project_id, report.state,
                 f': {documents.shortened(report.reason, _LOGGED)}'
                 if report.reason else '')
        return None

    def _report_refused(self, held: runs.HeldRun,
                        error: freezer_api.ApiRefused) -> float | None:
        LOG.error('Run %s: the API refuses the report: %s', held.run.run_id,
                  error)
        if error.status == 404:
            return None
        return self._end_badly(held, 'the scheduler\'s report was refused')

    def _end_badly(self, held: runs.HeldRun, reason: str) -> float | None:
        """Say at least that it failed; where that fails too, let it go."""
        if held.bad_end:
            return None
        held.bad_end = True
        self._break_off(held, reason)
        return 0
