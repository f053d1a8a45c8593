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

"""Trusts of jobs: made, shared, moved and ended with them."""

from __future__ import annotations

import dataclasses
import json
from unittest import mock

import sqlalchemy as sa

from freezer_api.db import models
from freezer_api.db import trusts as db_trusts
from tests.functional import base

APP_CRED = base.Persona(
    'alice', 'p1', ('member', 'reader'),
    (('application_credential', {'id': 'x'}),))


class DelegationTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients',
                  {'client_id': 'own', 'hostname': 'own'}, 201)

    def trust_of(self, job_id: str) -> str:
        trust_id: str = self.call(
            base.SERVICE, 'GET', f'/v2/p1/jobs/{job_id}',
            status=200)['trust_id']
        return trust_id

    def test_a_central_job_has_a_trust_of_its_creator(self) -> None:
        job_id = self.create_job()
        self.assertEqual(
            ('alice', 'p1'), self.trusts.live[self.trust_of(job_id)])

    def test_a_job_of_an_own_client_has_none(self) -> None:
        job_id = self.create_job(client='own')
        self.assertNotIn('trust_id', self.job(job_id))
        self.assertEqual({}, self.trusts.live)

    def test_jobs_of_a_user_share_a_trust(self) -> None:
        first, second = self.create_job(), self.create_job()
        self.assertEqual(self.trust_of(first), self.trust_of(second))
        self.assertEqual(1, self.trusts.made)
        third = self.create_job(persona=base.MATE)
        self.assertNotEqual(self.trust_of(first), self.trust_of(third))

    def test_the_last_job_takes_the_trust_with_it(self) -> None:
        first, second = self.create_job(), self.create_job()
        self.call(base.MEMBER, 'DELETE', f'jobs/{first}', status=204)
        self.assertEqual(1, len(self.trusts.live))
        # Upstream leaves the trust when a team mate deletes the job.
        self.call(base.MATE, 'DELETE', f'jobs/{second}', status=204)
        self.assertEqual({}, self.trusts.live)

    def test_a_new_job_after_the_last_makes_a_new_trust(self) -> None:
        first = self.create_job()
        old = self.trust_of(first)
        self.call(base.MEMBER, 'DELETE', f'jobs/{first}', status=204)
        self.assertNotEqual(old, self.trust_of(self.create_job()))

    def test_a_trust_is_encrypted_at_rest(self) -> None:
        trust_id = self.trust_of(self.create_job())
        with self.database.engine.connect() as connection:
            for table in ('user_credentials', 'delegations'):
                rows = connection.execute(sa.text(
                    f'SELECT * FROM {table}')).mappings().all()
                self.assertEqual(1, len(rows))
                self.assertNotIn(trust_id, json.dumps(
                    [str(value) for value in rows[0].values()]))
                self.assertEqual('fernet', rows[0]['decrypt_method'])

    def test_who_sees_a_trust(self) -> None:
        """Invariant 6: shown to the trustor, admin and service only."""
        job_id = self.create_job()
        trust_id = self.trust_of(job_id)
        for persona in (base.MEMBER, base.SERVICE, base.ADMIN):
            shown = self.call(
                persona, 'GET', f'/v2/p1/jobs/{job_id}', status=200)
            self.assertEqual(trust_id, shown['trust_id'])
            self.assertEqual('alice', shown['trustor_user_id'])
            self.assertEqual(
                {'trust_id': trust_id, 'trustor_user_id': 'alice'},
                shown['user_credentials'])
        for persona in (base.MATE, base.READER):
            for path in (f'jobs/{job_id}', 'jobs', 'clients', 'actions',
                         f'jobs/{job_id}/runs'):
                shown = self.call(persona, 'GET', path, status=200)
                self.assertNotIn(trust_id, json.dumps(shown))
                self.assertNotIn('user_credentials', json.dumps(shown))

    def test_planted_credentials_are_ignored(self) -> None:
        """Upstream stores them, and a move to central then uses them."""
        planted = {'trust_id': 'stolen', 'trustor_user_id': 'bob'}
        job_id = self.create_job(client='own', user_credentials=planted)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'user_credentials': planted}, 200)
        self.assertNotIn('user_credentials', self.job(job_id))
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'central'}, 200)
        self.assertEqual(
            ('alice', 'p1'), self.trusts.live[self.trust_of(job_id)])

    def test_moving_onto_a_central_client_makes_a_trust(self) -> None:
        job_id = self.create_job(client='own')
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'central'}, 200)
        self.trust_of(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'own'}, 200)
        self.assertEqual({}, self.trusts.live)
        self.assertNotIn('trust_id', self.job(job_id))

    def test_replacing_a_job_makes_a_trust(self) -> None:
        document = {'client_id': 'central', 'job_schedule': {},
                    'job_actions': [{'freezer_action': base.BACKUP}]}
        self.call(base.MEMBER, 'POST', 'jobs/chosen-id', document, 201)
        self.assertEqual(
            ('alice', 'p1'), self.trusts.live[self.trust_of('chosen-id')])

    def test_whoever_changes_what_a_job_does_becomes_its_trustor(
            self) -> None:
        """Invariant 6."""
        job_id = self.create_job()
        action_id = self.job(job_id)['job_actions'][0]['action_id']
        changes = {
            f'jobs/{job_id}': {'job_actions': [{'freezer_action': {
                **base.BACKUP, 'cindernative_vol_id': base.OTHER_VOLUME}}]},
            f'actions/{action_id}': {'freezer_action': {
                'cindernative_vol_id': base.VOLUME}},
        }
        for path, change in reversed(changes.items()):
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                      {'job_schedule': {'schedule_interval': '2 days'}}, 200)
            self.call(base.MATE, 'PATCH', path, change, 200)
            self.assertEqual(
                ('bob', 'p1'), self.trusts.live[self.trust_of(job_id)], path)
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                      {'job_schedule': {'schedule_interval': '1 days'}}, 200)
            self.assertEqual(
                ('alice', 'p1'), self.trusts.live[self.trust_of(job_id)])
        self.assertEqual(1, len(self.trusts.live))

    def test_a_description_changes_no_trustor(self) -> None:
        job_id = self.create_job()
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}',
                  {'description': 'b'}, 200)
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}', {
            'job_actions': self.job(job_id, base.MATE)['job_actions'],
            'description': 'c'}, 200)
        self.assertEqual(
            ('alice', 'p1'), self.trusts.live[self.trust_of(job_id)])

    def test_an_application_credential_is_told_what_to_do(self) -> None:
        for make_first in (False, True):
            if make_first:
                self.create_job()
            answer = self.call(APP_CRED, 'POST', 'jobs', {
                'client_id': 'central', 'job_schedule': {},
                'job_actions': [{'freezer_action': base.BACKUP}]}, 403)
            self.assertEqual('delegation_needs_own_token', answer['code'])
            self.assertIn('application credential', answer['description'])
            self.assertIn('password', answer['description'])

    def test_an_admin_in_another_projects_url_is_told(self) -> None:
        """Upstream answers 500."""
        answer = self.call(base.ADMIN, 'POST', '/v2/p1/jobs', {
            'client_id': 'central', 'job_schedule': {},
            'job_actions': [{'freezer_action': base.BACKUP}]}, 403)
        self.assertEqual('delegation_wrong_project', answer['code'])
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs'])
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'actions', status=200)['actions'])

    def test_missing_roles_are_named(self) -> None:
        no_member = base.Persona('alice', 'p1', ('manager', 'admin'))
        answer = self.call(no_member, 'POST', 'jobs', {
            'client_id': 'central', 'job_schedule': {},
            'job_actions': [{'freezer_action': base.BACKUP}]}, 422)
        self.assertEqual('Missing required credentials', answer['title'])
        self.assertIn("['member']", answer['description'])

    def test_a_refused_job_leaves_nothing_behind(self) -> None:
        """Or whoever asks often enough fills the table."""
        taken = self.create_job()
        for persona in (base.STRANGER, base.MATE):
            self.call(persona, 'POST', f'jobs/{taken}', {
                'client_id': 'central', 'job_actions': [
                    {'action_id': 'nope'}]},
                409 if persona is base.STRANGER else 422)

        with self.database.read() as session:
            rows = session.scalars(sa.select(models.Delegation)).all()
        self.assertEqual(['alice'], [row.trustor_user_id for row in rows])
        self.assertEqual(1, len(self.trusts.live))

    def test_no_trust_without_a_job(self) -> None:
        """Nothing is left behind when a later step fails."""
        bad = {'client_id': 'central', 'job_schedule': {}, 'job_actions': [
            {'freezer_action': {**base.BACKUP, 'mode': 'fs'}}]}
        self.call(base.MEMBER, 'POST', 'jobs', bad, 422)
        self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central', 'job_actions': [
                {'action_id': 'unknown'}]}, 422)
        self.assertEqual(0, self.trusts.made, 'for a job that is refused')
        with mock.patch.object(db_trusts, 'attach', autospec=True,
                               side_effect=RuntimeError('power cut')):
            self.call(base.MEMBER, 'POST', 'jobs', {
                'client_id': 'central',
                'job_actions': [{'freezer_action': base.BACKUP}]}, 500)
        self.assertEqual(1, self.trusts.made)
        self.assertEqual({}, self.trusts.live)
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs'])

    def test_no_job_without_its_trust(self) -> None:
        self.trusts.away = True
        answer = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 503)
        self.assertEqual('keystone_unavailable', answer['code'])
        for what in ('jobs', 'actions'):
            self.assertEqual([], self.call(
                base.MEMBER, 'GET', what, status=200)[what])

    def test_a_deletion_that_keystone_missed_is_made_up_for(self) -> None:
        job_id = self.create_job()
        self.trusts.away = True
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.assertEqual(1, len(self.trusts.live))
        self.assertEqual(
            {'trusts_deleted': 0, 'trusts_pending': 1, 'trusts_unproven': 0,
             'runs_deleted': 0,
             'runs_abandoned': 0, 'jobs_suspended': 0,
             'jobs_suspended_by_cause': {}, 'clock_ahead': 0},
            self.call(base.SERVICE, 'POST', 'maintenance', {}, 200))
        self.trusts.away = False
        self.clock.now += 900
        self.assertEqual(
            {'trusts_deleted': 1, 'trusts_pending': 0, 'trusts_unproven': 0,
             'runs_deleted': 0,
             'runs_abandoned': 0, 'jobs_suspended': 0,
             'jobs_suspended_by_cause': {}, 'clock_ahead': 0},
            self.call(base.SERVICE, 'POST', 'maintenance', {}, 200))
        self.assertEqual({}, self.trusts.live)

    def maintain(self) -> None:
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)

    def test_a_going_run_keeps_its_trust_to_the_end(self) -> None:
        for dies in (False, True):
            job_id = self.create_job()
            self.start(job_id)
            run = self.one_run()
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
            self.clock.now += 3600
            self.maintain()
            self.assertEqual(1, len(self.trusts.live))
            if dies:
                self.clock.now += 86_400
            else:
                self.report(run, 'aborted')
            self.maintain()
            self.assertEqual({}, self.trusts.live)

    def test_a_mates_change_leaves_a_going_run_its_trust(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': '2 days'}}, 200)
        self.maintain()
        self.assertIn(run['credentials']['trust_id'], self.trusts.live)
        self.report(run, 'success')
        self.maintain()
        self.assertEqual([('bob', 'p1')], list(self.trusts.live.values()))

    def test_a_trust_whose_answer_was_lost_is_found_and_deleted(
            self) -> None:
        """No trust without a job, whatever Keystone did not say."""
        kept = self.create_job(persona=base.MATE)
        self.trusts.answer_lost = True
        self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 503)
        self.trusts.answer_lost = False
        self.assertEqual(2, len(self.trusts.live))
        self.maintain()
        self.assertEqual(2, len(self.trusts.live), 'it may be on its way')
        self.clock.now += 120
        self.maintain()
        self.assertEqual([('bob', 'p1')], list(self.trusts.live.values()))
        self.assertIn(self.trust_of(kept), self.trusts.live)

    def test_a_process_that_died_after_making_a_trust(self) -> None:
        died = RuntimeError('kill -9')
        with mock.patch.object(self.services.trusts, '_settle',
                               autospec=True), mock.patch.object(
                db_trusts, 'attach', autospec=True, side_effect=died):
            self.call(base.MEMBER, 'POST', 'jobs', {
                'client_id': 'central',
                'job_actions': [{'freezer_action': base.BACKUP}]}, 500)
        self.assertEqual(1, len(self.trusts.live))
        # The user has a job by now, with a trust that must stay.
        job_id = self.create_job()
        self.clock.now += 600
        self.maintain()
        self.assertEqual([self.trust_of(job_id)], list(self.trusts.live))

    def test_nobody_waits_for_the_trusts_of_others(self) -> None:
        theirs = self.create_job(persona=base.STRANGER)
        job_id = self.create_job()
        self.trusts.away = True
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.trusts.away = False
        self.clock.now += 1000
        self.call(base.STRANGER, 'PATCH', f'jobs/{theirs}',
                  {'description': 'x'}, 200)
        self.assertEqual(2, len(self.trusts.live))
        self.maintain()
        self.assertEqual([('eve', 'p2')], list(self.trusts.live.values()))

    def test_maintenance_asks_keystone_what_the_start_could_not(self) -> None:
        asked: list[bool] = []
        self.services = dataclasses.replace(
            self.services, self_test=lambda: asked.append(True))
        self.client.app = self.make_app()
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual([True], asked)

    def test_maintenance_is_not_for_tenants(self) -> None:
        self.call(base.MEMBER, 'POST', 'maintenance', {}, 403)


class WithoutKeyTests(base.ApiTestCase):
    settings = {'user_credentials': {'keys': []}}

    def test_a_central_job_is_refused(self) -> None:
        self.register_central()
        answer = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 403)
        self.assertEqual('no_encryption_key', answer['code'])
        self.assertEqual({}, self.trusts.live)
        self.assertEqual(0, self.trusts.made)


class DelegationTestsOnMySQL(base.MySQL, DelegationTests):
    pass


class DelegationTestsOnPostgreSQL(base.PostgreSQL, DelegationTests):
    pass
