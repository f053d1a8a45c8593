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

import hypothesis

from freezer_api.schemas import claims
from tests.unit.freezer_api.schemas import base

KEYS = ['scheduler_id', 'fence', 'state', 'reason', 'actions', 'backups',
        'release', 'limit', 'lease_seconds', 'held', 'run_id', 'backup_id',
        'status', 'action_id', 'position']
CLAIM = {'scheduler_id': 'host:1:abc', 'limit': 10, 'lease_seconds': 60,
         'held': [{'run_id': 'r', 'fence': 1}]}
STEP = {'action_id': 'a', 'position': 0, 'state': 'submitted', 'tries': 1,
        'reason': None, 'volume_id': 'v', 'backup_id': None,
        'cinder_backup_id': None, 'started_at': 1, 'ended_at': None}
BACKUP = {'backup_id': '0123456789abcdef' * 2, 'status': 'creating',
          'backup_metadata': {'backup_name': 'b'}}
REPORT = {'scheduler_id': 'host:1:abc', 'fence': 1, 'state': 'running',
          'reason': None, 'actions': [STEP], 'backups': [BACKUP]}


class TestClaims(base.SchemaTestCase):

    def test_claim(self) -> None:
        claims.validate_claim(CLAIM)
        claims.validate_claim({**CLAIM, 'limit': 0, 'held': []})
        claims.validate_claim({'scheduler_id': 's', 'limit': 1000,
                               'lease_seconds': 10, 'newer': True})
        for field in ('scheduler_id', 'limit', 'lease_seconds'):
            without = dict(CLAIM)
            del without[field]
            self.refused(claims.validate_claim, without, field,
                         f"'{field}' is a required property")

    def test_bounds(self) -> None:
        for field, value in (
                ('scheduler_id', ''), ('scheduler_id', 's' * 256),
                ('scheduler_id', 1), ('limit', -1), ('limit', 1001),
                ('limit', True), ('limit', 1.0), ('lease_seconds', 9),
                ('lease_seconds', 3601), ('lease_seconds', '60'),
                ('held', None), ('held', {}),
                ('held', [{'run_id': 'r', 'fence': 1}] * 10001)):
            self.refused(
                claims.validate_claim, {**CLAIM, field: value}, field)
        for place, held in (
                ('', 'r'), ('.run_id', {'fence': 1}),
                ('.run_id', {'run_id': 'r' * 37, 'fence': 1}),
                ('.run_id', {'run_id': '../x', 'fence': 1}),
                ('.fence', {'run_id': 'r'}),
                ('.fence', {'run_id': 'r', 'fence': 0}),
                ('.fence', {'run_id': 'r', 'fence': 2 ** 31})):
            self.refused(claims.validate_claim, {**CLAIM, 'held': [held]},
                         f'held.0{place}')

    @hypothesis.given(base.documents_of(KEYS))
    def test_any_json(self, document: Any) -> None:
        self.only_invalid_document(claims.validate_claim, document)
        self.only_invalid_document(claims.validate_report, document)
        self.only_invalid_document(claims.validate_reports, document)


class TestReports(base.SchemaTestCase):

    def test_report(self) -> None:
        claims.validate_report(REPORT)
        for state in ('running', 'success', 'fail', 'aborted'):
            claims.validate_report(
                {'scheduler_id': 's', 'fence': 2, 'state': state})
        for field in ('scheduler_id', 'fence', 'state'):
            without = dict(REPORT)
            del without[field]
            self.refused(claims.validate_report, without, field,
                         f"'{field}' is a required property")

    def test_release_is_for_running_runs(self) -> None:
        claims.validate_report({**REPORT, 'release': True})
        claims.validate_report({**REPORT, 'state': 'fail', 'release': False})
        self.refused(claims.validate_report,
                     {**REPORT, 'state': 'fail', 'release': True}, 'release')

    def test_several_reports(self) -> None:
        """Each is held to what one is held to, and named where it is not."""
        said = {**REPORT, 'run_id': 'r'}
        del said['scheduler_id']

        def sent(*reports: Any) -> dict[str, Any]:
            return {'scheduler_id': 's', 'reports': list(reports)}

        claims.validate_reports(sent())
        claims.validate_reports(sent(said, said))
        self.refused(claims.validate_reports, {'reports': []}, 'scheduler_id')
        self.refused(claims.validate_reports, sent(*[said] * 501), 'reports')
        wrong: list[tuple[str, dict[str, Any]]] = [
            ('run_id', {'run_id': '../x'}), ('fence', {'fence': 0}),
            ('release', {'state': 'fail', 'release': True}),
            ('actions', {'actions': [{**STEP, 'x': 'y' * 65536}]}),
            ('backups.1.backup_metadata', {'backups': [BACKUP, {
                **BACKUP, 'backup_metadata': {'x': 'y' * 65536}}]})]
        for field, value in wrong:
            self.refused(claims.validate_reports,
                         sent(said, {**said, **value}), f'reports.1.{field}')

    def test_bounds(self) -> None:
        reports: list[tuple[str, Any]] = [
            ('state', 'missed'), ('state', None), ('fence', 0),
            ('reason', 'r' * 4097), ('reason', 1), ('release', 1),
            ('actions', None), ('actions', [STEP] * 257),
            ('actions', [{**STEP, 'x': 'y' * 65536}]),
            ('backups', {}), ('backups', [BACKUP] * 257)]
        for field, value in reports:
            self.refused(
                claims.validate_report, {**REPORT, field: value}, field)
        steps: list[tuple[str, Any]] = [
            ('action_id', 'a' * 37), ('position', -1), ('state', 'zzz'),
            ('tries', None), ('reason', 'r' * 4097), ('volume_id', 1),
            ('cinder_backup_id', 'c' * 256), ('started_at', 1.5)]
        for field, value in steps:
            self.refused(
                claims.validate_report,
                {**REPORT, 'actions': [{**STEP, field: value}]},
                f'actions.0.{field}')
        part = {'state': 'pending', 'volume_id': 'v', 'retry_at': 1}
        claims.validate_report({**REPORT, 'actions': [
            {**STEP, 'retry_at': 1, 'parts': [part] * 256}]})
        parts: list[tuple[str, Any]] = [
            ('', None), ('', {}), ('', [part] * 257), ('.0', [7]),
            ('.0.state', [{'volume_id': 'v'}]),
            ('.0.volume_id', [{'state': 'fail', 'volume_id': 7}]),
            ('.0.retry_at', [{**part, 'retry_at': 'soon'}])]
        for place, value in parts:
            self.refused(
                claims.validate_report,
                {**REPORT, 'actions': [{**STEP, 'parts': value}]},
                f'actions.0.parts{place}')
        backups: list[tuple[str, Any]] = [
            ('backup_id', 'A' * 32), ('backup_id', 'a' * 31),
            ('backup_id', 'a' * 32 + '\n'), ('status', 'deleting'),
            ('backup_metadata', []),
            ('backup_metadata', {'x': 'y' * 65536})]
        for field, value in backups:
            self.refused(
                claims.validate_report,
                {**REPORT, 'backups': [{**BACKUP, field: value}]},
                f'backups.0.{field}')
