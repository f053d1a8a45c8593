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

"""Random lives of a job whose trust comes and goes."""

from __future__ import annotations

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
import testtools

from freezer_api.domain import events
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import suspension
from freezer_api.domain import trust_errors

T0 = 1_800_000_000
WINDOW = 3600
SCHEDULES: tuple[dict[str, str], ...] = (
    {}, {'schedule_interval': '10 minutes'},
    {'schedule_interval': '1 days'}, {'schedule_interval': 'nothing'},
    {'schedule_date': '2027-01-16T08:00:00'})
CAUSES = st.sampled_from(list(trust_errors.Cause))


def plan(schedule):
    return firing_plan.Plan(schedule, 'job', firing_plan.Rules(
        delay=0, window=WINDOW, jitter=20))


class LifeOfAJob(stateful.RuleBasedStateMachine):
    """What API and schedulers do to one job, in any order."""

    @stateful.initialize(schedule=st.sampled_from(SCHEDULES[:3]))
    def create(self, schedule):
        self.schedule, self.plan = schedule, plan(schedule)
        self.now = T0
        self.job = job_state.create(plan(schedule), {}, T0,
                                    supports_claims=True)
        self.nominal: int | None = None
        self.started = False
        self.skipped = {}
        self.runs = 0

    @stateful.rule(seconds=st.sampled_from([1, 59, 60, 600, 3601, 90_000]))
    def time_passes(self, seconds):
        self.now += seconds

    @stateful.rule(event=st.sampled_from(events.EVENTS))
    def event(self, event):
        self.job = events.apply(
            event, self.plan, self.job, self.now, True).runtime

    @stateful.precondition(lambda self: self.due())
    @stateful.rule()
    def claim(self):
        self.take()

    def take(self):
        if self.job.retry_run_id is not None:
            run_id = self.job.retry_run_id
            if self.now - self.skipped[run_id] > WINDOW:
                self.job = job_state.miss(self.plan, self.job, self.now)
                return
            self.nominal = self.skipped[run_id]
        else:
            self.runs += 1
            run_id = f'run-{self.runs}'
            self.nominal = self.job.next_run_at
        self.started = self.job.event == 'start'
        self.shown_times = (self.job.time_started, self.job.time_ended)
        self.job = job_state.claim(self.plan, self.job, run_id, self.now)

    def due(self):
        return self.job.due_at is not None and self.job.due_at <= self.now

    @stateful.precondition(lambda self: self.job.run_id is not None)
    @stateful.rule(result=st.sampled_from(['success', 'fail', 'aborted']))
    def finish(self, result):
        self.job = job_state.finish(self.plan, self.job, result, None,
                                    self.now)

    @stateful.precondition(lambda self: self.job.run_id is not None)
    @stateful.rule(cause=CAUSES, begun=st.booleans())
    def refuse(self, cause, begun):
        self.end_refused(cause, begun)

    @stateful.precondition(lambda self: self.job.run_id is None
                           and self.job.next_run_at is not None)
    @stateful.rule(cause=CAUSES)
    def next_firing_is_refused(self, cause):
        # What leads to most of the states, and would seldom come about.
        self.now = max(self.now, self.job.due_at or 0)
        self.take()
        if self.job.run_id is not None:
            self.end_refused(cause, begun=False)

    def end_refused(self, cause, begun):
        firing = None
        assert self.job.run_id is not None and self.nominal is not None
        if not begun and not self.started:
            firing = suspension.Firing(self.job.run_id, self.nominal, WINDOW)
            self.skipped[self.job.run_id] = self.nominal
        withdrawn = trust_errors.lasting(self.job.suspension_reason)
        before = self.shown_times
        self.job = suspension.suspend(
            self.plan, self.job, cause, firing, self.now, begun=begun)
        if not begun:
            # What did not take place leaves no times.
            assert before == (self.job.time_started, self.job.time_ended)
        assert self.job.suspension_reason == (withdrawn or cause)

    @stateful.rule()
    def delegate(self):
        self.job = suspension.resume(self.job, self.now)
        assert self.job.suspension_reason is None

    @stateful.rule()
    def withdraw(self):
        self.job = suspension.withdraw(self.plan, self.job, self.now)

    @stateful.rule(schedule=st.sampled_from(SCHEDULES))
    def reschedule(self, schedule):
        try:
            self.job = job_state.reschedule(plan(schedule), self.job, self.now)
        except ValueError:
            return
        self.schedule, self.plan = schedule, plan(schedule)

    @stateful.invariant()
    def it_does_not_run_while_its_trust_fails(self):
        if self.job.run_id is not None:
            assert self.job.suspension_reason in (None,
                                                  trust_errors.Cause.WITHDRAWN)
            assert self.job.retry_run_id is None

    @stateful.invariant()
    def what_is_tried_again_has_its_time(self):
        if self.job.retry_run_id is None:
            return
        assert self.job.retry_run_id in self.skipped
        assert self.job.next_run_at is not None
        assert self.job.status == 'scheduled'

    @stateful.invariant()
    def it_is_due_for_its_next_firing_unless_it_runs(self):
        if self.job.run_id is not None or self.job.next_run_at is None:
            assert self.job.due_at is None
        else:
            assert self.job.due_at is not None
            assert 0 <= self.job.due_at - self.job.next_run_at <= 20

    @stateful.invariant()
    def it_is_shown_as_scheduled_exactly_while_it_waits(self):
        """A job with no firing ahead never shows ``scheduled``."""
        shown = job_state.visible(self.job, self.now + 1, 0)
        waits = (self.job.run_id is None
                 and self.job.next_run_at is not None
                 and self.job.event != 'start')
        suspended = waits and self.job.suspension_reason is not None
        assert (shown == 'scheduled') == (waits and not suspended), self.job
        assert (shown == 'suspended') == suspended, self.job
        if shown == 'suspended':
            assert self.job.status_reason

    @stateful.invariant()
    def what_completed_without_a_run_says_why(self):
        if (self.job.status == 'completed' and (
                self.job.time_started or -1) < 0):
            assert self.job.status_reason

    @stateful.invariant()
    def a_withdrawn_job_says_so(self):
        if self.job.suspension_reason == trust_errors.Cause.WITHDRAWN:
            assert self.job.retry_run_id is None
            assert self.job.suspended_at is not None

    @stateful.invariant()
    def since_when_is_known_exactly_while_it_matters(self):
        if self.job.suspension_reason is not None:
            assert self.job.suspended_at is not None
            assert self.job.suspended_at <= self.now
        elif self.job.run_id is None:
            assert self.job.suspended_at is None

    @stateful.invariant()
    def a_suspended_job_with_a_schedule_keeps_its_firings(self):
        """No firing is lost in silence."""
        if (self.job.suspension_reason is not None and not self.job.disarmed
                and self.job.run_id is None and self.job.event != 'start'
                and self.schedule.get('schedule_interval')):
            assert self.job.next_run_at is not None


