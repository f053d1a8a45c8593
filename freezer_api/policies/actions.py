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

"""Actions: the steps of a job."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='actions:create',
        check_str=base.ADMIN_OR_OWNER,
        description='Create an action.',
        operations=[{'method': 'POST', 'path': '/v2/{project_id}/actions'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='actions:get',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='Show an action.',
        operations=[
            {'method': 'GET', 'path': '/v2/{project_id}/actions/{action_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='actions:get_all',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='List the actions of the project.',
        operations=[{'method': 'GET', 'path': '/v2/{project_id}/actions'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='actions:update',
        check_str=base.ADMIN_OR_OWNER,
        description='Update an action.',
        operations=[
            {'method': 'PATCH',
             'path': '/v2/{project_id}/actions/{action_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='actions:replace',
        check_str=base.ADMIN_OR_OWNER,
        description='Replace an action, or create it with this ID.',
        operations=[
            {'method': 'POST',
             'path': '/v2/{project_id}/actions/{action_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='actions:delete',
        check_str=base.ADMIN_OR_OWNER,
        description='Delete an action.',
        operations=[
            {'method': 'DELETE',
             'path': '/v2/{project_id}/actions/{action_id}'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
