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

"""The container in which Cinder is asked to store a backup.

Each driver of Cinder gives the name another meaning: a container, a bucket, a
directory or a pool. So none is asked for unless a user or an operator says so.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_templates

_OPTION = '[cinder] accepted_containers'


@dataclasses.dataclass(frozen=True)
class Containers:
    """What the operator says about containers.

    :ivar default: template of the container to ask for if an action names
        none; empty for none
    :ivar accepted: names that an action may use, with ``*`` at the end for
        any text; None for all names
    """

    default: str = ''
    accepted: tuple[str, ...] | None = None

    def chosen(self, action: cinder_action.CinderAction) -> str:
        """Return the container to ask Cinder for; empty for none.

        :raises Unusable: if the operator does not accept it
        """
        if not action.container:
            return cinder_templates.filled(
                'cindernative_backup_container', self.default, {
                    'project_id': action.project_id,
                    'volume_id': action.volume_id or '',
                    'backup_name': action.name})
        if self.accepted is not None and not any(
                _is_like(action.container, name) for name in self.accepted):
            raise cinder_action.Unusable(
                f'container: the operator of this cloud does not accept '
                f'{action.container!r} ({_OPTION}), as Cinder might not '
                f'restore from it; name {", ".join((*self.accepted, "none"))}')
        return action.container


def _is_like(name: str, pattern: str) -> bool:
    if pattern.endswith('*'):
        return name.startswith(pattern[:-1])
    return name == pattern
