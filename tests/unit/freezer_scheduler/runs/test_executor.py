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

"""The moves of a run: order, tries, mandatory actions, reports."""

from __future__ import annotations

import dataclasses
import logging

import fixtures
import testtools

from freezer_api.domain import capabilities
from freezer_api.domain import trust_errors
from freezer_scheduler.engines import base
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import client
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import executor
from freezer_scheduler.runs import run_login
from freezer_scheduler.runs import run_table
from tests.unit.freezer_scheduler import fakes

State = messages.StepState


class FakeEngine:
    """Ends each action as its ``backup_name`` says, after one submit.

    A name is a list of ends, one for each try, such as ``error,ok``.
    """

    offers = capabilities.CINDER_NATIVE

    def __init__(self):
        self.calls = []
        self.due = set()

    def start(self, context):
        self.due.add(context.due_at)
        self.calls.append(('start', context.step.position))
        return base.Progress(
            dataclasses.replace(context.step, state=State.SUBMITTING),
            engine_state='ready')

    def poll(self, context):
        self.calls.append(('poll', context.step.position))
        if context.step.state is State.SUBMITTING:
            return base.Progress(
                dataclasses.replace(context.step, state=State.SUBMITTED),
                after=7, engine_state='follow')
        ends = context.freezer_action['backup_name'].split(',')
        end = ends[min(context.step.tries, len(ends)) - 1]
        if end == 'raise':
            raise KeyError('a mistake')
        if end == 'wait':
            return base.Progress(context.step, after=7, engine_state='follow')
        return base.Progress(
            dataclasses.replace(
                context.step, reason=None if end == 'ok' else end,
                state=State.SUCCESS if end == 'ok' else State.FAIL),
            retry=end == 'error')

    def abort(self, context):
        self.calls.append(('abort', context.step.position))
        return base.Progress(dataclasses.replace(
            context.step, state=State.ABORTED, reason='aborted'))

    def clean_up(self, context):
        self.calls.append(('clean_up', context.step.position))
        if context.engine_state == 'follow':
            return base.Progress(context.step, after=3, engine_state='look')
        return None

    def left(self, context):
        self.calls.append(('left', context.step.position))
        if context.engine_state != 'process':
            return None
        return base.Progress(dataclasses.replace(
            context.step, state=State.FAIL, reason='stopped'))


def named(step):
    """Return a step as if a scheduler had begun it."""
    return dataclasses.replace(
        step, engine='cindernative', action='backup',
        parts=tuple(map(named, step.parts)))


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.clock = fakes.FakeClock()
        self.engine = FakeEngine()
        self.reports = []
        self.faults = []
        self.event = None
        self.offered = capabilities.CINDER_NATIVE
        # By trust: what is the matter with it.
        self.fault: dict[str, trust_errors.Cause] = {}
        self.executor = executor.Executor(
            self.report, registry.Registry(
                {'cindernative': self.engine}, lambda: self.offered),
            self.clock, self, login=run_login.RunLogin(check=self.check))

    # What the executor asks of the table.

    def lease_left(self, claimed):
        return 60

    def reserve_slot(self, claimed):
        return True

    def reported(self, claimed, lease_until, event):
        claimed.lease_until = lease_until
        claimed.event = event or claimed.event

    def check(self, trust_id):
        return self.fault.get(trust_id)

    def report(self, run_id, fence, report):
        if self.faults:
            raise self.faults.pop(0)
        self.reports.append(report)
        return self.event

    def claimed(self, *names, extra=None, steps=(), **keys):
        document = fakes.run_document(
            actions=[fakes.action(backup_name=name) for name in names],
            **keys)
        for number, more in enumerate(extra or ()):
            document['job']['job_actions'][number].update(more)
        document['actions'] = [named(step).to_document() for step in steps]
        run = messages.Run.from_document(document)
        return run_table.ClaimedRun(run, 0, run.event)

    def go(self, claimed, moves=100):
        waits: list[float] = []
        for _move in range(moves):
            after = self.executor.advance(claimed)
            if after is None:
                return waits
            waits.append(after)
        self.fail('it does not end')

    def ended(self, *names, **keys):
        self.go(self.claimed(*names, **keys))
        return self.reports[-1]

    def states(self, report):
        return [str(step.state) for step in report.steps]


