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

"""The policy enforcer, made from a configuration that is handed in."""

from __future__ import annotations

import time

from oslo_config import cfg
from oslo_policy import policy

from freezer_api import conf as configuration
from freezer_api import policies


# Seconds for which changed policy files may go unnoticed.
_LOOK_AGAIN = 1.0


class _Enforcer(policy.Enforcer):
    """Looks for changed files once in a while, not at each decision.

    Finding out whether a file is there takes as long as deciding.
    """

    _looked = float('-inf')

    def load_rules(self, force_reload: bool = False) -> None:
        now = time.monotonic()
        if force_reload or now - self._looked >= _LOOK_AGAIN:
            super().load_rules(force_reload)
            self._looked = now


def make_enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """Return an enforcer that knows every rule of the API.

    :raises oslo_policy.policy.PolicyNotAuthorized: never here
    :raises oslo_config.cfg.Error: on an unusable [oslo_policy]
    """
    enforcer = _Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    enforcer.load_rules()
    return enforcer


def get_enforcer() -> policy.Enforcer:
    """The entry point of the oslo.policy command line tools."""
    return make_enforcer(configuration.load())
