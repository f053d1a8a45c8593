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

"""Clients: registered schedulers."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='clients:create',
        check_str=base.ADMIN_OR_OWNER,
        description='Register a client of the project, or register it again.',
        operations=[{'method': 'POST', 'path': '/v2/{project_id}/clients'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='clients:create_central',
        check_str=base.ADMIN_OR_PROJECT_SERVICE,
        description=(
            'Register a central client, which every project can use '
            '(``is_central`` is true), register it again, or delete it. Also '
            'checked if the stored client is central. Checked instead of '
            'clients:create and clients:delete.'),
        operations=[
            {'method': 'POST', 'path': '/v2/{project_id}/clients'},
            {'method': 'DELETE',
             'path': '/v2/{project_id}/clients/{client_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='clients:get',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='Show a client.',
        operations=[
            {'method': 'GET', 'path': '/v2/{project_id}/clients/{client_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='clients:get_all',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='List the clients of the project and all central ones.',
        operations=[{'method': 'GET', 'path': '/v2/{project_id}/clients'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='clients:delete',
        check_str=base.ADMIN_OR_OWNER,
        description='Delete a client.',
        operations=[
            {'method': 'DELETE',
             'path': '/v2/{project_id}/clients/{client_id}'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='clients:claim',
        check_str=base.ADMIN_OR_OWNER,
        description='Claim due runs of a client, and renew its leases.',
        operations=[
            {'method': 'POST',
             'path': '/v2/{project_id}/clients/{client_id}/claims'}],
        scope_types=base.PROJECT_SCOPE),
    policy.DocumentedRuleDefault(
        name='clients:claim_central',
        check_str=base.ADMIN_OR_PROJECT_SERVICE,
        description=(
            'Claim due runs of a central client. They are runs of every '
            'project and include their credentials. Checked instead of '
            'clients:claim.'),
        operations=[
            {'method': 'POST',
             'path': '/v2/{project_id}/clients/{client_id}/claims'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