class TestLease(Case):

    def test_a_stored_report_renews_it(self):
        claimed = self.claimed('ok', lease_seconds=90)
        self.executor.advance(claimed)
        self.assertEqual(self.clock.now + 90, claimed.lease_until)
        self.assertEqual(90, self.reports[-1].to_document('s', 1)[
            'lease_seconds'])

    def test_it_counts_from_before_the_request(self):
        claimed = self.claimed('ok')
        offered = self.clock.now
        self.executor.advance(claimed, lambda _claimed, _report: True)
        self.clock.sleep(20)
        self.executor.answered(claimed, None)
        self.assertEqual(offered + 60, claimed.lease_until)

    def test_nothing_else_renews_it(self):
        claimed = self.claimed('ok')
        self.faults = [client.ApiUnreachable('away')]
        self.executor.advance(claimed)
        self.assertEqual(0, claimed.lease_until)
        self.executor.release(claimed)
        self.assertNotIn('lease_seconds',
                         self.reports[-1].to_document('s', 1))


class TestAuthority(Case):

    def test_without_a_trust_nothing_is_done_for_others(self):
        for credentials in (None, {}, {'trust_id': None}, {'trust_id': ''}):
            report = self.ended('ok', credentials=credentials)
            self.assertEqual('fail', report.state)
            self.assertIn('the job has no trust', report.reason)
        self.assertEqual([], self.engine.calls)

    def test_one_s_own_jobs_need_none(self):
        self.executor = executor.Executor(
            self.report, registry.Registry(
                {'cindernative': self.engine}, lambda: self.offered),
            self.clock, self, delegated=False)
        self.assertEqual('success',
                         self.ended('ok', credentials=None).state)


class TestOrder(Case):

    def test_one_action(self):
        report = self.ended('ok')
        self.assertEqual('success', report.state)
        self.assertIsNone(report.reason)
        self.assertEqual(
            [['submitting'], ['submitted'], ['success']],
            [self.states(report) for report in self.reports])
        self.assertEqual(['running', 'running', 'success'],
                         [report.state for report in self.reports])

    def test_engines_know_when_the_run_was_due(self):
        self.ended('ok', nominal_at='1970-01-01T00:01:40Z')
        self.assertEqual({100}, self.engine.due)

    def test_actions_run_one_after_the_other(self):
        self.ended('ok', 'ok', 'ok')
        self.assertEqual([0, 0, 0, 1, 1, 1, 2, 2, 2],
                         [position for _verb, position in self.engine.calls])

    def test_actions_after_a_failed_one_are_skipped(self):
        report = self.ended('ok', 'bad', 'ok')
        self.assertEqual(['success', 'fail', 'skipped'], self.states(report))
        self.assertEqual('fail', report.state)
        self.assertEqual('action 2 of 3: bad', report.reason)

    def test_mandatory_actions_run_all_the_same(self):
        report = self.ended('bad', 'ok', 'ok',
                            extra=[{}, {}, {'mandatory': True}])
        self.assertEqual(['fail', 'skipped', 'success'], self.states(report))
        self.assertEqual('action 1 of 3: bad', report.reason)

    def test_the_last_failure_says_how_it_ended(self):
        report = self.ended('bad', 'worse', extra=[{}, {'mandatory': True}])
        self.assertEqual('action 2 of 2: worse', report.reason)

    def test_nothing_is_reported_while_nothing_changes(self):
        claimed = self.claimed('wait')
        for _move in range(5):
            after = self.executor.advance(claimed)
        self.assertEqual(2, len(self.reports))
        self.assertEqual(7, after)


