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

"""Whether each firing of a job became one run, or a row says why not."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from freezer_api.domain import plans

_TOLD = ('missed', 'skipped', 'fail', 'aborted')


@dataclasses.dataclass(frozen=True)
class Row:
    """A run, as far as it matters here; times in epoch seconds."""

    nominal_at: int
    state: str
    reason: str | None = None
    covers_until: int | None = None


class Chain:
    """The firings of one job, followed by its runs.

    :param created: when the job was made, in epoch seconds
    :param since: the firings after that moment are followed
    """

    def __init__(self, job_id: str, schedule: Mapping[str, Any],
                 created: int, since: int) -> None:
        self._job_id = job_id
        self._plan = plans.Plan(schedule, job_id)
        self._created = created
        self._after = since
        self.followed = 0

    def follow(self, rows: Iterable[Row], until: int) -> Iterator[str]:
        """Follow further runs; yield what is wrong.

        :param rows: by their time, all of those after the last one followed
        :param until: each firing up to that moment must have become something
        """
        for row in rows:
            expected = self._next()
            if row.nominal_at != expected:
                yield (f'job {self._job_id}: a run for {row.nominal_at}, the '
                       f'next firing was {expected}')
            if row.state in _TOLD and not row.reason:
                yield (f'job {self._job_id}: {row.state} at '
                       f'{row.nominal_at} without a reason')
            self._after = max(self._after, row.nominal_at,
                              (row.covers_until or 0) - 1)
            self.followed += 1
        left = self._next()
        if left is not None and left <= until:
            yield f'job {self._job_id}: nothing became of {left}'

    @property
    def after(self) -> int:
        """The last moment whose firing is accounted for."""
        return self._after

    def _next(self) -> int | None:
        return self._plan.firing_after(self._created, self._after)
