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

"""A scheduler of 19.0.0 runs no job whose schedule it does not know.

It registers in the place of one that claims, and polls. It ignores
schedule_cron, and what has no time that it knows it runs two seconds after it
has seen it first.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.functional import base

CRON = {'schedule_cron': '30 2 * * 1-5'}
STOCK_KEYS = ('schedule_date', 'schedule_interval', 'schedule_year',
              'schedule_month', 'schedule_day', 'schedule_week',
              'schedule_day_of_week', 'schedule_hour', 'schedule_minute',
              'schedule_second')

# Recorded from freezer-scheduler 19.0.0.
REGISTRATION = {
    'client_id': 'node', 'hostname': 'node',
    'supported_actions': ['backup', 'restore', 'info', 'admin', 'exec'],
    'supported_modes': ['fs', 'cindernative'],
    'supported_storages': ['local', 'swift', 'ssh', 's3', 'ftp', 'ftps'],
    'supported_engines': ['tar', 'rsync'], 'is_central': False}
POLL = {'match_not': [{'status': 'completed'}],
        'match': [{'client_id': 'node'}]}


def runs_at_once(job: dict[str, Any]) -> bool:
    """Whether it runs a job as soon as it sees it for the first time."""
    schedule = job['job_schedule']
    event = schedule.get('event') or (
        'stop' if schedule.get('status') == 'stop' else 'start')
    return event == 'start' and not any(
        schedule.get(key) for key in STOCK_KEYS)


class StockCronTests(base.ApiTestCase):

    central = False
    who = base.MEMBER

    def setUp(self) -> None:
        super().setUp()
        self.register(claims=True)

    def register(self, **more: Any) -> None:
        self.call(self.who, 'POST', 'clients', {
            **REGISTRATION, 'is_central': self.central, **more}, 201)

    def poll(self) -> dict[str, dict[str, Any]]:
        """Return what it reads, by the descriptions of jobs."""
        found: dict[str, dict[str, Any]] = {}
        for offset in itertools.count(0, 10):
            path = (f'jobs/?limit=10&offset={offset}'
                    f'&all_projects={self.central}')
            page = self.call(self.who, 'GET', path, POLL, 200)['jobs']
            found.update({job['description']: job for job in page})
            if len(page) < 10:
                return found
        raise AssertionError

    def made(self) -> dict[str, str]:
        """Make a job in each state, of cron and of what it knows."""
        ids = {}
        for name, schedule, event in (
                ('new', CRON, None), ('started', CRON, 'start'),
                ('stopped', CRON, 'stop'), ('other', {
                    'schedule_interval': '1 days'}, None)):
            ids[name] = self.create_job(
                client='node', schedule=schedule, description=name)
            if event:
                self.call(base.MEMBER, 'POST', f'jobs/{ids[name]}/event',
                          {event: None}, 202)
        ids['runs'] = self.create_job(client='node', schedule=CRON,
                                      description='runs')
        self.start(ids['runs'])
        return ids

    def test_it_runs_none_of_them(self) -> None:
        ids = self.made()
        self.register()
        found = self.poll()
        self.assertEqual(set(ids), set(found))
        for name, job in found.items():
            self.assertFalse(runs_at_once(job), job)
            if name == 'other':
                self.assertNotEqual('stop', job['job_schedule'].get('status'))
                continue
            self.assertEqual('stop', job['job_schedule']['status'])
            self.assertIn('schedule_cron', job['status_reason'])
            self.assertNotIn('next_run_at', job)
            self.assertEqual(job, self.call(
                self.who, 'GET', f'jobs/{job["job_id"]}', status=200))

    def test_what_it_writes_back_changes_nothing(self) -> None:
        """It tells of each job that it is stopped, and goes on after 422."""
        ids = self.made()
        self.register()
        found = self.poll()
        for name in set(ids) - {'other'}:
            job = found[name]
            answer = self.call(base.MEMBER, 'PATCH', f'jobs/{ids[name]}', {
                'job_schedule': {**job['job_schedule'], 'event': '',
                                 'status': 'stop'},
                'session_id': '', 'session_tag': 0}, 422)
            self.assertIn('schedule_cron', answer['description'])
        self.assertEqual(found, self.poll())

    def test_none_can_be_started(self) -> None:
        ids = self.made()
        self.register()
        answer = self.call(base.MEMBER, 'POST', f'jobs/{ids["new"]}/event',
                           {'start': None}, 422)
        self.assertIn('schedule_cron', answer['description'])
        self.call(base.MEMBER, 'POST', f'jobs/{ids["new"]}/event',
                  {'stop': None}, 202)
        self.assertFalse(any(map(runs_at_once, self.poll().values())))

    def test_they_go_on_with_one_that_claims(self) -> None:
        ids = self.made()
        before = {name: self.job(job_id) for name, job_id in ids.items()}
        self.register()
        self.poll()
        self.register(claims=True)
        self.assertEqual(before, {
            name: self.job(job_id) for name, job_id in ids.items()})

    def test_with_a_time_that_it_knows_it_is_given_one(self) -> None:
        job_id = self.made()['new']
        self.register()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_hour': '2'}}, 200)
        job = self.poll()['new']
        self.assertNotIn('schedule_cron', job['job_schedule'])
        self.assertFalse(runs_at_once(job))
        self.assertNotIn('schedule_cron', job.get('status_reason', ''))

    def test_a_search_finds_what_is_shown(self) -> None:
        self.made()
        for claims in (True, False):
            self.register(claims=claims)
            shown = self.poll().values()
            for job in shown:
                for key, value in (
                        *((key, job.get(key)) for key in (
                            'status_reason', 'next_run_at')),
                        *((key, job['job_schedule'].get(key)) for key in (
                            'status', 'event')),
                        ('job_schedule', job['job_schedule'])):
                    def same(other: dict[str, Any], key: str = key) -> Any:
                        return other.get(key) if key in (
                            'status_reason', 'next_run_at', 'job_schedule'
                            ) else other['job_schedule'].get(key)

                    found = self.call(base.MEMBER, 'GET', 'jobs', {
                        'match': [{key: value}]}, 200)['jobs']
                    self.assertEqual(
                        sorted(other['job_id'] for other in shown
                               if same(other) == value),
                        sorted(other['job_id'] for other in found),
                        f'{claims} {key} {value}')


class CentralTests(StockCronTests):
    """Likewise with a central scheduler, which reads all projects."""

    central = True
    who = base.SERVICE


class OtherClientTests(base.ApiTestCase):

    def test_only_the_client_of_the_job_counts(self) -> None:
        """Another project's of that id, or one of another case, does not."""
        self.register_central('node')
        job_id = self.create_job(client='node', schedule=CRON)
        before = self.job(job_id)
        for persona, name in ((base.MEMBER, 'Node'), (base.MEMBER, 'nod')):
            self.call(persona, 'POST', 'clients', {
                **REGISTRATION, 'client_id': name}, 201)
        self.assertEqual(before, self.job(job_id))


class StockCronTestsOnMySQL(base.MySQL, StockCronTests):
    """... MariaDB."""
