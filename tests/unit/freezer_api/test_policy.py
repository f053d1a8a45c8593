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

"""Decisions of policy, which are remembered for a moment."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_context import context
from oslo_policy import policy as oslo_policy
import testtools

from freezer_api import conf as configuration
from freezer_api import policies
from freezer_api import policy

PROJECTS = st.sampled_from(['mine', 'theirs', ''])
RULES = st.sampled_from(sorted(rule.name for rule in policies.list_rules()))
CALLERS = st.builds(
    context.RequestContext, user_id=st.sampled_from(['u', 'v']),
    project_id=PROJECTS, system_scope=st.sampled_from([None, 'all']),
    roles=st.lists(st.sampled_from(
        ['admin', 'service', 'member', 'reader', 'MEMBER']), max_size=3))


class PolicyTests(testtools.TestCase):

    def make(self, rules: str = '') -> policy.Enforcer:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.file = pathlib.Path(holder.name, 'policy.yaml')
        self.file.write_text(rules)
        conf: cfg.ConfigOpts = configuration.load(files=[])
        conf.set_override('policy_file', str(self.file), 'oslo_policy')
        return policy.make_enforcer(conf)

    def caller(self, *roles: str) -> context.RequestContext:
        return context.RequestContext(
            user_id='u', project_id='mine', roles=list(roles))

    def test_a_remembered_decision_is_the_one_that_would_be_made(
            self) -> None:
        enforcer = self.make('"jobs:get": "user_id:u and role:reader"')

        @settings(max_examples=300)
        @given(rule=RULES, project_id=PROJECTS, caller=CALLERS)
        def check(rule: str, project_id: str,
                  caller: context.RequestContext) -> None:
            expected = bool(enforcer.authorize(
                rule, {'project_id': project_id}, caller))
            for _ in range(2):
                self.assertEqual(
                    expected, enforcer.allows(rule, project_id, caller))

        check()

    def test_the_defaults_let_no_other_project_in(self) -> None:
        self.assertEqual([], self.make().open_to_others())
        self.assertEqual([], self.make(
            '"jobs:get": "role:auditor"\n'
            '"admin_or_owner": "is_admin:True or project_id:%(project_id)s"'
        ).open_to_others())

    def test_a_file_that_lets_other_projects_in(self) -> None:
        """As the defaults of 18.0.0 do, which had another lock beside."""
        self.assertEqual(['backups:delete', 'jobs:get_all'], self.make(
            '"jobs:get_all": ""\n"backups:delete": "role:member"\n'
            '"sessions:get": "project_id:%(project_id)s"').open_to_others())

    def test_nobody_is_asked_who_else_is_let_in(self) -> None:
        with mock.patch('oslo_policy._external.HttpCheck.__call__',
                        autospec=True) as asked:
            self.assertEqual(['jobs:get'], self.make(
                '"jobs:get": ""\n"jobs:get_all": "http://policy.example/"'
                ).open_to_others())
        asked.assert_not_called()

    def test_a_changed_file_is_noticed(self) -> None:
        enforcer = self.make()
        caller = self.caller('reader')
        now = 1000.0
        with mock.patch('time.monotonic', lambda: now):
            enforcer.load_rules(force_reload=True)
            self.assertTrue(enforcer.allows('jobs:get', 'mine', caller))
            self.file.write_text('"jobs:get": "role:admin"')
            now += 2
            self.assertFalse(enforcer.allows('jobs:get', 'mine', caller))

    def test_what_somebody_else_decides_is_asked_each_time(self) -> None:
        enforcer = self.make('"jobs:get": "role:reader and ask:them"')
        asked: list[Any] = []

        class Ask(oslo_policy.Check):

            def __call__(self, target: Any, creds: Any, enforcer: Any,
                         current_rule: Any = None) -> bool:
                asked.append(target)
                return len(asked) % 2 == 1

        with mock.patch.dict('oslo_policy._checks.registered_checks',
                             ask=Ask):
            enforcer.load_rules(force_reload=True)
        self.assertEqual([True, False, True], [
            enforcer.allows('jobs:get', 'mine', self.caller('reader'))
            for _ in range(3)])

    def test_an_unknown_rule_is_an_error(self) -> None:
        self.assertRaises(
            oslo_policy.PolicyNotRegistered, self.make().allows,
            'jobs:burn', 'mine', self.caller('admin'))
