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

"""The OpenAPI document, out of routes, operations and policies."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import http
import re
from typing import Any

from oslo_policy import policy

from freezer_api.api.openapi import operations
from freezer_api.domain import cinder_keys
from freezer_api.schemas import actions
from freezer_api.schemas import common

Document = dict[str, Any]

PREFIX = '/v2/{project_id}'
MEDIA = 'application/json'

_NAMES = {id(schema): name for name, schema in operations.SCHEMAS.items()}

_DESCRIPTION = """\
Freezer keeps clients, which are schedulers that registered, jobs, actions,
sessions and records of backups.

Bodies are JSON, whatever their Content-Type says, and need a Content-Length.
An integer is written without a fraction. A pattern is matched against the
whole text, with ASCII for digits and word characters. No text may hold NUL or
half of a surrogate pair, and no document is nested deeper than 32 levels.
A freezer_action and the metadata of a backup have at most 16384 characters of
JSON, 256 keys and 8 levels, nested keys included. The actions of a job have
at most 53248 characters of JSON together, so that a job has at most 65536. A
session has at most 256 jobs. What was stored by an earlier release may be
larger; it can shrink, and cannot grow. What a schema cannot say, such as
whether a schedule can be understood, is answered with 400, too. A
cinder-native action that cannot be carried out, and a job without actions, are
answered with 422 that names the key.

A page of a list has at most 8388608 bytes, unless a single item is larger. A
page that ends early for that has the key of the list with _links appended: a
list of one link with rel next and href, to be followed with the same body.

The items of a list are searched for with a body of the GET request. HTTP
gives such a body no meaning of its own, so that a proxy may drop it.

