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

from __future__ import annotations

import itertools
import json
import logging
import os
import pathlib
from unittest import mock

import fixtures
import testtools

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import job
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import directory
from tests.unit.freezer_scheduler import fakes

RunState = messages.RunState


class TestDirectory(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        self.place = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.set_up_source()

    def set_up_source(self):
        self.clock = fakes.FakeClock()
        self.runs = run_table.RunTable(self.clock,
                                       lambda: run_table.Limits(5, 5))
        self.source = directory.DirectorySource(self.place, self.runs,
                                                self.clock)

    def write(self, name, schedule=None, **keys):
        document = {'job_actions': [{'freezer_action': {'action': 'exec'}}],
                    'job_schedule': schedule or {}, **keys}
        (self.place / name).write_text(json.dumps(document))

    def due(self):
        """Return the ids of the jobs that became due, their runs ended."""
        self.source.tick()
        found = []
        while (claimed := self.runs.take(wait=False)) is not None:
            found.append(claimed.run.job_id)
            self.end(claimed)
        return found

    def taken(self) -> run_table.ClaimedRun:
        claimed = self.runs.take(wait=False)
        assert claimed is not None
        return claimed

    def end(self, claimed, state=RunState.SUCCESS):
        self.source.report(claimed.run.run_id, 1, messages.Report(
            state, None, ()))
        self.runs.done(claimed, None)

    def after(self, seconds):
        self.clock.sleep(seconds)
        return self.due()

    def test_a_job_without_a_time_runs_once(self):
        self.write('a.conf', job_id='a')
        self.source.begin()
        self.assertEqual([], self.due())
        self.assertEqual(['a'], self.after(2))
        self.assertEqual([], self.after(10 ** 6))

    def test_an_interval(self):
        self.write('a.conf', {'schedule_interval': '1 hours'}, job_id='a')
        self.source.begin()
        self.assertEqual([], self.after(3599))
        self.assertEqual(['a'], self.after(1))
        self.assertEqual([], self.after(3599))
        self.assertEqual(['a'], self.after(1))

    def test_the_clock_of_the_host_is_set(self):
        """A firing is not lost, and none has two runs."""
        hour = 3600
        for amount, under_way in itertools.product(
                (5, 61, hour, 5 * hour, 400 * 24 * hour, 87_600 * hour),
                (False, True)):
            self.set_up_source()
            self.write('a.conf', {'schedule_interval': '1 hours'},
                       job_id='a')
            self.source.begin()
            self.after(hour)
            # It is ahead for ten minutes, in which it fires at most once.
            self.clock.epoch += amount
            ahead = self.after(300)
            self.assertEqual(['a'] * (amount >= hour), ahead, str(amount))
            if under_way:
                self.clock.epoch += hour
                self.source.tick()
                claimed = self.taken()
                self.clock.epoch -= hour
            self.clock.epoch -= amount
            if under_way:
                self.end(claimed)
            self.assertEqual([], self.after(300), str(amount))
            # Right again, it fires each hour.
            found = [len(self.after(300)) for _ in range(34)]
            self.assertIn(sum(found), (2, 3), f'{amount} {under_way}')
            # Back, and right after that: what was missed comes once.
            self.clock.epoch -= amount
            self.after(300)
            self.clock.epoch += amount
            found = [len(self.after(300)) for _ in range(36)]
            self.assertIn(sum(found), (3, 4), f'{amount} {under_way}')

    def test_runs_of_one_job_do_not_overlap(self):
        self.write('a.conf', {'schedule_interval': '1 minutes'}, job_id='a')
        self.source.begin()
        self.clock.sleep(60)
        self.source.tick()
        claimed = self.runs.take(wait=False)
        self.clock.sleep(300)
        self.source.tick()
        self.assertIsNone(self.runs.take(wait=False))
        self.end(claimed, RunState.FAIL)
        self.assertEqual([], self.due())
        self.assertEqual(['a'], self.after(60))

    def test_what_a_run_looks_like(self):
        self.write('a.conf', job_actions=[
            {'freezer_action': {'action': 'exec'}, 'max_retries': 3},
            {'action_id': 'mine', 'freezer_action': {}}])
        self.source.begin()
        self.clock.sleep(2)
        self.source.tick()
        run = self.taken().run
        self.assertEqual(['action-1', 'mine'], [
            one.action_id for one in job.read_actions(run.job)])
        self.assertEqual((1, None, 32),
                         (run.fence, run.trust_id, len(run.job_id)))
        self.assertEqual(float('inf'), self.runs.lease_left(
            next(iter(self.runs._table.values()))))

    def test_a_stopped_job_waits(self):
        self.write('a.conf', {'status': 'stop'})
        self.write('b.conf', {'event': 'stop'})
        self.source.begin()
        self.assertEqual([], self.after(10))

    def test_only_conf_files_of_a_folder_count(self):
        self.write('a.CONF', job_id='a')
        self.write('b.json', job_id='b')
        (self.place / 'c.conf').mkdir()
        self.source.begin()
        self.assertEqual(['a'], self.after(2))

    def test_a_single_file(self):
        self.write('a.json', job_id='a')
        source = directory.DirectorySource(self.place / 'a.json', self.runs,
                                           self.clock)
        source.begin()
        self.clock.sleep(2)
        source.tick()
        self.assertEqual('a', self.taken().run.job_id)

    def test_an_unusable_file_affects_no_other(self):
        for number, text in enumerate((
                '', '[]', '{', '{"job_actions": 3}', '[' * 100_000,
                '{"job_actions": [], "job_schedule": []}',
                '{"job_actions": [], "job_id": ["x"]}',
                '{"job_actions": [], "job_schedule":'
                ' {"schedule_interval": "5 parsecs"}}')):
            (self.place / f'bad-{number}.conf').write_text(text)
        (self.place / 'bad-bytes.conf').write_bytes(b'\xff\x00')
        (self.place / 'bad-link.conf').symlink_to('/nowhere')
        os.mkfifo(self.place / 'bad-fifo.conf')
        self.write('bad-shared.conf')
        (self.place / 'bad-shared.conf').chmod(0o666)
        self.write('good.conf', job_id='a')
        self.write('same.conf', job_id='a')
        self.source.begin()
        self.assertEqual(['a'], self.after(2))
        for file in self.place.glob('bad*'):
            self.assertIn(f'{file} is left out', self.log.output)
        self.assertIn('same.conf is left out', self.log.output)

    def test_a_file_that_any_user_can_have_written_is_left_out(self):
        """In a folder such as /tmp it could run commands as this user."""
        self.write('theirs.conf', job_id='theirs')
        if os.geteuid() == 0:
            os.chown(self.place / 'theirs.conf', 54321, -1)
        else:
            self.useFixture(fixtures.MockPatch(
                'os.geteuid', return_value=os.geteuid() + 1))
        for mode, found in ((0o777, []), (0o1777, []), (0o755, ['theirs'])):
            self.place.chmod(mode)
            self.source.begin()
            self.assertEqual(found, self.after(3))
        self.assertIn('theirs.conf is left out: everybody may write to its '
                      'folder', self.log.output)

    def test_a_missing_folder_is_logged(self):
        source = directory.DirectorySource(
            self.place / 'none', self.runs, self.clock)
        source.begin()
        self.assertFalse(source.tick())
        self.assertIn('There is no', self.log.output)

    def test_reading_again_keeps_what_did_not_change(self):
        self.write('a.conf', {'schedule_interval': '1 hours'}, job_id='a')
        self.write('b.conf', {'schedule_interval': '1 hours'}, job_id='b')
        self.source.begin()
        self.clock.sleep(1800)
        self.write('b.conf', {'schedule_interval': '2 hours'}, job_id='b')
        self.write('c.conf', job_id='c')
        self.source.reload(fakes.settings())
        self.assertEqual(['c'], self.after(2))
        self.assertEqual(['a'], self.after(1798))
        (self.place / 'a.conf').unlink()
        self.source.reload(fakes.settings())
        self.assertEqual(['b'], self.after(7200))

    def test_reading_again_knows_a_job_without_an_id(self):
        self.write('a.conf')
        self.source.begin()
        [job_id] = self.after(2)
        self.source.reload(fakes.settings())
        self.assertEqual([], self.after(10 ** 6))
        self.write('a.conf', description='another')
        self.source.reload(fakes.settings())
        self.assertEqual([job_id], self.after(2))

    def test_a_job_that_was_changed_while_it_runs_does_not_overlap(self):
        self.write('a.conf', job_id='a')
        self.source.begin()
        self.clock.sleep(2)
        self.source.tick()
        claimed = self.taken()
        self.write('a.conf', job_id='a', description='another')
        self.source.reload(fakes.settings())
        self.assertEqual([], self.after(2))
        self.end(claimed)
        self.assertEqual(['a'], self.due())
        self.assertEqual([], self.after(10 ** 6))

    def test_a_folder_that_becomes_unreadable_changes_nothing(self):
        self.write('a.conf', job_id='a')
        self.source.begin()
        with mock.patch.object(pathlib.Path, 'iterdir', autospec=True,
                               side_effect=PermissionError(13, 'denied')):
            self.source.reload(fakes.settings())
        self.assertIn(f'{self.place} cannot be read: denied', self.log.output)
        self.assertEqual(['a'], self.after(2))

    def test_a_file_with_a_misspelled_key_is_left_out(self):
        native = {'action': 'backup', 'mode': 'cindernative',
                  'cindernative_vol_id': '1' * 32}
        self.write('a.conf', job_actions=[
            {'freezer_action': native},
            {'freezer_action': {**native, 'full_evry': 7}}])
        self.source.begin()
        self.assertIn('a.conf is left out: full_evry: unknown; did you mean '
                      'full_every?', self.log.output)

    def test_files_are_only_read(self):
        self.write('a.conf', job_id='a')
        before = (self.place / 'a.conf').read_bytes()
        self.source.begin()
        self.after(2)
        self.assertEqual(before, (self.place / 'a.conf').read_bytes())
        self.assertEqual(1, len(list(self.place.iterdir())))
