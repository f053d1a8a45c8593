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

"""After an increment failed the next backup is full, until one is good."""

from __future__ import annotations

import dataclasses
import itertools

import hypothesis
from hypothesis import strategies as st

from freezer_scheduler.engines.cinder import increment
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import retries
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler.engines.cinder import test_failed_backups
from tests.unit.freezer_scheduler import fakes

NEVER = 999


@dataclasses.dataclass(frozen=True)
class Run:
    """What happens in one run of the job.

    :ivar tries: how often it may be tried again
    :ivar ends: whether each of its backups is good, over and over
    :ivar speed: calls of the engine until Cinder ends what it works on
    :ivar killed: the call after which the scheduler is another process
    :ivar lost: the call after which no process goes on with the run
    :ivar aborted: the call from which it is aborted
    :ivar loses: whether the newest good backup is deleted before it
    """

    tries: int
    ends: tuple[bool, ...]
    speed: int
    killed: int
    lost: int
    aborted: int
    loses: bool


def seldom(calls):
    return st.just(NEVER) | st.just(NEVER) | calls


RUNS = st.lists(st.builds(
    Run, tries=st.integers(0, 2),
    ends=st.lists(st.booleans(), min_size=1, max_size=3).map(tuple),
    speed=st.integers(1, 9), killed=seldom(st.integers(1, 9)),
    lost=seldom(st.integers(1, 6)), aborted=seldom(st.integers(1, 9)),
    loses=st.sampled_from((False, False, False, True))),
    min_size=2, max_size=6)


class TestAnySequence(test_failed_backups.Case):

    def setUp(self):
        super().setUp()
        self.spoilt = set()
        self.wrong = []
        self.create = self.cloud._create
        self.patch(self.cloud, '_create', self.watched)

    def watched(self, body):
        """Have Cinder make a backup, and see on what."""
        answer = self.create(body)
        made = self.cloud.backups[answer[1]['backup']['id']]
        if body['incremental'] and made['parent'] in self.spoilt:
            self.wrong.append(made['parent'])
        return answer

    def ends(self, good):
        """Let Cinder end what it works on."""
        if not good:
            self.spoilt.update(
                backup['parent'] for backup in self.cloud.backups.values()
                if backup['status'] == 'creating' and backup['parent'])
        self.cloud.finish('available' if good else 'error', 'disk full')

    def lose(self):
        """Delete the newest good backup."""
        good = [backup for backup in self.cloud.backups.values()
                if backup['status'] == 'available']
        if good:
            del self.cloud.backups[good[-1]['id']]

    def go_through(self, run, number):
        self.run_id = f'run-{number}'
        step, rest = None, retries.Retries(run.tries, 1)
        calls = itertools.count(1)
        ends = itertools.cycle(run.ends)
        while True:
            context = self.context(step, most=run.tries, incremental=True)
            for call in calls:
                progress, context = self.call(
                    context, aborting=call >= run.aborted)
                if call == run.lost:
                    return
                if progress.step.state.final:
                    break
                if call == run.killed:
                    self.engine = self.process()
                    context = self.context(messages.Step.from_document(
                        progress.step.to_document()), most=run.tries,
                        incremental=True)
                self.clock.sleep(max(progress.after, 1))
                if call % run.speed == 0:
                    self.ends(next(ends))
                self.assertLess(call, cases.MOST_CALLS)
            step = (rest.after(progress.step, self.clock.wall())
                    if progress.retry else None)
            if step is None:
                return
            step = step.begun()

    @hypothesis.given(RUNS)
    # Its increment is still made when the next run begins.
    @hypothesis.example([
        Run(0, (True,), 2, NEVER, NEVER, NEVER, False),
        Run(0, (True,), 9, NEVER, 3, NEVER, False),
        Run(0, (False,), 1, NEVER, NEVER, NEVER, False)])
    @hypothesis.settings(deadline=None, max_examples=60)
    def test_no_increment_upon_what_one_failed_on(self, runs):
        """And nothing that failed stays, so that no quota is filled."""
        self.cloud.backups.clear()
        self.cloud.volumes[fakes.VOLUME] = 'available'
        self.spoilt.clear()
        for number, run in enumerate(runs):
            if run.loses:
                self.lose()
            self.go_through(run, number)
            if all(one.lost == NEVER for one in runs[:number + 1]):
                self.cloud.finish('error', 'disk full')
                self.assertNotIn('error', self.statuses())
            self.clock.sleep(60)
        self.assertEqual([], self.wrong)

    def test_full_ones_until_one_is_good(self):
        """Also where those fail for a passing reason, without another try."""
        self.run_of_job(0, incremental=True)
        for most in (0, 1):
            self.cloud.posts.clear()
            self.run_of_job(f'{most}-1', finish='error', most=most,
                            incremental=True)
            for number in range(3):
                self.run_of_job(f'{most}-2-{number}', finish='error',
                                most=most, incremental=True)
            self.run_of_job(f'{most}-3', most=most, incremental=True)
            self.assertEqual([True] + [False] * (4 * (most + 1)),
                             self.increments())
            self.run_of_job(f'{most}-4', most=most, incremental=True)
            self.assertTrue(self.increments()[-1])
            self.assertEqual({'available'}, set(self.statuses()))


