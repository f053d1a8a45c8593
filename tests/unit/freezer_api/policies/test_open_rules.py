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

"""Which rules of a policy file let in the members of other projects."""

from __future__ import annotations

from concurrent import futures
import itertools
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_context import context
from oslo_policy import policy
import testtools

from freezer_api import policies
from freezer_api.policies import open_rules

RULE = 'jobs:get_all'
HTTP = 'http://policy.example/%(project_id)s'

OPEN: dict[str, dict[str, Any]] = {
    'empty': {RULE: ''},
    'always': {RULE: '@'},
    'not never': {RULE: 'not !'},
    'a role without a project': {RULE: 'role:reader'},
    'a role in other letters': {RULE: 'role:Member'},
    'a manager': {RULE: 'role:manager'},
    'who is no administrator': {RULE: 'not role:admin'},
    'who has no role': {RULE: 'not (role:reader or role:member)'},
    'one role without another': {RULE: 'role:reader and not role:member'},
    'every other project': {RULE: 'not project_id:%(project_id)s'},
    'an alias': {RULE: 'rule:anybody', 'anybody': ''},
    'a chain of aliases': {
        RULE: 'rule:a', 'a': 'rule:b', 'b': 'rule:c', 'c': 'role:member'},
    'an alias of the defaults': {'admin_or_reader_or_service': 'role:reader'},
    'one branch': {RULE: '(role:member and project_id:%(project_id)s) or @'},
    'a deep branch': {
        RULE: 'role:admin or (role:member and (user_id:x or not role:x))'},
    'a list of lists': {RULE: [['role:admin'], ['role:member']]},
    'a rule that is not defined': {RULE: 'not rule:absent'},
    'the default rule': {RULE: 'rule:absent', 'default': '@'},
    'a domain of many projects': {RULE: 'user_domain_id:default'},
    'a domain and a role': {RULE: 'project_domain_id:d and role:reader'},
    'whatever a service says': {RULE: f'{HTTP} or role:member'},
}
CLOSED: dict[str, dict[str, Any]] = {
    'no file': {},
    'never': {RULE: '!'},
    'not always': {RULE: 'not @'},
    'the project': {RULE: 'project_id:%(project_id)s'},
    'the same in other words': {
        RULE: 'rule:own', 'own': 'project_id:%(project_id)s'},
    'a role of its own': {RULE: 'role:auditor'},
    'one user': {RULE: 'user_id:12ab'},
    # The target names no user, so that the check never holds.
    'the user of the target': {RULE: 'user_id:%(user_id)s'},
    'a rule that is not defined': {RULE: 'rule:absent'},
    # oslo.policy logs it, and lets nobody in.
    'a text that is no rule': {RULE: 'role:member or'},
    'a domain beside the project': {
        RULE: 'user_domain_id:default and project_id:%(project_id)s'},
    'whatever a service says': {
        RULE: f'{HTTP} and project_id:%(project_id)s'},
    'a helper that is not used': {'helper': HTTP},
}
BROKEN = {
    'itself': {RULE: f'rule:{RULE}'},
    'a circle': {RULE: 'rule:a', 'a': 'rule:b', 'b': 'rule:a'},
    'an unknown format': {RULE: 'project_id:%(project_id)z'},
    'a format of nothing': {RULE: 'project_id:%'},
}

ATOMS = st.sampled_from([
    '@', '!', 'role:reader', 'role:MEMBER', 'role:admin', 'rule:one',
    'rule:two', 'rule:absent', 'project_id:%(project_id)s',
    'user_id:%(user_id)s', 'user_domain_id:d1', HTTP])
TEXTS = st.recursive(ATOMS, lambda inner: st.one_of(
    inner.map('not ({})'.format),
    st.lists(inner, min_size=2, max_size=3).map(
        lambda parts: f'({" and ".join(parts)})'),
    st.lists(inner, min_size=2, max_size=3).map(
        lambda parts: f'({" or ".join(parts)})')), max_leaves=6)


def strangers() -> list[context.RequestContext]:
    """Return who must not get in: every mix of roles, in two domains."""
    names = ('manager', 'member', 'reader')
    return [context.RequestContext(
        user_id='eve', project_id='hers', user_domain_id=domain,
        roles=[name for name, held in zip(names, roles, strict=True) if held])
        for roles in itertools.product((False, True), repeat=3)
        for domain in ('d1', 'd2')]


