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

"""The rules that the rules of operations refer to.

Roles are Keystone's personas. ``project_id:%(project_id)s`` compares the
project of the token with that of the URL, so each operation is enforced with
a target that contains ``project_id``. The service role has no check of the
project, because the service acts in every project. For the clients of its own
project, use ``admin_or_project_service``.
"""

from __future__ import annotations

from oslo_policy import policy

PROJECT_SCOPE = ['project']

CONTEXT_IS_ADMIN = 'rule:context_is_admin'
ADMIN_OR_SERVICE = 'rule:admin_or_service'
ADMIN_OR_PROJECT_SERVICE = 'rule:admin_or_project_service'
PROJECT_MEMBER = 'rule:project_member'
PROJECT_READER = 'rule:project_reader'
ADMIN_OR_OWNER = 'rule:admin_or_owner'
ADMIN_OR_OWNER_OR_SERVICE = 'rule:admin_or_owner_or_service'
ADMIN_OR_READER_OR_SERVICE = 'rule:admin_or_reader_or_service'

_RULES = (
    policy.RuleDefault(
        name='context_is_admin',
        check_str='role:admin',
        description='The cloud administrator.',
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='admin_or_service',
        check_str='role:admin or role:service',
        description='The administrator or a service account.',
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='admin_or_project_service',
        check_str=('role:admin or '
                   '(role:service and project_id:%(project_id)s)'),
        description=(
            'The administrator, or a service account in its own project.'),
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='project_member',
        check_str='role:member and project_id:%(project_id)s',
        description='A member of the project.',
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='project_reader',
        check_str='role:reader and project_id:%(project_id)s',
        description='A reader of the project.',
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='admin_or_owner',
        check_str=f'{CONTEXT_IS_ADMIN} or {PROJECT_MEMBER}',
        description='The administrator or a member of the project.',
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='admin_or_owner_or_service',
        check_str=f'{ADMIN_OR_SERVICE} or {PROJECT_MEMBER}',
        description=(
            'The administrator, a service account or a member of the '
            'project.'),
        scope_types=PROJECT_SCOPE),
    policy.RuleDefault(
        name='admin_or_reader_or_service',
        check_str=f'{ADMIN_OR_OWNER_OR_SERVICE} or {PROJECT_READER}',
        description=(
            'The administrator, a service account, or a member or reader of '
            'the project.'),
        scope_types=PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.RuleDefault, ...]:
    return _RULES
