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

"""What is sent to the API to see it refuse: machinery of the fuzz tests.

Each request that :class:`FuzzTestCase` sends is held to what is true of all
of them: no fault of the service, an answer that the OpenAPI document knows,
an error in the one shape, and nothing changed by what is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import copy
import dataclasses
import json
from typing import Any

import jsonschema
import sqlalchemy as sa

from freezer_api.api.openapi import operations
from freezer_api import app
from freezer_api.db import models
from freezer_api.schemas import common
from tests.functional import base
from tests.functional import fixtures

Path = tuple[str | int, ...]

ADMIN = base.Persona('root', fixtures.PROJECT, ('admin', 'member', 'reader'))
STRANGER = base.Persona('eve', 'p2', ('member', 'reader'))
#: Nobody: without a token.
NOBODY = base.Persona('', None, ())

PERSONAS = (fixtures.MEMBER, fixtures.SERVICE, fixtures.READER, ADMIN,
            STRANGER, NOBODY)

# What Python's json does not write, but clients may.
_RAW = '@raw:'


def raw(literal: str) -> str:
    """Return a value that :func:`encoded` writes as it stands."""
    return f'{_RAW}{literal}@'


NUMBERS = (0, -1, 1.0, 1.5, 2 ** 31 - 1, 2 ** 31, -2 ** 31 - 1, 2 ** 53 + 1,
           2 ** 63 - 1, 2 ** 63, -2 ** 63 - 1, 10 ** 400, 1e308,
           raw('1e400'), raw('-1e400'), raw('NaN'), raw('Infinity'),
           raw('1E5'), raw('-0'))
# One more than each length of a column.
LENGTHS = tuple(sorted({
    column.type.length + 1
    for table in models.Base.metadata.tables.values()
    for column in table.columns
    if isinstance(column.type, sa.String) and column.type.length}))
TEXTS = ('', ' ', 'x', '\0', 'a\0b', '\ud800', '\udfff\ud800', '\U0001f600',
         '\r\n', '\x1f', '\x7f', '\u202e', '\u0660', '%00', '../..', "'\"\\;",
         '${x}', '-1', 'null', '2027-02-30T00:00:00', '99999999 weeks',
         *('x' * length for length in LENGTHS), 'x' * 5000, 'x' * 70_000,
         '\U0001f600' * 64, '\u00e9' * 255)
OTHERS: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], [None], {'': None}, {'a': {'b': []}},
    {'\0': 1}, {'x' * 300: 1}, [{}] * 300)
ANYTHING: tuple[Any, ...] = (*OTHERS, *NUMBERS, *TEXTS)


def encoded(document: Any) -> bytes:
    """Return JSON, or what comes close to it."""
    return (json.dumps(document).replace(f'"{_RAW}', '').replace('@"', '')
            .encode())


def changed(document: Any, path: Path, value: Any) -> Any:
    """Return a document with a value at a path, its containers made."""
    if not path:
        return value
    key, *rest = path
    made: Any
    if isinstance(key, int):
        made = list(document) if isinstance(document, list) else []
        made += [{} for _ in range(key + 1 - len(made))]
        made[key] = changed(made[key], tuple(rest), value)
    else:
        made = dict(document) if isinstance(document, dict) else {}
        made[key] = changed(made.get(key), tuple(rest), value)
    return made


def without(document: Any, path: Path) -> Any:
    """Return a document without what is at a path."""
    made = copy.deepcopy(document)
    place = made
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return made


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of everything in a document, but for itself."""
    items: Any = (document.items() if isinstance(document, dict)
                  else enumerate(document) if isinstance(document, list)
                  else ())
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def fields(schema: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path of everything that a schema names, with its schema."""
    for name, inner in schema.get('properties', {}).items():
        yield (*path, name), inner
        yield from fields(inner, (*path, name))
    if 'items' in schema:
        yield (*path, 0), schema['items']
        yield from fields(schema['items'], (*path, 0))


def limits(schema: Any) -> Iterator[Any]:
    """Yield values on and beyond each limit of a schema."""
    yield from schema.get('enum', ())
    for name in ('minLength', 'maxLength'):
        if name in schema:
            yield from ('a' * max(0, schema[name] + more)
                        for more in (-1, 0, 1))
            yield '\U0001f600' * schema[name]
    for name in ('minimum', 'maximum'):
        if name in schema:
            yield from (schema[name] + more for more in (-1, 0, 1))
    if 'maxItems' in schema:
        yield [{}] * (schema['maxItems'] + 1)


# What a description may say instead of a field's name: where the field was
# filled in, the sum that it is too large for, the state it does not fit.
ELSEWHERE = {'action_defaults': 'job_actions', 'backup_name':
             'backup_metadata', 'current_tag': 'requested tag value'}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request to a route; ``body`` is sent as it stands."""

    method: str
    path: str
    body: bytes | None = None
    persona: base.Persona = fixtures.MEMBER
    ids: Mapping[str, str] = dataclasses.field(default_factory=dict)
    query: str = ''
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def url(self) -> str:
        return f'/v2/{{project_id}}{self.path}'.format(**{
            'project_id': self.persona.project_id or 'p1', **fixtures.IDS,
            **self.ids})


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    body: Any

    @property
    def description(self) -> str:
        return str(self.body.get('description', ''))


def valid_bodies() -> dict[tuple[str, str], list[Any]]:
    """Return the samples of each route's request."""
    # The pages are read in one place.
    from tests.functional import test_samples

    return {route: [fixtures.sample(name) for name in samples.requests]
            for route, samples in test_samples.shown().items()}


class FuzzTestCase(fixtures.WorldTestCase):
    """Sends requests and holds the answers to the rules."""

    def setUp(self) -> None:
        super().setUp()
        self.document = app.openapi()
        self.validators: dict[int, Any] = {}
        self.live = dict(self.trusts.live)
        self.sent = 0
        self.snapshot = fixtures.Snapshot(self.database.engine)

    def validator(self, schema: Any) -> Any:
        # It is a part of the document, which lives as long as the test.
        if id(schema) not in self.validators:
            self.validators[id(schema)] = jsonschema.Draft202012Validator({
                **schema, 'components': self.document['components']})
        return self.validators[id(schema)]

    def operation(self, request: Request) -> dict[str, Any]:
        said: dict[str, Any] = self.document['paths'][
            f'/v2/{{project_id}}{request.path}'][request.method.lower()]
        return said

    def send(self, request: Request) -> Answer:
        """Send a request, and check what is true of every answer."""
        self.sent += 1
        result = self.client.simulate_request(
            request.method, '/', body=request.body,
            headers=dict(request.headers),
            extras={**(request.persona.environ()
                       if request.persona is not NOBODY else {}),
                    'PATH_INFO': request.url.encode(
                        'utf-8', 'surrogatepass').decode('latin-1'),
                    'QUERY_STRING': request.query})
        about = (f'{request.method} {request.url[:200]!r} {request.query!r} '
                 f'{(request.body or b"")[:300]!r} {request.persona.roles}: '
                 f'{result.status_code} {result.text[:300]}')
        self.assertLess(result.status_code, 500, about)
        self.assertIn('x-openstack-request-id', result.headers, about)
        body = json.loads(result.text) if result.text else None
        answer = Answer(result.status_code, body)
        self.check_answer(request, answer, about)
        self.check_rows(answer, about)
        return answer

    def check_answer(self, request: Request, answer: Answer,
                     about: str) -> None:
        responses = self.operation(request)['responses']
        self.assertIn(str(answer.status), responses, about)
        said = responses[str(answer.status)]
        if '$ref' in said:
            said = self.document['components']['responses'][
                said['$ref'].rpartition('/')[2]]
        self.assertEqual('content' in said, answer.body is not None, about)
        if answer.body is not None:
            error = jsonschema.exceptions.best_match(
                self.validator(said['content']['application/json'][
                    'schema']).iter_errors(answer.body))
            self.assertIsNone(error, f'{about}: {error}')

    def check_rows(self, answer: Answer, about: str) -> None:
        """What is refused changes nothing; what is done is undone."""
        if answer.status >= 400:
            self.assertEqual([], self.snapshot.changes(), about)
        self.snapshot.restore()
        self.trusts.live = dict(self.live)

    def check_names(self, request: Request, answer: Answer,
                    document: Any, place: Path) -> None:
        """A refusal names what is wrong."""
        if answer.body['code'] == 'malformed_json' or not document:
            return
        names = self.wrong_names(request, document) | {
            str(part) for part in place if isinstance(part, str)}
        names |= {ELSEWHERE[name] for name in names if name in ELSEWHERE}
        self.assertTrue(any(name in answer.description for name in names),
                        f'{request.method} {request.path} '
                        f'{place}: {answer.body}')

    def wrong_names(self, request: Request, document: Any) -> set[str]:
        """Return the names of all that a request's schema refuses."""
        schema = self.operation(request)['requestBody']['content'][
            'application/json']['schema']
        names: set[str] = set()
        for error in self.validator(schema).iter_errors(document):
            self._names(error, names)
        return names

    def _names(self, error: Any, names: set[str]) -> None:
        names.update(str(part) for part in error.absolute_path)
        if error.validator == 'required':
            names.update(error.validator_value)
        if error.validator in ('additionalProperties', 'propertyNames'):
            names.update(map(str, error.instance))
        for inner in error.context or ():
            self._names(inner, names)


#: The schemas of the requests that write.
WRITES: Mapping[tuple[str, str], common.Schema] = {
    route: operation.request
    for route, operation in operations.OPERATIONS.items()
    if operation.request is not None and route[0] != 'GET'}

CHECKS: Mapping[tuple[str, str], common.Compiled] = {
    route: common.Compiled(schema) for route, schema in WRITES.items()}
