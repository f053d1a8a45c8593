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

"""The API in this process: complete but for Keystone, with its own clock."""

from __future__ import annotations

import collections
from collections.abc import Iterator
import contextlib
import dataclasses
import json
import pathlib
import time
from typing import Any

from cryptography import fernet
from falcon import testing
import sqlalchemy as sa

from freezer_api import app
from freezer_api import conf as configuration
from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.keystone import crypt
from freezer_api.services import dependencies
from freezer_api.services import quotas
from freezer_api.services import trusts
from tests.functional import base


@dataclasses.dataclass
class Cost:
    """The cost of requests of one kind.

    :ivar cpu: seconds of this process
    :ivar statements: that the database was sent
    """

    requests: int = 0
    cpu: float = 0
    statements: int = 0


class Unavailable(Exception):
    """The API does not answer."""


class Api:
    """The API, and what it costs.

    :ivar now: what time it is for the API, in epoch seconds
    :ivar costs: by kind of request
    """

    def __init__(self, folder: pathlib.Path, url: str, now: int,
                 scheduling: dict[str, int]) -> None:
        path = folder / 'freezer-api.conf'
        path.touch()
        conf = configuration.load(files=[str(path)])
        conf.set_override('connection', url, 'database')
        conf.set_override('keys', [fernet.Fernet.generate_key().decode()],
                          'user_credentials')
        for name, value in scheduling.items():
            conf.set_override(name, value, 'scheduling')
        self.now = now
        self.unavailable = False
        self.costs: collections.defaultdict[str, Cost] = (
            collections.defaultdict(Cost))
        self.box = crypt.Crypt(conf.user_credentials['keys'])
        self.database = engine.Database(conf)
        models.Base.metadata.create_all(self.database.engine)
        self._statements = 0
        sa.event.listen(self.database.engine, 'before_cursor_execute',
                        self._count)
        self._app = app.make_resources(dependencies.Services(
            conf, self.database, trusts.TrustService(
                self.database, base.FakeTrusts('freezer', ['member']),
                self.box, self._clock),
            quotas.Quotas(self.database, quotas.source_of(conf)),
            self._clock))

    def _clock(self) -> int:
        return self.now

    def _count(self, connection: Any, cursor: Any, statement: str,
               parameters: Any, context: Any, executemany: bool) -> None:
        # PyMySQL sends rows of an INSERT together, and nothing else.
        one = not executemany or statement.startswith('INSERT')
        self._statements += 1 if one else len(parameters)

    @contextlib.contextmanager
    def measured(self, kind: str) -> Iterator[None]:
        cost = self.costs[kind]
        cpu, statements = time.process_time(), self._statements
        yield
        cost.requests += 1
        cost.cpu += time.process_time() - cpu
        cost.statements += self._statements - statements

    def call(self, kind: str, method: str, path: str,
             body: dict[str, Any]) -> tuple[int, Any]:
        """Send a request of the service's own.

        :param kind: under which its cost is counted
        :returns: status and JSON of the answer
        :raises Unavailable: while it is
        """
        if self.unavailable:
            raise Unavailable()
        environ = testing.create_environ(
            f'/v2/{base.SERVICE.project_id}/{path}', method=method,
            headers={'Content-Type': 'application/json'},
            body=json.dumps(body))
        environ.update(base.SERVICE.environ())
        answer = testing.StartResponseMock()
        with self.measured(kind):
            text = b''.join(self._app(environ, answer))
        return int((answer.status or '')[:3]), json.loads(text)
