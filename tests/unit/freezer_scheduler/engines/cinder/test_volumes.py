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

"""Actions of several volumes, through the scheduler's own executor.

``Stack`` has all that a run needs: a table with limits, an executor, an API
that stores reports as JSON, and the fake Keystone and Cinder. A process can be
killed at any move, with its last report stored or not.
"""

from __future__ import annotations

import collections
import fnmatch
import json
import logging

import fixtures
import hypothesis
from hypothesis import strategies as st
import requests_mock
import testtools

from freezer_api.domain import capabilities
from freezer_api.domain import cinder_selection
from freezer_api.domain import run_state
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import engine as cinder
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import messages
from freezer_scheduler.keystone import sessions
from freezer_scheduler.runs import executor
from freezer_scheduler.runs import run_table
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

VOLUMES = [f'{number:08x}-1111-4111-8111-111111111111'
           for number in range(1, 300)]
SERVERS = [f'{number:08x}-2222-4222-8222-222222222222' for number in (1, 2)]
MOST_MOVES = 4000


class Killed(BaseException):
    """The process ends here; no bulkhead keeps that."""


class Stack:
    """A run, and the processes that carry it out.

    :ivar stored: the report that the API took last, as JSON
    :ivar ends: what Cinder makes of the backups of a volume, in turns; the
        last one for ever
    :ivar most: how many backups were in work at one time
    :ivar told: called when a report was stored
    :ivar kill: called with the number of each report, before it is stored;
        True kills the process, and 'stored' kills it after that
    """

    def __init__(self, mocker, limits=(50, 10)):
        self.clock = fakes.FakeClock()
        self.cloud = fakes.FakeCloud(mocker, self.clock)
        self.cloud.volumes.clear()
        self.limits = run_table.Limits(*limits)
        self.stored = None
        self.records = {}
        self.sizes = []
        self.ends = {}
        self.most = 0
        self.event = None
        self.kill = lambda number: False
        self.told = lambda: None
        self.reports = 0
        self.fence = 0
        self.run_id = 'run-1'
        self.offered = capabilities.CINDER_NATIVE

    def volumes(self, count, **described):
        for volume_id in VOLUMES[:count]:
            self.cloud.volumes[volume_id] = 'available'
            self.cloud.described[volume_id] = described
        return VOLUMES[:count]

    def process(self):
        known = sessions.Identity(fakes.settings())
        engine = cinder.CinderEngine(operation.Dependencies(
            clients=lambda trust_id: cinder_client.CinderClient(
                known, trust_id, 'public', None),
            clock=self.clock, limits=lambda: cases.LIMITS, hostname='here'))
        self.table = run_table.RunTable(self.clock, lambda: self.limits)
        self.executor = executor.Executor(
            self.report, registry.Registry(
                {'cindernative': engine}, lambda: self.offered), self.clock,
            self.table)

    def report(self, run_id, fence, report):
        self.reports += 1
        kill = self.kill(self.reports)
        if kill is True:
            raise Killed()
        document = json.loads(json.dumps(report.to_document('me', fence)))
        self.sizes.append(len(json.dumps(document['actions'])))
        if self.stored is not None:
            self.check_states(self.stored['actions'], document['actions'])
        self.stored = document
        for backup in document['backups']:
            self.records.setdefault(backup['backup_id'], []).append(
                backup['status'])
        self.told()
        if kill:
            raise Killed()
        return self.event

    def check_states(self, before, after):
        """Check that the states of single volumes follow on each other."""
        for old, new in zip(before, after, strict=True):
            if 'parts' in new:
                for pair in zip(old.get('parts', ()), new['parts'],
                                strict='parts' in old):
                    self.check_state(*pair)
            elif 'parts' not in old:
                self.check_state(old, new)

    def check_state(self, before, after):
        old, new = before['state'], after['state']
        if old != new and new not in run_state.STEP_FOLLOWS.get(old, ()):
            raise AssertionError(f'{old} became {new}: {before}, {after}')

    def claim(self, actions, **keys):
        """Have a new process claim the run, or take it over."""
        self.process()
        self.fence += 1
        document = fakes.run_document(self.run_id, actions, fence=self.fence)
        for action in document['job']['job_actions']:
            action.update(keys)
        if self.stored is not None:
            document['actions'] = self.stored['actions']
        self.table.add(messages.Run.from_document(document), 1e12)

    def go(self, actions, aborts=None, **keys):
        """Carry the run out to its end; return the last report.

        :param aborts: the move before which the user aborts it
        """
        self.claim(actions, **keys)
        began, move = self.clock.now, 0
        while (move < MOST_MOVES
               and self.clock.now - began <= self.patience(**keys)):
            if self.stored and self.stored['state'] != 'running':
                return self.stored
            if move == aborts:
                self.event = messages.Event.ABORT
            if self.event:
                self.table.renewed(self.run_id, 1e12, self.event)
            claimed = self.table.take(wait=False)
            if claimed is None:
                self.clock.sleep(1)
                self.finish()
                continue
            move += 1
            try:
                after = self.executor.advance(claimed)
            except Killed:
                self.claim(actions, **keys)
                continue
            self.most = max(self.most, sum(
                backup['status'] == 'creating'
                for backup in self.cloud.backups.values()))
            self.table.done(claimed, after)
        raise AssertionError(f'it does not end: {self.stored}')

    def patience(self, max_retries=0, max_retries_interval=60, **_keys):
        """Return the seconds that the run may take, as it was so far.

        Each try, and each process that takes the run over, waits anew for
        what is busy. All of that is waited for side by side.
        """
        limits = cases.LIMITS
        return limits.backup_timeout + (1 + max_retries + self.fence) * (
            limits.busy_timeout + limits.settle + max_retries_interval)

    def next_run(self):
        """Have the job run again, with nothing stored of the new run."""
        self.run_id = f'run-{int(self.run_id.partition("-")[2]) + 1}'
        self.stored, self.fence = None, 0
        self.clock.sleep(3600)

    def finish(self):
        """Let Cinder end what it works on, as it is said for the volume."""
        for backup in list(self.cloud.backups.values()):
            volume_id = backup['volume_id']
            if backup['status'] == 'deleting':
                del self.cloud.backups[backup['id']]
            if backup['status'] != 'creating':
                continue
            ends = self.ends.get(volume_id, ['available'])
            end = ends.pop(0) if len(ends) > 1 else ends[0]
            backup.update(status=end, fail_reason=(
                'disk full' if end == 'error' else None))
            self.cloud.check_size(backup)
            if volume_id in self.cloud.volumes:
                self.cloud.volumes[volume_id] = 'available'

    def good(self):
        """Return how many usable backups each volume has."""
        return collections.Counter(
            backup['volume_id'] for backup in self.cloud.backups.values()
            if backup['status'] in ('available', 'creating'))


