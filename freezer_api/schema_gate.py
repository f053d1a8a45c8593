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

"""Requests wait at the gate until the database has the schema of the release.

Without it each of them would end as an error of the server.
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

# Seconds for which an answer of the database holds.
_LOOK_AGAIN = 1.0


class SchemaWatch:
    """Asks the database about its schema, once a second at the most.

    :param ask: returns what the schema is, or raises NotAsked, LoginRefused
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
        """Whether the database has been seen with a schema that will do."""
        return self._ready

    def problem(self) -> str:
        """Return why no request can be answered, empty if there is no reason.

        A database that does not answer is no reason: requests say so. Nor is
        a newer schema: while the nodes of a service are upgraded one by one,
        the earlier release goes on with it.
        """
        if time.monotonic() - self._looked < _LOOK_AGAIN:
            return self._problem
        # One asks. The others go on with what it found last.
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
    """Answers 503 as long as the schema is missing or too old.

    :param app: the application behind it
    :param watch: what it goes by
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
    # What to do is for the operator, who has it in the log.
    body = json.dumps(errors.document(
        'unavailable',
        'The database is not ready for this release yet')).encode()
    start_response('503 Service Unavailable', [
        ('Content-Type', 'application/json'),
        ('Content-Length', str(len(body))), ('Retry-After', '5')])
    return [body]
