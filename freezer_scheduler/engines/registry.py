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

"""The choice of the engine for an action."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from freezer_api.domain import capabilities
from freezer_scheduler.engines import base
from freezer_scheduler.freezer import messages

# The names of the engines.
NATIVE = 'cindernative'
AGENT = 'agent'

NO_TRUST = 'the job has no trust; save it again to create one'


class Refused(Exception):
    """No engine carries out the action; the text is for its user."""


@dataclasses.dataclass(frozen=True)
class Registry:
    """The engines of a scheduler.

    :ivar engines: by the name that steps store. The first engine that offers
        an action gets it: an action that Cinder can carry out must not get an
        agent. In service mode an agent is for what an operator named.
    :ivar offered: returns the capabilities of this scheduler
    """

    engines: Mapping[str, base.Engine]
    offered: Callable[[], capabilities.Capabilities]

    def begin(self, freezer_action: Mapping[str, object],
              step: messages.Step) -> messages.Step:
        """Return a pending step that names its engine and its action.

        :raises Refused: if this scheduler does not offer the action
        """
        needs = capabilities.read_needs(freezer_action)
        refused = needs.reasons(self.offered())
        if refused:
            raise Refused('not supported by this scheduler: '
                          + ', '.join(refused))
        for name, engine in self.engines.items():
            if not needs.unsupported(engine.offers):
                return dataclasses.replace(step, engine=name,
                                           action=str(needs.actions[0].value))
        raise Refused(f'mode {freezer_action.get("mode")}: this scheduler has '
                      'no engine for it')

    def engine_of(self, step: messages.Step) -> base.Engine:
        """Return the engine of a step that has begun.

        A begun action is brought to its end, whatever is offered now.

        :raises Refused: if no engine can go on with what another release began
        """
        engine = self.engines.get(step.engine)
        unknown = [leaf.action for leaf in (step, *step.parts)
                   if engine is None
                   or leaf.action not in engine.offers.actions]
        if engine is None or unknown:
            raise Refused('this scheduler cannot go on with action '
                          f'{unknown[0] or "(none)"} of engine '
                          f'{step.engine or "(none)"}')
        return engine