def several(**selection):
    action = fakes.action(cindernative_volumes=selection)
    del action['cindernative_vol_id']
    return action


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.stack = Stack(mocker)
        self.cloud = self.stack.cloud

    def parts(self, report=None):
        [step] = (report or self.stack.stored or {'actions': [{}]})['actions']
        return {part.get('volume_id'): part for part in step.get('parts', ())}

    def states(self, report=None):
        return [part['state'] for part in self.parts(report).values()]


class TestSelection(Case):

    def chosen(self, **selection):
        self.stack.go([several(**selection)])
        return sorted(self.parts())

    def reason(self, **selection):
        report = self.stack.go([several(**selection)])
        self.assertEqual('fail', report['state'])
        self.assertEqual([], self.cloud.posts)
        return report['reason']

    def test_by_ids(self):
        ids = self.stack.volumes(3)
        self.assertEqual(ids[:2], self.chosen(ids=ids[:2]))

    def test_a_volume_that_is_named_twice_counts_once(self):
        ids = self.stack.volumes(1)
        self.assertEqual(ids, self.chosen(ids=[
            ids[0], ids[0].upper(), ids[0].replace('-', '')]))
        self.assertEqual(1, len(self.cloud.posts))

    def test_by_metadata(self):
        ids = self.stack.volumes(4)
        nightly = {'backup': 'nightly', 'tier': 'gold'}
        for volume_id in ids[:2]:
            self.cloud.described[volume_id] = {'metadata': nightly}
        self.cloud.described[ids[2]] = {'metadata': {'backup': 'weekly'}}
        self.assertEqual(ids[:2], self.chosen(
            metadata={'backup': 'nightly'}))

    def test_by_name(self):
        ids = self.stack.volumes(4)
        for volume_id, name in zip(
                ids, ('db-1', 'db-2', 'DB-3', 'web'), strict=True):
            self.cloud.described[volume_id] = {'name': name}
        self.assertEqual(ids[:2], self.chosen(name='db-*'))

    def test_names_are_not_kept(self):
        """A user has as many as he likes, and each takes some KiB."""
        volume = views.Volume('v', 'available', 'db-1', {})
        kept = fnmatch._compile_pattern  # type: ignore[attr-defined]
        before = kept.cache_info().currsize
        for number in range(50):
            self.assertEqual(['v'], cinder_selection.Selection(
                name=f'*[-{number}]1').among([volume]).volume_ids)
        self.assertEqual(before, kept.cache_info().currsize)

    def attached(self, *servers):
        """Create volumes that are attached to these servers."""
        ids = self.stack.volumes(len(servers))
        for volume_id, some in zip(ids, servers, strict=True):
            self.cloud.described[volume_id] = {'attachments': [
                {'server_id': server} for server in some]}
        return ids

    def test_by_server(self):
        ids = self.attached([SERVERS[0]], SERVERS, [SERVERS[1]], [None], [])
        self.assertEqual(ids[:2], self.chosen(server=SERVERS[0]))
        self.stack.stored = None
        self.assertEqual(ids[:3], self.chosen(server=SERVERS))

    def test_a_server_without_a_volume_is_named_and_fails(self):
        ids = self.attached([SERVERS[0]], [])
        report = self.stack.go([several(server=SERVERS)])
        self.assertEqual('fail', report['state'])
        self.assertEqual({ids[0]: 1}, self.stack.good())
        self.assertEqual(
            'cindernative_volumes.server: no volume is attached to server '
            f'{SERVERS[1]}', self.parts()[None]['reason'])
        self.assertIn(SERVERS[1], report['reason'])

    def test_a_server_alone_without_a_volume(self):
        self.stack.volumes(1)
        self.assertIn(f'no volume is attached to server {SERVERS[0]}',
                      self.reason(server=SERVERS[0]))

    def test_all_with_exceptions(self):
        ids = self.stack.volumes(5)
        self.cloud.described.update({
            ids[0]: {'bootable': 'true'}, ids[1]: {'bootable': 'false'},
            ids[2]: {'metadata': {'scratch': 'true'}},
            ids[3]: {'volume_type': 'temporary-1'}})
        self.assertEqual(ids, self.chosen(all=True))
        self.stack.stored = None
        self.assertEqual([ids[1], ids[4]], self.chosen(
            **{'all': True, 'except': {
                'boot': True, 'metadata': {'scratch': 'true'},
                'type': 'temporary-*'}}))

    def test_attachments_that_cannot_be_read(self):
        ids = self.stack.volumes(1)
        for wrong in ('x', [7], [{'server_id': 7}]):
            self.cloud.described[ids[0]] = {'attachments': wrong}
            self.stack.stored = None
            self.assertIn('attachment', self.reason(server=SERVERS[0])
                          .replace('server_id', 'attachment'))

    def test_by_name_and_metadata_both_have_to_fit(self):
        ids = self.stack.volumes(3, name='db', metadata={'a': 'b'})
        self.cloud.described[ids[1]] = {'name': 'db', 'metadata': {}}
        self.cloud.described[ids[2]] = {'name': 'x', 'metadata': {'a': 'b'}}
        self.assertEqual(ids[:1], self.chosen(
            name='d?', metadata={'a': 'b'}))

    def test_every_page_is_looked_at(self):
        self.cloud.volumes_page = 2
        ids = self.stack.volumes(6, name='db')
        self.assertEqual(ids, self.chosen(name='db'))

    def test_what_is_being_deleted_is_not_chosen(self):
        ids = self.stack.volumes(2, name='db')
        self.cloud.volumes[ids[0]] = 'deleting'
        self.assertEqual(ids[1:], self.chosen(name='*'))

    def test_none_found(self):
        self.stack.volumes(2)
        self.assertIn('no volume', self.reason(metadata={'a': 'b'}))

    def test_too_many(self):
        self.stack.volumes(201, name='db')
        self.assertIn('201 volumes; 200 is the most', self.reason(name='*'))

    def test_they_are_looked_for_in_each_run_anew(self):
        ids = self.stack.volumes(3, name='db')
        extra = self.cloud.volumes.pop(ids[2])
        self.assertEqual(ids[:2], self.chosen(name='db'))
        self.cloud.volumes[ids[2]] = extra
        self.stack.stored = None
        self.assertEqual(ids, self.chosen(name='db'))

    def test_cinder_is_unavailable_for_a_while(self):
        self.stack.volumes(2, name='db')
        self.cloud.fail('GET', '/volumes/detail', fakes.no_connection, 503,
                        fakes.lost_answer)
        self.assertEqual(2, len(self.chosen(name='db')))

    def test_cinder_is_unavailable_for_long(self):
        self.cloud.fail('GET', '/volumes/detail', *[503] * 500)
        self.assertIn('503', self.reason(name='db'))

    def test_a_trust_that_is_gone(self):
        self.cloud.trusts.clear()
        self.assertIn('no longer exists', self.reason(name='db'))

    def test_documents_that_cannot_be_used(self):
        ids = self.stack.volumes(1)
        for selection, words in (
                ({}, 'either ids, or all'), ({'ids': []}, 'list of ids'),
                ({'ids': ids, 'name': 'x'}, 'either ids, or all'),
                ({'ids': [ids[0], 7]}, 'number 2 is not an id'),
                ({'ids': ids[0]}, 'list of ids'),
                ({'ids': [None]}, 'number 1'), ({'ids': None}, 'either'),
                ({'name': ''}, 'name: must be a text'),
                ({'name': ['x']}, 'name: must be a text'),
                ({'name': 'x' * 256}, 'name: longer'),
                ({'metadata': {}}, 'metadata: must be an object'),
                ({'metadata': []}, 'metadata: must be an object'),
                ({'metadata': {'a': 1}}, 'metadata: must be a text'),
                ({'metadata': {'': 'x'}}, 'metadata: must be a text'),
                ({'metadata': {str(n): '' for n in range(33)}}, 'more than'),
                ({'metdata': {'a': 'b'}, 'name': '*'},
                 'did you mean metadata?')):
            self.stack.stored = None
            self.assertIn(words, self.reason(**selection))
        for value in (7, 'x', [ids[0]], True):
            self.stack.stored = None
            report = self.stack.go([
                {**several(), 'cindernative_volumes': value}])
            self.assertIn('must be an object', report['reason'])

    def test_one_volume_or_several(self):
        report = self.stack.go([fakes.action(
            cindernative_volumes={'name': '*'})])
        self.assertIn('only one of it', report['reason'])

    def test_a_restore_is_of_one_volume(self):
        self.stack.volumes(2, name='db')
        report = self.stack.go([{**several(name='*'), 'action': 'restore'}])
        self.assertIn('a restore has one volume', report['reason'])

    def test_what_is_wrong_for_each_is_said_once(self):
        self.stack.volumes(3, name='db')
        report = self.stack.go([{**several(name='*'), 'incremental': 7}])
        self.assertIn('incremental: must be', report['reason'])
        self.assertEqual({}, self.parts())


