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

"""What the API and the scheduler tell each other."""

from __future__ import annotations

import dataclasses
import datetime
import json

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import cinder_selection
from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler import fakes

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8)
PARTS = st.builds(
    messages.Step, action_id=st.just('a'), position=st.just(0),
    state=st.sampled_from(messages.StepState), tries=st.integers(0),
    volume_id=st.text(min_size=1), retry_at=st.none() | st.integers(1))
STEPS = st.builds(
    messages.Step, action_id=st.just('a'), position=st.just(0),
    retry_at=st.none() | st.integers(1),
    parts=st.lists(PARTS, max_size=3).map(tuple)) | st.builds(
    messages.Step, action_id=st.text(min_size=1), position=st.integers(0),
    state=st.sampled_from(messages.StepState), tries=st.integers(0),
    reason=st.none() | st.text(st.characters(
        exclude_categories=('C', 'Z')), min_size=1, max_size=400),
    volume_id=st.none() | st.text(min_size=1),
    started_at=st.none() | st.integers())


class TestSteps(testtools.TestCase):

    @hypothesis.given(STEPS)
    def test_what_is_stored_is_read_again(self, step):
        document = json.loads(json.dumps(step.to_document()))
        self.assertEqual(step, messages.Step.from_document(document))

    def test_a_report_stays_within_what_the_api_takes(self):
        steps = tuple(
            messages.Step('a' * 36, number, reason='\U0001f600' * 5000)
            for number in range(64))
        report = messages.Report(messages.RunState.FAIL,
                                 '\U0001f600' * 9000, steps)
        document = report.to_document('s', 1)
        self.assertLess(len(json.dumps(document['actions'])), 65536)
        self.assertLessEqual(len(document['reason']), 1000)

    def test_reasons_are_one_line_of_text(self):
        self.assertEqual('a b c', messages.shortened('a\nb\udc80c', 10))

    def test_as_many_steps_as_a_job_has_actions_fit(self):
        full = messages.Step(
            'a' * 36, 0, messages.StepState.SUBMITTED, 1000, 'why ' * 200,
            'b' * 36, 'c' * 32, 'd' * 36, 1_800_000_000, 1_800_000_000,
            engine='cindernative', action='backup', posts=3)
        # One is under way at a time. Those before it have ended.
        for state in messages.StepState:
            if not state.final:
                continue
            steps = tuple(
                dataclasses.replace(full, position=position,
                                    state=state if position < 255
                                    else full.state)
                for position in range(256))
            sent = messages.Report(
                messages.RunState.RUNNING, None, steps).to_document(
                    'me', 1)['actions']
            self.assertLess(len(json.dumps(sent)), 65536, state)
            read = [messages.Step.from_document(step) for step in sent]
            self.assertEqual(
                [(step.action_id, step.position, step.state, step.tries,
                  step.backup_id) for step in steps],
                [(step.action_id, step.position, step.state, step.tries,
                  step.backup_id) for step in read])
            # What is under way is told whole but for its reason.
            self.assertEqual('d' * 36, read[-1].cinder_backup_id)
            self.assertEqual('b' * 36, read[-1].volume_id)

    @hypothesis.settings(deadline=None, max_examples=20)
    @hypothesis.given(
        st.lists(st.sampled_from(messages.StepState),
                 min_size=cinder_selection.MOST_VOLUMES,
                 max_size=cinder_selection.MOST_VOLUMES),
        st.sampled_from(['why ' * 200, '\U0001f600' * 400, None]),
        st.sampled_from(['failed: ' + 'x' * 200,
                         'refused: ' + '\U0001f600' * 200, None]))
    def test_as_many_parts_as_an_action_may_have_fit(
            self, states, reason, because):
        parts = tuple(messages.Step(
            'a' * 36, 0, state, 1000, reason, 'b' * 36, 'c' * 32, 'd' * 36,
            1_800_000_000, 1_800_000_000 if state.final else None,
            None if state.final else 4_000_000_000, full_because=because,
            engine='cindernative', action='backup')
            for state in states)
        # As many at one time as the engine begins.
        parts = tuple(dataclasses.replace(
            part, state=messages.StepState.PRUNING, retry_at=None,
            removing='e' * 36, removing_record='f' * 32, removed=100, posts=3)
            for part in parts[:50]) + parts[50:]
        others = tuple(messages.Step(
            'a' * 36, position, messages.StepState.FAIL, 1000, reason,
            'b' * 36, 'c' * 32, 'd' * 36, 1_800_000_000, 1_800_000_000,
            engine='cindernative', action='restore', posts=3)
            for position in range(1, 256 - cinder_selection.MOST_VOLUMES))
        whole = messages.Step('a' * 36, 0, messages.StepState.SUBMITTED,
                              1000, 'why ' * 200, parts=parts,
                              engine='cindernative', action='backup')
        sent = messages.Report(
            messages.RunState.RUNNING, None, (whole, *others)).to_document(
                'me', 1)['actions']
        self.assertLess(len(json.dumps(sent)), 65536)
        read = messages.Step.from_document(sent[0])
        for before, after in zip(parts, read.parts, strict=True):
            self.assertEqual(
                (before.volume_id, before.state, before.tries,
                 before.backup_id, before.retry_at),
                (after.volume_id, after.state, after.tries,
                 after.backup_id, after.retry_at))
            if not before.state.final:
                self.assertEqual(
                    (before.cinder_backup_id, before.removing,
                     before.removing_record, before.removed),
                    (after.cinder_backup_id, after.removing,
                     after.removing_record, after.removed))

    def test_unreadable_parts(self):
        unreadable: tuple[object, ...] = (
            7, [7], [{}], [{'state': 'x'}], None)
        for parts in unreadable:
            document = messages.Step('a', 0).to_document() | {
                'parts': parts}
            self.assertRaises(messages.Malformed,
                              messages.Step.from_document, document)


