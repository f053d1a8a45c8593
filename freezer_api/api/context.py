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

"""Who asks: the request context that Keystone's middleware vouches for."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
import re
from typing import Any
import uuid

import falcon
from oslo_context import context
from oslo_log import log

from freezer_api.api import errors
from freezer_api.api import versions
from freezer_api.domain import token_kinds
from freezer_api import policy
from freezer_api import trusts

LOG = log.getLogger(__name__)

# What anybody may read.
OPEN = ('/', versions.OPENAPI)

_REQUEST_ID = 'HTTP_X_OPENSTACK_REQUEST_ID'
# An id from outside ends up in logs.
_CLEAN_ID = re.compile(r'[A-Za-z0-9._-]{1,80}')


@dataclasses.dataclass(frozen=True)
class Caller:
    """The user behind a request, and what policy lets him do."""

    context: context.RequestContext
    enforcer: policy.Enforcer
    trust_caller: trusts.Caller

    @property
    def user_id(self) -> str:
        return self.trust_caller.user_id

    @property
    def project_id(self) -> str | None:
        return self.trust_caller.project_id

    @property
    def sees_trusts(self) -> bool:
        """Whether trust ids of others are shown."""
        return bool({'admin', 'service'}.intersection(
            role.lower() for role in self.trust_caller.roles))

    def may(self, rule: str, project_id: str) -> bool:
        """Return whether policy allows a rule on a project."""
        return self.enforcer.allows(rule, project_id, self.context)

    def must(self, rule: str, project_id: str) -> None:
        """Refuse unless policy allows a rule on a project.

        :raises freezer_api.api.errors.ApiError: 403, or 503 when the
            operator's policy for the rule is refused
        """
        if self.may(rule, project_id):
            return
        if self.enforcer.refuses(rule):
            raise errors.unavailable(
                f'The policy of the cloud for "{rule}" is not safe, so that '
                'the operation is refused. Ask the operator to repair it.',
                'policy_refused')
        if self.project_id is None:
            raise errors.forbidden(
                'The token is not one of a project, but of the system, of a '
                'domain or of nothing. Ask Keystone for a token that is '
                'scoped to the project.', 'token_without_project')
        raise errors.forbidden()


def _request_id(environ: dict[str, Any]) -> str:
    given = environ.get(_REQUEST_ID, '')
    if not _CLEAN_ID.fullmatch(given):
        return f'req-{uuid.uuid4()}'
    return given if given.startswith('req-') else f'req-{given}'


class ContextMiddleware:
    """Puts a Caller into each request and the request id into its answer.

    :param primary_methods: see :mod:`freezer_api.domain.token_kinds`
    :param clock: returns now, in epoch seconds
    """

    def __init__(self, enforcer: policy.Enforcer,
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
                falcon.HTTP_401, 'Unauthorized',
                'The request you have made requires authentication.',
                'unauthorized')
        made = context.RequestContext.from_environ(
            req.env, request_id=request_id, overwrite=True)
        token = req.env.get('keystone.token_info', {}).get('token', {})
        req.context.caller = Caller(made, self._enforcer, trusts.Caller(
            user_id=made.user_id or '', project_id=made.project_id,
            roles=tuple(made.roles),
            auth=req.env.get('keystone.token_auth'),
            delegated=token_kinds.delegated_how(
                token, self._primary_methods, self._clock())))


class AcceptMiddleware:
    """Refuses a request that will not have JSON."""

    def process_request(self, req: falcon.Request,
                        resp: falcon.Response) -> None:
        if not req.client_accepts_json:
            raise falcon.HTTPNotAcceptable()
