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

"""Jobs whose trust does not work: suspended, tried again, resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import sqlalchemy as sa

from freezer_api.db import models
from freezer_api.db import trusts
from freezer_api.keystone import crypt
from tests.functional import base

NIGHTLY = {'schedule_interval': '1 days'}
DAY = 86_400
APP_CRED = base.Persona(
    'bob', 'p1', ('member', 'reader'),
    (('application_credential', {'id': 'x'}),))


class SuspensionTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def patch(self, job_id: str, change: dict[str, Any],
              persona: base.Persona = base.MEMBER) -> None:
        self.call(persona, 'PATCH', f'jobs/{job_id}', change, 200)

    def start(self, job_id: str,
              persona: base.Persona = base.MEMBER) -> None:
        super().start(job_id, persona)
        # Two runs of a job are a second apart.
        self.clock.now += 1

    def trustor(self, job_id: str) -> str | None:
        shown = self.call(base.SERVICE, 'GET', f'/v2/p1/jobs/{job_id}',
                          status=200)
        trustor: str | None = shown.get('trustor_user_id')
        return trustor

    def cause(self, job_id: str) -> str | None:
        """Why a job is suspended; both ways to say so agree."""
        shown = self.job(job_id)
        cause: str | None = shown.get('suspended_cause')
        self.assertEqual(cause is not None, shown.get('suspended', False))
        return cause

    def states(self, job_id: str) -> list[str]:
        return [run['state'] for run in self.runs(job_id)]

    def refuse(self, job_id: str, cause: str = 'trust_refused') -> None:
        """Let the job's next claim find its trust of no use."""
        run = self.one_run()
        self.assertEqual(job_id, run['job_id'])
        self.report(run, 'fail', reason='no', cause=cause)

    def suspended(self, cause: str = 'trust_refused') -> str:
        """A job that its first firing has suspended."""
        job_id = self.create_job()
        self.clock.now += DAY
        self.refuse(job_id, cause)
        self.assertEqual(cause, self.cause(job_id))
        return job_id

    # -- withdrawal --

    def test_withdrawn_jobs_do_not_run_until_delegated_again(self) -> None:
        for key in ('client_id', 'job_actions'):
            job_id = self.create_job(schedule={})
            before = self.job(job_id)
            self.patch(job_id, {'user_credentials': {}}, base.MATE)
            self.assertEqual({}, self.trusts.live)
            self.assertEqual('delegation_withdrawn', self.cause(job_id))
            self.assertIn('client_id', self.job(job_id)['status_reason'])
            answer = self.call(base.MATE, 'POST', f'jobs/{job_id}/event',
                               {'start': None}, 202)
            self.assertEqual('success', answer['result'])
            self.clock.now += 1
            self.assertEqual([], self.claim()['runs'])
            self.assertEqual(['skipped'], self.states(job_id))
            self.assertEqual('delegation_withdrawn',
                             self.runs(job_id)[0]['cause'])
            # Older clients watch the result for that of a run.
            self.assertIn(self.job(job_id)['job_schedule'].get('result'),
                          ('', None))
            self.patch(job_id, {'description': 'x'})
            self.assertEqual('delegation_withdrawn', self.cause(job_id))
            self.patch(job_id, {key: before[key]}, base.MATE)
            self.assertIsNone(self.cause(job_id))
            self.assertEqual('bob', self.trustor(job_id))
            self.start(job_id)
            self.report(self.one_run(), 'success')
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def test_each_firing_of_a_withdrawn_job_is_told(self) -> None:
        job_id = self.create_job()
        self.patch(job_id, {'user_credentials': {}})
        for number in range(1, 4):
            self.clock.now += DAY
            self.assertEqual([], self.claim()['runs'])
            self.assertEqual(['skipped'] * number, self.states(job_id))

    def test_a_withdrawal_keeps_the_trust_of_other_jobs(self) -> None:
        kept, job_id = self.create_job(), self.create_job()
        self.patch(job_id, {'user_credentials': {}})
        self.assertEqual(1, len(self.trusts.live))
        self.assertEqual('alice', self.trustor(kept))

    def test_a_withdrawal_lets_a_going_run_end(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.patch(job_id, {'user_credentials': {}})
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual(1, len(self.trusts.live))
        self.report(run, 'success')
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual({}, self.trusts.live)
        self.assertEqual('delegation_withdrawn', self.cause(job_id))

    def test_a_withdrawal_wins_over_the_rest_of_the_document(self) -> None:
        job_id = self.create_job()
        self.patch(job_id, {'user_credentials': {}, 'client_id': 'central',
                            'job_schedule': {'schedule_interval': '2 days'}},
                   base.MATE)
        self.assertEqual({}, self.trusts.live)
        self.assertEqual('2 days', self.job(job_id)['job_schedule'][
            'schedule_interval'])

    def test_who_may_not_update_cannot_withdraw(self) -> None:
        job_id = self.create_job()
        self.call(base.READER, 'PATCH', f'jobs/{job_id}',
                  {'user_credentials': {}}, 403)
        self.call(base.STRANGER, 'PATCH', f'jobs/{job_id}',
                  {'user_credentials': {}}, 404)
        self.assertEqual('alice', self.trustor(job_id))

    def test_other_clients_jobs_have_nothing_to_withdraw(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients',
                  {'client_id': 'own', 'hostname': 'own'}, 201)
        job_id = self.create_job(client='own')
        self.patch(job_id, {'user_credentials': {}})
        self.assertIsNone(self.cause(job_id))
        job_id = self.create_job()
        self.patch(job_id, {'user_credentials': {}})
        self.patch(job_id, {'client_id': 'own'})
        self.assertIsNone(self.cause(job_id))

    # -- refused trusts --

    def test_a_refused_trust_suspends_with_advice(self) -> None:
        for cause, words in (
                ('trust_refused', 'role'), ('trust_gone', 'exist'),
                ('project_disabled', 'project')):
            job_id = self.suspended(cause)
            shown = self.job(job_id)
            self.assertIn(words, shown['status_reason'])
            self.assertEqual('fail', shown['job_schedule']['result'])
            self.assertEqual('suspended', shown['job_schedule']['status'])
            [run] = self.runs(job_id)
            self.assertEqual(('waiting', cause, -1), (
                run['state'], run['cause'], run['time_ended']))
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def test_a_cause_that_no_scheduler_can_know_is_none(self) -> None:
        for cause in ('delegation_withdrawn', 'trust_unreadable', 'new',
                      None):
            job_id = self.create_job()
            self.start(job_id)
            self.report(self.one_run(), 'fail', cause=cause)
            self.assertIsNone(self.cause(job_id))
            self.assertEqual(['fail'], self.states(job_id))

    def test_one_run_is_tried_with_pauses_and_resumes(self) -> None:
        job_id = self.suspended()
        since = self.job(job_id)['suspended_at']
        begun = self.clock.now
        for pause in (60, 300, 900):
            self.clock.now = begun + pause - 1
            self.assertEqual([], self.claim()['runs'])
            self.clock.now += 1
            self.refuse(job_id)
        self.assertEqual(['waiting'], self.states(job_id))
        self.assertEqual(since, self.job(job_id)['suspended_at'])
        self.clock.now = begun + 1800
        run = self.one_run()
        self.assertIsNone(self.cause(job_id))
        self.report(run, 'success')
        self.assertEqual(['success'], self.states(job_id))
        self.assertIsNone(self.cause(job_id))
        self.assertNotIn('status_reason', self.job(job_id))
        self.clock.now = begun + DAY
        self.report(self.one_run(), 'success')
        self.assertEqual(['success', 'success'], self.states(job_id))

    def test_after_the_window_the_next_firing_is_the_next_try(self) -> None:
        job_id = self.suspended()
        begun = self.clock.now
        self.clock.now = begun + 3000
        self.refuse(job_id)
        self.clock.now = begun + 3700
        self.assertEqual([], self.claim()['runs'])
        self.clock.now = begun + DAY - 1
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('trust_refused', self.cause(job_id))
        self.clock.now = begun + DAY
        self.report(self.one_run(), 'success')
        self.assertEqual(['success', 'skipped'], self.states(job_id))
        self.assertIsNone(self.cause(job_id))

    def test_each_firing_has_its_run_however_often_it_is_tried(
            self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '2 minutes'})
        nominal = set()
        for _second in range(0, 1200, 30):
            self.clock.now += 30
            for run in self.claim()['runs']:
                nominal.add(run['nominal_at'])
                self.report(run, 'fail', cause='trust_refused')
        self.assertEqual(10, len(nominal))
        self.assertEqual(['waiting'] + ['skipped'] * 9, self.states(job_id))

    def test_a_late_report_of_an_earlier_try_changes_nothing(self) -> None:
        job_id = self.create_job()
        self.clock.now += DAY
        run = self.one_run()
        self.report(run, 'fail', cause='trust_refused')
        self.clock.now += 60
        again = self.one_run(scheduler='s2')
        self.assertEqual(run['run_id'], again['run_id'])
        self.report(run, 'fail', cause='trust_gone', status=409)
        self.report(again, 'success', scheduler='s2')
        self.assertIsNone(self.cause(job_id))

    def test_a_trust_lost_in_the_middle_suspends_without_another_try(
            self) -> None:
        job_id = self.create_job()
        self.clock.now += DAY
        step = {'action_id': self.job(job_id)['job_actions'][0]['action_id'],
                'position': 0, 'state': 'fail', 'reason': 'lost'}
        self.report(self.one_run(), 'fail', reason='lost', actions=[step],
                    cause='trust_refused')
        self.assertEqual(['fail'], self.states(job_id))
        self.assertEqual('trust_refused', self.cause(job_id))
        self.clock.now += 3600
        self.assertEqual([], self.claim()['runs'])

    def test_a_start_tries_at_once(self) -> None:
        job_id = self.suspended()
        self.clock.now += 10
        self.start(job_id)
        self.refuse(job_id)
        self.assertEqual(['skipped', 'skipped'], self.states(job_id))
        self.clock.now += 300
        self.assertEqual([], self.claim()['runs'], 'the start is done with')
        self.start(job_id)
        self.report(self.one_run(), 'success')
        self.assertIsNone(self.cause(job_id))

    def test_a_stopped_job_is_not_tried_again(self) -> None:
        job_id = self.suspended()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)
        self.clock.now += 3 * DAY
        self.assertEqual([], self.claim()['runs'])

    def test_a_run_that_waits_ends_with_what_it_waits_for(self) -> None:
        """And then for good: no final state is left again."""
        changes: tuple[Callable[[str], object], ...] = (
            lambda job_id: self.call(base.MEMBER, 'POST',
                                     f'jobs/{job_id}/event', {'stop': None},
                                     202),
            lambda job_id: self.patch(job_id, {'job_schedule': {
                'schedule_interval': '2 days'}}),
            lambda job_id: self.patch(job_id, {'user_credentials': {}}),
            lambda job_id: self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}',
                                     status=204))
        for change in changes:
            job_id = self.suspended()
            self.assertEqual(['waiting'], self.states(job_id))
            change(job_id)
            with self.database.read() as session:
                [run] = session.scalars(sa.select(models.JobRun).where(
                    models.JobRun.job_id == job_id))
                self.assertEqual('skipped', run.state)
                self.assertIsNotNone(run.time_ended)
            self.clock.now += 3600
            self.assertEqual([], self.claim()['runs'])
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def test_lists_and_maintenance_tell_of_suspended_jobs(self) -> None:
        job_id = self.suspended()
        other = self.create_job()
        for wanted, found in (
                ({'suspended': True}, [job_id]),
                ({'suspended_cause': 'trust_refused'}, [job_id]),
                ({'suspended_cause': 'trust_gone'}, [])):
            listed = self.call(base.MEMBER, 'GET', 'jobs',
                               {'match': [wanted]}, 200)['jobs']
            self.assertEqual(found, [job['job_id'] for job in listed],
                             wanted)
        for text, found in (('suspended', [job_id]),
                            ('Trust_Refused', [job_id]), ('trust_gone', [])):
            listed = self.call(base.MEMBER, 'GET', 'jobs',
                               {'match': [{'_all': text}]}, 200)['jobs']
            self.assertEqual(found, [job['job_id'] for job in listed], text)
        listed = self.call(base.MEMBER, 'GET', 'jobs',
                           {'match_not': [{'suspended': True}]}, 200)['jobs']
        self.assertEqual([other], [job['job_id'] for job in listed])
        for counted in ({'trust_refused': 1}, {}):
            told = self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
            self.assertEqual(sum(counted.values()), told['jobs_suspended'])
            self.assertEqual(counted, told['jobs_suspended_by_cause'])
            # A deleted job keeps its mark, and counts no more.
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    # -- taking over and replacing --

    def test_a_start_by_another_member_takes_the_job_over(self) -> None:
        for cause in ('trust_refused', 'trust_gone'):
            job_id = self.suspended(cause)
            self.start(job_id, base.MATE)
            self.assertIsNone(self.cause(job_id))
            self.assertEqual('bob', self.trustor(job_id))
            self.assertEqual([('bob', 'p1')],
                             list(self.trusts.live.values()))
            self.report(self.one_run(), 'success')
            self.assertEqual(['success', 'skipped'], self.states(job_id))
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def test_a_start_of_a_sound_job_takes_nothing_over(self) -> None:
        job_id = self.create_job()
        self.start(job_id, base.MATE)
        self.assertEqual('alice', self.trustor(job_id))

    def test_a_token_that_cannot_delegate_starts_nothing(self) -> None:
        job_id = self.suspended()
        self.call(APP_CRED, 'POST', f'jobs/{job_id}/event', {'start': None},
                  403)
        self.assertEqual('alice', self.trustor(job_id))
        self.assertIsNotNone(self.cause(job_id))

    def test_a_dead_trust_is_replaced_for_all_jobs_by_one_write(
            self) -> None:
        first, second = self.create_job(), self.create_job()
        theirs = self.create_job(persona=base.MATE)
        [dead] = [trust_id for trust_id, whose in self.trusts.live.items()
                  if whose == ('alice', 'p1')]
        del self.trusts.live[dead]
        self.clock.now += DAY
        for run in self.claim()['runs']:
            self.report(run, *(('success',) if run['job_id'] == theirs
                               else ('fail',)),
                        cause='trust_gone')
        for job_id in (first, second):
            self.assertEqual('trust_gone', self.cause(job_id))
        # Nothing is new in it: that is how a client saves a job.
        self.patch(first, {
            'client_id': 'central', 'job_actions': [
                {'action_id': self.job(first)['job_actions'][0][
                    'action_id']}]})
        for job_id in (first, second):
            self.assertIsNone(self.cause(job_id))
        self.assertEqual(2, len(self.trusts.live))
        runs = self.claim()['runs']
        self.assertEqual({first, second}, {run['job_id'] for run in runs},
                         'it is not too late for them')
        for run in runs:
            self.assertIn(run['credentials']['trust_id'], self.trusts.live)
            self.report(run, 'success')
        with self.database.read() as session:
            self.assertEqual(2, session.scalar(
                sa.select(sa.func.count()).select_from(models.Delegation)
                .where(models.Delegation.active_key.is_not(None))))

    def test_a_dead_trust_is_replaced_by_its_givers_start(self) -> None:
        job_id = self.suspended('trust_gone')
        self.trusts.live.clear()
        self.start(job_id)
        self.assertIn(self.one_run()['credentials']['trust_id'],
                      self.trusts.live)

    def test_a_report_on_a_trust_that_was_replaced_meanwhile(self) -> None:
        job_id = self.create_job()
        self.clock.now += DAY
        run = self.one_run()
        self.patch(job_id, {'job_actions': [{'freezer_action': {
            **base.BACKUP, 'cindernative_vol_id': base.OTHER_VOLUME}}]},
            base.MATE)
        self.report(run, 'fail', cause='trust_gone')
        self.assertIsNone(self.cause(job_id))
        again = self.one_run()
        self.assertEqual(run['run_id'], again['run_id'])
        self.assertIn(again['credentials']['trust_id'], self.trusts.live)
        self.report(again, 'success')

    # -- keys --

    def test_a_missing_key_suspends_and_its_return_heals(self) -> None:
        job_id = self.create_job()
        trust = list(self.trusts.live)
        box = crypt.Crypt(['A' * 43 + '='])
        self.clock.now += DAY
        with mock.patch.object(self.services.trusts, '_box', box):
            self.assertEqual([], self.claim()['runs'])
            self.assertEqual('trust_unreadable', self.cause(job_id))
            self.assertIn('operator', self.job(job_id)['status_reason'])
            self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual(trust, list(self.trusts.live))
        self.clock.now += 60
        run = self.one_run()
        self.assertEqual(trust, [run['credentials']['trust_id']])
        self.report(run, 'success')
        self.assertEqual(['success'], self.states(job_id))

    def test_a_lost_key_is_made_up_for_by_the_giver(self) -> None:
        first, second = self.create_job(), self.create_job()
        box = crypt.Crypt(['A' * 43 + '='])
        self.clock.now += DAY
        with mock.patch.object(self.services.trusts, '_box', box):
            self.claim()
            self.patch(first, {'description': 'saved'})
            runs = self.claim()['runs']
            self.assertEqual({first, second},
                             {run['job_id'] for run in runs})
        # The first could not be deleted without its id.
        self.assertEqual(2, len(self.trusts.live))

    # -- trusts of an adopted database --

    def test_an_upstream_trust_that_is_gone_is_replaced(self) -> None:
        job_id = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.UserCredential).values(
                trust_id='of-19.0.0', decrypt_method=None,
                delegation_id=None))
            connection.execute(sa.delete(models.Delegation))
        self.clock.now += DAY
        run = self.one_run()
        self.assertEqual('of-19.0.0', run['credentials']['trust_id'])
        self.report(run, 'fail', cause='trust_gone')
        self.assertEqual('trust_gone', self.cause(job_id))
        self.patch(job_id, {'description': 'saved'})
        self.assertIn(self.one_run()['credentials']['trust_id'],
                      self.trusts.live)

    def test_an_upstream_job_without_trust(self) -> None:
        job_id = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.delete(models.UserCredential))
        self.clock.now += DAY
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('delegation_missing', self.cause(job_id))
        self.start(job_id)
        self.report(self.one_run(), 'success')


