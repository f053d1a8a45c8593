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

"""Decisions of policy, as its files are now."""

from __future__ import annotations

from collections.abc import Callable
import gc
import json
import logging
import os
import pathlib
import tempfile
import threading
from typing import Any
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_context import context
from oslo_policy import policy as oslo_policy
import testtools

from freezer_api import conf as configuration
from freezer_api import policies
from freezer_api.policies import enforcer as policy_enforcer

PROJECTS = st.sampled_from(['mine', 'theirs', ''])
RULES = st.sampled_from(sorted(rule.name for rule in policies.list_rules()))
CALLERS = st.builds(
    context.RequestContext, user_id=st.sampled_from(['u', 'v']),
    project_id=PROJECTS, system_scope=st.sampled_from([None, 'all']),
    roles=st.lists(st.sampled_from(
        ['admin', 'service', 'member', 'reader', 'MEMBER']), max_size=3))


class PolicyTests(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.file = self.folder / 'policy.yaml'
        self.written = 0
        self.now = 1000.0
        self.useFixture(fixtures.MockPatch(
            'time.monotonic', lambda: self.now))

    def make(self, rules: str = '', accept: tuple[str, ...] = (),
             ) -> policy_enforcer.Enforcer:
        self.write(self.file, rules)
        conf: cfg.ConfigOpts = configuration.load(files=[])
        conf.set_override('policy_file', str(self.file), 'oslo_policy')
        conf.set_override('policy_dirs', [str(self.folder / 'policy.d')],
                          'oslo_policy')
        conf.set_override('accept_open_policies', list(accept), 'api')
        return policy_enforcer.Enforcer(conf)

    def write(self, file: pathlib.Path, rules: str) -> None:
        """Write a file, each time with a later time of change."""
        file.write_text(rules)
        self.written += 10
        for path in (file, file.parent):
            os.utime(path, (2e9 + self.written, 2e9 + self.written))

    def caller(self, *roles: str, project_id: str = 'mine',
               ) -> context.RequestContext:
        return context.RequestContext(
            user_id='u', project_id=project_id, roles=list(roles))

    def asks(
        self,
        enforcer: policy_enforcer.Enforcer,
        rule: str = 'jobs:get_all',
    ) -> tuple[bool, bool]:
        """Return whether a member of the project, and a stranger, may."""
        self.now += 2
        return tuple(enforcer.allows(  # type: ignore[return-value]
            rule, 'mine', self.caller('member', 'reader', project_id=project))
            for project in ('mine', 'theirs'))

    def logged(self, level: str, work: Callable[[], object]) -> str:
        log = self.useFixture(fixtures.FakeLogger(
            'freezer_api.policies.enforcer', logging.getLevelName(level)))
        work()
        return log.output

    def test_a_remembered_decision_is_the_one_that_would_be_made(
            self) -> None:
        enforcer = self.make('"jobs:get": "user_id:u and role:reader"',
                             accept=('jobs:get',))
        plain = oslo_policy.Enforcer(
            configuration.load(files=[]), policy_file=str(self.file))
        plain.register_defaults(policies.list_rules())

        @settings(max_examples=300)
        @given(rule=RULES, project_id=PROJECTS, caller=CALLERS)
        def check(rule: str, project_id: str,
                  caller: context.RequestContext) -> None:
            try:
                expected = bool(plain.authorize(
                    rule, {'project_id': project_id}, caller))
            except oslo_policy.InvalidScope:
                expected = False
            for _ in range(2):
                self.assertEqual(
                    expected, enforcer.allows(rule, project_id, caller))

        check()

    def test_the_defaults_are_safe(self) -> None:
        for rules in ('', '{}', '# nothing',
                      '"jobs:get": "role:auditor"\n'
                      '"admin_or_owner": '
                      '"is_admin:True or project_id:%(project_id)s"'):
            enforcer = self.make(rules)
            self.assertEqual([], enforcer.problems)
            self.assertEqual([], enforcer.warnings)

    def test_an_open_rule_is_refused_and_the_others_are_not(self) -> None:
        """As the defaults of 18.0.0 are, which had another lock beside."""
        rules = {'jobs:get_all': '', 'backups:delete': 'role:member',
                 'sessions:get': 'project_id:%(project_id)s'}
        for text in (json.dumps(rules), '\n'.join(
                f'"{name}": "{rule}"' for name, rule in rules.items())):
            enforcer = self.make(text)
            [problem] = enforcer.problems
            self.assertIn('backups:delete, jobs:get_all.', problem)
            self.assertEqual((False, False), self.asks(enforcer))
            self.assertTrue(enforcer.refuses('jobs:get_all'))
            self.assertEqual((True, False),
                             self.asks(enforcer, 'sessions:get'))
            self.assertFalse(enforcer.refuses('sessions:get'))

    def test_an_open_rule_may_be_accepted_by_name(self) -> None:
        enforcer = self.make('"jobs:get_all": ""\n"jobs:get": ""',
                             accept=('jobs:get_all', 'jobs:delete'))
        [problem] = enforcer.problems
        self.assertIn('rules jobs:get. ', problem)
        [warning] = enforcer.warnings
        self.assertIn('rules jobs:get_all,', warning)
        self.assertEqual((True, True), self.asks(enforcer))
        self.assertEqual((False, False), self.asks(enforcer, 'jobs:get'))

    def test_a_rule_that_cannot_be_evaluated_cannot_be_accepted(self) -> None:
        enforcer = self.make('"jobs:get_all": "rule:jobs:get_all"',
                             accept=('jobs:get_all',))
        self.assertIn('jobs:get_all cannot be evaluated',
                      ''.join(enforcer.problems))
        self.assertEqual((False, False), self.asks(enforcer))

    def test_names_that_are_no_operations(self) -> None:
        self.assertEqual(['admin_or_owner', 'jobs:burn'],
                         policy_enforcer.unknown_accepted(
                             ['jobs:burn', 'jobs:get', 'admin_or_owner']))

    def test_nobody_is_asked_whether_a_rule_is_open(self) -> None:
        with mock.patch('oslo_policy._external.HttpCheck.__call__',
                        autospec=True) as asked:
            enforcer = self.make(
                '"jobs:get": ""\n"helper": "http://policy.example/"\n'
                '"jobs:get_all": "rule:helper"')
            self.assertIn('rules jobs:get. ', ''.join(enforcer.problems))
            [warning] = enforcer.warnings
            self.assertIn('rules jobs:get_all.', warning)
        asked.assert_not_called()

    def test_a_changed_file_is_noticed(self) -> None:
        enforcer = self.make()
        self.assertEqual((True, False), self.asks(enforcer))
        self.write(self.file, '"jobs:get_all": "role:admin"')
        self.assertEqual((False, False), self.asks(enforcer))

    def test_a_file_that_opens_later_is_not_taken_into_use(self) -> None:
        for name in ('policy.yaml', 'policy.d/more.yaml'):
            (self.folder / 'policy.d').mkdir(exist_ok=True)
            file = self.folder / name
            enforcer = self.make()
            self.assertEqual((True, False), self.asks(enforcer))

            self.write(file, '"jobs:get_all": ""')
            log = self.logged('ERROR', lambda e=enforcer: self.assertEqual(
                (False, False), self.asks(e)))
            self.assertIn('jobs:get_all', log)
            self.assertIn('[api] accept_open_policies', log)
            self.assertTrue(enforcer.refuses('jobs:get_all'))
            self.assertEqual((True, False), self.asks(enforcer, 'jobs:get'))

            self.write(file, '"jobs:get_all": "rule:project_reader"')
            self.assertEqual((True, False), self.asks(enforcer))
            self.assertFalse(enforcer.refuses('jobs:get_all'))

    def test_a_file_that_breaks_later_leaves_the_earlier_rules(self) -> None:
        for name in ('policy.yaml', 'policy.d/more.yaml'):
            (self.folder / 'policy.d').mkdir(exist_ok=True)
            file = self.folder / name
            enforcer = self.make()
            self.write(file, '"jobs:get_all": "role:admin"')
            self.assertEqual((False, False), self.asks(enforcer))
            for text in ('"jobs:get_all": "', '- 1', '"x"', '1: 2'):
                self.write(file, text)
                log = self.logged('ERROR', lambda e=enforcer: self.assertEqual(
                    [(False, False)] * 3, [self.asks(e) for _ in range(3)]))
                self.assertEqual(1, log.count('cannot be read'), text + log)
                self.assertEqual((True, False),
                                 self.asks(enforcer, 'jobs:get'))
            self.write(file, '"jobs:get": "role:admin"')
            self.assertEqual((True, False), self.asks(enforcer))
            self.assertEqual((False, False), self.asks(enforcer, 'jobs:get'))
            if file != self.file:
                file.unlink()

    def test_a_file_that_goes_leaves_the_defaults(self) -> None:
        enforcer = self.make('"jobs:get_all": "role:admin"')
        self.assertEqual((False, False), self.asks(enforcer))
        self.file.unlink()
        self.assertEqual((True, False), self.asks(enforcer))

    def test_remembered_decisions_need_a_bounded_room(self) -> None:
        """A caller may name another project in each request."""
        enforcer = self.make()

        def remembered() -> int:
            return sum(isinstance(one, tuple) and len(one) == 3
                       and isinstance(one[0], str)
                       and one[0] == 'jobs:get' for one in gc.get_objects())

        for number in range(100):
            enforcer.allows('jobs:get', f'p{number}', self.caller('member'))
        self.now += 2
        enforcer.allows('jobs:get', 'p', self.caller('member'))
        self.assertLess(remembered(), 10)

    def test_requests_go_on_while_a_file_is_read(self) -> None:
        enforcer = self.make()
        self.now += 2
        reading, go_on = threading.Event(), threading.Event()

        def load(reader: oslo_policy.Enforcer, *args: Any) -> None:
            if reader.use_conf:
                reading.set()
                self.assertTrue(go_on.wait(60))

        with mock.patch.object(oslo_policy.Enforcer, 'load_rules', load):
            other = threading.Thread(target=self.asks, args=(enforcer,))
            other.start()
            self.assertTrue(reading.wait(60))
            self.now += 2
            self.assertTrue(enforcer.allows(
                'jobs:get', 'mine', self.caller('member')))
            go_on.set()
            other.join()

    def test_what_another_service_decides_is_asked_each_time(self) -> None:
        asked: list[Any] = []

        class Ask(oslo_policy.Check):

            def __call__(self, target: Any, creds: Any, enforcer: Any,
                         current_rule: Any = None) -> bool:
                asked.append(target)
                return len(asked) % 2 == 1

        with mock.patch.dict('oslo_policy._checks.registered_checks',
                             ask=Ask):
            enforcer = self.make('"jobs:get": "role:reader and ask:them"')
        self.assertEqual([True, False, True], [
            enforcer.allows('jobs:get', 'mine', self.caller('reader'))
            for _ in range(3)])

    def test_an_unknown_rule_is_an_error(self) -> None:
        self.assertRaises(
            oslo_policy.PolicyNotRegistered, self.make().allows,
            'jobs:burn', 'mine', self.caller('admin'))
