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

"""Runs and the logins that they wait for.

A run whose next move needs a token waits for the login without a worker, and
without a slot while nothing of it is under way. The end of the login wakes it,
also if the login failed: without a token its engine waits and says why.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from freezer_api.domain import trust_errors
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import progress as run_progress
from freezer_scheduler.runs import run_table

# Seconds after which a run that nothing wakes checks its login again.
_ASKS_AGAIN = 600

# A run that waits for longer than the first gives up its slot.
_KEEPS_SLOT, _GIVES_SLOT_UP = 30.0, 31.0

_SUBMITS = (messages.StepState.PENDING, messages.StepState.SUBMITTING)


class RunLogin:
    """Decides whether a run waits for a login.

    Without arguments it is for runs that need no login.

    :param needed: queues a login if it is due, see
        :meth:`freezer_scheduler.keystone.logins.Logins.needed`
    :param wake: makes a run continue now
    :param check: returns why a trust does not work, or None
    :param retry_in: returns the seconds until the next login with a trust
        whose login failed
    """

    def __init__(self, needed: Callable[
            [str, str, bool, Callable[[], None]], bool] = lambda *_: False,
            wake: Callable[[run_table.ClaimedRun], None] = lambda _: None,
            check: Callable[[str | None], trust_errors.Cause | None]
            = lambda _: None,
            retry_in: Callable[[str], float] = lambda _: 0) -> None:
        self._needed = needed
        self._wake = wake
        self.check = check
        self._retry_in = retry_in

    def waits(self, claimed: run_table.ClaimedRun,
              native: Callable[[run_table.ClaimedRun, int], bool]
              = lambda _held, _current: False) -> bool:
        """Return whether a run waits, and set for how long at most.

        :param native: returns whether an action sends requests with the trust
        """
        trust_id, progress = claimed.run.trust_id, claimed.progress
        works = _works(claimed, native)
        if not trust_id or not (works or progress.to_judge):
            return False
        if not self._needed(trust_id, claimed.run.project_id,
                            works and _submits(progress),
                            lambda: self._wake(claimed)):
            return False
        progress.idle = not progress.under_way
        progress.after = _ASKS_AGAIN if progress.idle else _KEEPS_SLOT
        return True

    def judge(self, progress: run_progress.RunProgress) -> None:
        """Add the state of its trust to the report of a failed run."""
        if progress.to_judge and progress.unstored is not None:
            progress.to_judge = False
            progress.unstored = dataclasses.replace(
                progress.unstored, cause=self.check(progress.run.trust_id))

    def pause(self, progress: run_progress.RunProgress,
              step: messages.Step) -> None:
        """Make a run wait longer if the login with its trust failed."""
        trust_id = progress.run.trust_id
        left = self._retry_in(trust_id) if trust_id else 0
        if left > 0 and not step.state.final:
            # Cinder continues without the scheduler, so another run can have
            # the slot.
            progress.after = max(progress.after, left, _GIVES_SLOT_UP
                                 if progress.under_way else 0)


def _works(claimed: run_table.ClaimedRun,
           native: Callable[[run_table.ClaimedRun, int], bool]) -> bool:
    """Return whether the next move of a run needs the trust."""
    progress = claimed.progress
    if claimed.lost or progress.orphaned:
        if progress.engine_state is None:
            return False
    elif progress.unstored is not None:
        return False
    if not progress.actions:
        return not claimed.aborting and not claimed.run.problem
    current = progress.current
    if current is None or (claimed.aborting and not any(
            leaf.under_way for leaf in progress.steps[current].leaves)):
        return False
    return native(claimed, current)


def _submits(progress: run_progress.RunProgress) -> bool:
    """Return whether the next request can start something."""
    current = progress.current
    return current is None or any(
        leaf.state in _SUBMITS for leaf in progress.steps[current].leaves)
