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

"""Policy rules: one module for each noun, one rule for each operation."""

from __future__ import annotations

import itertools

from oslo_policy import policy

from freezer_api.policies import actions
from freezer_api.policies import backups
from freezer_api.policies import base
from freezer_api.policies import clients
from freezer_api.policies import jobs
from freezer_api.policies import limits
from freezer_api.policies import maintenance
from freezer_api.policies import runs
from freezer_api.policies import sessions


def list_rules() -> list[policy.RuleDefault]:
    """Return all rules with their defaults, for oslo.policy.policies."""
    return list(itertools.chain(
        base.list_rules(), clients.list_rules(), jobs.list_rules(),
        runs.list_rules(), actions.list_rules(), sessions.list_rules(),
        backups.list_rules(), limits.list_rules(),
        maintenance.list_rules()))
