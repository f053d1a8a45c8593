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

from collections.abc import Sequence
import time
from typing import Any

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_policy import policy

from freezer_api import conf as configuration
from freezer_api import policies


# Seconds for which changed policy files may go unnoticed.
_LOOK_AGAIN = 1.0

# Where oslo.policy keeps the checks that ask nobody; others are plugins.
_OWN_CHECKS = 'oslo_policy._checks'


def _asks_nobody(check: Any) -> bool:
    """Whether what a check says depends on what it is given alone."""
    below = getattr(check, 'rules', None) or [
        one for one in (getattr(check, 'rule', None),) if one is not None]
    return (type(check).__module__ == _OWN_CHECKS
            and all(map(_asks_nobody, below)))


class Enforcer(policy.Enforcer):
    """Looks for changed files once in a while, not at each decision.

    Finding out whether a file is there takes as long as deciding. In between
    a question that was asked before, to the letter, has the same answer.
    """

    _looked = float('-inf')
    _known: dict[tuple[str, str, str], bool] | None = None

    def load_rules(self, force_reload: bool = False) -> None:
        now = time.monotonic()
        if force_reload or now - self._looked >= _LOOK_AGAIN:
            super().load_rules(force_reload)
            self._known = ({} if all(map(_asks_nobody, self.rules.values()))
                           else None)
            self._looked = now

    def allows(self, rule: str, project_id: str,
               caller: oslo_context.RequestContext) -> bool:
        """Return whether a rule allows something in a project.

        :raises oslo_policy.policy.PolicyNotRegistered: there is no such rule
        """
        self.load_rules()
        known = self._known
        said = dict(caller.to_policy_values())
        question = rule, project_id, repr(said)
        if known is not None and question in known:
            return known[question]
        try:
            answer = bool(self.authorize(
                rule, {'project_id': project_id}, said))
        except policy.InvalidScope:
            answer = False
        if known is not None:
            known[question] = answer
        return answer

    def open_to_others(self) -> list[str]:
        """Name the operations that members of another project may do.

        Releases up to 18.0.0 let everybody do everything and kept projects
        apart by other means, so a file that repeats their defaults opens them
        all. Rules that ask elsewhere are not tried.
        """
        self.load_rules()
        stranger = oslo_context.RequestContext(
            user_id='somebody', project_id='another',
            roles=['manager', 'member', 'reader'])
        asking = {name for name, check in self.rules.items()
                  if not _asks_nobody(check)}
        operations = {rule.name for rule in policies.list_rules()
                      if isinstance(rule, policy.DocumentedRuleDefault)}
        if asking - operations:
            return []
        return sorted(rule for rule in operations - asking
                      if self.allows(rule, 'this', stranger))


def make_enforcer(conf: cfg.ConfigOpts) -> Enforcer:
    """Return an enforcer that knows every rule of the API.

    :raises oslo_policy.policy.PolicyNotAuthorized: never here
    :raises oslo_config.cfg.Error: on an unusable [oslo_policy]
    """
    enforcer = Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    enforcer.load_rules()
    return enforcer


def explain(rules: Sequence[str]) -> str:
    """Return what an operator has to know of rules that are open."""
    return ('[oslo_policy] policy_file lets the members of every project into '
            f'every other one, by the rules {", ".join(rules)}: take them out '
            'of the file, or add "project_id:%(project_id)s" to each')


def get_enforcer() -> Enforcer:
    """The entry point of the oslo.policy command line tools."""
    return make_enforcer(configuration.load())