class ExpiryTests(base.ApiTestCase):
    settings = {'service_mode': {'trust_lifetime': 10 * DAY}}

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def save(self, job_id: str) -> None:
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'description': 'saved'}, 200)

    def test_it_is_renewed_by_a_write_after_half_its_life(self) -> None:
        first, second = self.create_job(), self.create_job()
        [old] = self.trusts.live
        self.assertEqual(base.T0 + 10 * DAY, self.trusts.expiry[old])
        self.clock.now += 5 * DAY - 1
        self.save(first)
        self.assertEqual([old], list(self.trusts.live))
        self.clock.now += 1
        self.save(first)
        [new] = self.trusts.live
        self.assertNotEqual(old, new)
        self.assertEqual(self.clock.now + 10 * DAY, self.trusts.expiry[new])
        for job_id in (first, second):
            self.assertEqual(new, self.call(
                base.SERVICE, 'GET', f'/v2/p1/jobs/{job_id}',
                status=200)['trust_id'])

    def test_many_jobs_get_the_new_one_some_at_a_time(self) -> None:
        """Invariant 4: a user with thousands of jobs locks a few at once."""
        jobs = [self.create_job() for _ in range(9)]
        [old] = self.trusts.live
        self.clock.now += 6 * DAY

        def count() -> int:
            return [self.call(
                base.SERVICE, 'GET', f'/v2/p1/jobs/{job_id}',
                status=200)['trust_id'] for job_id in jobs].count(old)

        with mock.patch.object(trusts, '_REPLACED_AT_ONCE', 2):
            self.save(jobs[0])
            self.assertEqual(6, count())
            self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual(0, count())
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertNotIn(old, self.trusts.live)

    def test_one_that_is_in_use_lives_until_the_run_has_ended(self) -> None:
        job_id = self.create_job()
        [old] = self.trusts.live
        self.clock.now += 6 * DAY
        self.start(job_id)
        run = self.one_run()
        self.save(job_id)
        self.assertEqual(2, len(self.trusts.live))
        self.report(run, 'success')
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertNotIn(old, self.trusts.live)

    def test_an_expired_one_suspends_and_says_so(self) -> None:
        job_id = self.create_job()
        self.clock.now += 10 * DAY
        self.start(job_id)
        self.report(self.one_run(), 'fail', cause='trust_gone')
        shown = self.job(job_id)
        self.assertEqual('trust_expired', shown['suspended_cause'])
        self.assertIn('expired', shown['status_reason'])
        self.save(job_id)
        self.assertNotIn('suspended', self.job(job_id))
        [new] = self.trusts.live
        self.assertEqual(self.clock.now + 10 * DAY, self.trusts.expiry[new])


class SuspensionTestsOnMySQL(base.MySQL, SuspensionTests):
    pass


class SuspensionTestsOnPostgreSQL(base.PostgreSQL, SuspensionTests):
    pass
