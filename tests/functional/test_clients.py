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

"""Registration of schedulers."""

from __future__ import annotations

import concurrent.futures
import datetime
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.domain import capabilities
from tests.functional import base

SERVICE_MEMBER = base.Persona('freezer', 'svc', ('service', 'member'))
OTHER_SERVICE = base.Persona('other', 'svc2', ('service',))


class ClientTests(base.ApiTestCase):

    def listed(self, persona: base.Persona = base.MEMBER) -> list[str]:
        found = self.call(persona, 'GET', 'clients', status=200)
        return [one['client']['client_id'] for one in found['clients']]

    def test_shape_and_defaults(self) -> None:
        self.assertEqual({'client_id': 'n1'}, self.call(
            base.MEMBER, 'POST', 'clients',
            {'client_id': 'n1', 'hostname': 'n1'}, 201))
        shown = self.call(base.MEMBER, 'GET', 'clients/n1', status=200)
        uuid = shown['client'].pop('uuid')
        self.assertEqual(32, len(uuid))
        self.assertEqual({
            'project_id': 'p1', 'user_id': 'alice', 'client': {
                'hostname': 'n1', 'client_id': 'n1', 'is_central': False,
                'description': None,
                'supported_actions': list(capabilities.ACTIONS),
                'supported_modes': list(capabilities.MODES),
                'supported_storages': list(capabilities.STORAGES),
                'supported_engines': list(capabilities.ENGINES)}}, shown)

    def test_a_central_client_is_seen_by_all_with_its_lists(self) -> None:
        self.register_central()
        for persona in (base.MEMBER, base.STRANGER, base.READER,
                        base.SERVICE):
            self.assertEqual(['central'], self.listed(persona))
            shown = self.call(
                persona, 'GET', 'clients/central', status=200)['client']
            self.assertTrue(shown['is_central'])
            self.assertEqual(['cindernative'], shown['supported_modes'])
            self.assertEqual(['backup', 'restore', 'admin'],
                             shown['supported_actions'])
            self.assertEqual([], shown['supported_engines'])

    def test_registering_again_brings_the_lists_up_to_date(self) -> None:
        self.register_central()
        before = self.call(
            base.MEMBER, 'GET', 'clients/central', status=200)['client']
        self.register_central(
            supported_actions=['backup'], hostname='control-2')
        after = self.call(
            base.MEMBER, 'GET', 'clients/central', status=200)['client']
        self.assertEqual({**before, 'supported_actions': ['backup']}, after)
        self.assertEqual(['central'], self.listed())

    def test_who_may_register_a_central_client(self) -> None:
        central = {'client_id': 'c1', 'hostname': 'h', 'is_central': True}
        for persona in (base.MEMBER, base.READER):
            self.call(persona, 'POST', 'clients', central, 403)
            self.call(persona, 'POST', '/v2/svc/clients', central, 403)
        self.call(base.SERVICE, 'POST', '/v2/p1/clients', central, 403)
        # Truth comes before type, so that no spelling gets past the rule.
        self.call(base.MEMBER, 'POST', 'clients',
                  {**central, 'is_central': 'yes'}, 403)
        self.call(base.SERVICE, 'POST', 'clients',
                  {**central, 'is_central': 'yes'}, 400)
        # A central client takes nothing but role service.
        self.call(base.SERVICE, 'POST', 'clients', central, 201)
        self.call(SERVICE_MEMBER, 'POST', 'clients', central, 201)
        self.call(base.SERVICE, 'POST', 'clients',
                  {'client_id': 'plain', 'hostname': 'h'}, 403)

    def test_a_member_cannot_change_a_central_client(self) -> None:
        """Neither the body nor the route decides, but what is registered."""
        self.register_central()
        before = self.call(base.MEMBER, 'GET', 'clients/central', status=200)
        member = base.Persona('ann', 'svc', ('member', 'reader'))
        for body in ({}, {'is_central': False}, {'is_central': True},
                     {'claims': False}, {'uuid': 'u'},
                     {'supported_modes': ['fs']}):
            self.call(member, 'POST', 'clients', {
                'client_id': 'central', 'hostname': 'h', **body}, 403)
        self.call(member, 'DELETE', 'clients/central', status=403)
        self.assertEqual(before, self.call(
            base.MEMBER, 'GET', 'clients/central', status=200))
        # What may register it may do so again without the word, and delete it.
        self.call(base.SERVICE, 'POST', 'clients', {
            'client_id': 'central', 'hostname': 'h', 'claims': True}, 201)
        self.assertTrue(self.call(base.MEMBER, 'GET', 'clients/central',
                                  status=200)['client']['is_central'])
        self.call(base.SERVICE, 'DELETE', 'clients/central', status=204)

    def test_a_client_that_becomes_central_meanwhile(self) -> None:
        """The row that is written counts, not the one that was read."""
        member = base.Persona('ann', 'svc', ('member', 'reader'))
        self.call(member, 'POST', 'clients',
                  {'client_id': 'central', 'hostname': 'h'}, 201)
        lock = clients.lock

        def late(session: orm.Session,
                 client_row_id: str) -> models.Client | None:
            session.connection().execute(
                sa.update(models.Client).values(is_central=True))
            return lock(session, client_row_id)

        for method, path, body in (
                ('POST', 'clients', {'client_id': 'central',
                                     'hostname': 'h'}),
                ('DELETE', 'clients/central', None)):
            with mock.patch.object(clients, 'lock', late):
                self.call(member, method, path, body, 403)

    def test_a_central_client_stays_before_a_double(self) -> None:
        """However it came about that there are two."""
        self.register_central()

        def double(session: orm.Session) -> None:
            older = models.Client(
                id='older', uuid='older', project_id='svc', user_id='ann',
                client_id='central', is_central=False,
                created_at=datetime.datetime(2020, 1, 1))  # noqa: DTZ001
            session.add(older)
            session.flush()
            clients.drop_duplicates(session, older, self.clock.now)

        self.database.write(double)
        self.assertEqual(['central'], self.listed())
        self.assertEqual(['central'], self.listed(base.SERVICE))

    def test_a_central_id_is_one_projects_only(self) -> None:
        """Upstream makes a second one of the same id on another host."""
        self.register_central()
        for persona, body in (
                (OTHER_SERVICE, {'is_central': True, 'hostname': 'else'}),
                (base.ADMIN, {'is_central': True, 'hostname': 'control-1'}),
                (base.MEMBER, {'hostname': 'evil'})):
            answer = self.call(persona, 'POST', 'clients',
                               {'client_id': 'central', **body}, 409)
            self.assertIn('another project', answer['description'])
        self.assertEqual(['central'], self.listed())

    def test_a_squatter_does_not_keep_a_central_client_away(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients',
                  {'client_id': 'central', 'hostname': 'evil'}, 201)
        self.register_central()
        shown = self.call(
            base.MEMBER, 'GET', 'clients/central', status=200)
        self.assertTrue(shown['client']['is_central'])

    def test_schedulers_that_start_at_once_share_one_client(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: self.register_central(
                hostname=f'control-{n}'), range(8)))
        self.assertEqual(['central'], self.listed())

    def test_what_one_that_died_at_its_start_left_goes_later(self) -> None:
        """Of two that start at once, no one is left to drop one."""
        self.register_central()
        self.database.write(lambda session: session.add(models.Client(
            id='twin', uuid='twin', client_id='central', project_id='svc',
            user_id='freezer', hostname='control-2', is_central=True)))
        self.assertEqual(['central', 'central'], self.listed())
        self.register_central()
        self.assertEqual(['central'], self.listed())

    def test_two_projects_may_use_one_id(self) -> None:
        for persona in (base.MEMBER, base.STRANGER):
            self.call(persona, 'POST', 'clients',
                      {'client_id': 'n1', 'hostname': 'n1'}, 201)
            self.assertEqual(['n1'], self.listed(persona))

    def test_delete(self) -> None:
        self.register_central()
        self.call(base.MEMBER, 'DELETE', 'clients/central', status=403)
        self.call(base.ADMIN, 'DELETE', '/v2/p1/clients/central',
                  status=403)
        self.call(base.MEMBER, 'DELETE', 'clients/unknown', status=204)
        job_id = self.create_job()
        # Upstream deletes a central client that jobs still wait for.
        answer = self.call(SERVICE_MEMBER, 'DELETE', 'clients/central',
                           status=409)
        self.assertEqual('client_in_use', answer['code'])
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.call(SERVICE_MEMBER, 'DELETE', 'clients/central', status=204)
        self.assertEqual([], self.listed())
        self.register_central()
        self.assertEqual(['central'], self.listed())

    def test_a_uuid_is_used_once(self) -> None:
        for persona, status in ((base.MEMBER, 201), (base.STRANGER, 409)):
            self.call(persona, 'POST', 'clients', {
                'client_id': 'n1', 'hostname': 'n', 'uuid': 'u-1'}, status)

    def test_bad_registrations(self) -> None:
        good = {'client_id': 'n1', 'hostname': 'n1'}
        for name, value in (
                ('client_id', 'bad id!'), ('client_id', 'x' * 256),
                ('client_id', None), ('client_id', 'a_b_c.d_e'),
                ('hostname', 7), ('hostname', 'h' * 129),
                ('description', None), ('description', 'd' * 256),
                ('uuid', 'u' * 37), ('supported_actions', ['zzz']),
                ('supported_modes', 'fs'), ('supported_engines', None),
                ('supported_storages', [1]), ('claims', 'yes')):
            answer = self.call(base.MEMBER, 'POST', 'clients',
                               {**good, name: value}, 400)
            self.assertIn(name, answer['description'], (name, value))
        self.assertEqual([], self.listed())
        self.assertEqual('Missing request body', self.call(
            base.MEMBER, 'POST', 'clients', {}, 400)['description'])


class ClientTestsOnMySQL(base.MySQL, ClientTests):
    pass


class ClientTestsOnPostgreSQL(base.PostgreSQL, ClientTests):
    pass


class WithoutServiceModeTests(base.ApiTestCase):
    settings = {'service_mode': {'enabled': False}}

    def test_no_central_clients(self) -> None:
        answer = self.call(base.SERVICE, 'POST', 'clients', {
            'client_id': 'c', 'hostname': 'h', 'is_central': True}, 422)
        self.assertEqual('service_mode_disabled', answer['code'])
