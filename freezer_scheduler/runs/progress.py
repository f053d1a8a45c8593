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

"""How far the worker of a claimed run has come with it.

What is stored with the API is a report: :meth:`RunProgress.keep` makes it of
the steps, it is ``unstored`` until the API has taken it, and no further step
is done before. All of this belongs to the worker that has the run, see
:mod:`freezer_scheduler.runs.run_table`.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses

from freezer_scheduler.engines import base
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import job
from freezer_scheduler.runs import result

_State = messages.StepState


@dataclasses.dataclass(eq=False)
class RunProgress:
    """The steps of a run, what they wait for, and its next report.

    :ivar actions: of the job; empty until it was read
    :ivar engine_state: what the engine asked to remember of the current step
    :ivar after: seconds to wait once the report is stored
    :ivar idle: whether nothing of it is under way while it waits
    :ivar under_way: how many of its volumes are
    :ivar unstored: a report the API has not taken yet
    :ivar offered_at: when that was offered last, by the monotonic clock
    :ivar kept_since: when it was offered first
    :ivar failures: how often that failed
    :ivar to_judge: whether its trust may be why it failed
    :ivar orphaned: whether it is another scheduler's, and all that is left
        to do is to clear up
    :ivar bad_end: whether its last report says that the scheduler failed
    """

    run: messages.Run
    actions: tuple[job.JobAction, ...] = ()
    steps: list[messages.Step] = dataclasses.field(default_factory=list)
    engine_state: object = None
    after: float = 0
    idle: bool = False
    under_way: int = 0
    unstored: messages.Report | None = None
    offered_at: float = 0
    kept_since: float = 0
    failures: int = 0
    to_judge: bool = False
    orphaned: bool = False
    bad_end: bool = False

    def __post_init__(self) -> None:
        self.under_way = sum(leaf.under_way for step in self.run.steps
                             for leaf in step.leaves)

    # -- what the run is at --

    @property
    def current(self) -> int | None:
        """The position of the action to go on with."""
        return result.current(self.steps)

    @property
    def begins(self) -> bool:
        """Whether the current action has nothing under way or waited for."""
        current = self.current
        return (current is not None and self.engine_state is None
                and self.steps[current].state is _State.PENDING)

    def at_work(self) -> int:
        """Return for how many volumes Cinder is known to be at work."""
        return sum(leaf.under_way and leaf.state is not _State.SUBMITTING
                   for step in self.known_steps for leaf in step.leaves)

    @property
    def known_steps(self) -> tuple[messages.Step, ...]:
        """The steps, or those that were stored before the job was read."""
        return tuple(self.steps) or self.run.steps

    # -- what a move changes --

    def read(self, actions: tuple[job.JobAction, ...]) -> None:
        """Take the actions of the run, and the steps stored of them before.
        """
        stored = {step.position: step for step in self.run.steps}
        self.actions = actions
        self.steps = [
            stored.get(position, messages.Step(action.action_id, position))
            for position, action in enumerate(actions)]

    def skip_not_begun(self, aborting: bool, now: int) -> None:
        """Skip the actions that are not to be begun.

        :param now: epoch seconds
        """
        stopped = None
        for position, step in enumerate(self.steps):
            fresh = (step.state is _State.PENDING and not step.tries
                     and self.engine_state is None)
            if step.state in (_State.FAIL, _State.ABORTED):
                stopped = step.state
            elif not fresh:
                if not step.state.final:
                    return
            elif aborting:
                first = stopped is not _State.ABORTED
                self.steps[position] = dataclasses.replace(
                    step, ended_at=now, reason='aborted before it began',
                    state=_State.ABORTED if first else _State.SKIPPED)
                stopped = _State.ABORTED
            elif stopped and not self.actions[position].mandatory:
                self.steps[position] = dataclasses.replace(
                    step, ended_at=now, state=_State.SKIPPED,
                    reason='an action before it ' + (
                        'was aborted' if stopped is _State.ABORTED
                        else 'failed'))
            else:
                return

    def take(self, current: int, answer: base.Progress,
             again: messages.Step | None) -> None:
        """Note an engine's answer about the current step.

        :param again: the step as it waits for another try, if there is one
        """
        step = again or answer.step
        self.engine_state, self.after = answer.engine_state, answer.after
        if again is not None:
            self.engine_state = None
            self.after = self.actions[current].retries.interval
        elif step.state.final:
            self.engine_state, self.after = None, 0
        self.idle = step.state is _State.PENDING
        self.under_way = sum(leaf.under_way for leaf in step.leaves)
        self.steps[current] = step

    def fail(self, current: int, step: messages.Step, reason: str,
             now: int) -> tuple[messages.Backup, ...]:
        """End the current step, which no engine goes on with.

        :param now: epoch seconds
        :returns: the ends of its records
        """
        self.steps[current] = result.broken_off(step, reason, now)
        self.engine_state, self.after, self.under_way = None, 0, 0
        return result.closed([step], reason)

    # -- its report --

    def keep(self, backups: tuple[messages.Backup, ...] = ()) -> None:
        """Keep a report of the steps until the API has taken it."""
        state, reason = result.of_run(self.steps)
        self.to_judge = state is messages.RunState.FAIL
        self.unstored = messages.Report(state, reason, tuple(self.steps),
                                        backups)

    def break_off(self, reason: str, now: int) -> None:
        """Keep the report of a run that nobody goes on with.

        :param now: epoch seconds
        """
        refused: Iterable[messages.Backup] = (
            self.unstored.backups if self.unstored else ())
        self.unstored = result.report_broken_off(
            self.known_steps, reason, now, refused)

    def offer(self, report: messages.Report, now: float) -> messages.Report:
        """Return a report as it is sent now.

        It says for how long it could not be sent, and renews the lease.

        :param now: by the monotonic clock
        """
        if not self.failures:
            self.kept_since = now
        self.offered_at = now
        # Not a time of day: this machine's may be wrong.
        return dataclasses.replace(
            report, age=int(now - self.kept_since),
            lease_seconds=self.run.lease_seconds)

    def stored(self) -> None:
        """Note that the API has taken the report."""
        self.unstored, self.failures = None, 0
