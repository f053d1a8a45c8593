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

"""What is done about one volume: the next thing, or a wait for what is away.
"""

from __future__ import annotations

import dataclasses
import typing

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

# How often Cinder is asked to make something within one try.
MOST_POSTS = 3


@dataclasses.dataclass(frozen=True)
class EngineState:
    """What this process knows beyond the stored step.

    :ivar away: whether Keystone or Cinder could not be reached last time
    :ivar ready: whether what is meant to be done is stored, and certainly no
        request for it was sent
    """

    wait: cinder_step.Wait
    away: bool = dataclasses.field(default=False, kw_only=True)
    ready: bool = dataclasses.field(default=False, kw_only=True)


class VolumeStep(cinder_step.CinderStep):
    """One call about a backup, a restore or the old backups of a volume."""

    _known: type[EngineState] = EngineState
    _engine_state: EngineState

    def __init__(self, dependencies: cinder_step.Dependencies,
                 context: base.ActionContext, aborting: bool) -> None:
        super().__init__(dependencies, context)
        self._aborting = aborting
        engine_state = context.engine_state
        # Of a step that another process was at, only what is stored is known.
        self._engine_state = (
            engine_state if isinstance(engine_state, self._known)
            else self._known(cinder_step.Wait(self._now())))

    def go_on(self) -> base.Progress:
        """Do the next thing, towards the end or, aborting, an early one."""
        try:
            return self._next()
        except cinder_action.Unusable as error:
            return self._give_up(str(error), retry=False)
        except (cinder_client.NotSent, cinder_client.Unknown) as error:
            away = str(error)
            # Nothing is under way, and waiting makes no endpoint.
            if (isinstance(error, cinder_client.NoEndpoint)
                    and self._step.state is messages.StepState.PENDING):
                return self._give_up(away, retry=True)
        except cinder_client.CinderError as error:
            return self._give_up(
                str(error), retry=isinstance(error, cinder_client.Refused))
        if self._over():
            return self._give_up(away, retry=True)
        if not self._engine_state.away:
            LOG.warning('Run %s: %s; trying again', self._context.run_id, away)
        if self._step.state is messages.StepState.PENDING:
            # Its user sees why nothing happens.
            self._step = dataclasses.replace(self._step,
                                             reason=f'waits: {away}')
        return self._again(away=True)

    def _next(self) -> base.Progress:
        raise NotImplementedError

    def _over(self) -> bool:
        """Whether something that is away was waited for long enough.

        Where Cinder may be at work, that is as long as a backup may take.
        """
        wait = self._engine_state.wait
        if (self._step.state is messages.StepState.PENDING
                or self._engine_state.ready):
            return self._waited(wait) > self._limits.busy_timeout
        return self._too_long(wait)

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        """End as failed.

        :param retry: whether another try may do better
        """
        raise NotImplementedError

    def _again(self, **changes: typing.Any) -> base.Progress:
        """Look again after a while, and after longer ones from then on."""
        wait = self._engine_state.wait
        engine_state = dataclasses.replace(
            self._engine_state, wait=wait.longer(self._limits.poll_interval),
            away=False)
        return base.Progress(
            self._step, after=wait.after, engine_state=dataclasses.replace(
                engine_state, **changes))
