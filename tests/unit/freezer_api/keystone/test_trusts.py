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

"""Requests to Keystone about trusts, and freezer-manage trusts."""

from __future__ import annotations

import contextlib
import io
import pathlib
import tempfile
from typing import Any
import unittest
from unittest import mock

from cryptography import fernet
from keystoneauth1 import token_endpoint
import requests_mock

from freezer_api.cmd import manage
from freezer_api import conf as configuration
from freezer_api.db.admin import upgrade
from freezer_api.keystone import service_account
from freezer_api.keystone import trusts

KEYSTONE = 'http://keystone.example/v3'
TRUSTS = f'{KEYSTONE}/OS-TRUST/trusts'
CONF = f"""
[database]
connection = sqlite:///{{directory}}/freezer.db
[user_credentials]
keys = {fernet.Fernet.generate_key().decode()}
[keystone_authtoken]
auth_type = password
auth_url = {KEYSTONE}
username = freezer
password = SECRET
user_domain_name = Default
project_name = service
project_domain_name = Default
"""


def trust(number: int, **more: Any) -> dict[str, Any]:
    return {'id': f'{number:032x}', 'trustor_user_id': 'alice',
            'trustee_user_id': 'u', 'project_id': 'p1',
            'impersonation': True, 'expires_at': None, **more}


class KeystoneTest(unittest.TestCase):

    region: str | None = None

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.keystone = self.enterContext(requests_mock.Mocker())
        self.config = pathlib.Path(self.directory, 'freezer-api.conf')
        self.config.write_text(CONF.format(directory=self.directory) + (
            f'region_name = {self.region}\n' if self.region else ''),
            encoding='utf-8')
        self.keystone.get(KEYSTONE, json={'version': {
            'id': 'v3.14', 'status': 'stable',
            'links': [{'rel': 'self', 'href': KEYSTONE}]}})
        self.keystone.post(
            f'{KEYSTONE}/auth/tokens', status_code=201,
            headers={'X-Subject-Token': 't'}, json={'token': {
                'methods': ['password'], 'catalog': [{
                    'type': 'identity', 'name': 'keystone', 'id': 'k',
                    'endpoints': [{'interface': 'internal', 'id': 'e',
                                   'url': KEYSTONE, 'region': 'one',
                                   'region_id': 'one'}]}],
                'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'd'}},
                'project': {'id': 'p', 'name': 'p', 'domain': {'id': 'd'}},
                'roles': [], 'expires_at': '2099-01-01T00:00:00Z',
                'issued_at': '2026-01-01T00:00:00Z'}})
        self.conf = configuration.load(files=[str(self.config)])
        self.trusts = trusts.Trusts(service_account.ServiceAccount(
            self.conf), ['member'])

    def deleted(self) -> list[str]:
        return [request.url.rpartition('/')[2]
                for request in self.keystone.request_history
                if request.method == 'DELETE']


