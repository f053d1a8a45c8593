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

"""How often and when a failed action is tried again."""

from __future__ import annotations

import dataclasses

from freezer_scheduler.freezer import messages

NONE = 0
INTERVAL = 60


@dataclasses.dataclass(frozen=True)
class Retries:
    """The retries that a user wants after a failure.

    :ivar most: tries after the first one
    :ivar interval: seconds between the end of a try and the next
    """

    most: int = NONE
    interval: int = INTERVAL

    def after(self, failed: messages.Step,
              wall: float) -> messages.Step | None:
        """Return a failed step as it waits for its next try, or None.

        :param wall: now, in epoch seconds
        """
        if failed.tries > self.most:
            return None
        return dataclasses.replace(
            failed, state=messages.StepState.PENDING, ended_at=None, posts=0,
            retry_at=int(wall) + self.interval,
            reason=f'try {failed.tries} of {self.most + 1}: {failed.reason}')

    def left(self, step: messages.Step, wall: float) -> float:
        """Return the seconds until the next try of a step that was stored.

        The clock of the scheduler that stored it may differ. So the result is
        never longer than the interval.
        """
        if step.retry_at is None:
            return 0
        return min(max(0.0, step.retry_at - wall), self.interval)