class TestTrust(Case):

    def test_a_run_whose_trust_fails_is_not_begun(self):
        for cause in trust_errors.REPORTED:
            self.fault[fakes.TRUST] = cause
            report = self.ended('ok')
            self.assertEqual([], self.engine.calls)
            self.assertEqual(('fail', cause, ()),
                             (report.state, report.cause, report.steps))
            self.assertEqual(cause.advice, report.reason)
            self.assertEqual(cause, report.to_document('s', 1)['cause'])

    def test_one_that_was_begun_is_ended(self):
        claimed = self.claimed('bad')
        self.executor.advance(claimed)
        self.fault[fakes.TRUST] = trust_errors.Cause.REFUSED
        self.go(claimed)
        self.assertEqual('trust_refused', self.reports[-1].cause)
        self.assertEqual(['fail'], self.states(self.reports[-1]))

    def test_a_failure_of_its_own_has_no_cause(self):
        report = self.ended('bad')
        self.assertIsNone(report.cause)
        self.assertNotIn('cause', report.to_document('s', 1))

    def test_what_was_begun_elsewhere_goes_on_first(self):
        self.fault[fakes.TRUST] = trust_errors.Cause.GONE
        report = self.ended('ok', steps=[
            messages.Step('action-0', 0, State.SUBMITTED, tries=1)])
        self.assertEqual('success', report.state)
        self.assertNotEqual([], self.engine.calls)


class TestTries(Case):

    def tries(self, names, **keys):
        claimed = self.claimed(names, extra=[keys])
        waits = self.go(claimed)
        return waits, self.reports[-1]

    def test_none_by_default(self):
        _waits, report = self.tries('error,ok')
        self.assertEqual('fail', report.state)
        _waits, report = self.tries('error,ok', max_retries=None,
                                    max_retries_interval=None)
        self.assertEqual('fail', report.state)

    def test_after_the_interval(self):
        waits, report = self.tries('error,error,ok', max_retries=2,
                                   max_retries_interval=300)
        self.assertEqual('success', report.state)
        self.assertEqual(3, report.steps[0].tries)
        self.assertEqual(2, waits.count(300))

    def test_between_two_tries_nothing_is_under_way(self):
        claimed = self.claimed('error,ok', extra=[{'max_retries': 1}])
        idle = []
        while self.executor.advance(claimed) is not None:
            idle.append(claimed.progress.idle)
        self.assertEqual([False, False, True, False, False], idle)

    def test_a_busy_volume_leaves_nothing_under_way(self):
        def busy(context):
            return base.Progress(
                dataclasses.replace(context.step, state=State.PENDING),
                after=10, engine_state='busy')

        claimed = self.claimed('ok')
        self.executor.advance(claimed)
        poll = self.engine.poll
        self.patch(self.engine, 'poll', busy)
        self.executor.advance(claimed)
        self.assertTrue(claimed.progress.idle)
        self.patch(self.engine, 'poll', poll)
        self.executor.advance(claimed)
        self.go(claimed)
        self.assertFalse(claimed.progress.idle)

    def test_reasons_are_logged_on_one_line(self):
        self.tries('error', max_retries=1)
        reason = 'disk\n2026-01-01 CRITICAL forged\x1b[2J' + 'x' * 9999
        poll = self.engine.poll

        def loud(context):
            progress = poll(context)
            if progress.step.state is State.FAIL:
                return dataclasses.replace(progress, step=dataclasses.replace(
                    progress.step, reason=reason))
            return progress

        self.patch(self.engine, 'poll', loud)
        self.tries('error', max_retries=1)
        self.assertIn('disk', self.log.output)
        for line in self.log.output.splitlines():
            self.assertTrue(line.isprintable(), line)
            self.assertFalse(line.startswith('2026'), line)
            self.assertLess(len(line), 1000)

    def test_as_often_as_said(self):
        _waits, report = self.tries('error', max_retries=2)
        self.assertEqual('fail', report.state)
        self.assertEqual(3, report.steps[0].tries)

    def test_the_user_sees_why_it_is_tried_again(self):
        self.tries('error,ok', max_retries=1)
        self.assertIn('try 1 of 2: error',
                      [report.steps[0].reason for report in self.reports])

    def test_not_where_it_is_of_no_use(self):
        _waits, report = self.tries('hopeless', max_retries=5)
        self.assertEqual(1, report.steps[0].tries)


