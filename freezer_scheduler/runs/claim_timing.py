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

"""How late runs are and when more are due, by the clock of the API alone.

The clocks of two hosts differ, so times of the API are compared with times of
the API only. An older API does not send them: then they are not known.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class ClaimTiming:
    """The times in the answer to a claim, in seconds.

    :ivar waiting: for how long the oldest firing has been due that was not
        handed out; 0 if there is none, None if that is not known
    :ivar claimed: for how long each new run had been due
    :ivar missed: number of firings that were too late to be run
    :ivar due_in: in how many seconds jobs are due that were not handed out,
        as far as that is known; negative for those that are due already
    """

    waiting: float | None = None
    claimed: tuple[float, ...] = ()
    missed: int = 0
    due_in: tuple[float, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> ClaimTiming:
        """Read the answer to a claim, as far as it can be read."""
        now = epoch(document.get('server_time'))
        missed = document.get('missed')
        if not isinstance(missed, int):
            missed = 0
        if now is None:
            return cls(missed=missed)
        runs = document.get('runs')
        claimed = [epoch(run.get('nominal_at'))
                   for run in (runs if isinstance(runs, list) else ())
                   # A reclaimed run was handed out before.
                   if isinstance(run, Mapping) and run.get('fence') == 1]
        since, later = (epoch(document.get(name))
                        for name in ('due_since', 'next_due_at'))
        return cls(
            waiting=None if 'due_since' not in document else
            0.0 if since is None else max(0.0, now - since),
            claimed=tuple(max(0.0, now - time)
                          for time in claimed if time is not None),
            missed=missed, due_in=tuple(
                time - now for time in (since, later) if time is not None)
            if {'due_since', 'next_due_at'} <= document.keys() else ())


def epoch(value: object) -> float | None:
    """Read a time of the API as epoch seconds; None for none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo else None
