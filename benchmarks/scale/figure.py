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

"""What was measured: figures, and what they should be."""

from __future__ import annotations

import dataclasses

OURS = 'ours'
UPSTREAM = 'upstream'
#: What was found of upstream before, elsewhere.
KNOWN = 'known'
SIDES = (OURS, UPSTREAM, KNOWN)


@dataclasses.dataclass(frozen=True)
class Aim:
    """What ours should be.

    :ivar value: in the unit of the figure
    :ivar least: whether more is better
    """

    value: float
    least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.value if self.least else value <= self.value


@dataclasses.dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    :ivar name: of what, the same for each side, number of jobs and engine
    :ivar side: one of :data:`SIDES`
    :ivar jobs: in the database
    :ivar engine: of the database, as in ``--engines``
    :ivar note: on how it was found, where it was not just measured
    """

    name: str
    side: str
    jobs: int
    engine: str
    value: float
    unit: str
    aim: Aim | None = None
    note: str = ''
