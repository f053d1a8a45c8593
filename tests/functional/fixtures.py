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

"""The world of the API reference's samples: its ids are theirs.

One project with a user, a job that is running for the second time, its
session, its action and a backup, the central client of another project, and a
second job that is due. What the samples request can be sent as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
import re
from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

SAMPLES = (pathlib.Path(__file__).resolve().parents[2]
           / 'api-ref/source/samples')

PROJECT = '8d6f8ea8a4a34a7f8b4a7d4b5a1f4b2c'
SERVICE_PROJECT = '3f1a6cbb25b84d6d8fa2a0c15a9e3b3c'
SERVICE_USER = '0f0d8e0ad7e94d43a7fd4f0f0a4a8c1f'
SCHEDULER = 'backup-1:4711:9f86d081'

IDS: Mapping[str, str] = {
    'client_id': 'central',
    'job_id': 'd0107cf6b1a84a9ab4c5d0c1be2f0a3e',
    'run_id': '5f0c2d7e8a9b4c1d8e7f6a5b4c3d2e1f',
    'action_id': 'f79a4f0c8d7e4d1b9a0e2c3b4a5f6e7d',
    'session_id': '2b6d0f1e3c4a4b5d8e7f6a5b4c3d2e1f',
    'backup_id': 'c05a1b2c3d4e4f5a8b6c7d8e9f0a1b2c',
}

MEMBER = base.Persona(
    'b7d5e8f10f9a4e5f9d3f3c2a1b0e9d8c', PROJECT, ('member', 'reader'))
READER = base.Persona('rita', PROJECT, ('reader',))
SERVICE = base.Persona(SERVICE_USER, SERVICE_PROJECT, ('service',))

# What is asked for in the project of the central client.
_OF_THE_SERVICE = re.compile(r'/clients/.*/|/clients$|/maintenance')


_WRITES = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)')


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f'{name}.json').read_text(encoding='utf-8'))


def persona_for(method: str, path: str) -> base.Persona:
    """Return whose request would succeed."""
    if method != 'GET' and _OF_THE_SERVICE.match(path):
        return SERVICE
    return MEMBER


class WorldTestCase(base.ApiTestCase):
    """Starts with the world as it is described above."""

    settings = {'service_mode': {'trusts_delegated_roles': ['member']}}

    def setUp(self) -> None:
        super().setUp()
        self.trusts.trustee = SERVICE_USER
        self._begin()
        self._take_part_in_the_session()
        self._run_once()
        self._run_again()

    def member(self, method: str, path: str, body: Any = None,
               status: int = 200) -> Any:
        return self.call(MEMBER, method, path, body, status)

    def scheduler(self, method: str, path: str, body: Any) -> Any:
        return self.call(SERVICE, method, path, body, 200)

    def _begin(self) -> None:
        self.call(SERVICE, 'POST', 'clients',
                  sample('client-create-request'), 201)
        for noun in ('session', 'action'):
            self.member('POST', f'{noun}s/{IDS[f"{noun}_id"]}',
                        sample(f'{noun}-create-request'), 201)
        self.member('POST', f'jobs/{IDS["job_id"]}', {
            **sample('job-create-request'),
            'job_actions': [{'action_id': IDS['action_id']}]}, 201)

    def _take_part_in_the_session(self) -> None:
        path = f'sessions/{IDS["session_id"]}'
        self.member('PUT', f'{path}/jobs/{IDS["job_id"]}', status=204)
        start, end = (sample(f'session-{name}-request')
                      for name in ('start', 'end'))
        self.member('PATCH', path, {
            'session_tag': start['start']['current_tag']})
        self.member('POST', f'{path}/action', start, 202)
        self.member('POST', f'{path}/action', end, 202)
        self.clock.now += 3600
        # So that the samples do well once more.
        self.member('PATCH', path, {
            'session_tag': start['start']['current_tag']})
        self.member('PATCH', f'jobs/{IDS["job_id"]}', {
            'session_id': '',
            'job_schedule': sample('job-create-request')['job_schedule']})

    def _claim(self, run_id: str) -> dict[str, Any]:
        """Claim the job's run, and give it an id of our own."""
        self.member('POST', f'jobs/{IDS["job_id"]}/event', {'start': None},
                    202)
        [run] = self.scheduler('POST', 'clients/central/claims', {
            **sample('claim-request'), 'scheduler_id': SCHEDULER,
            'held': []})['runs']
        with self.database.engine.begin() as connection:
            for table, column in ((models.JobRun, models.JobRun.id),
                                  (models.Job, models.Job.run_id)):
                connection.execute(
                    sa.update(table).where(column == run['run_id'])
                    .values({column: run_id}))
        made: dict[str, Any] = run
        return made

    def _report(self, run_id: str, report: dict[str, Any]) -> None:
        self.scheduler('PATCH', f'clients/central/runs/{run_id}', report)

    def _run_once(self) -> None:
        [run] = sample('run-list-response')['runs']
        self._claim('e' * 32)
        self._report('e' * 32, {
            'scheduler_id': SCHEDULER, 'fence': 1, 'state': run['state'],
            'actions': run['actions']})
        self.clock.now += 3600

    def _run_again(self) -> None:
        self._claim(IDS['run_id'])
        self._report(IDS['run_id'], sample('run-report-request'))
        self.member('PATCH', f'backups/{IDS["backup_id"]}', {
            'backup_metadata':
                sample('backup-show-response')['backup_metadata']})
        self.second_job = self.member(
            'POST', 'jobs', sample('job-create-request'), 201)['job_id']
        self.member('POST', f'jobs/{self.second_job}/event',
                    {'start': None}, 202)


class Snapshot:
    """What a database holds at a moment, and who has changed it since.

    :ivar written: the tables that something was committed to since
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._tables = models.Base.metadata.sorted_tables
        self.written: set[str] = set()
        self._writing: set[str] = set()
        sa.event.listen(engine, 'before_cursor_execute', self._execute)
        sa.event.listen(engine, 'commit', self._commit)
        sa.event.listen(engine, 'rollback', self._rollback)
        self._rows = self.rows()

    # One request at a time: there is one transaction that writes.
    def _execute(self, connection: Any, cursor: Any, statement: str,
                 *rest: Any) -> None:
        found = _WRITES.match(statement)
        if found:
            self._writing.add(found[1])

    def _commit(self, connection: Any) -> None:
        self.written |= self._writing
        self._writing = set()

    def _rollback(self, connection: Any) -> None:
        self._writing = set()

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return everything, in order."""
        with self._engine.connect() as connection:
            return {
                table.name: [dict(row) for row in connection.execute(
                    sa.select(table).order_by(*table.primary_key)).mappings()]
                for table in self._tables}

    def changes(self) -> list[str]:
        """Return the tables that do not hold what they held."""
        if not self.written:
            return []
        rows = self.rows()
        return [name for name, before in self._rows.items()
                if rows[name] != before]

    def restore(self) -> None:
        """Bring back what there was."""
        if not self.written:
            return
        with self._engine.begin() as connection:
            for table in reversed(self._tables):
                connection.execute(sa.delete(table))
            for table in self._tables:
                if self._rows[table.name]:
                    connection.execute(
                        sa.insert(table), self._rows[table.name])
        self.written = set()