class TestTheWhole(Case):

    def test_each_volume_has_a_backup_and_a_record(self):
        ids = self.stack.volumes(3, name='db')
        report = self.stack.go([several(name='db')])
        self.assertEqual('success', report['state'])
        self.assertEqual(ids, list(self.parts()))
        self.assertEqual(dict.fromkeys(ids, 1), self.stack.good())
        for volume_id, part in self.parts().items():
            [backup] = [backup for backup in self.cloud.backups.values()
                        if backup['volume_id'] == volume_id]
            self.assertEqual(backup['id'], part['cinder_backup_id'])
            self.assertEqual(part['backup_id'],
                             backup['metadata']['freezer_backup_id'])
            self.assertEqual('available',
                             self.stack.records[part['backup_id']][-1])
        self.assertEqual(3, len(self.stack.records))

    def test_the_marks_of_each_are_its_own(self):
        self.stack.volumes(5, name='db')
        self.stack.go([several(name='db')])
        marks = {json.dumps(post['metadata'], sort_keys=True)
                 for post in self.cloud.posts}
        self.assertEqual(5, len(marks))
        self.assertEqual({f'freezer_cindernative_{volume_id}'
                          for volume_id in VOLUMES[:5]},
                         {post['name'] for post in self.cloud.posts})

    def test_what_is_posted_was_stored_before(self):
        self.stack.volumes(5, name='db')
        create = self.cloud._create

        def watched(body):
            volume_id = body['volume_id']
            part = self.parts()[volume_id]
            self.assertEqual('submitting', part['state'])
            self.assertEqual(
                body['metadata']['freezer_backup_id'],
                part['backup_id'])
            return create(body)

        self.patch(self.cloud, '_create', watched)
        self.assertEqual('success',
                         self.stack.go([several(name='db')])['state'])

    def test_one_that_fails_fails_the_run_and_no_other_volume(self):
        ids = self.stack.volumes(4, name='db')
        self.stack.ends[ids[1]] = ['error']
        del self.cloud.volumes[ids[2]]
        report = self.stack.go([several(ids=ids)])
        self.assertEqual('fail', report['state'])
        self.assertEqual(['success', 'fail', 'fail', 'success'],
                         self.states())
        self.assertIn('2 of 4 volumes failed', report['reason'])
        self.assertIn(f'{ids[1]}: Cinder\'s backup', report['reason'])
        self.assertIn('disk full', report['reason'])
        self.assertIn(f'{ids[2]}: ', report['reason'])
        self.assertIn('disk full', self.parts()[ids[1]]['reason'])

    def test_only_the_failed_ones_are_tried_again(self):
        ids = self.stack.volumes(4, name='db')
        self.stack.ends[ids[2]] = ['error', 'error', 'available']
        report = self.stack.go([several(name='db')], max_retries=2,
                               max_retries_interval=30)
        self.assertEqual('success', report['state'])
        self.assertEqual([1, 1, 3, 1], [
            part['tries'] for part in self.parts().values()])
        self.assertEqual(6, len(self.cloud.posts))

    def test_as_often_as_said(self):
        ids = self.stack.volumes(2, name='db')
        self.stack.ends[ids[0]] = ['error']
        report = self.stack.go([several(name='db')], max_retries=2,
                               max_retries_interval=1)
        self.assertEqual('fail', report['state'])
        self.assertEqual([3, 1], [
            part['tries'] for part in self.parts().values()])

    def test_a_busy_volume_is_waited_for_and_holds_up_no_other(self):
        ids = self.stack.volumes(3, name='db')
        self.cloud.volumes[ids[0]] = 'attaching'

        def free():
            if self.states().count('success') == 2:
                self.cloud.volumes[ids[0]] = 'available'

        self.stack.told = free
        report = self.stack.go([several(name='db')])
        self.assertEqual('success', report['state'])
        self.assertEqual(1, self.parts()[ids[0]]['tries'])

    def test_a_volume_that_stays_busy_fails_alone(self):
        ids = self.stack.volumes(3, name='db')
        self.cloud.volumes[ids[0]] = 'attaching'
        report = self.stack.go([several(name='db')])
        self.assertEqual(['fail', 'success', 'success'], self.states())
        self.assertIn('1 of 3', report['reason'])
        self.assertIn('stayed attaching', report['reason'])

    def test_an_abort_reaches_every_volume(self):
        self.stack.limits = run_table.Limits(3, 3)
        self.stack.volumes(8, name='db')
        for aborts in range(0, 40, 3):
            self.stack.stored, self.stack.event = None, None
            self.cloud.backups.clear()
            self.stack.finish()
            for volume_id in self.cloud.volumes:
                self.cloud.volumes[volume_id] = 'available'
            report = self.stack.go([several(name='db')], aborts=aborts)
            if report['state'] == 'success':
                continue
            self.assertEqual('aborted', report['state'])
            self.assertNotIn('pending', self.states())
            self.assertEqual([], [
                backup for backup in self.cloud.backups.values()
                if backup['status'] == 'creating'])
            if self.parts():
                self.assertIn('volumes aborted', report['reason'])
                for state, part in zip(self.states(),
                                       self.parts().values(), strict=True):
                    self.assertIn(state, ('success', 'aborted'), part)

    def test_an_abort_waits_for_no_try(self):
        ids = self.stack.volumes(2, name='db')
        self.stack.ends[ids[0]] = ['error']
        began = self.stack.clock.now

        def waits():
            if self.states() == ['pending', 'success']:
                self.stack.event = messages.Event.ABORT

        self.stack.told = waits
        report = self.stack.go([several(name='db')], max_retries=1,
                               max_retries_interval=86400)
        self.assertEqual('aborted', report['state'])
        self.assertEqual(['aborted', 'success'], self.states())
        self.assertLess(self.stack.clock.now - began, 600)

    def test_old_backups_of_each_are_removed(self):
        ids = self.stack.volumes(3, name='db')
        for volume_id in ids:
            for _number in range(4):
                self.stack.clock.sleep(60)
                self.cloud.add_backup(volume_id=volume_id,
                                      metadata={'created_by': 'freezer'})
        report = self.stack.go([several(name='db') | {
            'action': 'admin', 'fullbackup_rotation': 2}])
        self.assertEqual('success', report['state'])
        self.assertEqual(dict.fromkeys(ids, 2), self.stack.good())
        self.assertIn('old backups removed: 2', report['reason'])
        self.stack.stored = None
        report = self.stack.go([several(name='db') | {
            'fullbackup_rotation': 1}])
        self.assertEqual('success', report['state'])
        self.assertEqual(dict.fromkeys(ids, 1), self.stack.good())

    def test_refused_by_the_capabilities_in_the_middle(self):
        ids = self.stack.volumes(2, name='db')
        self.stack.ends[ids[0]] = ['error', 'available']
        narrow = capabilities.Capabilities((), (), (), ())

        def narrowed():
            if self.states() == ['pending', 'success']:
                self.stack.offered = narrow

        self.stack.told = narrowed
        report = self.stack.go([several(name='db')], max_retries=1)
        self.assertEqual('fail', report['state'])
        self.assertEqual(['fail', 'success'], self.states())
        self.assertEqual(
            {'error', 'available'},
            {told[-1] for told in self.stack.records.values()})


