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

"""The data steps of the revisions after the published ones."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db.admin import upgrade
from freezer_api.db import models
from tests.migrations import base
from tests.migrations import documents


class TestJobRuntime(base.EachEngine):

    def convert(self, schedule: Any) -> tuple[models.Job, dict[str, Any]]:
        self.begin_at('7a3b9c1d2e4f')
        self.insert('jobs', documents.job(
            self, 'job', None, schedule=schedule))
        upgrade.sync(self.url)
        kept = {}
        if 'kept_values' in self.tables():
            kept = {reason: json.loads(bytes(value)) for reason, value
                    in self.rows('SELECT reason, value FROM kept_values')}
        with orm.Session(self.engine, expire_on_commit=False) as session:
            return session.scalars(sa.select(models.Job)).one(), kept

    def test_runtime_leaves_the_schedule(self) -> None:
        job, kept = self.convert(self.cell({
            'schedule_interval': '5 days', 'event': 'stop',
            'status': 'running', 'schedule_month': '1', 'result': '',
            'time_created': 1, 'time_started': 2, 'time_ended': -1,
            'current_pid': 77}))
        self.assertEqual(
            {'schedule_interval': '5 days', 'schedule_month': '1'},
            job.schedule)
        self.assertEqual(
            ('stop', 'running', '', 1, 2, -1, 77, None),
            (job.event, job.status, job.result, job.time_created,
             job.time_started, job.time_ended, job.current_pid,
             job.next_run_at))
        self.assertEqual({}, kept)

    def test_absent_is_null(self) -> None:
        job, _ = self.convert(self.cell({'event': ''}))
        self.assertEqual(({}, '', None, None), (
            job.schedule, job.event, job.status, job.time_created))

    def test_what_does_not_fit_is_kept(self) -> None:
        schedule = {'status': 'x' * 17, 'time_created': 'soon',
                    'time_ended': 2 ** 64, 'result': 'fail'}
        job, kept = self.convert(self.cell(schedule))
        self.assertEqual(
            ({}, None, None, None, 'fail'),
            (job.schedule, job.status, job.time_created, job.time_ended,
             job.result))
        self.assertEqual({
            'status does not fit its column; time_created does not fit its '
            'column; time_ended does not fit its column': schedule}, kept)

    def test_what_cannot_be_read_stays(self) -> None:
        for text in ('""', "{'event': 'stop'}", '', '[1]'):
            upgrade.sync(self.url, '7a3b9c1d2e4f')
            self.insert('jobs', documents.job(
                self, f'job{len(text)}', None, schedule=text))
        upgrade.sync(self.url)
        self.assertEqual(
            ['""', "{'event': 'stop'}", '', '[1]'],
            [row[0] for row in self.rows(
                "SELECT schedule FROM jobs ORDER BY CASE id "
                "WHEN 'job2' THEN 1 WHEN 'job17' THEN 2 "
                "WHEN 'job0' THEN 3 ELSE 4 END")])


class TestCredentials(base.EachEngine):

    def setUp(self) -> None:
        super().setUp()
        self.begin_at('7a3b9c1d2e4f')
        self.insert('jobs', documents.job(self, 'job', None))

    def credential(self, credential_id: str, job_id: str) -> dict[str, Any]:
        return {'id': credential_id, 'trust_id': f't-{credential_id}',
                'trustor_user_id': 'u', 'job_id': job_id}

    def test_orphans_move_aside(self) -> None:
        self.insert('user_credentials', self.credential('1', 'job'),
                    self.credential('2', 'gone'))
        upgrade.sync(self.url)
        columns = 'id, trust_id, trustor_user_id, job_id'
        self.assertEqual(
            [('1', 't-1', 'u', 'job')],
            self.rows(f'SELECT {columns} FROM user_credentials'))
        self.assertEqual(
            [('2', 't-2', 'u', 'gone')],
            self.rows(f'SELECT {columns} FROM orphaned_user_credentials'))

    def test_no_new_orphans(self) -> None:
        upgrade.sync(self.url)
        if self.backend == 'sqlite':
            sa.event.listen(
                self.engine, 'connect', lambda connection, record:
                connection.execute('PRAGMA foreign_keys = ON'))
        self.insert('user_credentials', self.credential('1', 'job'))
        self.assertRaises(
            sa.exc.IntegrityError, self.insert, 'user_credentials',
            self.credential('2', 'gone'))


class TestUnreadable(base.EachEngine):
    """What a change would overwrite is kept aside first."""

    BEFORE = '19efaf5fa3ab'

    def test_cells_that_are_not_what_they_should_be(self) -> None:
        self.begin_at(self.BEFORE)
        documents.fill(self)
        cells = {'bad': 'no JSON', 'list': '[]', 'text': '"x"', 'null':
                 'null', 'empty': '', 'quotes': '""', 'none': None,
                 'good': '{"schedule_interval": "1 days"}'}
        self.insert('jobs', *(
            documents.job(self, name, None, schedule=cell)
            for name, cell in cells.items()))
        self.execute("UPDATE backups SET backup_metadata = 'no JSON'")
        self.execute("UPDATE clients SET supported_modes = '{}'")
        upgrade.sync(self.url)
        bad = {('jobs', 'schedule', 'bad', 'not JSON', 'no JSON'),
               ('jobs', 'schedule', 'list', 'not an object', '[]'),
               ('jobs', 'schedule', 'text', 'not an object', '"x"'),
               ('backups', 'backup_metadata', 'backup-1', 'not JSON',
                'no JSON'),
               ('clients', 'supported_modes', 'c' * 32, 'not a list', '{}')}
        self.assertEqual(bad, {
            (*row[:4], bytes(row[4]).decode()) for row in self.rows(
                'SELECT table_name, column_name, row_id, reason, value '
                'FROM kept_values')})
        self.assertEqual(
            ['bad', 'list', 'text'],
            [row[0] for row in self.rows(
                "SELECT id FROM jobs WHERE status = 'stop' ORDER BY id")])
        self.assertEqual([('no JSON',)], self.rows(
            "SELECT schedule FROM jobs WHERE id = 'bad'"))
