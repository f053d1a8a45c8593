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

"""What stock schedulers send, and what they mean by it."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.functional import base


class Scheduler18:
    """What freezer-scheduler 18.0.0 keeps and sends, as its contract says.

    It copies a job when it first meets it or finds a start or a stop in it,
    and writes that copy, however old.
    """

    def __init__(self, test: base.ApiTestCase) -> None:
        self.test = test
        self.copy: dict[str, Any] = {}
        self.state = ''
        self.pid = 100

    def send(self, *keys: str) -> None:
        """Write some of the copy, all of it without keys."""
        self.test.call(
            base.MEMBER, 'PATCH', f'jobs/{self.copy["job_id"]}',
            {key: self.copy[key] for key in keys or self.copy}, 200)

    def schedule(self, **changed: Any) -> None:
        self.copy['job_schedule'].update(changed)

    def poll(self, job: dict[str, Any]) -> None:
        event = job['job_schedule'].get('event', '')
        if not self.copy:
            self.copy = copy.deepcopy(job)
            event = event or 'start'
        if event == 'start' and self.state == '':
            self.copy = copy.deepcopy(job)
            self.state = 'scheduled'
            self.schedule(event='', status='scheduled')
            self.send()
        elif event == 'start':
            self.schedule(event='')
            self.send()
        elif event in ('stop', 'abort') and self.state != 'running':
            self.copy = copy.deepcopy(job)
            self.state = ''
            self.schedule(event='', status='stop')
            self.send()
        elif event:
            self.schedule(event=event)
            if event == 'abort':
                self.send()

    def begin(self) -> None:
        self.state = 'running'
        self.schedule(status='running', result='', time_ended=-1,
                      time_started=self.test.clock.now)
        self.send('job_schedule')
        self.pid += 1
        self.schedule(current_pid=self.pid)
        self.send()

    def end(self) -> None:
        stopped = self.copy['job_schedule']['event'] in ('stop', 'abort')
        self.schedule(result='success', time_ended=self.test.clock.now,
                      status='completed' if stopped else 'scheduled')
        self.state = '' if stopped else 'scheduled'
        self.send(*(() if stopped else ('job_schedule',)))


class OldSchedulerTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'stock', 'hostname': 'stock'}, 201)

    def test_it_undoes_no_edit_and_is_heard(self) -> None:
        """In any order of edits, events and steps; seeds come again."""
        for seed in range(25):
            self._live(random.Random(seed), seed)

    def _live(self, chance: random.Random, seed: int) -> None:
        job_id = self.create_job(client='stock', description='first')
        wanted = {'description': 'first', 'hour': None, 'name': 'nightly'}
        scheduler = Scheduler18(self)
        scheduler.poll(self.job(job_id))
        done = f'{seed}:'
        for step in range(12):
            self.clock.now += 1
            what = chance.choice((
                'describe', 'reschedule', 'rename', 'poll', 'run', 'start',
                'stop', 'panel'))
            done += f' {what}'
            if what == 'describe':
                wanted['description'] = f'd{step}'
                self.patch(job_id, description=f'd{step}')
            elif what == 'reschedule':
                wanted['hour'] = str(step)
                self.patch(job_id, job_schedule={
                    **self.job(job_id)['job_schedule'],
                    'schedule_hour': str(step)})
            elif what == 'rename':
                # What 18.0.0 has in its copy differs from the action then.
                wanted['name'] = f'n{step}'
                [entry] = self.job(job_id)['job_actions']
                self.call(
                    base.MEMBER, 'PATCH', f'actions/{entry["action_id"]}',
                    {'freezer_action': {'backup_name': f'n{step}'}}, 200)
            elif what == 'panel':
                # It sends what it has just read, whole.
                shown = self.job(job_id)
                wanted['description'] = f'p{step}'
                self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                    **shown, 'description': f'p{step}'}, 200)
            elif what in ('start', 'stop'):
                self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                          {what: None}, 202)
            elif what == 'poll':
                scheduler.poll(self.job(job_id))
                self.heard(job_id, scheduler, done)
            elif scheduler.state == 'scheduled':
                scheduler.begin()
                self.heard(job_id, scheduler, done)
                self.clock.now += 1
                scheduler.end()
                self.heard(job_id, scheduler, done)
            shown = self.job(job_id)
            [entry] = shown['job_actions']
            self.assertEqual(wanted, {
                'description': shown['description'],
                'hour': shown['job_schedule'].get('schedule_hour'),
                'name': entry['freezer_action']['backup_name']}, done)

    def patch(self, job_id: str, **sent: Any) -> None:
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', sent, 200)

    def heard(self, job_id: str, scheduler: Scheduler18, done: str) -> None:
        """Where the job stands is what its scheduler says."""
        shown = self.job(job_id)['job_schedule']
        said = scheduler.copy['job_schedule']
        keys = ('status', 'result', 'time_started', 'time_ended')
        if shown.get('event') in ('start', 'stop', 'abort'):
            return  # Asked for since.
        self.assertEqual({key: said.get(key) or '' for key in keys},
                         {key: shown.get(key) or '' for key in keys}, done)