class TestWhatIsWrittenOnTheBase(test_failed_backups.Case):

    def fail_one(self, number=1, **keys):
        """Have an increment fail; return the base as Cinder shows it."""
        self.clock.sleep(60)
        self.run_of_job(number, finish='error', incremental=True, **keys)
        [base] = [backup for backup in self.cloud.backups.values()
                  if backup['status'] == 'available']
        return base

    def reason(self, number=2):
        step = self.run_of_job(number, incremental=True)
        self.assertEqual('success', step.state)
        return step.reason

    def test_the_users_words_and_metadata_stay(self):
        """For a base of any client, with a description of any length."""
        for description in (None, '', 'mine', 'x' * 200, 'x' * 213):
            self.cloud.backups.clear()
            metadata = {'freezer_hold': 'true'}
            self.cloud.add_backup(description=description, metadata=metadata)
            base = self.fail_one()
            self.assertEqual(metadata, base['metadata'])
            self.assertTrue(base['description'].startswith(description or 'a'))
            self.assertIn('an incremental backup on this one failed',
                          base['description'])
            self.assertEqual(1, len(self.cloud.backups))
            self.assertIn('the last incremental backup failed', self.reason())

    def test_without_room_for_it_the_failed_one_stays(self):
        self.cloud.add_backup(description='x' * 255)
        self.assertEqual('x' * 255, self.fail_one()['description'])
        self.assertEqual(['available', 'error'], self.statuses())
        self.assertIn('whose description is full',
                      self.stored[-1].step.reason)
        self.assertIn('the last incremental backup failed: disk full',
                      self.reason())
        # It forbids no increment any more.
        self.reason(3)
        self.assertEqual({'available'}, set(self.statuses()))

    def test_a_cinder_that_does_not_let_us(self):
        for status in (400, 403, 404):
            self.cloud.backups.clear()
            self.cloud.add_backup()
            self.cloud.fail('PUT', '/backups/', *[(status, 'no')] * 9)
            self.fail_one()
            self.assertEqual(['available', 'error'], self.statuses())
            self.assertIn('it keeps the next backup from being an increment',
                          self.stored[-1].step.reason)
            self.assertIn('the last incremental backup failed: disk full',
                          self.reason())
            self.cloud.faults.clear()

    def test_cinders_words_are_told_in_bounds(self):
        finish = self.cloud.finish
        for words in ('base lost', 'x' * 5000, '', None):
            self.cloud.backups.clear()
            self.cloud.add_backup()

            def end(status='available', _reason=None, words=words):
                finish(status, words)

            self.patch(self.cloud, 'finish', end)
            self.fail_one()
            reason = self.reason()
            self.assertIn('the last incremental backup failed', reason)
            self.assertIn((words or '')[:100], reason)
            self.assertLess(len(reason), 400)

    def test_an_abort_forgets_nothing(self):
        self.cloud.add_backup()
        _progress, context = self.go(self.context(incremental=True),
                                     'submitted')
        self.cloud.finish('error', 'base lost')
        self.go(context, aborting=True, finish='error')
        self.cloud.finish()
        self.assertEqual(['available'], self.statuses())
        self.assertIn('failed: base lost', self.reason())

    def test_a_base_is_written_on_once(self):
        self.cloud.add_backup()
        self.fail_one()
        self.fail_one(2, most=2)
        self.assertEqual(1, sum(method == 'PUT' for method, _path
                                in self.cloud.requests))

    def test_no_more_lists_are_asked_for(self):
        """One for the request, one for its end, one for each deletion."""
        def lists():
            return sum(path.endswith('/backups/detail')
                       for _method, path in self.cloud.requests)

        self.cloud.add_backup()
        for number, (finish, most, wanted) in enumerate((
                ('available', 0, 2), ('error', 0, 3), ('error', 0, 3),
                ('available', 0, 2), ('error', 2, 9), ('available', 0, 2))):
            before = lists()
            self.run_of_job(number, finish, most=most, incremental=True)
            self.assertEqual(wanted, lists() - before, str(number))


class TestWords(cases.Case):

    @hypothesis.given(st.sampled_from(increment.FullReason),
                      st.none() | st.text(max_size=2000))
    def test_a_reason_that_is_stored_is_told(self, reason, cause):
        stored = increment.stored(reason, cause)
        self.assertLess(len(stored), 250)
        words = increment.words(stored) or ''
        self.assertTrue(words.startswith('full backup, because '))
        self.assertNotIn(f'because {reason}:', words)
        self.assertTrue(words.startswith(
            increment.words(reason.value) or 'nothing'))

    def test_one_of_a_newer_scheduler(self):
        self.assertEqual('full backup, because new: x',
                         increment.words('new: x'))

    @hypothesis.given(st.text(max_size=255), st.none() | st.text())
    def test_what_is_written_is_read(self, description, cause):
        backup = dataclasses.replace(cases.backup('b'),
                                     description=description)
        written = increment.with_failure(backup, cause)
        if written is None:
            self.assertGreater(len(description), 213)
            return
        self.assertLessEqual(len(written), 255)
        self.assertTrue(written.startswith(description))
        found = increment.failure(dataclasses.replace(
            backup, description=written))
        assert found is not None
        if (cause or '').isprintable():
            self.assertIn(found[:-3], cause or '')
