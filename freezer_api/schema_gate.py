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

"""Requests are refused until the database has the schema of the release.

Without the check, each request would end as an error of the server.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import json
import threading
import time
from typing import Any

from oslo_log import log

from freezer_api.db import schema_version
from freezer_api import errors

LOG = log.getLogger(__name__)

# Seconds for which an answer of the database is used.
_LOOK_AGAIN = 1.0


class SchemaWatch:
    """Reads the version of the schema, at most once a second.

    :param ask: returns the version, or raises NotAsked or LoginRefused
    """

    def __init__(self, ask: Callable[[], schema_version.Found]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._looked = float('-inf')
        self._said = ''
        self._problem = ''
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether the database has had a sufficient schema."""
        return self._ready

    def problem(self) -> str:
        """Return why no request can be answered, an empty text for no reason.

        A database that does not answer is not a reason: requests report it.
        Neither is a newer schema, which the earlier release uses while the
        nodes of a service are upgraded one by one.
        """
        if time.monotonic() - self._looked < _LOOK_AGAIN:
            return self._problem
        # One thread reads it. The others use the last result.
        if self._lock.acquire(blocking=False):
            try:
                self._problem = self._look()
                self._looked = time.monotonic()
            finally:
                self._lock.release()
        return self._problem

    def _look(self) -> str:
        try:
            found = self._ask()
        except (schema_version.NotAsked, schema_version.LoginRefused):
            return ''
        if found.text != self._said:
            self._said = found.text
            if found.text:
                LOG.warning('%s', found.text)
        self._ready = found.state in (schema_version.State.CURRENT,
                                      schema_version.State.NEWER)
        return '' if self._ready else found.text


class SchemaGate:
    """Answers 503 while the schema is missing or too old.

    :param app: the application behind the gate
    """

    def __init__(self, app: Callable[..., Iterable[bytes]],
                 watch: SchemaWatch) -> None:
        self._app = app
        self._watch = watch

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not self._watch.ready and self._watch.problem():
            return _unavailable(start_response)
        return self._app(environ, start_response)


def _unavailable(start_response: Callable[..., Any]) -> Iterable[bytes]:
    # The log contains the remedy, for the operator.
    body = json.dumps(errors.document(
        'unavailable',
        'The database is not ready for this release yet')).encode()
    start_response('503 Service Unavailable', [
        ('Content-Type', 'application/json'),
        ('Content-Length', str(len(body))), ('Retry-After', '5')])
    return [body]
