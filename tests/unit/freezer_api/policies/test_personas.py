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

from typing import Any

from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_policy import policy
import testtools

from freezer_api import policies

PERSONAS = {
    'nobody': [],
    'reader': ['reader'],
    'member': ['member', 'reader'],
    'manager': ['manager'],
    'admin': ['admin'],
    'service': ['service'],
    'service+member': ['service', 'member', 'reader'],
}

# Who passes, as "persona" in any project and "persona@own" in its own only.
READ = {'reader@own', 'member@own', 'admin', 'service', 'service+member'}
WRITE = {'member@own', 'admin', 'service+member@own'}
WRITE_OR_SERVICE = {'member@own', 'admin', 'service', 'service+member'}
SERVICE = {'admin', 'service', 'service+member'}
OWN_SERVICE = {'admin', 'service@own', 'service+member@own'}

EXPECTED = {
    'clients:create': WRITE,
    'clients:create_central': OWN_SERVICE,
    'clients:get': READ,
    'clients:get_all': READ,
    'clients:delete': WRITE,
    'clients:claim': WRITE,
    'clients:claim_central': OWN_SERVICE,
    'jobs:create': WRITE,
    'jobs:get': READ,
    'jobs:get_all': READ,
    'jobs:get_all_projects': SERVICE,
    'jobs:update': WRITE,
    'jobs:delete': WRITE,
    'jobs:event:create': WRITE,
    'actions:create': WRITE,
    'actions:get': READ,
    'actions:get_all': READ,
    'actions:update': WRITE,
    'actions:replace': WRITE,
    'actions:delete': WRITE,
    'sessions:create': WRITE,
    'sessions:get': READ,
    'sessions:get_all': READ,
    'sessions:update': WRITE,
    'sessions:replace': WRITE,
    'sessions:delete': WRITE,
    'sessions:action:create': WRITE,
    'sessions:job:add': WRITE,
    'sessions:job:remove': WRITE,
    'backups:create': WRITE_OR_SERVICE,
    'backups:get': READ,
    'backups:get_all': READ,
    'backups:update': WRITE_OR_SERVICE,
    'backups:delete': WRITE_OR_SERVICE,
    'runs:get_all': READ,
    'runs:update': WRITE,
    'runs:update_central': OWN_SERVICE,
    'limits:get': READ,
    'maintenance:run': SERVICE,
}

# The checks of the published base rules: overrides in deployed policy files
# are written against them.
PUBLISHED_BASE = {
    'context_is_admin': 'role:admin',
    'admin_or_service': 'role:admin or role:service',
    'project_member': 'role:member and project_id:%(project_id)s',
    'project_reader': 'role:reader and project_id:%(project_id)s',
    'admin_or_owner': 'rule:context_is_admin or rule:project_member',
    'admin_or_owner_or_service':
        'rule:admin_or_service or rule:project_member',
    'admin_or_reader_or_service':
        'rule:admin_or_owner_or_service or rule:project_reader',
}

METHODS = {'create': 'POST', 'create_central': 'POST', 'replace': 'POST',
           'claim': 'POST', 'claim_central': 'POST', 'run': 'POST',
           'get': 'GET', 'get_all': 'GET', 'get_all_projects': 'GET',
           'update': 'PATCH', 'update_central': 'PATCH',
           'delete': 'DELETE', 'add': 'PUT', 'remove': 'DELETE'}

# Routes that do for many what the rule is named after.
OF_MANY = {
    ('POST', '/v2/{project_id}/clients/{client_id}/reports'),
    ('POST', '/v2/{project_id}/clients/{client_id}/runs/{run_id}/jobs')}

# Only who may create a central client may delete one.
ALSO = {('clients:create_central', 'DELETE')}


class TestPersonas(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        conf = self.useFixture(config_fixture.Config(cfg.ConfigOpts())).conf
        conf([], default_config_files=[], default_config_dirs=[])
        self.enforcer = policy.Enforcer(conf, policy_file='absent.yaml')
        self.enforcer.register_defaults(policies.list_rules())

    def allowed(self, rule: str, roles: list[str], own: bool) -> bool:
        credentials: dict[str, Any] = {
            'user_id': 'u', 'project_id': 'mine', 'roles': roles}
        return bool(self.enforcer.authorize(
            rule, {'project_id': 'mine' if own else 'theirs'}, credentials))

    def test_every_persona_on_every_operation(self) -> None:
        wrong = []
        for rule, expected in EXPECTED.items():
            for persona, roles in PERSONAS.items():
                for own in (True, False):
                    right = persona in expected or (
                        own and f'{persona}@own' in expected)
                    if self.allowed(rule, roles, own) != right:
                        wrong.append(
                            f'{rule} for {persona}, own={own}: not {right}')
        self.assertEqual([], wrong)

    def test_no_operation_is_left_out(self) -> None:
        operations = {rule.name for rule in policies.list_rules()
                      if ':' in rule.name}
        self.assertEqual(set(EXPECTED), operations)

    def test_published_base_rules(self) -> None:
        base = {rule.name: rule.check_str for rule in policies.list_rules()
                if ':' not in rule.name}
        self.assertEqual(
            PUBLISHED_BASE, {name: base[name] for name in PUBLISHED_BASE})

    def test_a_token_of_no_project_owns_nothing(self) -> None:
        for rule in EXPECTED:
            for project_id in (None, ''):
                allowed = self.enforcer.authorize(
                    rule, {'project_id': 'mine'},
                    {'user_id': 'u', 'project_id': project_id,
                     'roles': ['member', 'reader']})
                self.assertFalse(allowed, rule)


class TestDocumentation(testtools.TestCase):

    def test_scope(self) -> None:
        for rule in policies.list_rules():
            self.assertEqual(['project'], rule.scope_types, rule.name)

    def test_names_are_unique(self) -> None:
        names = [rule.name for rule in policies.list_rules()]
        self.assertEqual(len(names), len(set(names)))

    def test_paths_are_those_of_the_routes(self) -> None:
        for rule in policies.list_rules():
            if not isinstance(rule, policy.DocumentedRuleDefault):
                self.assertNotIn(':', rule.name)
                continue
            noun, *_, verb = rule.name.split(':')
            self.assertTrue(rule.operations)
            for operation in rule.operations:
                self.assertTrue(
                    operation['path'].startswith('/v2/{project_id}/'),
                    rule.name)
                if (operation['method'], operation['path']) in OF_MANY:
                    continue
                self.assertIn(f'/{noun}', operation['path'])
                if (rule.name, operation['method']) not in ALSO:
                    self.assertEqual(METHODS[verb], operation['method'])
