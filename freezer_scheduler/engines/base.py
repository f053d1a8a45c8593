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

"""The interface between the scheduler and an engine.

An engine keeps no state and does not wait. The scheduler calls it with an
action of a run and the action's step: its stored state. Each call does at most
one thing, such as one request, and returns the new step. The scheduler stores
it with the API *before* the next call. So the intent of everything that an
engine did is known after a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Protocol

from freezer_api.domain import capabilities
from freezer_api.domain import cinder_selection
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import retries


@dataclasses.dataclass(frozen=True)
class ActionContext:
    """One action of one run, as an engine sees it.

    :ivar step: the stored state of the action, from which an engine goes on
    :ivar engine_state: the state from the engine's last answer. None for a new
        try, and after a restart or a reclaim: then only ``step`` is known, and
        the outcome of a request that was under way is unknown
    :ivar lease_left: returns the seconds for which the run is certainly ours
    :ivar retries: for an action of several volumes, each of which has tries
        of its own; the caller repeats all other actions
    :ivar room: maximum number of volumes of the action
    :ivar due_at: when the run was due, in epoch seconds by the API's clock;
        None if the clock of this host decides
    :ivar zone: time zone of the job's schedule, in which days begin
    :ivar alone: whether this is a whole action, not one volume of several
    :ivar fence: of the run, by which the API knows its holder
    :ivar aborting: whether an engine carries out ``abort``
    :ivar reserve_slot: reserves a slot for one more volume; the first volume
        under way uses the slot of the run
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
    aborting: bool = False
    due_at: float | None = None
    zone: datetime.tzinfo = datetime.UTC


@dataclasses.dataclass(frozen=True)
class Progress:
    """The result of a call.

    :ivar step: the step to store; a final state ends the action
    :ivar after: seconds until the next call
    :ivar engine_state: returned with the next call of this try
    :ivar backups: records to store with the step
    :ivar retry: whether another try may follow a failure
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
        """The actions that the engine carries out."""

    def start(self, context: ActionContext) -> Progress:
        """Begin a try: read the action and return the intent.

        The step is pending and counts this try already.
        """

    def poll(self, context: ActionContext) -> Progress:
        """Go on from the stored step."""

    def abort(self, context: ActionContext) -> Progress:
        """Go on towards the end that leaves the least behind."""

    def clean_up(self, context: ActionContext) -> Progress | None:
        """Remove what was begun for a run that another scheduler has now.

        Its step is not stored any more.

        :returns: when to call again; None if nothing is left to do
        """

    def left(self, context: ActionContext) -> Progress | None:
        """End what cannot go on without this process.

        :returns: the step to store; None if the next holder of the run can
            go on with it
        """