class TestSlots(Case):

    def test_no_more_volumes_under_way_than_the_project_has_slots(self):
        self.stack.limits = run_table.Limits(50, 4)
        self.stack.volumes(30, name='db')
        self.assertEqual('success',
                         self.stack.go([several(name='db')])['state'])
        self.assertEqual(4, self.stack.most)

    def test_no_more_volumes_under_way_than_there_are_slots(self):
        self.stack.limits = run_table.Limits(3, 10)
        self.stack.volumes(20, name='db')
        self.stack.go([several(name='db')])
        self.assertEqual(3, self.stack.most)

    def test_slots_are_released(self):
        self.stack.volumes(5, name='db')
        self.stack.go([several(name='db')])
        while (claimed := self.stack.table.take(wait=False)) is not None:
            self.stack.table.done(claimed,
                                  self.stack.executor.advance(claimed))
        self.assertEqual(50, self.stack.table.room())


class TestSize(Case):

    def test_as_many_as_may_be_fit(self):
        ids = self.stack.volumes(200, name='db')
        for volume_id in ids[::2]:
            self.stack.ends[volume_id] = ['error']
        report = self.stack.go([several(name='db')])
        self.assertEqual('fail', report['state'])
        self.assertIn('100 of 200', report['reason'])
        self.assertLess(max(self.stack.sizes), 65536)
        self.assertEqual(200, len([
            part for part in self.parts().values()
            if part['cinder_backup_id'] and part['backup_id']]))

    def test_reasons_of_as_many_full_backups_fit(self):
        for volume_id in self.stack.volumes(200, name='db', size=2):
            self.cloud.add_backup(volume_id=volume_id)
        report = self.stack.go([{**several(name='db'), 'incremental': True}])
        self.assertEqual('success', report['state'])
        self.assertIn('full backup, because the volume was extended',
                      report['reason'])
        self.assertLess(max(self.stack.sizes), 65536)

    def test_all_actions_of_a_job_share_the_room(self):
        self.patch(cinder_selection, 'MOST_VOLUMES', 20)
        ids = self.stack.volumes(25, name='db')
        report = self.stack.go([several(ids=ids[:15]),
                                several(ids=ids[15:])], mandatory=True)
        self.assertEqual('fail', report['state'])
        self.assertEqual(['success', 'fail'], [
            step['state'] for step in report['actions']])
        self.assertIn('action 2 of 2', report['reason'])
        self.assertIn('10 volumes; 5 is the most', report['reason'])


