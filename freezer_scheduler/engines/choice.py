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

"""Which engine carries out an action."""

from __future__ import annotations

from collections.abc import Mapping

from freezer_api.domain import capabilities
from freezer_scheduler import documents
from freezer_scheduler.engines import base

# The names of the engines, where there are such.
NATIVE = 'cindernative'
AGENT = 'agent'

NO_TRUST = ('the job carries no delegated authority (trust); saving it '
            'again makes one')


def engine_of(engines: Mapping[str, base.Engine],
              offered: capabilities.Capabilities,
              freezer_action: Mapping[str, object],
              step: documents.Step) -> tuple[base.Engine | None, str]:
    """Return the engine, or None and why there is none.

    :param engines: by name
    :param offered: what this scheduler may do
    """
    if step.state is not documents.StepState.PENDING:
        # It was allowed when it was begun; now it must be ended. Only the
        # steps of volumes name any, or the backup a volume is made of.
        native = (step.parts or step.volume_id is not None
                  or step.cinder_backup_id is not None)
        if native or AGENT not in engines:
            return engines[NATIVE], ''
        return engines[AGENT], ''
    refused = capabilities.unsupported(offered, freezer_action)
    if refused:
        return None, 'not supported by this scheduler: ' + ', '.join(refused)
    # Whatever is no more than that needs no agent, and must not get one: in
    # service mode an agent is for what an operator named.
    native = not capabilities.unsupported(capabilities.CINDER_NATIVE,
                                          freezer_action)
    mode = freezer_action.get('mode')
    return (engines.get(NATIVE if native else AGENT),
            f'mode {mode}: this scheduler has no engine for it')