TestLifeOfAJob = LifeOfAJob.TestCase
TestLifeOfAJob.settings = hypothesis.settings(
    max_examples=150, stateful_step_count=40, deadline=None)


class TestRetries(testtools.TestCase):

    @hypothesis.given(st.integers(0, 10_000), st.integers(0, 100_000))
    @hypothesis.settings(deadline=None)
    def test_the_next_try_is_later_and_in_time(self, late, window):
        firing = suspension.Firing('r', T0, window)
        at = firing.retry_at(T0 + late)
        if at is not None:
            self.assertGreater(at, T0 + late)
            self.assertLessEqual(at, T0 + window)

    def test_tries_become_rarer_and_end(self):
        firing = suspension.Firing('r', T0, 3 * 3600)
        tries, now = [], T0
        while (at := firing.retry_at(now)) is not None:
            tries.append(at - T0)
            now = at
        self.assertEqual([60, 300, 900, 1800, 3600, 7200, 10800], tries)

    def test_a_schedule_that_fires_sooner_is_not_tried_in_between(self):
        often = plan({'schedule_interval': '30 seconds'})
        job = job_state.create(often, {}, T0, supports_claims=True)
        now = T0 + 30
        job = job_state.claim(often, job, 'r', now)
        job = suspension.suspend(
            often, job, trust_errors.Cause.REFUSED,
            suspension.Firing('r', now, WINDOW), now)
        self.assertIsNone(job.retry_run_id)
        self.assertEqual(now + 30, job.next_run_at)


class TestStop(testtools.TestCase):

    PLAN = plan({'schedule_interval': '1 days'})

    def refused(self, job: job_state.Runtime, now: int) -> job_state.Runtime:
        return suspension.suspend(
            self.PLAN, job, trust_errors.Cause.REFUSED,
            suspension.Firing('r', now, WINDOW), now)

    def running(self, now: int) -> job_state.Runtime:
        return job_state.claim(self.PLAN, job_state.create(
            self.PLAN, {}, T0, supports_claims=True), 'r', now)

    def test_a_stop_ends_the_tries(self):
        waiting = self.refused(self.running(T0), T0)
        self.assertEqual('r', waiting.retry_run_id)
        for event in ('stop', 'abort'):
            job = events.apply(
                event, self.PLAN, waiting, T0 + 1, True).runtime
            self.assertEqual(('stop', None, None), (
                job.status, job.next_run_at, job.retry_run_id))

    def test_a_stop_of_the_refused_run_is_obeyed(self):
        for event in ('stop', 'abort'):
            job = self.refused(events.apply(
                event, self.PLAN, self.running(T0), T0, True).runtime, T0 + 1)
            self.assertEqual(('completed', None, None), (
                job.status, job.next_run_at, job.retry_run_id))


class TestCauses(testtools.TestCase):

    def test_each_says_what_to_do(self):
        for cause in trust_errors.Cause:
            self.assertIn('.', cause.advice)
            self.assertLess(len(cause.advice), 400)
            # They are stored so.
            self.assertLessEqual(len(cause), 32)

    def test_only_what_a_scheduler_can_know_is_read(self):
        for cause in trust_errors.Cause:
            self.assertEqual(cause if cause in trust_errors.REPORTED else None,
                             trust_errors.reported(str(cause)))
        for other in (None, 7, '', 'new', ['trust_gone']):
            self.assertIsNone(trust_errors.reported(other))