x-openstack-policies of an operation are the policy rules that decide who may
call it, with the defaults that stand under the same name at the end.
"""

# What can happen to every request with a token.
_EVERY = (400, 401, 403, 406, 411, 413, 500, 503)

_ERRORS = {
    400: 'Something of the request is wrong; the description names it.',
    401: 'No token, or not a good one. The body is mostly that of the '
         'middleware that asks Keystone.',
    403: 'Policy refuses, or the token cannot give a trust.',
    404: 'There is no such document.',
    405: 'The request names something else than it can be.',
    406: 'The request does not accept JSON. There is no body.',
    409: 'The id is taken, or the document has changed or is in use.',
    411: 'The body has no Content-Length.',
    413: 'The body is too large.',
    422: 'What the document asks for cannot be done.',
    500: 'A fault of the service.',
    503: 'Keystone or the database does not answer.',
}

_NUMBER: Document = {
    'type': 'integer', 'minimum': 0, 'maximum': common.MAX_INTEGER}

_QUERY: dict[str, tuple[str, Document]] = {
    'limit': ('How many items at most; 0 for the default, and more than the '
              'configured maximum for that maximum.', _NUMBER),
    'offset': ('How many items to pass over.', _NUMBER),
    'marker': ('The id of the last item of the page before, of a client its '
               'uuid.', {'type': 'string'}),
    'sort_dir': ('The order by creation. Clients come oldest first unless '
                 'asked otherwise, and everything else newest first.',
                 {'enum': ['asc', 'desc']}),
    'all_projects': ('Whether to list the jobs of every project.',
                     {'enum': ['true', 'false', 'True', 'False']}),
}


def _about(name: str, summary: str, media: str = MEDIA, status: int = 200,
           **more: Any) -> Document:
    return {'get': {
        'operationId': name, 'tags': ['about'], 'summary': summary,
        'responses': {
            str(status): {
                'description': http.HTTPStatus(status).phrase,
                'content': {media: {'schema': {'type': 'object'}}}},
            '406': {'$ref': '#/components/responses/Error406'}},
        **more}}


# What tells of the API.
_ABOUT: Document = {
    '/': _about('get_versions', 'List the versions of the API.', status=300,
                security=[]),
    '/v2': _about('get_home', 'Show the JSON home document.',
                  'application/json-home'),
    '/v2/openapi.json': _about('get_openapi', 'Show this document.',
                               security=[]),
}


def build(paths: Iterable[str], rules: Sequence[policy.RuleDefault],
          ) -> Document:
    """Return the document.

    :param paths: the routes below ``/v2/{project_id}``
    :param rules: every policy rule
    """
    return {
        'openapi': '3.1.0',
        'info': {
            'title': 'Freezer API', 'version': '2',
            'summary': 'Backups of an OpenStack cloud',
            'description': _DESCRIPTION,
            'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'}},
        'servers': [{
            'url': '/', 'description': 'The endpoint of the type backup in '
                                       "Keystone's catalogue."}],
        'security': [{'token': []}],
        'paths': {**_ABOUT, **{
            f'{PREFIX}{path}': _path(path, rules) for path in paths}},
        'components': {
            'securitySchemes': {'token': {
                'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token',
                'description': "Keystone's token."}},
            'schemas': {
                name: _inside(_described(schema))
                for name, schema in operations.SCHEMAS.items()},
            'responses': {
                f'Error{status}': _error(status) for status in _ERRORS},
            'headers': {'RequestId': {
                'description': 'The id of the request, for its operator.',
                'schema': {'type': 'string'}}}},
        'x-openstack-policies': {
            rule.name: {
                'description': rule.description or '',
                'default': rule.check_str} for rule in rules},
    }


def _path(path: str, rules: Sequence[policy.RuleDefault]) -> Document:
    return {
        method.lower(): _operation(path, method, operation, [
            rule for rule in rules if _decides(rule, method, path)])
        for (method, where), operation in operations.OPERATIONS.items()
        if where == path}


def _decides(rule: policy.RuleDefault, method: str, path: str) -> bool:
    return any(
        operation == {'method': method, 'path': f'{PREFIX}{path}'}
        for operation in getattr(rule, 'operations', ()))


def _operation(path: str, method: str, operation: operations.Operation,
               rules: Sequence[policy.RuleDefault]) -> Document:
    made: Document = {
        'operationId': _operation_id(path, method),
        'tags': [path.split('/')[1]],
        'summary': (rules[0].description or '').splitlines()[0],
        'description': '\n\n'.join(
            f'{rule.name}: {rule.description}' for rule in rules),
        'x-openstack-policies': [rule.name for rule in rules],
        'parameters': list(_parameters(path, operation)),
    }
    if operation.request is not None:
        made['requestBody'] = {
            'required': not operation.optional,
            'content': {MEDIA: {'schema': _named(operation.request)}}}
    made['responses'] = {
        str(operation.status): _success(operation),
        **{str(status): {'$ref': f'#/components/responses/Error{status}'}
           for status in sorted({*_EVERY, *operation.errors})}}
    return made


def _operation_id(path: str, method: str) -> str:
    words = [word for word in re.split(r'[/{}]+', path) if word]
    return '_'.join([method.lower(), *words])


def _parameters(path: str,
                operation: operations.Operation) -> Iterator[Document]:
    names = re.findall(r'{(\w+)}', f'{PREFIX}{path}')
    for name in names:
        chosen = operation.new_id if name == names[-1] else None
        yield {'name': name, 'in': 'path', 'required': True,
               'schema': chosen or {'type': 'string'}}
    for name in operation.query:
        description, schema = _QUERY[name]
        yield {'name': name, 'in': 'query', 'description': description,
               'schema': schema}


def _success(operation: operations.Operation) -> Document:
    made: Document = {
        'description': http.HTTPStatus(operation.status).phrase,
        'headers': {'x-openstack-request-id': {
            '$ref': '#/components/headers/RequestId'}}}
    if operation.answer is not None:
        made['content'] = {MEDIA: {'schema': _named(operation.answer)}}
    return made


def _error(status: int) -> Document:
    made: Document = {'description': _ERRORS[status]}
    schema: Document = {'$ref': '#/components/schemas/Error'}
    if status == http.HTTPStatus.UNAUTHORIZED:
        schema = {'anyOf': [schema, {
            'type': 'object', 'required': ['error'],
            'properties': {'error': {'type': 'object'}}}]}
    if status != http.HTTPStatus.NOT_ACCEPTABLE:
        made['content'] = {MEDIA: {'schema': schema}}
    return made


def _described(schema: Document) -> Document:
    """Say in the schema of a freezer_action what keys mean to Cinder.

    Their types are not said: what they may hold depends on mode and action.
    """
    if schema is not actions.FREEZER_ACTION:
        return schema
    properties: Document = schema['properties']
    return {**schema, 'properties': {**properties, **{
        key.name: {
            **properties.get(key.name, {}),
            'description': f'In mode cindernative, {", ".join(key.actions)}: '
                           f'{key.help}.'}
        for key in cinder_keys.KEYS}}}


def _named(schema: Any) -> Any:
    """Return a reference to a schema that has a name, or the schema."""
    name = _NAMES.get(id(schema))
    if name is not None:
        return {'$ref': f'#/components/schemas/{name}'}
    return _inside(schema)


def _inside(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _named(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_named(value) for value in schema]
    return schema
