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

"""Every persona on every route.

The table is :mod:`tools.roles`, which the documentation prints. Here each of
its requests is sent, as it would succeed, by each persona.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
import unittest

from falcon import inspect

from freezer_api import policies
from tests.functional import base
from tools import roles

OTHER = 'p2'

# What the base rules of upstream 19.0.0 let pass: anywhere, and in the
# project of the token.
UPSTREAM = {
    'admin_or_owner': ({'admin'}, {'member'}),
    'admin_or_service': ({'admin', 'service'}, set()),
    'admin_or_owner_or_service': ({'admin', 'service'}, {'member'}),
    'admin_or_reader_or_service': ({'admin', 'service'},
                                   {'member', 'reader'}),
}


def upstream(rules: str, held: set[str], own: bool) -> bool:
    def passes(rule: str) -> bool:
        anywhere, at_home = UPSTREAM[rule]
        return bool(held & anywhere or (own and held & at_home))

    return all(passes(rule) for rule in rules.split(' and '))


class RoleTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.register('own')
        self.number = 0

    def register(self, client_id: str, project_id: str = 'p1') -> None:
        self.call(base.MEMBER if project_id == 'p1' else base.STRANGER,
                  'POST', 'clients', {
                      'client_id': client_id, 'hostname': 'h',
                      'claims': True}, 201)

    def fresh(self) -> str:
        self.number += 1
        return f'n{self.number}'

    def target(self, row: roles.Row) -> str:
        """The project in the URL: of the row's client, where it has one."""
        central = (roles.CENTRAL, roles.AGAIN, roles.OWN_CENTRAL,
                   'as a central client')
        return 'svc' if row.case in central else 'p1'

    def ids(self, row: roles.Row) -> dict[str, str]:
        """Make what the path of a row names, and return its ids."""
        made = {}
        if '{client_id}' in row.path:
            if row.case == roles.ABSENT:
                made['client_id'] = 'absent'
            elif row.case == roles.OWN_CENTRAL:
                made['client_id'] = self.fresh()
                self.register_central(made['client_id'])
            elif row.case:
                made['client_id'] = 'central'
            else:
                made['client_id'] = self.fresh()
                self.register(made['client_id'])
        if '{run_id}' in row.path:
            made['run_id'], self.fence = self.run_of(row, made['client_id'])
        if '{job_id}' in row.path:
            if row.case:
                self.register(client := self.fresh(), 'p2')
                made['job_id'] = self.create_job(base.STRANGER, client)
            else:
                made['job_id'] = self.create_job(client='own')
        if '{action_id}' in row.path:
            made['action_id'] = self.call(base.MEMBER, 'POST', 'actions', {
                'freezer_action': base.BACKUP}, 201)['action_id']
        if '{backup_id}' in row.path:
            made['backup_id'] = self.call(base.MEMBER, 'POST', 'backups', {
                'backup_name': 'b', 'container': 'c', 'hostname': 'h'},
                201)['backup_id']
        if '{session_id}' in row.path:
            made['session_id'] = self.call(
                base.MEMBER, 'POST', 'sessions', {'schedule': {}}, 201)[
                    'session_id']
        return made

    def run_of(self, row: roles.Row, client: str) -> tuple[str, int]:
        if row.case == roles.ABSENT:
            return 'r' * 32, 1
        job_id = self.create_job(client=client)
        self.start(job_id)
        persona = base.SERVICE if client == 'central' else base.MEMBER
        run = self.one_run(client=client, persona=persona)
        return run['run_id'], run['fence']

    def body(self, row: roles.Row, ids: dict[str, str]) -> Any:
        """What the request needs to succeed."""
        job = {'client_id': 'own',
               'job_actions': [{'freezer_action': base.BACKUP}]}
        action = {'freezer_action': base.BACKUP}
        if row.path == '/jobs' and row.case:
            job['client_id'] = 'central'
        central = {'client_id': 'central', 'hostname': 'h',
                   'is_central': True}
        if row.path.endswith('/action'):
            self.call(base.MEMBER, 'PUT',
                      f'sessions/{ids["session_id"]}/jobs/'
                      f'{(member := self.create_job(client="own"))}',
                      status=204)
            return {'start': {'job_id': member, 'current_tag': 0}}
        if row.case == roles.AGAIN:
            del central['is_central']
        bodies: dict[tuple[str, str], Any] = {
            ('POST', '/clients'): central if row.case else {
                'client_id': self.fresh(), 'hostname': 'h'},
            ('POST', '/clients/{client_id}/claims'): {
                'scheduler_id': 's1', 'limit': 0, 'lease_seconds': 60,
                'held': []},
            ('PATCH', '/clients/{client_id}/runs/{run_id}'): {
                'scheduler_id': 's1', 'fence': getattr(self, 'fence', 1),
                'state': 'success'},
            ('POST', '/clients/{client_id}/runs/{run_id}/jobs'): {
                'scheduler_id': 's1', 'fence': getattr(self, 'fence', 1),
                'job_ids': ['j']},
            ('POST', '/clients/{client_id}/reports'): {
                'scheduler_id': 's1', 'reports': []},
            ('POST', '/jobs'): job, ('POST', '/jobs/{job_id}'): job,
            ('PATCH', '/jobs/{job_id}'): {'description': 'd'},
            ('POST', '/jobs/{job_id}/event'): {'stop': None},
            ('POST', '/actions'): action,
            ('POST', '/actions/{action_id}'): action,
            ('PATCH', '/actions/{action_id}'): {'max_retries': 1},
            ('POST', '/sessions'): {'schedule': {}},
            ('POST', '/sessions/{session_id}'): {'schedule': {}},
            ('PATCH', '/sessions/{session_id}'): {'description': 'd'},
            ('POST', '/backups'): {'backup_name': 'b', 'container': 'c',
                                   'hostname': 'h'},
            ('PATCH', '/backups/{backup_id}'): {'status': 'error'},
            ('POST', '/maintenance'): {},
        }
        return bodies.get((row.method, row.path))

    def answer(self, row: roles.Row, persona: base.Persona) -> int:
        ids = self.ids(row)
        query = ('?all_projects=True'
                 if row.path == '/jobs' and row.method == 'GET' and row.case
                 else '')
        result = self.client.simulate_request(
            row.method,
            f'/v2/{self.target(row)}{row.path.format(**ids)}{query}',
            json=self.body(row, ids), extras=persona.environ())
        return int(result.status_code)

    def check(self, rows: list[roles.Row]) -> None:
        self.assertNotEqual([], rows)
        wrong = []
        for row in rows:
            for persona, wanted in self.tokens(row):
                got = self.answer(row, persona)
                if got != wanted:
                    wrong.append(
                        f'{row.method} {row.path} {row.case}: {got} and not '
                        f'{wanted} for {persona.roles} of '
                        f'{persona.scope} {persona.project_id}')
        self.assertEqual([], wrong)

    def tokens(self, row: roles.Row) -> Iterator[tuple[base.Persona, int]]:
        """Yield each token, and how the row says it is answered."""
        home = self.target(row)
        for name, held in roles.PERSONAS.items():
            # Trusts are made for this user; of others they know nothing.
            user = 'freezer' if 'service' in held else f'user-{name}'
            own, other = row.answers[name]
            yield base.Persona(user, home, held), own
            yield base.Persona(user, OTHER, held), other
        for held in roles.POWERLESS:
            yield base.Persona('nobody', home, held), 403
        for scope in ('domain', 'system'):
            for held in roles.PERSONAS.values():
                yield base.Persona('far', None, held, scope=scope), 403

    def rows(self, noun: str) -> list[roles.Row]:
        return [row for row in roles.ROWS if row.noun == noun]

    def test_clients(self) -> None:
        self.check(self.rows('clients'))

    def test_jobs(self) -> None:
        self.check(self.rows('jobs'))

    def test_runs(self) -> None:
        self.check(self.rows('runs'))

    def test_actions(self) -> None:
        self.check(self.rows('actions'))

    def test_sessions(self) -> None:
        self.check(self.rows('sessions'))

    def test_backups(self) -> None:
        self.check(self.rows('backups'))

    def test_limits(self) -> None:
        self.check(self.rows('limits'))

    def test_maintenance(self) -> None:
        self.check(self.rows('maintenance'))

    def test_what_takes_no_role(self) -> None:
        for method, path, without, with_one in roles.OPEN:
            for environ, wanted in (
                    ({}, without),
                    (base.Persona('nobody', 'p1', ()).environ(), with_one),
                    (base.Persona('far', None, (), scope='system').environ(),
                     with_one)):
                self.assertEqual(wanted, self.client.simulate_request(
                    method, path, extras=environ).status_code, path)

    def test_another_service_account_gets_no_trusts(self) -> None:
        """Role service is not enough to be handed other users' trusts."""
        for row in roles.ROWS:
            if row.case == roles.CENTRAL:
                for user in ('nova', 'user-admin'):
                    self.assertEqual(403, self.answer(row, base.Persona(
                        user, 'svc', ('service', 'admin', 'member'))))

    def test_every_route_has_a_row(self) -> None:
        routes = {(method.method, route.path)
                  for route in inspect.inspect_routes(self.app)
                  for method in route.methods if not method.internal}
        listed = {(row.method, '/v2/{project_id}' + row.path)
                  for row in roles.ROWS}
        self.assertEqual(routes, listed | {
            (method, path) for method, path, _, _ in roles.OPEN})

    def test_every_noun_is_tested(self) -> None:
        self.assertEqual(
            {row.noun for row in roles.ROWS},
            {name.removeprefix('test_') for name in dir(self)
             if name.startswith('test_')} & {
                 row.rule.partition(':')[0] for row in roles.ROWS})


class TableTests(unittest.TestCase):
    """What can be said of the table alone."""

    def test_every_operation_has_a_row(self) -> None:
        self.assertEqual(
            {rule.name for rule in policies.list_rules()
             if ':' in rule.name}, {row.rule for row in roles.ROWS})

    def test_managers_are_members(self) -> None:
        # The page shows one column for both.
        for row in roles.ROWS:
            self.assertEqual(row.answers['member'], row.answers['manager'])

    def test_each_difference_from_upstream_is_meant(self) -> None:
        """A row says why it differs, and only a row that does."""
        for row in roles.ROWS:
            if not row.upstream:
                continue
            differs = [
                (name, own) for name, held in roles.PERSONAS.items()
                for own, status in zip((True, False), row.answers[name],
                                       strict=True)
                if upstream(row.upstream, set(held), own) != (status != 403)]
            self.assertEqual(bool(row.why), bool(differs),
                             (row.method, row.path, row.case, differs))

    def test_the_page_is_up_to_date(self) -> None:
        """``python -m tools.roles`` writes it."""
        self.assertEqual(roles.page(),
                         roles.PAGE.read_text(encoding='utf-8'))