class TestTicks(testtools.TestCase):

    def tick(self, **keys):
        return messages.ClaimResponse.from_document(
            {'runs': [], 'held': [], 'lost': [], **keys})

    @hypothesis.given(ANYTHING)
    def test_any_answer_is_read_or_refused(self, answer):
        try:
            messages.ClaimResponse.from_document(answer)
        except messages.Malformed as malformed:
            self.assertTrue(str(malformed))

    @hypothesis.given(ANYTHING)
    def test_any_job_is_handed_on(self, job):
        [run] = self.tick(runs=[fakes.run_document(job=job)]).runs
        self.assertEqual(job, run.job)

    @hypothesis.given(st.integers(0, 2 ** 32))
    def test_when_a_run_was_due(self, epoch):
        due = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
        [run] = self.tick(runs=[fakes.run_document(
            nominal_at=due.strftime('%Y-%m-%dT%H:%M:%SZ'))]).runs
        self.assertEqual(epoch, run.due_at)

    def test_one_unreadable_run_does_not_hide_the_others(self):
        good = fakes.run_document('good')
        bad = fakes.run_document('bad', fence=None)
        found = self.tick(runs=[bad, good, 7])
        self.assertEqual(['good'], [run.run_id for run in found.runs])
        self.assertEqual(('bad', None), found.unreadable)

    def test_unreadable_steps_make_a_problem_and_no_new_start(self):
        [run] = self.tick(runs=[fakes.run_document() | {
            'actions': [{'action_id': 'x'}]}]).runs
        self.assertIn('cannot be read', run.problem)

    def test_what_can_be_read_of_the_steps_is_kept(self):
        step = messages.Step('a', 1, messages.StepState.SUBMITTED,
                             engine='agent', action='exec')
        [run] = self.tick(runs=[fakes.run_document() | {
            'actions': [7, step.to_document()]}]).runs
        self.assertIn('cannot be read', run.problem)
        self.assertEqual((step,), run.steps)

    def test_events(self):
        found = self.tick(held=[{'run_id': 'a', 'event': 'abort'},
                                {'run_id': 'b', 'event': None},
                                {'run_id': 'c', 'event': 'dance'}])
        self.assertEqual({'a': messages.Event.ABORT, 'b': None, 'c': None},
                         found.held)

    def test_the_trust_is_not_shown(self):
        [run] = self.tick(runs=[fakes.run_document()]).runs
        self.assertEqual(fakes.TRUST, run.trust_id)
        self.assertNotIn(fakes.TRUST, repr(run))
