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

"""The answer of the API to a request for maintenance."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from freezer_api.domain import trust_errors


@dataclasses.dataclass(frozen=True)
class Maintenance:
    """How many jobs and trusts of all projects are in trouble.

    :ivar suspended: jobs by the cause of their suspension, without those of
        no job; None if the API does not say
    :ivar trusts_pending: trusts that are still to be deleted
    :ivar trusts_unproven: trusts that may be left over, but are not deleted
        because nothing proves that this service made them
    :ivar clock_ahead: seconds by which the clock of the API's host is ahead of
        the database's; negative where it is behind, 0 within the tolerance
    """

    suspended: Mapping[trust_errors.Cause, int] | None = None
    trusts_pending: int = 0
    trusts_unproven: int = 0
    clock_ahead: int = 0

    @classmethod
    def from_document(cls, document: object) -> Maintenance:
        """Read the answer, as far as it can be read."""
        if not isinstance(document, Mapping):
            return cls()
        counts = document.get('jobs_suspended_by_cause')
        return cls(
            {cause: count for cause in trust_errors.Cause
             if (count := _count(counts.get(cause)))}
            if isinstance(counts, Mapping) else None,
            *(_count(document.get(key)) for key in (
                'trusts_pending', 'trusts_unproven', 'clock_ahead')))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
