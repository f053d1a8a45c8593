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

"""Keystone's unified limits, read with oslo.limit.

Threads of this module send the requests to Keystone, never within a
transaction. A request of a user waits for an answer until a deadline. Answers
are cached for a short time.

The transaction that counts the usage compares it with the limit, in the same
way as :meth:`oslo_limit.limit.Enforcer.enforce`, which supports no
transactions. This is exact for the model "flat", the only one of oslo.limit:
for "strict-two-level" it raises NotImplementedError.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from concurrent import futures
import threading
import time
from typing import Any
from typing import Protocol

import cachetools
from keystoneauth1 import exceptions as ks_exceptions
from oslo_config import cfg
from oslo_log import log

from freezer_api.conf import quota as options
from freezer_api.domain import quota

LOG = log.getLogger(__name__)

PREFIX = 'freezer_'
NAMES = {resource: PREFIX + resource.value for resource in quota.Resource}

_THREADS = 4
_PROJECTS = 10_000
# Seconds without requests after a failure, so that the threads of the API do
# not all wait for Keystone.
_PAUSE = 2

ByResource = Mapping[quota.Resource, int]


class Unavailable(Exception):
    """The limits cannot be read now; the text is for the operator."""


def missing(registered: Mapping[str, int]) -> list[str]:
    """Return the names of resources that have no registered limit."""
    return [name for name in NAMES.values() if name not in registered]


class Registered(Protocol):
    """A source of limits, by names of resources."""

    def defaults(self) -> dict[str, int]:
        """Return the registered limits.

        :raises Unavailable: if they cannot be read
        """

    def of_project(self, project_id: str) -> dict[str, int]:
        """Return the limits of a project that differ from the defaults.

        :raises Unavailable: if they cannot be read
        """


class Reader:
    """Reads limits with oslo.limit, which reads its options from cfg.CONF."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        # It imports openstacksdk, which only unified limits need.
        from openstack import exceptions as sdk_exceptions
        from oslo_limit import exception as limit_exceptions
        from oslo_limit import limit
        self._make = limit.Enforcer
        # Errors of these libraries if Keystone is unavailable or wrongly
        # configured, or if another service answers.
        self._errors = (
            ks_exceptions.ClientException, sdk_exceptions.SDKException,
            limit_exceptions.SessionInitError, NotImplementedError,
            ValueError, LookupError, TypeError, AttributeError)
        self._lock = threading.Lock()
        self._enforcer: Any = None
        arguments = []
        for path in conf.config_file or ():
            arguments += ['--config-file', path]
        for path in conf.config_dirs:
            arguments += ['--config-dir', path]
        cfg.CONF(arguments, project='freezer', prog='freezer-api')
        cfg.CONF.set_default('timeout', conf.quota.timeout, options.UNIFIED)

    def defaults(self) -> dict[str, int]:
        """Return the registered limits; see :class:`Registered`."""
        return self._ask(
            lambda enforcer: enforcer.get_registered_limits(None))

    def of_project(self, project_id: str) -> dict[str, int]:
        """Return the limits of a project; see :class:`Registered`."""
        return self._ask(
            lambda enforcer: enforcer.get_project_limits(project_id, None))

    def _ask(self, question: Callable[[Any], Iterable[tuple[str, int]]],
             ) -> dict[str, int]:
        try:
            with self._lock:
                if self._enforcer is None:
                    # Without the library's cache, which never expires.
                    self._enforcer = self._make(_no_usage, cache=False)
                enforcer = self._enforcer
            return {str(name): int(limit)
                    for name, limit in question(enforcer)}
        except NotImplementedError as error:
            raise Unavailable(
                'oslo.limit does not implement Keystone\'s enforcement model: '
                'set [unified_limit] enforcement_model = flat in '
                'keystone.conf') from error
        except self._errors as error:
            raise Unavailable(
                f'the limits cannot be read with [{options.UNIFIED}]: '
                f'{type(error).__name__}: {error}') from error


def _no_usage(project_id: str | None, resources: Any) -> dict[str, int]:
    raise NotImplementedError  # Usage is counted in the transactions.


class UnifiedLimits:
    """The limits of projects, with a cache.

    :param cache_time: lifetime of cached limits in seconds
    :param timeout: seconds that a caller waits for Keystone
    """

    def __init__(self, reader: Registered, cache_time: int,
                 timeout: float) -> None:
        self._reader = reader
        self._timeout = timeout
        self._lock = threading.Lock()
        self._cache: cachetools.TTLCache[str, ByResource] = (
            cachetools.TTLCache(_PROJECTS, cache_time))
        self._defaults: cachetools.TTLCache[str, dict[str, int]] = (
            cachetools.TTLCache(1, cache_time))
        self._asked: dict[str, futures.Future[ByResource]] = {}
        self._failed_until = 0.0
        # The pool starts threads on first use, so a process can fork before.
        self._threads = futures.ThreadPoolExecutor(
            _THREADS, thread_name_prefix='limits')

    def cached(self, project_id: str) -> ByResource | None:
        """Return the limits of a project from the cache, or None."""
        with self._lock:
            return self._cache.get(project_id)

    def get(self, project_id: str) -> ByResource:
        """Return the limits of a project.

        :raises Unavailable: if Keystone does not answer in time
        """
        with self._lock:
            limits = self._cache.get(project_id)
            if limits is not None:
                return limits
            if time.monotonic() < self._failed_until:
                raise Unavailable('Keystone failed to answer just now')
            asked = self._asked.get(project_id)
            if asked is None:
                asked = self._threads.submit(self._read, project_id)
                self._asked[project_id] = asked
        try:
            return asked.result(self._timeout)
        except (futures.TimeoutError, futures.CancelledError):
            asked.cancel()
            self._fail(f'Keystone did not answer within {self._timeout} s')
            raise Unavailable('Keystone does not answer') from None
        except Unavailable as error:
            self._fail(str(error))
            raise
        finally:
            with self._lock:
                if self._asked.get(project_id) is asked:
                    del self._asked[project_id]

    def _fail(self, reason: str) -> None:
        with self._lock:
            first = time.monotonic() >= self._failed_until
            self._failed_until = time.monotonic() + _PAUSE
        if first:
            LOG.error('The limits of projects are unavailable: %s', reason)

    def _read(self, project_id: str) -> ByResource:
        with self._lock:
            defaults = self._defaults.get('')
        if defaults is None:
            defaults = self._reader.defaults()
            if unregistered := missing(defaults):
                LOG.error('Keystone has no registered limit for %s, which '
                          'counts as a limit of 0', ', '.join(unregistered))
        own = self._reader.of_project(project_id)
        limits = {resource: own.get(name, defaults.get(name, 0))
                  for resource, name in NAMES.items()}
        with self._lock:
            self._defaults[''] = defaults
            self._cache[project_id] = limits
        return limits
