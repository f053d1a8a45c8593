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

"""The policy enforcer, made from a configuration that is handed in.

oslo.policy reads changed files again while the API runs. A rule that would
then let the members of one project into another is not taken into use: the
operation is refused until the file is repaired, or the rule is named in
``[api] accept_open_policies`` and the API restarted.
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
from freezer_api import open_policies
from freezer_api import policies

LOG = log.getLogger(__name__)

# Seconds for which changed policy files may go unnoticed.
_LOOK_AGAIN = 1.0
# Seconds after which the log names refused operations again.
_REMIND = 60.0

# What oslo.policy raises on files that cannot be used; AttributeError, where
# the file is YAML but no mapping.
UNREADABLE = (AttributeError, cfg.Error, OSError, TypeError, ValueError)


class _RuleSet:
    """The rules of one moment, and what they answered since the last look."""

    def __init__(self, conf: cfg.ConfigOpts, rules: dict[str, Any]) -> None:
        self.rules = rules
        self.findings = open_policies.find(rules, policies.list_rules())
        accepted = set(conf.api.accept_open_policies)
        self.accepted = tuple(
            name for name in self.findings.open if name in accepted)
        self.refused = frozenset((
            *self.findings.open, *self.findings.broken)) - accepted.difference(
                self.findings.broken)
        self._enforcer = policy.Enforcer(conf, rules=rules, use_conf=False)
        self._enforcer.register_defaults(policies.list_rules())
        # A question that was asked before has the same answer, unless
        # another service is asked.
        self._remembers = not any(
            map(open_policies.asks_elsewhere, rules.values()))
        self._known: dict[tuple[str, str, str], bool] = {}

    def forget(self) -> None:
        """Drop the remembered answers, so that they need a bounded room."""
        self._known = {}

    def allows(self, rule: str, project_id: str,
               caller: oslo_context.RequestContext) -> bool:
        said = dict(caller.to_policy_values())
        known = self._known
        question = rule, project_id, repr(said)
        if question in known:
            return known[question]
        try:
            answer = rule not in self.refused and bool(
                self._enforcer.authorize(
                    rule, {'project_id': project_id}, said))
        except policy.InvalidScope:
            answer = False
        if self._remembers:
            known[question] = answer
        return answer


class Enforcer:
    """Decides by the policy files, which it reads again when they change.

    Finding out whether a file changed takes as long as deciding, so it looks
    once a second. Requests go on with the earlier rules meanwhile.

    :param conf: the configuration
    :raises OSError, ValueError: when a policy file cannot be read
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
    def findings(self) -> open_policies.Findings:
        """What is wrong with the rules in use."""
        return self._in_use.findings

    @property
    def accepted(self) -> tuple[str, ...]:
        """The open rules that the configuration accepts by name."""
        return self._in_use.accepted

    @property
    def problems(self) -> list[str]:
        """Name the rules that are refused, each kind with its cure."""
        found, refused = self.findings, self._in_use.refused
        problems = []
        if rules := [name for name in found.open if name in refused]:
            problems.append(
                '[oslo_policy] policy_file lets the members of other projects '
                f'in, by the rules {", ".join(rules)}. Remove them from the '
                'file, or add "project_id:%(project_id)s" to each; to accept '
                'a rule as it is, name it in [api] accept_open_policies')
        if found.broken:
            problems.append(
                '[oslo_policy] policy_file: the rules '
                f'{", ".join(found.broken)} cannot be evaluated. They refer '
                'to themselves, or their text is malformed')
        return problems

    @property
    def warnings(self) -> list[str]:
        """Name the rules whose risk is accepted, or cannot be judged."""
        warnings = []
        if self.accepted:
            warnings.append(
                'The members of other projects are let in by the rules '
                f'{", ".join(self.accepted)}, which [api] '
                'accept_open_policies names')
        if self.findings.undecided:
            warnings.append(
                'Another service decides about the rules '
                f'{", ".join(self.findings.undecided)}. Whether it lets in '
                'the members of other projects is not known')
        return warnings

    def refuses(self, rule: str) -> bool:
        """Return whether the rule itself is refused, for every caller."""
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
        """Return whether a rule allows something in a project.

        :raises oslo_policy.policy.PolicyNotRegistered: there is no such rule
        """
        self._look_again()
        return self._in_use.allows(rule, project_id, caller)

    def _look_again(self) -> None:
        if time.monotonic() - self._looked < _LOOK_AGAIN:
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
            # What was loaded in part is dropped with the loader.
            text = ' '.join(str(error).split())
            if text != self._error:
                self._error = text
                LOG.error('[oslo_policy] policy_file cannot be read; the '
                          'rules that were read before stay in use: %s', text)
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
    """Name what [api] accept_open_policies lists and no operation is."""
    operations = {rule.name for rule in policies.list_rules()
                  if isinstance(rule, policy.DocumentedRuleDefault)}
    return sorted(set(accepted) - operations)


def plain_enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """Return oslo.policy's enforcer, which knows every rule of the API."""
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    return enforcer


def get_enforcer() -> policy.Enforcer:
    """The entry point of the oslo.policy command line tools."""
    return plain_enforcer(configuration.load())
