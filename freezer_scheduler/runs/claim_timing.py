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

The clocks of two hosts differ, so times of the API are only ever compared
with times of the API. An answer that says nothing of them is one of an older
API: nothing is known then.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any


@dataclasses.dataclass(frozen=True)
class ClaimTiming:
    """What the answer to a claim says of times, in seconds.

    :ivar waiting: for how long the firing has been due that has waited
        longest and was not handed out; 0 where none waits, None where that is
        not known
    :ivar claimed: how long after its time each new run was handed out
    :ivar missed: how many firings were found too late to be run
    :ivar due_in: in how many seconds jobs are due that were not handed out,
        as far as that was told; less than 0 for what has waited so long
    """

    waiting: float | None = None
    claimed: tuple[float, ...] = ()
    missed: int = 0
    due_in: tuple[float, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ClaimTiming:
        """Read the answer to a claim, as far as it can be read."""
        now = epoch(document.get('server_time'))
        missed = document.get('missed')
        made = cls(missed=missed if isinstance(missed, int) else 0)
        if now is None:
            return made
        runs = document.get('runs')
        claimed = [epoch(run.get('nominal_at'))
                   for run in (runs if isinstance(runs, list) else ())
                   # A run that was taken over was handed out before.
                   if isinstance(run, Mapping) and run.get('fence') == 1]
        made = dataclasses.replace(made, claimed=tuple(
            max(0.0, now - time) for time in claimed if time is not None))
        if 'due_since' not in document:
            return made
        since = epoch(document['due_since'])
        made = dataclasses.replace(
            made, waiting=0.0 if since is None else max(0.0, now - since))
        if 'next_due_at' not in document:
            return made
        return dataclasses.replace(made, due_in=tuple(
            time - now for time in (since, epoch(document['next_due_at']))
            if time is not None))


def epoch(value: object) -> float | None:
    """Read a time of the API as epoch seconds; None for none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo else None
