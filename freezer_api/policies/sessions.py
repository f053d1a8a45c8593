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

"""Sessions: jobs of several clients that run together."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='sessions:create',
        check_str=base.ADMIN_OR_OWNER,
        description='Create a session.',
        operations=[{'method': 'POST', 'path': '/v2/{project_id}/sessions'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:get',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='Show a session.',
        operations=[
            {'method': 'GET',
             'path': '/v2/{project_id}/sessions/{session_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:get_all',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='List the sessions of the project.',
        operations=[{'method': 'GET', 'path': '/v2/{project_id}/sessions'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:update',
        check_str=base.ADMIN_OR_OWNER,
        description='Update a session.',
        operations=[
            {'method': 'PATCH',
             'path': '/v2/{project_id}/sessions/{session_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:replace',
        check_str=base.ADMIN_OR_OWNER,
        description='Replace a session, or create it with this ID.',
        operations=[
            {'method': 'POST',
             'path': '/v2/{project_id}/sessions/{session_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:delete',
        check_str=base.ADMIN_OR_OWNER,
        description='Delete a session.',
        operations=[
            {'method': 'DELETE',
             'path': '/v2/{project_id}/sessions/{session_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:action:create',
        check_str=base.ADMIN_OR_OWNER,
        description="Start a run of a session, or end a job's part in it.",
        operations=[
            {'method': 'POST',
             'path': '/v2/{project_id}/sessions/{session_id}/action'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:job:add',
        check_str=base.ADMIN_OR_OWNER,
        description='Add a job to a session.',
        operations=[
            {'method': 'PUT',
             'path': '/v2/{project_id}/sessions/{session_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='sessions:job:remove',
        check_str=base.ADMIN_OR_OWNER,
        description='Remove a job from a session.',
        operations=[
            {'method': 'DELETE',
             'path': '/v2/{project_id}/sessions/{session_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