class TestRefusals(Case):

    def refused(self, claimed):
        self.go(claimed)
        self.assertEqual('fail', self.reports[-1].state)
        self.assertEqual([], self.engine.calls)
        return self.reports[-1].reason

    def test_poisoned_jobs(self):
        poisoned: tuple[object, ...] = (
            None, [7], {}, {'job_actions': None}, 7,
            {'job_actions': [None]}, {'job_actions': [{}]},
            {'job_actions': [{'action_id': 1, 'freezer_action': {}}]},
            {'job_actions': [{'action_id': 'a', 'freezer_action': 'x'}]})
        for job in poisoned:
            self.assertTrue(self.refused(self.claimed(job=job)))

    def test_beyond_the_capabilities(self):
        for keys in ({'mode': 'fs'}, {'mode': None}, {'action': 'exec'},
                     {'mode': ['cindernative']}):
            claimed = self.claimed('ok')
            claimed.run.job['job_actions'][0]['freezer_action'].update(keys)
            self.assertIn('not supported', self.refused(claimed))

    def test_wider_capabilities_without_an_engine(self):
        self.offered = capabilities.EVERYTHING
        claimed = self.claimed('ok')
        claimed.run.job['job_actions'][0]['freezer_action'] = {
            'action': 'backup', 'path_to_backup': '/etc'}
        self.assertIn('no engine', self.refused(claimed))

    def test_no_trust(self):
        self.assertIn('trust', self.refused(
            self.claimed('ok', credentials=None)))

    def test_unreadable_steps(self):
        claimed = self.claimed('ok')
        run = dataclasses.replace(claimed.run, problem='cannot be read')
        self.assertIn('cannot be read', self.refused(
            run_table.ClaimedRun(run, 0, None)))

    def test_a_mistake_in_the_scheduler_fails_one_run_alone(self):
        report = self.ended('raise')
        self.assertEqual('fail', report.state)
        self.assertIn('error in the scheduler', report.reason)
        self.assertIn('a mistake', self.log.output)
        self.assertEqual('success', self.ended('ok').state)


class TestAbort(Case):

    def test_the_current_action_and_no_other(self):
        claimed = self.claimed('wait', 'ok', 'ok',
                               extra=[{}, {}, {'mandatory': True}])
        self.executor.advance(claimed)
        self.executor.advance(claimed)
        claimed.event = messages.Event.ABORT
        self.go(claimed)
        self.assertEqual('aborted', self.reports[-1].state)
        self.assertEqual(['aborted', 'skipped', 'skipped'],
                         self.states(self.reports[-1]))

    def test_it_comes_with_the_answer_to_a_report(self):
        claimed = self.claimed('ok')
        self.event = messages.Event.ABORT
        self.go(claimed)
        self.assertEqual([('start', 0), ('abort', 0)], self.engine.calls)

    def test_what_comes_with_an_answer_does_not_wait(self):
        claimed = self.claimed('error,ok', extra=[{
            'max_retries': 1, 'max_retries_interval': 86400}])
        progress = claimed.progress
        while not progress.steps or not progress.steps[0].retry_at:
            if progress.steps and progress.steps[0].state is State.SUBMITTED:
                self.event = messages.Event.ABORT
            after = self.executor.advance(claimed)
        self.assertEqual(0, after)
        self.go(claimed)
        self.assertEqual('aborted', self.reports[-1].state)

    def test_before_anything_began(self):
        report = self.ended('ok', 'ok', event='abort')
        self.assertEqual('aborted', report.state)
        self.assertEqual(['aborted', 'skipped'], self.states(report))
        self.assertEqual([], self.engine.calls)

    def test_stop_lets_the_run_end(self):
        self.assertEqual('success', self.ended('ok', event='stop').state)

    def test_between_two_tries(self):
        claimed = self.claimed('error,ok', extra=[{'max_retries': 1}])
        for _move in range(3):
            self.executor.advance(claimed)
        self.assertEqual('pending', claimed.progress.steps[0].state)
        claimed.event = messages.Event.ABORT
        self.go(claimed)
        self.assertEqual('aborted', self.reports[-1].state)