class FindTests(testtools.TestCase):

    def loaded(self, rules: dict[str, Any],
               defaults: list[policy.RuleDefault] | None = None,
               ) -> policy.Enforcer:
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        enforcer = policy.Enforcer(conf, use_conf=False)
        # As from a file: what it says, and the defaults of the rest.
        enforcer.set_rules(policy.Rules.from_dict(rules, 'default'),
                           use_conf=True)
        enforcer.register_defaults(
            policies.list_rules() if defaults is None else defaults)
        enforcer.load_rules()
        return enforcer

    def find(self, rules: dict[str, Any]) -> open_rules.Findings:
        return open_rules.find(
            self.loaded(rules).rules, policies.list_rules())

    def test_each_kind_of_open_rule(self) -> None:
        for kind, rules in OPEN.items():
            self.assertIn(RULE, self.find(rules).open, kind)

    def test_each_kind_of_closed_rule(self) -> None:
        for kind, rules in CLOSED.items():
            self.assertEqual(
                open_rules.Findings(), self.find(rules), kind)

    def test_each_kind_of_broken_rule(self) -> None:
        for kind, rules in BROKEN.items():
            self.assertEqual((RULE,), self.find(rules).broken, kind)

    def test_a_rule_that_asks_a_service_blinds_no_other(self) -> None:
        for helper in (HTTP, 'https://policy.example/'):
            found = self.find({
                'helper': helper, 'jobs:get': 'rule:helper', RULE: '',
                'jobs:delete': f'not {helper}', 'jobs:update': '!'})

            self.assertEqual((RULE,), found.open)
            self.assertEqual(('jobs:delete', 'jobs:get'), found.undecided)
            self.assertEqual((), found.broken)

    def test_what_is_of_the_cloud_is_closed_to_the_own_project(self) -> None:
        """A member may name his own project, and get what is of all."""
        own = 'role:member and project_id:%(project_id)s'
        cloud = sorted(
            rule.name for rule in policies.list_rules()
            if isinstance(rule, policy.DocumentedRuleDefault)
            and rule.check_str in ('rule:admin_or_service',
                                   'rule:admin_or_project_service'))
        self.assertIn('jobs:get_all_projects', cloud)

        found = self.find(dict.fromkeys(
            (rule.name for rule in policies.list_rules()), own))

        self.assertEqual(cloud, list(found.open))

    def test_no_stranger_is_left_as_the_context_of_the_thread(self) -> None:
        """Log lines would bear his name."""
        def find() -> object:
            self.find({RULE: ''})
            return context.get_current()

        with futures.ThreadPoolExecutor(1) as pool:
            self.assertIsNone(pool.submit(find).result())

    def test_a_deprecated_name_opens_its_successor(self) -> None:
        old = policy.DeprecatedRule(
            'jobs:list', 'role:admin', deprecated_reason='renamed',
            deprecated_since='1')
        defaults: list[policy.RuleDefault] = [policy.DocumentedRuleDefault(
            RULE, 'role:admin', 'List.', [{'method': 'GET', 'path': '/'}],
            deprecated_rule=old)]
        with mock.patch('warnings.warn', autospec=True):
            enforcer = self.loaded({}, defaults)
            enforcer.file_rules['jobs:list'] = policy.RuleDefault(
                'jobs:list', 'role:member')
            enforcer.rules.pop(RULE)
            enforcer.load_rules()

        self.assertEqual(
            (RULE,), open_rules.find(enforcer.rules, defaults).open)

    @settings(max_examples=300, deadline=None)
    @given(text=TEXTS, one=TEXTS.filter(lambda text: 'rule:' not in text))
    def test_it_never_calls_an_open_rule_closed(self, text: str, one: str,
                                                ) -> None:
        """Whatever the service that is asked may answer."""
        enforcer = self.loaded({
            RULE: text, 'one': one, 'two': f'not ({one})'})
        found = open_rules.find(enforcer.rules, policies.list_rules())
        for answer in (False, True):
            with mock.patch('oslo_policy._external.HttpCheck.__call__',
                            lambda *args, answer=answer: answer):
                let_in = any(enforcer.authorize(
                    RULE, {'project_id': 'his'}, one)
                    for one in strangers())
            if RULE in found.open:
                self.assertTrue(let_in)
            elif RULE not in found.undecided:
                self.assertFalse(let_in)
