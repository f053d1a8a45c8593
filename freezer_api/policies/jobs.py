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

"""Jobs: a schedule and its actions, for one client."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='jobs:create',
        check_str=base.ADMIN_OR_OWNER,
        description='Create a job, or replace one.',
        operations=[
            {'method': 'POST', 'path': '/v2/{project_id}/jobs'},
            {'method': 'POST', 'path': '/v2/{project_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='jobs:get',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='Show a job.',
        operations=[
            {'method': 'GET', 'path': '/v2/{project_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='jobs:get_all',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='List the jobs of the project.',
        operations=[{'method': 'GET', 'path': '/v2/{project_id}/jobs'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='jobs:get_all_projects',
        check_str=base.ADMIN_OR_SERVICE,
        description=(
            'List or show the jobs of every project '
            '(``all_projects=True``).'),
        operations=[
            {'method': 'GET', 'path': '/v2/{project_id}/jobs'},
            {'method': 'GET', 'path': '/v2/{project_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='jobs:update',
        check_str=base.ADMIN_OR_OWNER,
        description='Update a job.',
        operations=[
            {'method': 'PATCH', 'path': '/v2/{project_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='jobs:delete',
        check_str=base.ADMIN_OR_OWNER,
        description='Delete a job.',
        operations=[
            {'method': 'DELETE', 'path': '/v2/{project_id}/jobs/{job_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='jobs:event:create',
        check_str=base.ADMIN_OR_OWNER,
        description='Start, stop or abort a job.',
        operations=[
            {'method': 'POST',
             'path': '/v2/{project_id}/jobs/{job_id}/event'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