class TestReports(Case):

    def test_they_are_kept_while_the_api_is_away(self):
        claimed = self.claimed('ok')
        self.faults = [client.ApiUnreachable('away')] * 20
        waits = self.go(claimed)
        self.assertEqual('success', self.reports[-1].state)
        self.assertEqual(['submitting'], self.states(self.reports[0]))
        self.assertEqual([1, 2, 4, 8, 16, 30], waits[:6])
        # Nothing was done before the intent was stored.
        self.assertEqual(3, len(self.engine.calls))

    def test_the_end_is_kept_too(self):
        claimed = self.claimed('ok')
        self.executor.advance(claimed)
        self.executor.advance(claimed)
        self.faults = [client.ApiUnreachable('away')] * 3
        self.go(claimed)
        self.assertEqual('success', self.reports[-1].state)
        self.assertEqual(3, len(self.engine.calls))

    def test_it_is_told_for_how_long_they_were_kept(self):
        claimed = self.claimed('ok')
        self.executor.advance(claimed)
        self.executor.advance(claimed)
        self.faults = [client.ApiUnreachable('away')] * 3
        while (after := self.executor.advance(claimed)) is not None:
            self.clock.now += after
            self.clock.epoch -= 10 ** 6
        self.assertEqual([0, 0, 1 + 2 + 4],
                         [report.age for report in self.reports])

    def test_a_stale_fence_ends_it_in_silence(self):
        claimed = self.claimed('ok')
        self.faults = [client.StaleFence(409, 'x', 'run_fence_stale')]
        self.assertEqual([], self.go(claimed))
        self.assertEqual([], self.reports)

    def test_what_was_begun_for_a_run_of_another_is_cleared_up(self):
        claimed = self.claimed('ok')
        self.executor.advance(claimed)
        self.faults = [client.StaleFence(409, 'x', 'run_fence_stale')]
        self.assertEqual(3, self.executor.advance(claimed))
        self.assertEqual('look', claimed.progress.engine_state)
        self.assertIsNone(self.executor.advance(claimed))
        self.assertEqual([('start', 0), ('poll', 0), ('clean_up', 0),
                          ('clean_up', 0)], self.engine.calls)
        self.assertEqual(1, len(self.reports))

    def test_a_run_lost_while_its_request_was_out(self):
        claimed = self.claimed('ok')
        self.executor.advance(claimed)
        self.faults = [client.ApiUnreachable('away')]
        self.executor.advance(claimed)
        claimed.lost = True
        self.assertEqual(3, self.executor.advance(claimed))
        self.assertEqual(('clean_up', 0), self.engine.calls[-1])

    def test_a_report_may_be_sent_with_others(self):
        claimed = self.claimed('ok')
        sent = []

        def together(claimed, report):
            sent.append(report)
            return True

        def advance():
            self.assertIs(executor.HANDED_OFF,
                          self.executor.advance(claimed, together))

        advance()
        self.assertEqual(0, self.executor.answered(claimed, None))
        # The engine made no other move before that was stored.
        self.assertEqual([['submitting']], [
            self.states(report) for report in sent])
        advance()
        # What is not taken is sent alone.
        self.assertEqual(1, self.executor.answered(
            claimed, client.ApiUnreachable('away')))
        self.assertEqual([], self.reports)
        self.executor.advance(claimed, together)
        self.assertEqual([['submitted']], [
            self.states(report) for report in self.reports])
        # And with others again, once it is.
        advance()
        self.assertIsNone(self.executor.answered(claimed, None))
        self.assertEqual('success', sent[-1].state)

    def test_a_run_that_another_one_has_by_then_is_left_alone(self):
        claimed = self.claimed('ok')
        self.executor.advance(claimed, lambda _held, _report: True)
        self.assertEqual(0, self.executor.answered(
            claimed, client.StaleFence(409, 'stale', None)))
        self.assertIsNone(self.executor.advance(claimed))
        self.assertEqual([], self.reports)

    def test_a_lost_run_is_not_reported(self):
        claimed = self.claimed('ok')
        claimed.lost = True
        self.assertEqual([], self.go(claimed))
        self.assertEqual([], self.reports)

    def test_a_report_that_cannot_be_stored(self):
        claimed = self.claimed('ok')
        self.faults = [client.ApiRefused(400, 'bad', 'invalid')]
        self.go(claimed)
        self.assertEqual('fail', self.reports[-1].state)
        claimed = self.claimed('ok')
        self.faults = [client.ApiRefused(400, 'bad', 'invalid')] * 9
        self.assertEqual([0], self.go(claimed))

    def test_a_record_is_not_lost_with_a_refused_report(self):
        made = messages.Backup('f' * 32, 'available', {'size': 'bad'})
        poll = self.engine.poll

        def with_record(context):
            progress = poll(context)
            if not progress.step.state.final:
                return progress
            self.faults = [client.ApiRefused(400, 'bad', 'invalid')]
            return dataclasses.replace(progress, backups=(made,))

        self.patch(self.engine, 'poll', with_record)
        report = self.ended('ok')
        self.assertEqual('fail', report.state)
        self.assertEqual(
            (messages.Backup('f' * 32, 'available', {}),), report.backups)

    def test_a_role_or_a_client_that_is_gone_for_a_while(self):
        claimed = self.claimed('ok')
        self.faults = [client.ApiRefused(403, 'no', 'forbidden')] * 5 + [
            client.ApiRefused(404, 'no', 'client_not_found')] * 5
        self.go(claimed)
        self.assertEqual('success', self.reports[-1].state)

    def test_a_run_that_is_gone(self):
        claimed = self.claimed('ok')
        self.faults = [client.ApiRefused(404, 'gone', None)]
        self.assertEqual([], self.go(claimed))


