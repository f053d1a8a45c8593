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

"""Backups: the records of backups."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='backups:create',
        check_str=base.ADMIN_OR_OWNER_OR_SERVICE,
        description='Create a backup record.',
        operations=[{'method': 'POST', 'path': '/v2/{project_id}/backups'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='backups:get',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='Show a backup record.',
        operations=[
            {'method': 'GET', 'path': '/v2/{project_id}/backups/{backup_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='backups:get_all',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='List the backup records of the project.',
        operations=[{'method': 'GET', 'path': '/v2/{project_id}/backups'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='backups:update',
        check_str=base.ADMIN_OR_OWNER_OR_SERVICE,
        description='Update a backup record.',
        operations=[
            {'method': 'PATCH',
             'path': '/v2/{project_id}/backups/{backup_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='backups:delete',
        check_str=base.ADMIN_OR_OWNER_OR_SERVICE,
        description='Delete a backup record; the backup itself stays.',
        operations=[
            {'method': 'DELETE',
             'path': '/v2/{project_id}/backups/{backup_id}'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
