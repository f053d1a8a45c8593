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

"""Policy rules that let the members of one project into another.

Each operation is judged by the rules as oslo.policy loaded them: would they
let in a caller who holds only Keystone's roles manager, member or reader, in
another project? An operation whose default lets no member in, such as the
list of every project's jobs, is not tied to a project: for it, the members of
the project in the URL count as strangers, too.

A check that asks another service is never called. Only the operations whose
answer depends on it are reported as undecided.
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

# Attributes of a token that the callers of many projects have in common.
_SHARED = ('user_domain_id', 'project_domain_id')

# The checks that are decided by target and credentials alone: "@", "!", roles
# and attributes. All other leaves of a rule may ask another service.
_LOCAL = tuple(type(policy.RuleDefault('local', text).check) for text in (
    '@', '!', 'role:member', 'user_id:1'))

Rules = Mapping[str, Any]


class _Broken(Exception):
    """A rule refers to itself, or its text cannot be evaluated."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """The operations that are not safe as loaded, by name.

    :ivar open: members of other projects are let in
    :ivar undecided: whether they are let in, another service decides
    :ivar broken: the rule cannot be evaluated at all
    """

    open: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def find(rules: Rules, defaults: Sequence[policy.RuleDefault]) -> Findings:
    """Judge each operation among the defaults by the rules as loaded.

    :param rules: each rule by name, with the defaults that no file replaces
    :param defaults: every registered rule; those that document an operation
        are judged
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
    """Return whether a check, without those it refers to, asks a service."""
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
    """Return the domains that any rule names literally."""
    return tuple(sorted({
        leaf.match for check in rules.values() for leaf in _leaves(check)
        if isinstance(leaf, policy.Check) and leaf.kind in _SHARED
        and '%' not in leaf.match}))


def _lets_in(rules: Rules, name: str, project_id: str,
             domains: Sequence[str]) -> bool | None:
    """Return whether a rule lets any caller of a project in.

    :returns: None where another service decides
    :raises _Broken: when the rule cannot be evaluated
    """
    answers = {_Judge(rules, caller).of(name)
               for caller in _callers(project_id, domains)}
    return True if True in answers else None if None in answers else False


def _callers(project_id: str, domains: Sequence[str],
             ) -> Iterator[dict[str, Any]]:
    """Yield the values that policy sees of each caller."""
    held = itertools.chain.from_iterable(
        itertools.combinations(_ROLES, number)
        for number in range(len(_ROLES) + 1))
    for roles, domain in itertools.product(held, (None, *domains)):
        # No RequestContext: that would become the one of this thread.
        yield {
            'user_id': 'stranger', 'project_id': project_id,
            'roles': list(roles), 'user_domain_id': domain,
            'project_domain_id': domain, 'domain_id': None,
            'system_scope': None, 'is_admin_project': True}


class _Judge:
    """What rules say to one caller, as far as it can be known."""

    def __init__(self, rules: Rules, credentials: dict[str, Any]) -> None:
        self._rules = rules
        self._credentials = credentials

    def of(self, name: str, seen: tuple[str, ...] = ()) -> bool | None:
        if name in seen:
            raise _Broken
        try:
            check = self._rules[name]
        except KeyError:
            # oslo.policy refuses what is not defined.
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
        # It needs no enforcer: only a reference to another rule does.
        local: Any = check
        try:
            return bool(local(_TARGET, self._credentials, None))
        except (LookupError, SyntaxError, TypeError, ValueError):
            raise _Broken from None
