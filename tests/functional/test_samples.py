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

"""The samples of the API reference are what the API takes and gives."""

from __future__ import annotations

import collections
from collections.abc import Iterator
import dataclasses
import json
import pathlib
import re
from typing import Any

import jsonschema

from freezer_api.api.openapi import operations
from freezer_api import app
from tests.functional import fixtures

PAGES = fixtures.SAMPLES.parent

_ITEM = re.compile(
    r'``([A-Z]+)\s+/v2/\{project_id\}(/[^`]+)``'
    r'|^\.\. literalinclude:: samples/([a-z-]+)\.json$', re.MULTILINE)

# Samples of no route, or of several.
GENERAL = {'search-request', 'error-response', 'versions-response',
           'list-links-response'}


@dataclasses.dataclass
class Samples:
    """The names of what a page shows with a route."""

    requests: list[str] = dataclasses.field(default_factory=list)
    responses: list[str] = dataclasses.field(default_factory=list)


def shown() -> dict[tuple[str, str], Samples]:
    """Return the samples of each route, as the pages show them."""
    found: dict[tuple[str, str], Samples] = collections.defaultdict(Samples)
    for page in sorted(PAGES.glob('*.rst')):
        route = None
        for method, path, name in _ITEM.findall(
                page.read_text(encoding='utf-8')):
            if not name:
                route = (method, path)
                found[route]  # a route without samples is one, too
            elif name not in GENERAL:
                assert route is not None, f'{page.name}: {name}'
                samples = found[route]
                (samples.requests if name.endswith('-request')
                 else samples.responses).append(name)
    return found


def shape(value: Any, path: str = '') -> Iterator[tuple[str, str]]:
    """Yield each place of a document with its type; null has any."""
    if isinstance(value, dict):
        yield path, 'object'
        for key, inner in value.items():
            # What is below has ids for keys.
            name = '*' if path.endswith('.jobs') and isinstance(
                inner, dict) else key
            yield from shape(inner, f'{path}.{name}')
    elif isinstance(value, list):
        yield path, 'array'
        for inner in value:
            yield from shape(inner, f'{path}[]')
    else:
        yield path, 'any' if value is None else type(value).__name__


def differences(one: Any, other: Any) -> list[str]:
    """Return where two documents differ in keys or types."""
    types: dict[str, list[set[str]]] = collections.defaultdict(
        lambda: [set(), set()])
    for side, document in enumerate((one, other)):
        for path, kind in shape(document):
            types[path][side].add(kind)
    return [path for path, (left, right) in types.items()
            if not left or not right
            or len((left | right) - {'any'}) > 1]


class SampleTests(fixtures.WorldTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.document = app.openapi()
        self.snapshot = fixtures.Snapshot(self.database.engine)

    def check(self, schema: Any, value: Any, name: str) -> None:
        error = jsonschema.exceptions.best_match(
            jsonschema.Draft202012Validator({
                **schema, 'components': self.document['components'],
                }).iter_errors(value))
        self.assertIsNone(error, f'{name}: {error}')

    def send(self, method: str, path: str, name: str | None) -> Any:
        """Send the sample of a request; return its status and answer."""
        self.snapshot.restore()
        persona = fixtures.persona_for(method, path)
        result = self.client.simulate_request(
            method, f'/v2/{persona.project_id}{path.format(**fixtures.IDS)}',
            json=fixtures.sample(name) if name else None,
            extras=persona.environ())
        return result.status_code, result.json if result.text else None

    def test_each_sample_is_sent_and_answered(self) -> None:
        samples = shown()
        self.assertEqual(set(operations.OPERATIONS), set(samples))
        for (method, path), operation in operations.OPERATIONS.items():
            names = samples[method, path]
            said = self.document['paths'][f'/v2/{{project_id}}{path}'][
                method.lower()]
            with self.subTest(f'{method} {path}'):
                if 'requestBody' in said:
                    self.assertTrue(names.requests or method == 'GET')
                self.assertEqual(operation.answer is not None,
                                 bool(names.responses))
                for name in names.requests:
                    self.check(said['requestBody']['content'][
                        'application/json']['schema'],
                        fixtures.sample(name), name)
                if operation.request is None and operation.answer is None:
                    continue
                wanted: list[str | None] = [*names.requests]
                for one in wanted or [None]:
                    status, answer = self.send(method, path, one)
                    self.assertEqual(operation.status, status, answer)
                    for response in names.responses:
                        self.check(said['responses'][str(status)]['content'][
                            'application/json']['schema'],
                            fixtures.sample(response), response)
                        self.assertEqual([], differences(
                            fixtures.sample(response), answer), response)

    def test_search(self) -> None:
        for method, path in operations.OPERATIONS:
            if method == 'GET' and operations.OPERATIONS[
                    method, path].request is not None:
                status, _ = self.send(method, path, 'search-request')
                self.assertEqual(200, status, path)
        self.check(operations.SEARCH, fixtures.sample('search-request'),
                   'search-request')

    def test_error(self) -> None:
        error = fixtures.sample('error-response')
        self.check({'$ref': '#/components/schemas/Error'}, error, 'error')
        answer = self.member('POST', 'jobs', {
            **fixtures.sample('job-create-request'),
            'job_actions': [{'freezer_action': {
                'action': 'backup', 'mode': 'fs'}}]}, 422)
        self.assertEqual(error, answer)

    def test_versions(self) -> None:
        result = self.client.simulate_get('/')
        self.assertEqual([], differences(
            fixtures.sample('versions-response'), result.json))

    def test_each_sample_is_shown_somewhere(self) -> None:
        files = {path.stem for path in fixtures.SAMPLES.iterdir()}
        named = {name for samples in shown().values()
                 for name in (*samples.requests, *samples.responses)}
        self.assertEqual(files, named | GENERAL)

    def test_samples_are_tidy(self) -> None:
        for path in sorted(pathlib.Path(fixtures.SAMPLES).iterdir()):
            text = path.read_text(encoding='utf-8')
            self.assertEqual(
                json.dumps(json.loads(text), indent=4) + '\n', text,
                path.name)
