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

"""The caller of a request, and the permissions by policy."""

from __future__ import annotations

import dataclasses

from oslo_context import context as oslo_context

from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.policies import enforcer as policy_enforcer


@dataclasses.dataclass(frozen=True)
class Caller:
    """The user of a request, with the permissions by policy."""

    context: oslo_context.RequestContext
    enforcer: policy_enforcer.Enforcer
    trust_caller: trusts.Caller

    @property
    def user_id(self) -> str:
        return self.trust_caller.user_id

    @property
    def project_id(self) -> str | None:
        return self.trust_caller.project_id

    @property
    def sees_trusts(self) -> bool:
        """Whether the IDs of other users' trusts are shown."""
        return bool({'admin', 'service'}.intersection(
            role.lower() for role in self.trust_caller.roles))

    def may(self, rule: str, project_id: str) -> bool:
        """Return whether policy allows a rule on a project."""
        return self.enforcer.allows(rule, project_id, self.context)

    def must(self, rule: str, project_id: str) -> None:
        """Refuse unless policy allows a rule on a project.

        :raises freezer_api.errors.ApiError: 403, or 503 when the
            operator's policy for the rule is refused
        """
        if self.may(rule, project_id):
            return
        if self.enforcer.refuses(rule):
            raise errors.ApiError(
                'policy_refused',
                f'The policy of the cloud for "{rule}" is not safe, so that '
                'the operation is refused. Ask the operator to repair it.')
        if self.project_id is None:
            raise errors.ApiError(
                'token_without_project',
                'The token is not scoped to a project, but to the system, a '
                'domain or nothing. Ask Keystone for a token that is '
                'scoped to the project.')
        raise errors.ApiError(
            'forbidden', 'You are not allowed to access this resource')
