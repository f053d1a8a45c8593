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

"""Adds the caller, as validated by keystonemiddleware, to requests."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
import re
from typing import Any
import uuid

import falcon
from oslo_context import context

from freezer_api.api import versions
from freezer_api.domain import token_kinds
from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.policies import enforcer as policy_enforcer
from freezer_api.services import callers

# Paths that need no token.
OPEN = ('/', versions.OPENAPI)

_REQUEST_ID = 'HTTP_X_OPENSTACK_REQUEST_ID'
# IDs of requests are logged.
_CLEAN_ID = re.compile(r'[A-Za-z0-9._-]{1,80}')


def _request_id(environ: dict[str, Any]) -> str:
    given = environ.get(_REQUEST_ID, '')
    if not _CLEAN_ID.fullmatch(given):
        return f'req-{uuid.uuid4()}'
    return given if given.startswith('req-') else f'req-{given}'


class ContextMiddleware:
    """Adds the caller to each request, and its ID to the answer.

    :param primary_methods: see :mod:`freezer_api.domain.token_kinds`
    :param clock: returns now, in epoch seconds
    """

    def __init__(self, enforcer: policy_enforcer.Enforcer,
                 primary_methods: Collection[str],
                 clock: Callable[[], int]) -> None:
        self._enforcer = enforcer
        self._primary_methods = frozenset(primary_methods)
        self._clock = clock

    def process_request(self, req: falcon.Request,
                        resp: falcon.Response) -> None:
        request_id = _request_id(req.env)
        resp.set_header('x-openstack-request-id', request_id)
        req.context.caller = None
        if req.path in OPEN:
            return
        if req.env.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed':
            raise errors.ApiError(
                'unauthorized',
                'The request you have made requires authentication.')
        caller = context.RequestContext.from_environ(
            req.env, request_id=request_id, overwrite=True)
        token = req.env.get('keystone.token_info', {}).get('token', {})
        delegated = token_kinds.delegated_how(
            token, self._primary_methods, self._clock())
        req.context.caller = callers.Caller(
            caller, self._enforcer, trusts.Caller(
                user_id=caller.user_id or '', project_id=caller.project_id,
                roles=tuple(caller.roles),
                auth=req.env.get('keystone.token_auth'), delegated=delegated))


class AcceptMiddleware:
    """Refuses a request that does not accept JSON."""

    def process_request(self, req: falcon.Request,
                        resp: falcon.Response) -> None:
        if not req.client_accepts_json:
            raise falcon.HTTPNotAcceptable()
