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

"""Old backups are removed from a real Cinder, and their records with them."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sqlite3
import time
from typing import Any
from typing import ClassVar

from tests.cloud import service_mode
from tests.cloud import waiting


class RetentionTests(service_mode.ServiceModeCase):

    OPTIONS: ClassVar[dict[str, int]] = {
        'projects': 1, 'volumes': 10, 'mib_per_gb': 1}
    TUNED: ClassVar[dict[str, int]] = {
        'lease_seconds': 13, 'request_timeout': 3, 'claim_interval': 1,
        'poll_interval': 1}

    def do(self, *actions: dict[str, Any],
           stays: bool = False) -> dict[str, Any]:
        """Run a job of these actions, and return its run.

        :param stays: whether the job is not deleted afterwards; rules of
            others spare its backups then
        """
        job_id = self.begin(*actions)
        self.result(job_id)
        [run] = self.runs(job_id)
        if not stays:
            self.api('DELETE', f'jobs/{job_id}')
        return run

    def begin(self, *actions: dict[str, Any]) -> str:
        job_id: str = self.api('POST', 'jobs', {
            'client_id': 'central', 'job_schedule': {},
            'job_actions': [{'freezer_action': {
                'mode': 'cindernative', **action}}
                for action in actions]})['job_id']
        return job_id

    def make(self, volume: str, kinds: str,
             stays: bool = False) -> list[str]:
        """Make full (f) and incremental (i) backups; return their ids."""
        run = self.do(*(
            {'action': 'backup', 'cindernative_vol_id': volume,
             'incremental': kind == 'i'} for kind in kinds), stays=stays)
        self.assertEqual('success', run['state'], run)
        return [step['cinder_backup_id'] for step in run['actions']]

    def admin(self, volume: str, **keys: Any) -> str:
        """Run an action admin; return why it succeeded."""
        run = self.do({'action': 'admin', 'cindernative_vol_id': volume,
                       **keys})
        self.assertEqual('success', run['state'], run)
        self.assertEqual('success', run['actions'][0]['state'])
        reason: str = run['reason']
        return reason

    def assert_left(self, volume: str, *left: str) -> None:
        """Check what is in Cinder, and that records are of that alone."""
        self.assertEqual(list(left), [
            backup['id'] for backup in self.backups(volume)])
        self.assertEqual(sorted(left), sorted(
            one['backup_metadata']['cinder_backup_id'] for one
            in self.api('GET', 'backups?limit=1000')['backups']
            if one['backup_metadata'].get('cindernative_vol_id') == volume))

    def guide(self, volume: str) -> dict[str, Any]:
        """Run the job that users are told to write; return its run."""
        page = (pathlib.Path(__file__).parents[2]
                / 'doc/source/user/retention.rst').read_text()
        text = page.partition('``keep-two.json``')[2].partition('::\n')[2]
        document, _end = json.JSONDecoder().raw_decode(text.lstrip())
        [action] = document['job_actions']
        action['freezer_action']['cindernative_vol_id'] = volume
        job_id = self.api('POST', 'jobs', {
            **document, 'client_id': 'central'})['job_id']
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        self.assertEqual('success', self.result(job_id))
        [run] = self.runs(job_id)
        self.api('DELETE', f'jobs/{job_id}')
        return run

    def test_old_backups_go_by_number_and_by_age(self) -> None:
        volume = self.volume()
        made = self.make(volume, 'fifif')
        run = self.guide(volume)
        self.assertEqual('old backups removed: 2', run['reason'])
        # An increment upon the newest of the two that stay.
        added = run['actions'][0]['cinder_backup_id']
        self.assert_left(volume, *made[2:], added)
        self.assertEqual('old backups removed: 2', self.admin(
            volume, fullbackup_rotation=1))
        self.assert_left(volume, made[-1], added)
        run = self.do({'action': 'backup', 'cindernative_vol_id': volume,
                       'remove_older_than': 0})
        self.assertEqual(('success', 'old backups removed: 2'),
                         (run['state'], run['reason']))
        last = run['actions'][0]['cinder_backup_id']
        self.assert_left(volume, last)
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {last} stays: it is '
            'the newest good chain', self.admin(volume, remove_older_than=0))
        self.assertEqual('old backups removed: 1', self.admin(
            volume, remove_older_than=0, remove_last_chain=True))
        self.assert_left(volume)

    def test_a_backup_of_the_users_own_stops_its_chain(self) -> None:
        volume = self.volume()
        [old] = self.make(volume, 'f')
        cinder = (f'{self.made.settings.cinder_url}/v3'
                  f'/{self.user.project_id}/backups')
        theirs: str = self.user.call('POST', cinder, {'backup': {
            'volume_id': volume, 'incremental': True}})['backup']['id']
        waiting.eventually(lambda: self.user.call(
            'GET', f'{cinder}/{theirs}')['backup']['status'] == 'available')
        [new] = self.make(volume, 'f')
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {old} stays: '
            f'backup {theirs} was not made by Freezer', self.admin(volume))
        self.assertEqual([old, theirs, new], [
            backup['id'] for backup in self.backups(volume)])
        self.assertEqual('old backups removed: 2', self.admin(
            volume, cindernative_freezer_only=False))
        self.assert_left(volume, new)

    def ended(self, path: str) -> dict[str, Any]:
        """Wait until Cinder is done with a backup or snapshot."""
        def settled() -> Any:
            [found] = self.cinder('GET', path).values()
            return found if found['status'] == 'available' else None

        found: dict[str, Any] = waiting.eventually(settled)
        return found

    def again(self, job_id: str) -> dict[str, Any]:
        """Have a job fire once more; return the run."""
        before = len(self.runs(job_id))
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        waiting.eventually(lambda: len(self.runs(job_id)) > before
                           and self.runs(job_id)[0]['state'] != 'running')
        return self.runs(job_id)[0]

    def test_two_jobs_with_rotations_of_their_own(self) -> None:
        """Invariant 11: never another living job's."""
        volume = self.volume()
        jobs = [self.begin({
            'action': 'backup', 'cindernative_vol_id': volume,
            'fullbackup_rotation': number}) for number in (1, 3)]
        made: list[list[str]] = [[], []]
        for number, job_id in enumerate(jobs):
            self.assertEqual('success', self.result(job_id))
            made[number].append(
                self.runs(job_id)[0]['actions'][0]['cinder_backup_id'])
        for _round in range(3):
            for number, job_id in enumerate(jobs):
                run = self.again(job_id)
                self.assertEqual('success', run['state'], run)
                made[number].append(run['actions'][0]['cinder_backup_id'])
        self.assertEqual({made[0][-1], *made[1][-3:]}, {
            backup['id'] for backup in self.backups(volume)})
        # What a deleted job has left is removed by the others.
        self.api('DELETE', f'jobs/{jobs[1]}')
        run = self.again(jobs[0])
        self.assertEqual('old backups removed: 4', run['reason'], run)
        self.assert_left(volume, run['actions'][0]['cinder_backup_id'])

    def test_an_increment_upon_the_chain_of_another_job(self) -> None:
        volume = self.volume()
        [theirs] = self.make(volume, 'f', stays=True)
        [mine, last] = self.make(volume, 'if', stays=True)
        other = self.runs_of(theirs)
        self.assertIn('all stay: they are of other jobs', self.admin(
            volume, fullbackup_rotation=2))
        self.assertEqual([theirs, mine, last], [
            backup['id'] for backup in self.backups(volume)])
        # The other job is asked for with its own rule.
        self.api('PATCH', f'jobs/{other}', {'job_actions': [{
            'freezer_action': {
                'mode': 'cindernative', 'action': 'backup',
                'fullbackup_rotation': 1, 'cindernative_vol_id': volume}}]})
        run = self.again(other)
        self.assertIn(f'backup {mine} is of job', run['reason'])
        self.assertEqual([theirs, mine, last], [
            backup['id'] for backup in self.backups(volume)][:3])
        self.assertIn('old backups removed: 3', self.admin(
            volume, fullbackup_rotation=1, retention_scope='volume'))

    def runs_of(self, backup_id: str) -> str:
        """Return the id of the job that made a backup."""
        job_id: str = self.cinder_backup(backup_id)[
            'metadata']['freezer_job_id']
        return job_id

    def cinder_backup(self, backup_id: str) -> dict[str, Any]:
        [found] = [backup for backup in self.made.backups('project-1')
                   if backup['id'] == backup_id]
        return dict(found)

    def test_a_backup_that_cinder_refuses_to_delete_stays(self) -> None:
        """Its availability zone was never there."""
        volume = self.volume()
        made = self.make(volume, 'fifff')
        database = self.made.layout.state / 'cinder/cinder.db'
        with contextlib.closing(sqlite3.connect(
                database, timeout=60)) as connection, connection:
            changed = connection.execute(
                'UPDATE backups SET availability_zone = ?, host = ? '
                'WHERE id = ?', ('never', 'nowhere', made[1]))
            self.assertEqual(1, changed.rowcount)
        run = self.do({'action': 'backup', 'cindernative_vol_id': volume,
                       'fullbackup_rotation': 1})
        self.assertEqual('success', run['state'], run)
        self.assertIn(f'old backups removed: 3; backup {made[1]} stays: '
                      'Cinder: ', run['reason'])
        added = run['actions'][0]['cinder_backup_id']
        self.assertEqual([*made[:2], added], [
            backup['id'] for backup in self.backups(volume)])
        self.assertTrue(self.said(f'backup {made[1]}', 'stays'))
        # Once it can go, the next run removes it and what it depends on.
        with contextlib.closing(sqlite3.connect(
                database, timeout=60)) as connection, connection:
            connection.execute(
                'UPDATE backups SET availability_zone = o.availability_zone,'
                ' host = o.host FROM backups o '
                'WHERE backups.id = ? AND o.id = ?', (made[1], added))
        self.assertEqual('old backups removed: 2', self.admin(volume))
        self.assert_left(volume, added)

    def test_a_snapshot_older_than_the_first_full_backup(self) -> None:
        volume = self.volume()
        snapshot = self.cinder('POST', '/snapshots', {'snapshot': {
            'volume_id': volume, 'force': True}})['snapshot']['id']
        self.ended(f'/snapshots/{snapshot}')
        # Cinder stores times in seconds here and there.
        time.sleep(1.1)
        [first] = self.make(volume, 'f')
        theirs = self.cinder('POST', '/backups', {'backup': {
            'volume_id': volume, 'incremental': True,
            'snapshot_id': snapshot}})['backup']['id']
        self.ended(f'/backups/{theirs}')
        chain = [first, theirs, *self.make(volume, 'i')]
        self.assertEqual('old backups removed: 0', self.admin(volume))
        [last] = self.make(volume, 'f')
        # Nothing is removed of a chain that cannot go as a whole.
        self.assertIn('was not made by Freezer', self.admin(volume))
        self.assertEqual([*chain, last], [
            backup['id'] for backup in self.backups(volume)])
        self.assertEqual('old backups removed: 3', self.admin(
            volume, cindernative_freezer_only=False))
        self.assert_left(volume, last)

    def test_backups_of_a_deleted_volume_go_as_configured(self) -> None:
        volume, there = self.volume(), self.volume()
        for one in (volume, there):
            self.cinder('POST', f'/volumes/{one}/metadata',
                        {'metadata': {'backup': 'nightly'}})
        job_id = self.begin({
            'action': 'backup', 'fullbackup_rotation': 3,
            'cindernative_volumes': {'metadata': {'backup': 'nightly'}}})
        self.result(job_id)
        for _round in range(2):
            self.assertEqual('success', self.again(job_id)['state'])
        self.assertEqual(3, len(self.backups(volume)))
        self.cinder('DELETE', f'/volumes/{volume}')
        waiting.eventually(lambda: volume not in [
            one['id'] for one in self.made.volumes('project-1')])
        for keys, left in (({'fullbackup_rotation': 2}, 2),
                           ({'fullbackup_rotation': 1}, 1),
                           ({'fullbackup_rotation': 1,
                             'keep_deleted_days': 1}, 1),
                           ({'fullbackup_rotation': 1,
                             'keep_deleted_days': 0}, 0)):
            self.api('PATCH', f'jobs/{job_id}', {'job_actions': [{
                'freezer_action': {
                    'mode': 'cindernative', 'action': 'backup', **keys,
                    'cindernative_volumes': {
                        'metadata': {'backup': 'nightly'}}}}]})
            run = self.again(job_id)
            self.assertEqual('success', run['state'], run)
            self.assertEqual(left, len(self.backups(volume)), run)
            self.assertEqual(keys['fullbackup_rotation'],
                             len(self.backups(there)))
        self.assert_left(volume)

    def test_a_removal_goes_on_after_a_kill(self) -> None:
        """The next holder of the run removes the rest, and each record."""
        volume = self.volume()
        made = self.make(volume, 'fiiif')
        job_id = self.begin({'action': 'admin',
                             'cindernative_vol_id': volume})
        waiting.eventually(lambda: len(self.backups(volume)) < len(made),
                           pause=0.1)
        self.scheduler.kill()
        left = len(self.backups(volume))
        self.assertLess(1, left, 'the chain is too short to have a middle')
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_left(volume, made[-1])
        [run] = self.runs(job_id)
        self.assertEqual('old backups removed: 4', run['reason'])
