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

"""What the scheduler asks of an engine, and what an engine answers.

An engine keeps nothing and waits for nothing. Each call looks at an order,
does at most one step of it and says where the action stands; the scheduler
stores that with the API *before* it calls again. So whatever an engine did,
what it meant to do is known to whoever goes on after a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Protocol

from freezer_api.domain import capabilities
from freezer_api.domain import cinder_selection
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import retries


@dataclasses.dataclass(frozen=True)
class ActionContext:
    """One action of one run, as an engine gets to see it.

    :ivar step: as stored; an engine goes on from there
    :ivar engine_state: what the engine's last answer asked to remember. None
        for a new try, and after a restart or a take-over: then only ``step``
        is known, and what became of a request that was under way is not
    :ivar lease_left: seconds for which the run is certainly ours
    :ivar retries: for an action of several volumes, each of which has tries
        of its own; all others are tried again by who calls
    :ivar room: of how many volumes the action may be
    :ivar due_at: when the run was due, in epoch seconds, by the clock of who
        handed it out; None where that is the clock of this host
    :ivar alone: whether it is the whole of an action; otherwise one volume of
        several
    :ivar fence: of the run, by which the API knows its holder
    :ivar reserve_slot: asks for a place for one more volume beside those under
        way; the first one has the run's own
    """

    run_id: str
    job_id: str
    project_id: str
    trust_id: str = dataclasses.field(repr=False)
    freezer_action: Mapping[str, object]
    step: messages.Step
    engine_state: object
    lease_left: Callable[[], float]
    retries: retries.Retries = dataclasses.field(
        default_factory=retries.Retries)
    room: int = cinder_selection.MOST_VOLUMES
    reserve_slot: Callable[[], bool] = lambda: True
    fence: int = 0
    alone: bool = True
    due_at: float | None = None


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where an action stands after a call.

    :ivar step: to be stored; a final state ends the action
    :ivar after: seconds until the engine wants to be called again
    :ivar engine_state: handed back with the next order of this try
    :ivar backups: records to be stored with the step
    :ivar retry: whether a failure may be tried again
    """

    step: messages.Step
    after: float = 0
    engine_state: object = None
    backups: tuple[messages.Backup, ...] = ()
    retry: bool = False


class Engine(Protocol):
    """Carries out actions of one kind."""

    @property
    def offers(self) -> capabilities.Capabilities:
        """What it can carry out."""

    def start(self, context: ActionContext) -> Progress:
        """Begin a try: read the action and say what will be done.

        The step is pending and counts this try already.
        """

    def poll(self, context: ActionContext) -> Progress:
        """Go on from the stored step."""

    def abort(self, context: ActionContext) -> Progress:
        """Go on towards the end that leaves the least behind."""

    def clean_up(self, context: ActionContext) -> Progress | None:
        """Clear away what was begun for a run that is another's now.

        Its step is not stored any more.

        :returns: when to be called again; None when nothing is left to do
        """

    def left(self, context: ActionContext) -> Progress | None:
        """End what was begun and does not go on without this process.

        :returns: what became of the step; None when whoever is handed the
            run can go on with it
        """
