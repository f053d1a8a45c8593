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

"""Limits: the quotas of a project."""

from __future__ import annotations

from oslo_policy import policy

from freezer_api.policies import base

_RULES = (
    policy.DocumentedRuleDefault(
        name='limits:get',
        check_str=base.ADMIN_OR_READER_OR_SERVICE,
        description='Show the limits of a project and its usage.',
        operations=[{'method': 'GET', 'path': '/v2/{project_id}/limits'}],
        scope_types=base.PROJECT_SCOPE),
)


def list_rules() -> tuple[policy.DocumentedRuleDefault, ...]:
    return _RULES