class TestTakenOver(Case):

    def step(self, position, state, tries=1):
        return messages.Step(f'action-{position}', position, state, tries,
                             volume_id=fakes.VOLUME, backup_id='f' * 32)

    def test_it_goes_on_where_the_other_one_was(self):
        for state, verbs in (
                (State.PENDING, ['start', 'poll', 'poll']),
                (State.SUBMITTING, ['poll', 'poll']),
                (State.SUBMITTED, ['poll'])):
            self.engine.calls.clear()
            report = self.ended('bad', 'ok', fence=2, steps=[
                self.step(0, State.SUCCESS), self.step(1, state)])
            self.assertEqual('success', report.state)
            self.assertEqual([(verb, 1) for verb in verbs],
                             self.engine.calls)

    def test_after_the_last_action(self):
        report = self.ended('ok', fence=2,
                            steps=[self.step(0, State.FAIL)])
        self.assertEqual('fail', report.state)
        self.assertEqual([], self.engine.calls)

    def test_what_is_under_way_is_ended_whatever_is_allowed_now(self):
        claimed = self.claimed('ok', fence=2,
                               steps=[self.step(0, State.SUBMITTED)])
        claimed.run.job['job_actions'][0]['freezer_action']['mode'] = 'fs'
        self.go(claimed)
        self.assertEqual('success', self.reports[-1].state)

    def broken_off(self, **keys):
        steps = [dataclasses.replace(self.step(0, State.SUCCESS),
                                     backup_id='d' * 32),
                 dataclasses.replace(self.step(1, State.SUBMITTED),
                                     cinder_backup_id='c-1')]
        claimed = self.claimed('ok', 'ok', fence=2, steps=steps, **keys)
        self.go(claimed)
        return self.reports[-1]

    def test_records_are_closed_where_it_cannot_go_on(self):
        report = self.broken_off(job={'job_actions': []})
        self.assertEqual('fail', report.state)
        self.assertEqual(['success', 'fail'], self.states(report))
        [record] = report.backups
        self.assertEqual(('f' * 32, 'error'),
                         (record.backup_id, record.status))
        self.assertIn('c-1 is not known', record.metadata['fail_reason'])
        self.assertIn('c-1 is not known', report.steps[1].reason)

    def test_records_are_closed_where_one_step_cannot_be_read(self):
        document = fakes.run_document(fence=2)
        document['actions'] = [
            7, self.step(1, State.SUBMITTED).to_document()]
        run = messages.Run.from_document(document)
        self.go(run_table.ClaimedRun(run, 0, None))
        self.assertEqual('fail', self.reports[-1].state)
        self.assertIn('cannot be read', self.reports[-1].reason)
        self.assertEqual(['f' * 32], [
            backup.backup_id for backup in self.reports[-1].backups])