class TrustTests(KeystoneTest):

    region = 'one'

    def test_a_trust_bears_its_mark_and_region(self) -> None:
        self.keystone.post(TRUSTS, status_code=201, json={'trust': trust(1)})
        caller = trusts.Caller('alice', 'p1', ('member',),
                               token_endpoint.Token(KEYSTONE, 'x'), None)
        self.trusts.create(caller, 'p1', 'ROW')
        sent = self.keystone.request_history[-1].json()['trust']
        self.assertEqual(('ROW', 'one'), (sent['freezer_trust'],
                                          sent['freezer_region']))

    def test_all_are_listed_by_one_request(self) -> None:
        self.keystone.get(TRUSTS, json={'trusts': [
            trust(1), trust(2, freezer_trust='ROW', freezer_region='one'),
            # What a user puts there is no mark of ours.
            trust(3, freezer_trust={'$gt': ''}, impersonation=False),
            trust(4, freezer_trust=None, project_id=None)]})
        found = list(self.trusts.listed())
        self.assertEqual([None, 'ROW', None, None],
                         [one.mark for one in found])
        self.assertEqual([True, True, False, True],
                         [one.impersonation for one in found])
        asked = [request for request in self.keystone.request_history
                 if '/OS-TRUST/' in request.path.upper()]
        self.assertEqual(1, len(asked))
        self.assertEqual(['u'], asked[0].qs['trustee_user_id'])
        self.assertNotIn(f'{1:032x}', str(found))

    def test_what_is_deleted(self) -> None:
        """Invariant 6, for each mark that a trust may bear."""
        for marks, ours in (
                ({}, True), ({'freezer_trust': 'ROW'}, True),
                ({'freezer_trust': 'ROW', 'freezer_region': 'one'}, True),
                ({'freezer_trust': 'ROW', 'freezer_region': 'two'}, False),
                ({'freezer_trust': 'OTHER'}, False),
                ({'freezer_region': 'two'}, False)):
            with self.subTest(marks=marks):
                self.keystone.reset_mock()
                one = trust(1, **marks)
                url = f'{TRUSTS}/{one["id"]}'
                self.keystone.get(url, json={'trust': one})
                self.keystone.delete(url, status_code=204)
                if ours:
                    self.trusts.delete_made(one['id'], 'ROW')
                else:
                    with self.assertRaises(trusts.NotOurs) as caught:
                        self.trusts.delete_made(one['id'], 'ROW')
                    self.assertNotIn(one['id'], str(caught.exception))
                self.assertEqual([one['id']] if ours else [], self.deleted())

    def test_what_is_gone_is_fine_and_what_cannot_be_seen_is_not(
            self) -> None:
        self.keystone.get(
            f'{TRUSTS}/x', status_code=404,
            json={'error': {'code': 404, 'message': 'no'}})
        self.trusts.delete_made('x', 'ROW')
        for status in (401, 403, 500, 503):
            self.keystone.get(f'{TRUSTS}/x', status_code=status)
            self.assertRaises(trusts.KeystoneUnavailable,
                              self.trusts.delete_made, 'x', 'ROW')
        self.assertEqual([], self.deleted())


class CommandTests(KeystoneTest):
    """freezer-manage trusts"""

    def setUp(self) -> None:
        super().setUp()
        upgrade.sync(f'sqlite:///{self.directory}/freezer.db')

    def run_manage(self, *args: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(out), \
                mock.patch('oslo_log.log.setup', autospec=True):
            try:
                status = manage.main(['--config-file', str(self.config),
                                      'trusts', *args])
            except SystemExit as stop:
                assert isinstance(stop.code, int)
                status = stop.code
        return status, out.getvalue()

    def test_orphans_are_named_and_deleted_by_reference(self) -> None:
        self.keystone.get(TRUSTS, json={'trusts': [
            trust(number, freezer_region='two') for number in range(1500)]})
        status, text = self.run_manage('orphans')
        self.assertEqual(0, status, text)
        lines = text.splitlines()
        self.assertEqual(1002, len(lines))
        self.assertEqual('... and 500 more', lines[-2])
        self.assertIn('project p1 trustor alice expires never', lines[0])
        self.assertIn('region two', lines[0])
        self.assertNotIn(f'{7:032x}', text)
        for one in (trust(7), trust(8)):
            url = f'{TRUSTS}/{one["id"]}'
            self.keystone.get(url, json={'trust': one})
            self.keystone.delete(url, status_code=204)
        name = lines[7].split()[0]
        self.assertEqual((0, f'deleted: {name}\n'),
                         self.run_manage('delete', name))
        self.assertEqual([f'{7:032x}'], self.deleted())
        status, text = self.run_manage('delete', 'nonsense')
        self.assertEqual(1, status)
        self.assertIn('no orphan has the reference nonsense', text)

    def test_a_keystone_that_is_away(self) -> None:
        self.keystone.get(TRUSTS, status_code=503)
        self.assertEqual((1, 'freezer-manage: Keystone did not list '
                             'the trusts\n'),
                         self.run_manage('orphans'))

    def test_a_copy_is_disowned_on_purpose_only(self) -> None:
        self.assertEqual(2, self.run_manage('disown')[0])
        self.assertEqual((0, 'removed: 0 trusts of 0 jobs\n'),
                         self.run_manage('disown', '--yes'))
        self.assertEqual((0, 'no longer counted: 0\n'),
                         self.run_manage('dismiss'))
        self.assertEqual([], self.keystone.request_history)
