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

"""Changes within the limits of their project.

Limits are read before a transaction and checked in it, see
:mod:`freezer_api.db.usage`. A change that adds nothing does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Protocol
from typing import TypeVar

from oslo_config import cfg
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.conf import quota as options
from freezer_api.db import engine
from freezer_api.db import usage
from freezer_api.domain import quota
from freezer_api.keystone import unified_limits

Result = TypeVar('Result')
ByResource = Mapping[quota.Resource, int]


class Source(Protocol):
    """The source of limits."""

    def cached(self, project_id: str) -> ByResource | None:
        """Return the cached limits of a project, None if there are none."""

    def get(self, project_id: str) -> ByResource:
        """Return the limits of a project.

        :raises freezer_api.keystone.unified_limits.Unavailable: when they
            cannot be read
        """


class Configured:
    """The limits of [quota], the same for each project."""

    def __init__(self, limits: ByResource) -> None:
        self._limits = limits

    def cached(self, project_id: str) -> ByResource | None:
        return self._limits

    def get(self, project_id: str) -> ByResource:
        return self._limits


def source_of(conf: cfg.ConfigOpts) -> Source:
    """Return the source of limits of a configuration."""
    if options.is_unified(conf):
        return unified_limits.UnifiedLimits(
            unified_limits.Reader(conf), conf.quota.cache_time,
            conf.quota.timeout)
    return Configured(options.limits(conf))


class Quotas:
    """The limits of projects, and changes within them."""

    def __init__(self, database: engine.Database, source: Source) -> None:
        self._database = database
        self._source = source

    def of_project(self, project_id: str) -> ByResource:
        """Return the limits of a project.

        :raises freezer_api.keystone.unified_limits.Unavailable: when they
            cannot be read
        """
        return self._source.get(project_id)

    def with_usage(self, project_id: str,
                   ) -> dict[quota.Resource, tuple[int, int]]:
        """Return the limits of a project, each with what it has of it.

        :raises freezer_api.keystone.unified_limits.Unavailable: when they
            cannot be read
        """
        # Not in the transaction: Keystone may have to be asked.
        limits = self.of_project(project_id)
        with self._database.read() as session:
            used = usage.of_project(session, project_id)
        return {resource: (limit, used[resource])
                for resource, limit in limits.items()}

    def write(self, project_id: str,
              work: Callable[[orm.Session], Result]) -> Result:
        """Run ``work`` as the database does, within a project's limits.

        :raises freezer_api.domain.quota.Exceeded: nothing is changed
        :raises freezer_api.keystone.unified_limits.Unavailable: nothing is
            changed
        """
        return self._within(project_id, lambda limits: self._database.write(
            work, limits))

    def write_rows(self, project_id: str,
                   work: Callable[[sa.Connection, quota.Limits], Result],
                   ) -> Result:
        """Run ``work`` likewise without a session; it checks the limits."""
        return self._within(
            project_id, lambda limits: self._database.write_rows(
                lambda connection: work(connection, limits)))

    def _within(self, project_id: str,
                write: Callable[[quota.Limits], Result]) -> Result:
        try:
            return write(quota.Limits(
                project_id, self._source.cached(project_id)))
        except quota.LimitsUnknown:
            return write(quota.Limits(
                project_id, self._source.get(project_id)))
