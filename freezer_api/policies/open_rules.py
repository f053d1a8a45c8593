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

"""Find policy rules that give the members of one project access to another.

Each operation is checked with the rules that oslo.policy loaded: would they
allow a caller who has only Keystone's roles manager, member or reader, in
another project? If the default of an operation allows no member, as for the
list of all projects' jobs, the operation does not depend on the project. Then
the members of the project in the URL must not be allowed either.

A check that asks another service is never called. Operations whose answer
depends on it are reported as undecided.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
from typing import Any

from oslo_policy import policy

# The roles that a project's users hold by default in Keystone.
_ROLES = ('manager', 'member', 'reader')
_TARGET = {'project_id': 'this'}

# Attributes of a token that callers of several projects share.
_SHARED = ('user_domain_id', 'project_domain_id')

# The types of checks that depend on target and credentials alone: "@", "!",
# roles and attributes. All other leaves of a rule may ask another service.
_LOCAL = tuple(type(policy.RuleDefault('local', text).check) for text in (
    '@', '!', 'role:member', 'user_id:1'))

Rules = Mapping[str, Any]


class _Broken(Exception):
    """A rule refers to itself, or its text cannot be evaluated."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """The operations that are not safe with the loaded rules, by name.

    :ivar open: members of other projects are allowed
    :ivar undecided: another service decides whether they are allowed
    :ivar broken: the rule cannot be evaluated
    """

    open: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def find(rules: Rules, defaults: Sequence[policy.RuleDefault]) -> Findings:
    """Check each operation with the loaded rules.

    :param rules: all rules by name, including the defaults
    :param defaults: all registered rules; those that document an operation
        are checked
    """
    own = {rule.name: rule.check for rule in defaults}
    found: dict[str, list[str]] = {'open': [], 'undecided': [], 'broken': []}
    for rule in defaults:
        if not isinstance(rule, policy.DocumentedRuleDefault):
            continue
        projects = ['another']
        if not _lets_in(own, rule.name, 'this', ()):
            projects.append('this')
        try:
            answers = [_lets_in(rules, rule.name, project, _domains(rules))
                       for project in projects]
        except _Broken:
            found['broken'].append(rule.name)
            continue
        if any(answers):
            found['open'].append(rule.name)
        elif None in answers:
            found['undecided'].append(rule.name)
    return Findings(**{
        name: tuple(sorted(rules)) for name, rules in found.items()})


def asks_elsewhere(check: Any) -> bool:
    """Return whether a check itself asks a service, without references."""
    return any(not isinstance(leaf, (*_LOCAL, policy.RuleCheck))
               for leaf in _leaves(check))


def _leaves(check: Any) -> Iterator[Any]:
    if isinstance(check, policy.AndCheck | policy.OrCheck):
        for part in check.rules:
            yield from _leaves(part)
    elif isinstance(check, policy.NotCheck):
        yield from _leaves(check.rule)
    else:
        yield check


def _domains(rules: Rules) -> tuple[str, ...]:
    """Return the domains that appear in the rules."""
    return tuple(sorted({
        leaf.match for check in rules.values() for leaf in _leaves(check)
        if isinstance(leaf, policy.Check) and leaf.kind in _SHARED
        and '%' not in leaf.match}))


def _lets_in(rules: Rules, name: str, project_id: str,
             domains: Sequence[str]) -> bool | None:
    """Return whether a rule allows any caller of a project.

    :returns: None if another service decides
    :raises _Broken: if the rule cannot be evaluated
    """
    answers = {_Judge(rules, caller).of(name)
               for caller in _callers(project_id, domains)}
    return True if True in answers else None if None in answers else False


def _callers(project_id: str, domains: Sequence[str],
             ) -> Iterator[dict[str, Any]]:
    """Yield the policy values of each kind of caller."""
    held = itertools.chain.from_iterable(
        itertools.combinations(_ROLES, number)
        for number in range(len(_ROLES) + 1))
    for roles, domain in itertools.product(held, (None, *domains)):
        # Not a RequestContext, which would become that of this thread.
        yield {
            'user_id': 'stranger', 'project_id': project_id,
            'roles': list(roles), 'user_domain_id': domain,
            'project_domain_id': domain, 'domain_id': None,
            'system_scope': None, 'is_admin_project': True}


class _Judge:
    """The answers of the rules to one caller, as far as they are known."""

    def __init__(self, rules: Rules, credentials: dict[str, Any]) -> None:
        self._rules = rules
        self._credentials = credentials

    def of(self, name: str, seen: tuple[str, ...] = ()) -> bool | None:
        if name in seen:
            raise _Broken
        try:
            check = self._rules[name]
        except KeyError:
            # oslo.policy refuses undefined rules.
            return False
        return self._check(check, (*seen, name))

    def _check(self, check: Any, seen: tuple[str, ...]) -> bool | None:
        if isinstance(check, policy.RuleCheck):
            return self.of(check.match, seen)
        if isinstance(check, policy.NotCheck):
            inner = self._check(check.rule, seen)
            return None if inner is None else not inner
        if isinstance(check, policy.AndCheck | policy.OrCheck):
            answers = {self._check(part, seen) for part in check.rules}
            decisive = isinstance(check, policy.OrCheck)
            if decisive in answers:
                return decisive
            return None if None in answers else not decisive
        if not isinstance(check, _LOCAL):
            return None
        # Only a reference to another rule needs the enforcer.
        local: Any = check
        try:
            return bool(local(_TARGET, self._credentials, None))
        except (LookupError, SyntaxError, TypeError, ValueError):
            raise _Broken from None