class TestReclaimed(Case):

    def test_the_choice_is_kept(self):
        ids = self.stack.volumes(3, name='db')

        def later(number):
            if number == 3:
                for volume_id in VOLUMES[3:6]:
                    self.cloud.volumes[volume_id] = 'available'
                    self.cloud.described[volume_id] = {'name': 'db'}
                return True
            return False

        self.stack.kill = later
        self.stack.go([several(name='db')])
        self.assertEqual(ids, list(self.parts()))

    def test_a_wait_for_a_busy_volume_counts_as_no_try(self):
        ids = self.stack.volumes(2, name='db')
        self.cloud.volumes[ids[0]] = 'attaching'

        def killed(number):
            if self.states().count('submitted') == 1:
                self.assertIn('waits', self.parts()[ids[0]]['reason'])
                self.stack.kill = lambda number: False
                self.cloud.volumes[ids[0]] = 'available'
                return True
            return False

        self.stack.kill = killed
        report = self.stack.go([several(name='db')])
        self.assertEqual('success', report['state'])
        self.assertEqual(2, self.stack.fence)
        self.assertEqual([1, 1], [
            part['tries'] for part in self.parts().values()])

    def test_it_waits_on_for_the_next_try_of_one(self):
        ids = self.stack.volumes(2, name='db')
        self.stack.ends[ids[0]] = ['error', 'available']
        began = {}

        def killed(number):
            part = self.parts()[ids[0]] if number > 1 else {}
            if part.get('retry_at') and 'at' not in began:
                began['at'] = part['retry_at']
                return 'stored'
            return False

        self.stack.kill = killed
        create = self.cloud._create

        def watched(body):
            if body['volume_id'] == ids[0]:
                began['last'] = self.stack.clock.epoch
            return create(body)

        self.patch(self.cloud, '_create', watched)
        report = self.stack.go([several(name='db')], max_retries=1,
                               max_retries_interval=900)
        self.assertEqual('success', report['state'])
        self.assertGreaterEqual(began['last'], began['at'])
        self.assertLess(began['last'], began['at'] + 120)


