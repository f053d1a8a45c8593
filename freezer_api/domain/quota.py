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

"""The limits of a project, and whether a change exceeds them."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum


class Resource(enum.StrEnum):
    """The resources that are counted for each project."""

    JOBS = 'jobs'
    ACTIONS = 'actions'
    CLIENTS = 'clients'
    SESSIONS = 'sessions'
    BACKUPS = 'backups'
    STORED_BYTES = 'stored_bytes'


# A negative limit, as in Keystone.
UNLIMITED = -1

# Bytes above the limit that are reserved for the ends of backups, which legacy
# schedulers report in the same way as users change records.
RESERVE = 16 * 2 ** 20

# By how much reports of a project's own schedulers about its runs can exceed
# its limits.
RESERVES = {Resource.BACKUPS: 1000, Resource.STORED_BYTES: RESERVE}

Counts = Mapping[Resource, int]

_CURES = {
    Resource.STORED_BYTES: 'Delete backup records, jobs, actions or sessions '
                           'that you no longer need',
    Resource.BACKUPS: 'Delete backup records that you no longer need',
}


class Exceeded(Exception):
    """A change would exceed a limit; the text is for the caller.

    :ivar usage: the project's usage without the change
    :ivar requested: by how much the change would increase it
    """

    def __init__(self, resource: Resource, limit: int, usage: int,
                 requested: int) -> None:
        super().__init__(
            f'The limit for {resource} is exceeded: the limit of the project '
            f'is {limit}, its usage is {usage}, and the request needs '
            f'{requested} more. '
            + _CURES.get(resource, f'Delete {resource} that you no longer '
                                   'need')
            + ', or ask the administrator for a higher limit.')
        self.resource = resource
        self.limit = limit
        self.usage = usage
        self.requested = requested


class LimitsUnknown(Exception):
    """A change needs the limits of its project, which are not available."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits for one change.

    :ivar project_id: the project of the limits
    :ivar by_resource: None if they have not been read
    """

    project_id: str
    by_resource: Counts | None

    def check(self, usage: Counts, change: Counts) -> None:
        """Refuse a change that exceeds a limit.

        A change that does not increase the usage of a resource always passes,
        so that a project above a limit can continue.

        :param usage: before the change
        :param change: increase of the usage
        :raises Exceeded: for the first resource that exceeds its limit
        :raises LimitsUnknown: if the change increases a usage and the limits
            are not available
        """
        for resource in Resource:
            requested = change.get(resource, 0)
            if requested <= 0:
                continue
            if self.by_resource is None:
                raise LimitsUnknown
            limit = self.by_resource[resource]
            used = usage.get(resource, 0)
            if 0 <= limit < used + requested:
                raise Exceeded(resource, limit, used, requested)

    def most_before(self, change: Counts) -> dict[Resource, int]:
        """Return up to which usage a change is within the limits.

        :returns: only what has a limit and is increased
        """
        limits = self.by_resource or {}
        return {resource: limits[resource] - requested
                for resource, requested in change.items()
                if requested > 0 and limits.get(resource, UNLIMITED) >= 0}

    def with_reserve(self) -> Limits:
        """Return the limits for the end of a backup."""
        if self.by_resource is None:
            return self
        limit = self.by_resource[Resource.STORED_BYTES]
        return Limits(self.project_id, {
            **self.by_resource, Resource.STORED_BYTES:
            limit if limit < 0 else limit + RESERVE})

    def exhausted(self, usage: Counts) -> Resource | None:
        """Return the resource that leaves no room for records of runs.

        :returns: None if there is room
        """
        limits = self.by_resource or {}
        for resource, reserve in RESERVES.items():
            limit = limits.get(resource, UNLIMITED)
            if 0 <= limit and limit + reserve <= usage.get(resource, 0):
                return resource
        return None
