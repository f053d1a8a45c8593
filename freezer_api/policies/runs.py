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

"""Runs: the firings of a job."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='runs:get_all',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='List the runs of a job.',
        operations=[
            {'method': 'GET', 'path': '/v2/{project_id}/jobs/{job_id}/runs'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='runs:update',
        check_str=base.ADMIN_OR_OWNER,
        description='Report a claimed run.',
        operations=[
            {'method': 'PATCH',
             'path': '/v2/{project_id}/clients/{client_id}/runs/{run_id}'},
            {'method': 'POST',
             'path': '/v2/{project_id}/clients/{client_id}/reports'},
            {'method': 'POST',
             'path': '/v2/{project_id}/clients/{client_id}/runs/{run_id}/'
                     'jobs'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='runs:update_central',
        check_str=base.ADMIN_OR_PROJECT_SERVICE,
        description=(
            'Report a run that a central client claimed. Checked instead of '
            'runs:update.'),
        operations=[
            {'method': 'PATCH',
             'path': '/v2/{project_id}/clients/{client_id}/runs/{run_id}'},
            {'method': 'POST',
             'path': '/v2/{project_id}/clients/{client_id}/reports'},
            {'method': 'POST',
             'path': '/v2/{project_id}/clients/{client_id}/runs/{run_id}/'
                     'jobs'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