class TestTriesTakenOver(Case):

    def stored(self):
        """Return the step as it was last told, and as it is read again."""
        return messages.Step.from_document(
            self.reports[-1].steps[0].to_document())

    def waiting(self, **keys):
        """Carry a run out until it waits for its second try."""
        claimed = self.claimed('error,ok', extra=[keys])
        while not (claimed.progress.steps
                   and claimed.progress.steps[0].retry_at):
            self.executor.advance(claimed)
        return claimed

    def take_over(self, names='error,ok', event=None, **keys):
        claimed = self.claimed(names, extra=[keys], fence=2, event=event,
                               steps=[self.stored()])
        self.engine.calls.clear()
        return claimed, self.executor.advance(claimed)

    def test_the_rest_of_the_interval_is_waited_for(self):
        keys = {'max_retries': 1, 'max_retries_interval': 300}
        self.waiting(**keys)
        self.clock.sleep(100)
        claimed, after = self.take_over(**keys)
        self.assertEqual(200, after)
        self.assertTrue(claimed.progress.idle)
        self.assertEqual([], self.engine.calls)
        self.go(claimed)
        self.assertEqual('success', self.reports[-1].state)
        self.assertEqual(2, self.reports[-1].steps[0].tries)
        self.assertIsNone(self.reports[-1].steps[0].retry_at)

    def test_a_time_that_has_passed(self):
        keys = {'max_retries': 1, 'max_retries_interval': 300}
        self.waiting(**keys)
        self.clock.sleep(400)
        self.take_over(**keys)
        self.assertEqual([('start', 0)], self.engine.calls)

    def test_clocks_of_other_hosts_keep_nobody_waiting_for_ever(self):
        keys = {'max_retries': 1, 'max_retries_interval': 300}
        self.waiting(**keys)
        self.clock.epoch -= 1e6
        claimed, after = self.take_over(**keys)
        self.assertEqual(300, after)
        self.executor.advance(claimed)
        self.assertEqual([('start', 0)], self.engine.calls)

    def test_an_abort_does_not_wait(self):
        keys = {'max_retries': 1, 'max_retries_interval': 300}
        self.waiting(**keys)
        self.take_over(event='abort', **keys)
        self.assertEqual([('abort', 0)], self.engine.calls)
        self.assertEqual('aborted', self.reports[-1].state)

    def test_there_are_as_many_tries_as_said_however_often(self):
        keys = {'max_retries': 2, 'max_retries_interval': 0}
        claimed = self.claimed('error', extra=[keys])
        for number in range(50):
            if self.executor.advance(claimed) is None:
                break
            if number % 2:
                claimed, _after = self.take_over('error', **keys)
        self.assertEqual('fail', self.reports[-1].state)
        self.assertEqual(3, self.reports[-1].steps[0].tries)

    def test_a_wait_for_a_busy_volume_counts_as_no_try(self):
        step = messages.Step('action-0', 0, State.PENDING, 1,
                             'waits: the volume is backing-up')
        report = self.ended('error,ok', fence=2, steps=[step],
                            extra=[{'max_retries': 1,
                                    'max_retries_interval': 0}])
        self.assertEqual('success', report.state)
        self.assertIn('try 1 of 2: error',
                      [report.steps[0].reason for report in self.reports])
        self.assertEqual(2, report.steps[0].tries)

    def test_a_mandatory_action_has_its_tries_after_a_failed_one(self):
        report = self.ended('bad', 'error,ok', extra=[{}, {
            'mandatory': True, 'max_retries': 1}])
        self.assertEqual(['fail', 'success'], self.states(report))
        self.assertEqual('action 1 of 2: bad', report.reason)

    def test_a_mandatory_action_does_not_outlive_an_abort(self):
        claimed = self.claimed('error', 'ok', extra=[
            {'max_retries': 5}, {'mandatory': True}])
        for _move in range(3):
            self.executor.advance(claimed)
        claimed.event = messages.Event.ABORT
        self.go(claimed)
        self.assertEqual(['aborted', 'skipped'],
                         self.states(self.reports[-1]))


