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

"""The policy enforcer, made from a given configuration.

oslo.policy reloads changed files while the API runs. A changed rule that would
give the members of one project access to another does not take effect: the
operation is refused until you repair the file, or add the rule to
``[api] accept_open_policies`` and restart the API.
"""

from __future__ import annotations

from collections.abc import Sequence
import threading
import time
from typing import Any

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log
from oslo_policy import policy

from freezer_api import conf as configuration
from freezer_api import policies
from freezer_api.policies import open_rules

LOG = log.getLogger(__name__)

# Seconds between two checks for changed policy files.
_CHECK_EVERY = 1.0
# Seconds until the log lists refused operations again.
_REMIND = 60.0

# Errors of oslo.policy for unusable files; AttributeError if the file is YAML
# but not a mapping.
UNREADABLE = (AttributeError, cfg.Error, OSError, TypeError, ValueError)


class _RuleSet:
    """One version of the rules, with a cache of their decisions."""

    def __init__(self, conf: cfg.ConfigOpts, rules: dict[str, Any]) -> None:
        self.rules = rules
        self._findings = open_rules.find(rules, policies.list_rules())
        accepted = conf.api.accept_open_policies
        self._accepted = [
            name for name in self._findings.open if name in accepted]
        self._open = [
            name for name in self._findings.open if name not in accepted]
        self.refused = frozenset((*self._open, *self._findings.broken))
        self._enforcer = policy.Enforcer(conf, rules=rules, use_conf=False)
        self._enforcer.register_defaults(policies.list_rules())
        # The same question has the same answer, unless a rule asks another
        # service.
        self._cacheable = not any(
            map(open_rules.asks_elsewhere, rules.values()))
        self._decisions: dict[tuple[str, str, str], bool] = {}

    def problems(self) -> list[str]:
        """Return a line for each kind of refused rules, with its remedy."""
        problems = []
        if self._open:
            problems.append(
                '[oslo_policy] policy_file gives access to the members of '
                f'other projects by the rules {", ".join(self._open)}. Remove '
                'them from the file, or add "project_id:%(project_id)s" to '
                'each; to accept a rule as it is, add it to [api] '
                'accept_open_policies')
        if self._findings.broken:
            problems.append(
                '[oslo_policy] policy_file: the rules '
                f'{", ".join(self._findings.broken)} cannot be evaluated. '
                'They refer to themselves, or their text is malformed')
        return problems

    def warnings(self) -> list[str]:
        """Return a line for each kind of rules with a risk."""
        warnings = []
        if self._accepted:
            warnings.append(
                'The members of other projects have access by the rules '
                f'{", ".join(self._accepted)}, which [api] '
                'accept_open_policies lists')
        if self._findings.undecided:
            warnings.append(
                'Another service decides on the rules '
                f'{", ".join(self._findings.undecided)}. Whether it gives '
                'access to the members of other projects is unknown')
        return warnings

    def forget(self) -> None:
        """Clear the cache, to limit its size."""
        self._decisions = {}

    def allows(self, rule: str, project_id: str,
               caller: oslo_context.RequestContext) -> bool:
        values = dict(caller.to_policy_values())
        decisions = self._decisions
        question = rule, project_id, repr(values)
        if question in decisions:
            return decisions[question]
        try:
            answer = rule not in self.refused and bool(
                self._enforcer.authorize(
                    rule, {'project_id': project_id}, values))
        except policy.InvalidScope:
            answer = False
        if self._cacheable:
            decisions[question] = answer
        return answer


class Enforcer:
    """Decides by the policy files, and reloads them when they change.

    A check for changed files takes as long as a decision, so there is one
    check per second. Until then requests use the earlier rules.

    :param conf: the configuration
    :raises OSError, ValueError: if a policy file cannot be read
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._loading = threading.Lock()
        self._loader: policy.Enforcer | None = plain_enforcer(conf)
        self._loader.load_rules()
        self._in_use = _RuleSet(conf, dict(self._loader.rules))
        self._looked = time.monotonic()
        self._reminded = float('-inf')
        self._error = ''

    @property
    def problems(self) -> list[str]:
        """A line for each kind of refused rules, with its remedy."""
        return self._in_use.problems()

    @property
    def warnings(self) -> list[str]:
        """A line for each kind of rules with an accepted or unknown risk."""
        return self._in_use.warnings()

    def refuses(self, rule: str) -> bool:
        """Return whether the rule is refused for every caller."""
        if rule not in self._in_use.refused:
            return False
        now = time.monotonic()
        if now - self._reminded >= _REMIND:
            self._reminded = now
            for problem in self.problems:
                LOG.error('Requests are refused: %s', problem)
        return True

    def allows(self, rule: str, project_id: str,
               caller: oslo_context.RequestContext) -> bool:
        """Return whether a caller may do an operation in a project.

        :param rule: name of the operation's rule
        :raises oslo_policy.policy.PolicyNotRegistered: if no such rule exists
        """
        self._check_files()
        return self._in_use.allows(rule, project_id, caller)

    def _check_files(self) -> None:
        if time.monotonic() - self._looked < _CHECK_EVERY:
            return
        if not self._loading.acquire(blocking=False):
            return
        try:
            self._reload()
        finally:
            self._looked = time.monotonic()
            self._loading.release()

    def _reload(self) -> None:
        loader, self._loader = self._loader, None
        try:
            if loader is None:
                loader = plain_enforcer(self._conf)
            loader.load_rules()
        except UNREADABLE as error:
            # The partly loaded rules are dropped with the loader.
            text = ' '.join(str(error).split())
            if text != self._error:
                self._error = text
                LOG.error('[oslo_policy] policy_file cannot be read; the '
                          'earlier rules stay in use: %s', text)
            self._in_use.forget()
            return
        self._loader, self._error = loader, ''
        rules = dict(loader.rules)
        if rules == self._in_use.rules:
            self._in_use.forget()
            return
        self._in_use = _RuleSet(self._conf, rules)
        for problem in self.problems:
            LOG.error('Requests are refused: %s', problem)
        for warning in self.warnings:
            LOG.warning('%s', warning)


def unknown_accepted(accepted: Sequence[str]) -> list[str]:
    """Return the entries of accept_open_policies that are no operation."""
    operations = {rule.name for rule in policies.list_rules()
                  if isinstance(rule, policy.DocumentedRuleDefault)}
    return sorted(set(accepted) - operations)


def plain_enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """Return an enforcer of oslo.policy with all rules of the API."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def get_enforcer() -> policy.Enforcer:
    """The entry point of the oslo.policy command line tools."""
    return plain_enforcer(configuration.load())
