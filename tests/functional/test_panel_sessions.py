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

"""What the panel's forms for sessions do, by the requests that they sent."""

from __future__ import annotations

from typing import Any

from tests.functional import base
from tests.functional import panel

CRON = {'schedule_hour': '2', 'schedule_day_of_week': 'mon-fri',
        'schedule_timezone': 'Europe/Berlin'}
CRONTAB = {'schedule_cron': '30 1 * * 1-5'}
INTERVAL = {'schedule_interval': '2 days',
            'schedule_start_date': '2027-02-01T03:00:00'}


class SessionFormTests(panel.PanelTestCase):

    def read_session(self, session_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.read(f'sessions/{session_id}')
        return shown

    def test_sessions_are_made(self) -> None:
        for release, forms in panel.FORMS.items():
            for form in forms:
                if not form.startswith('create a session'):
                    continue
                jobs = [self.create_job(), self.create_job()]
                self.submit(form, release, job=jobs[0], job_2=jobs[1])
                shown = self.read_session(self.names['new session'])
                self.assertEqual(
                    self.body(form, release=release)['schedule'],
                    shown['schedule'], form)
                self.assertEqual(len(forms[form]) - 1,
                                 len(shown.get('jobs') or {}))

    def test_a_session_that_is_renamed_keeps_its_schedule(self) -> None:
        """The form of 19.0.0 does not show the interval that there is."""
        for release, form, schedule in (
                ('19.0.0', 'rename a session', INTERVAL),
                ('18.0.0', 'rename a session', INTERVAL),
                ('19.0.0', 'rename a session and choose its interval',
                 INTERVAL),
                ('19.0.0', 'rename a cron session', CRON),
                ('19.0.0', 'rename a cron session', CRONTAB),
                ('19.0.0', 'rename a cron session',
                 {'schedule_interval': '6 hours'})):
            session_id = self.call(base.MEMBER, 'POST', 'sessions', {
                'schedule': schedule, 'description': 'before',
                'hold_off': 45}, 201)['session_id']
            before = self.read_session(session_id)
            self.submit(form, release, session=session_id)
            self.assertEqual(
                {**before, 'description': self.body(
                    form, release=release)['description']},
                self.read_session(session_id), (release, form))

    def test_a_new_interval_takes_the_place_of_other_times(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': CRON}, 201)['session_id']
        self.submit('rename a session and choose its interval',
                    session=session_id)
        self.assertEqual(
            {'schedule_timezone': 'Europe/Berlin', **INTERVAL},
            self.read_session(session_id)['schedule'])

    def test_jobs_come_and_go(self) -> None:
        jobs = [self.create_job(), self.create_job()]
        for release in panel.FORMS:
            self.submit('create a session', release, job=jobs[0],
                        job_2=jobs[1])
            session_id = self.names['new session']
            for job_id in jobs:
                self.submit('attach a job to a session', release,
                            session=session_id, job=job_id)
            self.assertEqual(
                set(jobs), set(self.read_session(session_id)['jobs']))
            before = self.job(jobs[0])
            self.submit('rename a job that is in a session', job=jobs[0])
            self.assertEqual({**before, 'description': 'in a session'},
                             self.job(jobs[0]))
            self.submit('disassociate a job', release, session=session_id,
                        job=jobs[1])
            self.assertEqual(
                {jobs[0]}, set(self.read_session(session_id)['jobs']))
            self.submit('manage the jobs of a session', session=session_id,
                        job=jobs[0], job_2=jobs[1])
            self.assertEqual({}, self.read_session(session_id)['jobs'])
            self.submit('delete a session', release, session=session_id)
            self.call(base.MEMBER, 'GET', f'sessions/{session_id}',
                      status=404)
