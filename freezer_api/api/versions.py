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

"""The version list, and the documents that describe version 2."""

from __future__ import annotations

from collections.abc import Callable
import functools
import json
from typing import Any

import falcon

OPENAPI = '/v2/openapi.json'


class Versions:
    """``GET /``, without a token."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_300
        resp.media = {'versions': [{
            'id': 'v2', 'status': 'CURRENT',
            'updated': '2018-02-21T13:30:00',
            'links': [{'href': f'{req.prefix}/v2/', 'rel': 'self'}],
        }]}


def _resource(template: str, variables: list[str],
              allow: list[str]) -> dict[str, Any]:
    return {
        'href-template': template,
        'href-vars': {name: f'param/{name}' for name in variables},
        'hints': {'allow': allow, 'formats': {'application/json': {}}},
    }


_HOME = {'resources': {
    'rel/backups': _resource(
        '/v2/{project_id}/backups/{backup_id}',
        ['project_id', 'backup_id'], ['GET']),
    'rel/jobs': _resource(
        '/v2/{project_id}/jobs{?all_projects,offset,limit}',
        ['project_id', 'all_projects', 'offset', 'limit'], ['GET', 'POST']),
    'rel/job': _resource(
        '/v2/{project_id}/jobs/{job_id}', ['project_id', 'job_id'],
        ['GET', 'PATCH', 'POST', 'DELETE']),
    'rel/runs': _resource(
        '/v2/{project_id}/jobs/{job_id}/runs{?offset,limit}',
        ['project_id', 'job_id', 'offset', 'limit'], ['GET']),
    # A scheduler claims runs if this is present.
    'rel/claims': _resource(
        '/v2/{project_id}/clients/{client_id}/claims',
        ['project_id', 'client_id'], ['POST']),
    # A scheduler reports many runs at once if this is present.
    'rel/reports': _resource(
        '/v2/{project_id}/clients/{client_id}/reports',
        ['project_id', 'client_id'], ['POST']),
    'rel/openapi': {
        'href': OPENAPI,
        'hints': {'allow': ['GET'], 'formats': {'application/json': {}}}},
}}


class Home:
    """``GET /v2``, with any token."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = 'application/json-home'
        resp.text = json.dumps(_HOME)


class OpenApi:
    """``GET /v2/openapi.json``, without a token.

    :param make: makes the document, as
        :mod:`freezer_api.api.openapi.document` does
    """

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make

    @functools.cached_property
    def _text(self) -> str:
        return json.dumps(self._make())

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = self._text
