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

"""Databases that the published releases made, adopted with nothing lost.

FREEZER_TEST_RELEASES names the releases, separated by commas, that make them:
14.0.0 to 19.0.0 can. Without it they are the last two, since 16.0.0 and 17.0.0
have the schema of 18.0.0, and, on MariaDB alone, 15.0.0 for those before it.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
import time
from typing import Any

import sqlalchemy as sa
import testscenarios

from freezer_api.db.admin import upgrade
from freezer_api.db import models
from tests.functional import base
from tests.migrations.upstream import comparison
from tests.migrations.upstream import permitted
from tests.released import releases
from tests import services

RELEASES = os.environ.get('FREEZER_TEST_RELEASES', '18.0.0,19.0.0').split(',')
SCENARIOS = testscenarios.multiply_scenarios(
    [(name, {'release': name}) for name in RELEASES],
    [(name, {'backend': name}) for name in ('sqlite', 'mysql')])
if 'FREEZER_TEST_RELEASES' not in os.environ:
    SCENARIOS.append(('15.0.0', {'release': '15.0.0', 'backend': 'mysql'}))
DAY = 86_400

# What becomes of the cells that no API writes: the actions of the job, as a
# reader sees them, and why the cell is kept.
ODD = {
    'odd actions: no action id': (1, None),
    'odd actions: foreign id': (1, None),
    'odd actions: unknown id': (1, None),
    'odd actions: null': (0, None),
    'odd actions: text': (0, None),
    'odd actions: none': (0, None),
    'odd actions: repr': (0, 'not JSON'),
    'odd actions: object': (0, 'not a list'),
    'odd actions: no action': (
        1, 'an entry is not an object; a freezer_action names no action'),
    'odd actions: unknown key': (1, 'an entry has unknown keys'),
    'odd actions: wrong type': (
        1, 'max_retries is no number that fits; '
           'timeout does not fit its column'),
    'odd actions: not UTF-8': (0, 'not JSON'),
    'odd schedule: null': (1, None),
    'odd schedule: text': (1, None),
    'odd schedule: none': (1, None),
    'odd schedule: repr': (1, 'not JSON'),
    'odd schedule: list': (1, 'not an object'),
}


def reader(who: tuple[str, str]) -> base.Persona:
    return base.Persona(*who, ('member', 'reader'))


def row_id(noun: str, document: dict[str, Any]) -> str:
    found: str = (document['client']['uuid'] if noun == 'clients'
                  else document[f'{noun[:-1]}_id'])
    return found


class UpstreamDatabase(base.ApiTestCase):
    """The whole API on a database that a release made and filled."""

    shares_engine = False
    release = ''
    backend = ''
    answers: dict[str, Any]

    def url(self) -> str:
        url = (f'sqlite:///{self.directory}/freezer.db'
               if self.backend == 'sqlite' else services.mysql_url(self))
        self.make(url)
        upgrade.sync(url)
        return url

    def make(self, url: str) -> None:
        self.answers = releases.Release(self.release).deployment(url)

    def make_tables(self) -> None:
        """They are there."""

    def setUp(self) -> None:
        super().setUp()
        # Upstream knows no other clock than the machine's.
        self.made_at = int(time.time())
        self.clock.now = self.made_at + 5

    def id_of(self, name: str) -> str:
        return next(one for one, what in self.answers['names'].items()
                    if what == name)

    def changes(self) -> Iterator[comparison.Change]:
        """What reads otherwise, in lists and in single documents."""
        for noun, found in self.answers['documents'].items():
            listed = {
                row_id(noun, one): one
                for who in {tuple(one['who']) for one in found.values()}
                for one in self.call(reader(who), 'GET',
                                     f'{noun}?limit=1000', status=200)[noun]}
            for known, theirs in found.items():
                # A trust is shown to its giver.
                owner = reader((theirs['listed']['user_id'],
                                theirs['listed']['project_id']))
                yield from comparison.changes(
                    self.release, noun,
                    {**theirs['listed'], 'user_credentials': None},
                    {**listed.get(known, {}), 'user_credentials': None})
                if theirs['single'] is not None:
                    yield from comparison.changes(
                        self.release, noun, theirs['single'],
                        self.call(owner, 'GET', f'{noun}/{known}',
                                  status=200))

    def kept(self) -> dict[tuple[str, str, str], str]:
        """Reasons by table, column and row."""
        with self.database.read() as session:
            if not sa.inspect(session.connection()).has_table('kept_values'):
                return {}
            rows = session.execute(sa.text(
                'SELECT table_name, column_name, row_id, reason '
                'FROM kept_values'))
            return {(row[0], row[1], row[2]): row[3] for row in rows}

    def assert_nothing_lost(self) -> set[str]:
        """Returns the reasons of what reads otherwise."""
        reasons = set()
        for change in self.changes():
            fitting = [one.reason for one in permitted.PERMITTED
                       if one.fits(change)]
            self.assertTrue(fitting, change)
            reasons.add(fitting[0])
        return reasons


class ReadBackTests(testscenarios.WithScenarios, UpstreamDatabase):
    """Invariant 9: a database of any upstream release is adopted with
    nothing lost.
    """

    scenarios = SCENARIOS

    def test_every_document(self) -> None:
        documents = self.answers['documents']
        self.assertEqual(
            {'clients', 'jobs', 'actions', 'sessions', 'backups'},
            {noun for noun, found in documents.items() if found})
        reasons = self.assert_nothing_lost()
        copies = self.release != releases.NEWEST
        self.assertEqual(
            {one.reason for one in permitted.PERMITTED} if copies
            else {permitted.PERMITTED[0].reason,
                  permitted.PERMITTED[2].reason,
                  permitted.PERMITTED[4].reason}, reasons)
        self._test_what_is_odd()
        if copies:
            kept = self.kept()
            for backup_id in documents['backups']:
                self.assertEqual('no column any more', kept[
                    'backups', 'user_name', backup_id])
        self._test_phases()

    def _test_what_is_odd(self) -> None:
        """What upstream could not even show is kept and reported."""
        kept = self.kept()
        found = self.answers['odd']
        for job_id in found['answers']:
            name = self.answers['names'][job_id]
            job = self.job(job_id, reader(found['who']))
            column = ('schedule' if 'schedule' in name else 'job_actions')
            self.assertEqual(ODD[name], (
                len(job['job_actions']), kept.get(('jobs', column, job_id))))
            if 'schedule' in name and ODD[name][1]:
                self.assertEqual('stop', job['job_schedule']['status'])
        self.call(reader(found['who']), 'GET',
                  f'jobs/{self.id_of("deleted is null")}', status=404)

    def _test_phases(self) -> None:
        """Invariant 2: jobs fire on their old phase, and none at once."""
        person = reader(tuple(self.answers['documents']['jobs'][
            self.id_of('plain')]['who']))
        days = self.clock.now = self.made_at + 20 * DAY + 300
        self.call(person, 'POST', 'clients',
                  {'client_id': 'host-1', 'claims': True}, 201)
        runs = [run for _ in range(5) for run in self.claim(
            client='host-1', persona=person, limit=100)['runs']]
        with self.database.read() as session:
            due = {job.id: (job.next_run_at, job.time_created)
                   for job in session.scalars(sa.select(models.Job))}
        for name in ('plain', 'retries', 'state: scheduled',
                     'state: running', 'state: succeeded', 'all keys'):
            next_run_at, created = due[self.id_of(name)]
            assert next_run_at is not None and created is not None
            self.assertEqual(created % DAY, next_run_at % DAY, name)
            self.assertIn(next_run_at - days, range(DAY + 1))
        for name in ('state: completed', 'event: stop', 'event: abort',
                     'deleted'):
            self.assertIsNone(due[self.id_of(name)][0], name)
        ran = {self.answers['names'][run['job_id']] for run in runs}
        self.assertLessEqual({'event: start', 'schedule: once'}, ran)
        self.assertNotIn('schedule: date', ran)


class HalfUpgradedTests(UpstreamDatabase):
    """A utf8 database that 19.0.0 could not upgrade, and left half-way.

    It drops the user names of backups before it fails on a foreign key
    between character sets.
    """

    release = '18.0.0'
    backend = 'mysql'

    def make(self, url: str) -> None:
        engine = sa.create_engine(url, isolation_level='AUTOCOMMIT')
        name = sa.make_url(url).database

        def execute(statement: str) -> Any:
            with engine.connect() as connection:
                done = connection.execute(sa.text(statement))
                return done.scalar() if done.returns_rows else None

        execute(f'ALTER DATABASE {name} CHARACTER SET utf8mb3')
        super().make(url)
        execute(f'ALTER DATABASE {name} CHARACTER SET utf8mb4')
        self.assertRaises(
            AssertionError, releases.Release(releases.NEWEST).deployment,
            url, fill=False)
        self.assertEqual('4f8c679a1d3b', execute(
            'SELECT version_num FROM alembic_version'))
        engine.dispose()

    def test_it_is_adopted(self) -> None:
        """Invariant 9, but for what 19.0.0 has dropped itself."""
        reasons = self.assert_nothing_lost()
        self.assertEqual({one.reason for one in permitted.PERMITTED},
                         reasons)
        self.assertEqual(set(), {key for key in self.kept()
                                 if key[0] == 'backups'})
