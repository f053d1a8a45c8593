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

"""schedule_cron wherever a schedule is read."""

from __future__ import annotations

from tests.functional import base

# Monday to Friday at 02:30 in Berlin, an hour behind UTC in winter.
CRON = {'schedule_cron': '30 2 * * 1-5', 'schedule_timezone': 'Europe/Berlin'}


class ScheduleCronTests(base.ApiTestCase):
    """The tests begin on Friday, 15 January 2027, at 08:00 UTC."""

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def test_a_job_fires_by_it(self) -> None:
        job_id = self.create_job(schedule=CRON)
        self.assertEqual('2027-01-18T01:30:00Z',
                         self.job(job_id)['next_run_at'])
        self.clock.now += 3 * 86400 - 6 * 3600 - 1800
        run = self.one_run()
        self.assertEqual('2027-01-18T01:30:00Z', run['nominal_at'])
        self.report(run, 'success')
        self.assertEqual('2027-01-19T01:30:00Z',
                         self.job(job_id)['next_run_at'])
        found = self.call(base.MEMBER, 'GET', 'jobs', {
            'match': [{'schedule_cron': '30 2 * * 1-5'}]}, 200)['jobs']
        self.assertEqual([job_id], [job['job_id'] for job in found])

    def test_a_session_hands_it_on(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': CRON}, 201)['session_id']
        job_id = self.create_job()
        self.call(base.MEMBER, 'PUT', f'sessions/{session_id}/jobs/{job_id}',
                  status=204)
        self.assertEqual('2027-01-18T01:30:00Z',
                         self.job(job_id)['next_run_at'])

    def test_beside_another_time_it_is_refused(self) -> None:
        job_id = self.create_job(schedule=CRON)
        for name, value in (('schedule_hour', '3'),
                            ('schedule_interval', '1 days'),
                            ('schedule_date', '2027-02-01T00:00:00')):
            both = {**CRON, name: value}
            job = {'client_id': 'central', 'job_schedule': both,
                   'job_actions': [{'freezer_action': base.BACKUP}]}
            for method, path, body in (
                    ('POST', 'jobs', job), ('POST', f'jobs/{job_id}', job),
                    ('PATCH', f'jobs/{job_id}', {'job_schedule': both}),
                    ('POST', 'sessions', {'schedule': both})):
                answer = self.call(base.MEMBER, method, path, body, 422)
                self.assertEqual('schedule_refused', answer['code'])
                self.assertIn('schedule_cron', answer['description'])
                self.assertIn(name, answer['description'])

    def test_what_is_no_expression_is_refused(self) -> None:
        for text in ('0 2 * *', '61 * * * *', '0 0 30 2 *'):
            answer = self.call(base.MEMBER, 'POST', 'jobs', {
                'client_id': 'central',
                'job_schedule': {'schedule_cron': text},
                'job_actions': [{'freezer_action': base.BACKUP}]}, 400)
            self.assertIn('schedule_cron', answer['description'])

    def test_the_least_interval_holds(self) -> None:
        self.conf.set_override('minimum_interval', 600, 'scheduling')
        answer = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central',
            'job_schedule': {'schedule_cron': '*/5 * * * *'},
            'job_actions': [{'freezer_action': base.BACKUP}]}, 400)
        self.assertIn('300', answer['description'])

    def test_a_scheduler_of_an_earlier_release_is_not_given_it(self) -> None:
        """It would ignore the key, and run the job at once."""
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'stock', 'hostname': 'stock'}, 201)
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': CRON}, 201)['session_id']
        job_id = self.create_job(client='stock')
        ours = self.create_job(schedule=CRON)
        for method, path, body in (
                ('POST', 'jobs', {
                    'client_id': 'stock', 'job_schedule': CRON,
                    'job_actions': [{'freezer_action': base.BACKUP}]}),
                ('PATCH', f'jobs/{job_id}', {'job_schedule': CRON}),
                ('PATCH', f'jobs/{ours}', {'client_id': 'stock'}),
                ('PUT', f'sessions/{session_id}/jobs/{job_id}', None)):
            answer = self.call(base.MEMBER, method, path, body, 422)
            self.assertEqual('schedule_refused', answer['code'], path)
            self.assertIn('schedule_cron', answer['description'], path)
            self.assertIn('stock', answer['description'], path)