class TestOrphaned(Case):

    def test_duplicates_of_each_volume_are_cleared_up(self):
        """The run went to another scheduler, which made older backups."""
        stack = self.stack
        ids = stack.volumes(3, name='db')
        stack.claim([several(name='db')])
        while self.states().count('submitted') < 2:
            claimed = stack.table.take(wait=False)
            if claimed is None:
                stack.clock.sleep(1)
            else:
                stack.table.done(claimed, stack.executor.advance(claimed))
        ours = [backup for backup in self.cloud.backups.values()
                if backup['status'] == 'creating']
        self.assertLessEqual(2, len(ours))
        for backup in ours:
            self.cloud.add_backup(
                volume_id=backup['volume_id'], created_at='2020-01-01',
                metadata=backup['metadata'])
        stack.table.lost('run-1')
        assert claimed is not None
        waits = 0
        while (after := stack.executor.advance(claimed)) is not None:
            self.assertLess(waits, 200)
            waits += 1
            stack.clock.sleep(max(1, after))
            stack.finish()
        stack.finish()
        self.assertEqual(
            {backup['volume_id'] for backup in ours},
            {backup['volume_id'] for backup in self.cloud.backups.values()})
        self.assertEqual(len(ours), len(self.cloud.backups))
        for backup in self.cloud.backups.values():
            self.assertEqual('2020-01-01', backup['created_at'])
        self.assertLessEqual(set(ids[:2]), set(stack.good()))