class TestParts(Case):

    def test_parts_end_with_their_action(self):
        """Records of volumes are closed where nobody goes on with them."""
        parts = tuple(messages.Step(
            'action-0', 0, state, 1, volume_id=fakes.VOLUME,
            backup_id=letter * 32, cinder_backup_id=f'c-{letter}')
            for state, letter in ((State.SUCCESS, 'a'), (State.PENDING, 'b'),
                                  (State.SUBMITTED, 'c')))
        step = messages.Step('action-0', 0, State.SUBMITTED, 1,
                             parts=parts)
        report = self.ended('ok', fence=2, steps=[step],
                            job={'job_actions': []})
        self.assertEqual('fail', report.state)
        [whole] = report.steps
        self.assertEqual([State.SUCCESS, State.FAIL, State.FAIL],
                         [part.state for part in whole.parts])
        self.assertIn('c-c is not known', whole.parts[2].reason)
        self.assertEqual({'b' * 32: 'error', 'c' * 32: 'error'},
                         {backup.backup_id: backup.status
                          for backup in report.backups})
        self.assertNotIn('restore', whole.reason)


class TestRelease(Case):

    def test_what_does_not_go_on_elsewhere_ends(self):
        claimed = self.claimed('wait', 'ok', extra=[{}, {'mandatory': True}])
        self.executor.advance(claimed)
        self.executor.advance(claimed)
        claimed.progress.engine_state = 'process'
        self.executor.release(claimed)
        self.assertIn(('left', 0), self.engine.calls)
        self.assertEqual(['fail', 'pending'], self.states(self.reports[-1]))
        # What is to be done all the same, another scheduler does.
        self.assertTrue(self.reports[-1].release)

    def test_a_run_whose_only_action_ended_is_over(self):
        claimed = self.claimed('wait')
        self.executor.advance(claimed)
        claimed.progress.engine_state = 'process'
        self.executor.release(claimed)
        self.assertEqual(('fail', False), (
            self.reports[-1].state, self.reports[-1].release))

    def test_a_run_is_handed_back_as_it_stands(self):
        claimed = self.claimed('wait')
        self.executor.advance(claimed)
        self.executor.advance(claimed)
        self.executor.release(claimed)
        self.assertTrue(self.reports[-1].release)
        self.assertEqual('running', self.reports[-1].state)
        self.assertEqual(['submitted'], self.states(self.reports[-1]))

    def test_a_submit_that_was_begun_is_finished(self):
        claimed = self.claimed('wait')
        self.executor.advance(claimed)
        self.executor.release(claimed)
        self.assertEqual(['submitted'], self.states(self.reports[-1]))
        self.assertTrue(self.reports[-1].release)

    def test_a_run_that_was_not_begun(self):
        step = messages.Step('action-0', 0, State.SUBMITTED, 1)
        self.executor.release(self.claimed('ok', fence=2, steps=[step]))
        self.assertEqual(['submitted'], self.states(self.reports[-1]))
        self.assertTrue(self.reports[-1].release)

    def test_an_end_that_was_not_told_yet(self):
        claimed = self.claimed('ok')
        self.executor.advance(claimed)
        self.executor.advance(claimed)
        self.faults = [client.ApiUnreachable('away')]
        self.executor.advance(claimed)
        self.executor.release(claimed)
        self.assertEqual('success', self.reports[-1].state)
        self.assertFalse(self.reports[-1].release)

    def test_the_api_away(self):
        claimed = self.claimed('ok')
        self.faults = [client.ApiUnreachable('away')] * 2
        self.executor.release(claimed)
        self.assertEqual([], self.reports)