OUTCOMES = st.sampled_from(['ok', 'error', 'error once', 'gone', 'busy'])
FAULTS = st.sampled_from([
    None, fakes.lost_answer, fakes.no_connection, fakes.broken,
    ('accept', fakes.lost_answer), ('accept', fakes.broken), 503, 429])
TROUBLES = st.sampled_from(['none', 'extended', 'unseen', 'broken', 'stuck'])
KILLS = st.dictionaries(st.integers(1, 60),
                        st.sampled_from([True, 'stored']), max_size=6)


class TestAnySequenceOfFaults(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    @hypothesis.settings(deadline=None, max_examples=40)
    # Six processes, each of which waits anew for busy volumes.
    @hypothesis.example(
        outcomes=['busy', 'busy', 'ok', 'busy', 'busy'],
        faults=[None] * 4 + [503, fakes.broken],
        kills=dict.fromkeys(range(10, 61, 10), True), per_project=1,
        retries=2)
    @hypothesis.given(
        outcomes=st.lists(OUTCOMES, min_size=1, max_size=5),
        faults=st.lists(FAULTS, max_size=8), kills=KILLS,
        per_project=st.integers(1, 4), retries=st.integers(0, 2))
    def test_one_backup_each_and_success_only_if_all(
            self, outcomes, faults, kills, per_project, retries):
        with requests_mock.Mocker() as mocker:
            stack = Stack(mocker, (10, per_project))
            ids = stack.volumes(len(outcomes), name='db')
            for volume_id, outcome in zip(ids, outcomes, strict=True):
                if outcome.startswith('error'):
                    stack.ends[volume_id] = ['error', 'available'][
                        :1 + (outcome != 'error')]
                if outcome == 'gone':
                    del stack.cloud.volumes[volume_id]
                if outcome == 'busy':
                    stack.cloud.volumes[volume_id] = 'uploading'
            stack.cloud.fail('POST', '/backups$', *faults)
            stack.kill = lambda number: kills.get(number, False)
            report = stack.go([several(ids=ids)], max_retries=retries,
                              max_retries_interval=20)
        [step] = report['actions']
        states = {part['volume_id']: part['state']
                  for part in step['parts']}
        self.assertEqual(set(ids), set(states))
        self.assertEqual(
            report['state'] == 'success',
            all(state == 'success' for state in states.values()))
        for part in step['parts']:
            self.assertLessEqual(part['tries'], 1 + retries)
        good = stack.good()
        for volume_id, outcome in zip(ids, outcomes, strict=True):
            if states[volume_id] == 'success':
                self.assertEqual(1, good[volume_id])
            self.assertLessEqual(good[volume_id], 1)
            if outcome == 'ok' and not faults and not kills:
                self.assertEqual('success', states[volume_id])
            if outcome in ('error', 'gone', 'busy'):
                self.assertEqual('fail', states[volume_id])
        for told in stack.records.values():
            self.assertIn(told[-1], ('available', 'error'))

    @hypothesis.settings(deadline=None, max_examples=15)
    @hypothesis.given(
        volumes=st.lists(TROUBLES, min_size=1, max_size=3),
        faults=st.lists(FAULTS, max_size=4), kills=KILLS,
        quota=st.none() | st.integers(0, 5), retries=st.integers(0, 2),
        runs_of_job=st.integers(1, 3))
    def test_what_failed_goes_and_the_job_recovers(
            self, volumes, faults, kills, quota, retries, runs_of_job):
        """Increments, failures and quotas, through crashes at any report."""
        with requests_mock.Mocker() as mocker:
            stack = Stack(mocker, (10, 3))
            ids = stack.volumes(len(volumes), name='db')
            others = self.prepare(stack, dict(zip(ids, volumes, strict=True)))
            good = set(stack.cloud.backups) - others
            stack.cloud.fail('POST', '/backups$', *faults)
            stack.cloud.backup_quota = (
                None if quota is None else quota + len(stack.cloud.backups))
            stack.kill = lambda number: kills.get(number, False)
            action = {**several(ids=ids), 'incremental': True}
            keys = {'max_retries': retries, 'max_retries_interval': 20}
            for _number in range(runs_of_job):
                self.check(stack, stack.go([action], **keys), good)
                stack.next_run()
            # What was wrong is mended, and the job is as good as new.
            stack.cloud.backup_quota = None
            stack.cloud.faults.clear()
            stack.cloud.undeletable.clear()
            stack.kill = lambda number: False
            for volume_id, trouble in zip(ids, volumes, strict=True):
                # An increment of an extended volume failed before, or none
                # is asked for.
                if trouble != 'extended':
                    stack.ends[volume_id] = ['available']
            report = stack.go([action])
            self.assertEqual('success', report['state'], report['reason'])
            self.check(stack, report, good)
            self.assertEqual([], [
                backup for backup in stack.cloud.backups.values()
                if backup['status'] == 'error' and backup['id'] not in others])
            stack.next_run()
            report = stack.go([action])
            self.assertEqual('success', report['state'], report['reason'])
            self.assertEqual(
                [True] * len(ids),
                [post['incremental'] for post
                 in stack.cloud.posts[-len(ids):]])

    def prepare(self, stack, volumes):
        """Have volumes with backups; return the ids of failed ones."""
        others = []
        for volume_id, trouble in volumes.items():
            stack.cloud.add_backup(volume_id=volume_id)
            others.append(stack.cloud.add_backup(
                'error', volume_id=volume_id, is_incremental=True,
                metadata={'created_by': 'freezer',
                          'freezer_job_id': 'job-2'})['id'])
            if trouble == 'extended':
                stack.cloud.described[volume_id] = {'size': 2}
            if trouble == 'unseen':
                # Cinder does not tell that an increment will fail.
                stack.ends[volume_id] = ['error', 'available']
            if trouble == 'broken':
                stack.ends[volume_id] = ['error']
            if trouble == 'stuck':
                stack.ends[volume_id] = ['error']
                create = stack.cloud._create

                def stuck(body, create=create, volume_id=volume_id):
                    status, document = create(body)
                    if body['volume_id'] == volume_id:
                        stack.cloud.undeletable.add(document['backup']['id'])
                    return status, document

                stack.cloud._create = stuck
        stack.clock.sleep(3600)
        return set(others)

    def check(self, stack, report, good):
        """Check what holds after each run.

        :param good: ids of the usable backups so far; is added to
        """
        [step] = report['actions']
        parts = {part['volume_id']: part for part in step.get('parts', ())}
        self.assertEqual(report['state'] == 'success', {'success'} == {
            part['state'] for part in parts.values()})
        usable = {backup['id']: backup['volume_id'] for backup
                  in stack.cloud.backups.values()
                  if backup['status'] == 'available'}
        # Nothing of use is ever deleted.
        self.assertLessEqual(good, set(usable))
        made = collections.Counter(
            volume_id for backup_id, volume_id in usable.items()
            if backup_id not in good)
        for volume_id, part in parts.items():
            self.assertLessEqual(made[volume_id], 1)
            if part['state'] == 'success':
                self.assertEqual(1, made[volume_id])
            else:
                self.assertTrue(part.get('reason'), part)
        good |= set(usable)
        for told in stack.records.values():
            self.assertIn(told[-1], ('available', 'error'))
