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

"""What the panel's forms do to jobs, actions and backups.

The requests are those that the forms of Horizon sent.
"""

from __future__ import annotations

from typing import Any

from tests.functional import base
from tests.functional import panel

CRON = {'schedule_hour': '2', 'schedule_day_of_week': 'mon-fri',
        'schedule_timezone': 'Europe/Berlin'}
BOUNDED_CRON = {'schedule_hour': '2',
                'schedule_start_date': '2027-01-20T02:00:00',
                'schedule_end_date': '2028-01-20T02:00:00'}
CRONTAB = {'schedule_cron': '30 1 * * 1-5',
           'schedule_timezone': 'Europe/Berlin'}
DATE = {'schedule_date': '2027-01-20T02:00:00'}
INTERVAL = {'schedule_interval': '1 days',
            'schedule_start_date': '2027-01-20T02:00:00',
            'schedule_timezone': 'Europe/Berlin'}
BOUNDS = {'schedule_start_date': '2027-01-01T00:00:00',
          'schedule_end_date': '2028-01-01T00:00:00'}

#: By what the recording calls it: the schedule that a job had.
SCHEDULES: dict[str, dict[str, str]] = {
    'cron': CRON, 'bounded cron': BOUNDED_CRON, 'crontab': CRONTAB,
    'date': DATE, 'interval': INTERVAL,
    'interval alone': {'schedule_interval': '6 hours'},
    'start with a zone': {
        'schedule_interval': '6 hours',
        'schedule_start_date': '2027-01-20T02:00:00+01:00'}}

#: With keys that no form shows.
KEPT = {'action': 'backup', 'mode': 'cindernative',
        'cindernative_vol_id': base.OTHER_VOLUME, 'backup_name': 'kept',
        'remove_older_than': 7, 'fullbackup_rotation': 2,
        'keep_deleted_days': 30, 'retention_scope': 'job',
        'remove_last_chain': True, 'incremental': True}


class FormTests(panel.PanelTestCase):

    def kept_job(self, schedule: dict[str, str],
                 description: str = '') -> str:
        """A job as it was there before the panel was used."""
        job_id: str = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central', 'description': description,
            'job_actions': [{'freezer_action': KEPT, 'max_retries': 2,
                             'max_retries_interval': 9}],
            'job_schedule': schedule}, 201)['job_id']
        return job_id

    def schedule(self, job_id: str) -> dict[str, Any]:
        return {key: value for key, value in self.job(job_id)[
            'job_schedule'].items() if key.startswith('schedule_')}

    def backup(self, **metadata: Any) -> str:
        backup_id: str = self.call(base.MEMBER, 'POST', 'backups', {
            'container': '/mnt/b', 'hostname': 'agent-1.example.com',
            'time_stamp': 1_796_000_000, 'level': 0, 'action': 'backup',
            'mode': 'fs', 'client_id': 'agent-1', **metadata},
            201)['backup_id']
        return backup_id

    def test_each_list_begins_with_the_newest(self) -> None:
        for number in range(101):
            self.create_job(client='agent-1', action={
                'action': 'backup', 'path_to_backup': f'/{number}'})
            self.clock.now += 1
        for release, forms in panel.FORMS.items():
            for form in forms:
                if form.startswith('list '):
                    [answer] = self.submit(form, release)
                    [found] = answer.values()
                    if form == 'list jobs':
                        self.assertEqual(
                            [f'/{number}' for number in range(100, 0, -1)],
                            [job['job_actions'][0]['freezer_action'][
                                'path_to_backup'] for job in found])
                    elif form == 'list actions':
                        self.assertEqual(101, len(found))

    def test_new_actions_hold_what_their_form_sends(self) -> None:
        for release, forms in panel.FORMS.items():
            for form in forms:
                if (not form.startswith('create a')
                        or forms[form][0]['path'] != 'actions/'):
                    continue
                self.submit(form, release)
                shown = self.read(f'actions/{self.names["new action"]}')
                sent = self.body(form, release=release)
                self.assertEqual(
                    sent['freezer_action'],
                    {key: value for key, value
                     in shown['freezer_action'].items()
                     if value is not None}, form)

    def test_a_new_job_waits_to_be_started(self) -> None:
        for release, forms in panel.FORMS.items():
            for form in forms:
                if form.startswith('create a job: ') and len(
                        forms[form]) == 3:
                    self.new_job(form, release)

    def new_job(self, form: str, release: str) -> None:
        sent = self.body(form, 1, release)
        actions = []
        for entry in sent['job_actions']:
            actions.append(self.call(base.MEMBER, 'POST', 'actions', {
                **entry, 'freezer_action': {
                    key: value for key, value
                    in entry['freezer_action'].items() if value is not None},
                'project_id': 'p1', 'user_id': 'alice',
                'action_id': ''}, 201)['action_id'])
        found, made, _ = self.submit(form, release, action=actions[0], **(
            {'action_2': actions[1]} if actions[1:] else {}))
        # The panel takes the first client that a search for its uuid finds.
        self.assertEqual(
            [sent['client_id']],
            [one['client']['client_id'] for one in found['clients']])
        job_id = made['job_id']
        job = self.job(job_id)
        self.assertEqual(actions, [
            one['action_id'] for one in job['job_actions']])
        self.assertEqual(sent['job_schedule'], self.schedule(job_id))
        self.assertNotIn('next_run_at', job)
        if sent['client_id'] != 'central':
            return
        self.assertEqual('stop', job['job_schedule']['status'])
        self.assertEqual([], self.claim()['runs'])
        self.submit('start a job', release, job=job_id)
        job = self.job(job_id)
        self.assertIn('next_run_at', job)
        if 'schedule_interval' in sent['job_schedule']:
            self.assertEqual('scheduled', job['job_schedule']['status'])
        else:
            # A start alone is no schedule: it bounds one.
            self.assertEqual('start', job['job_schedule']['event'])
        self.submit('stop a job', release, job=job_id)
        self.assertEqual('stop', self.job(job_id)['job_schedule']['status'])
        self.submit('delete a job', release, job=job_id)
        self.call(base.MEMBER, 'GET', f'jobs/{job_id}', status=404)

    def test_a_job_that_is_renamed_stays_as_it_is(self) -> None:
        for release, forms in panel.FORMS.items():
            for kind, schedule in SCHEDULES.items():
                form = f'rename a job: {kind}'
                if form not in forms:
                    continue
                job_id = self.kept_job(schedule)
                before = self.job(job_id)
                self.submit(form, release, job=job_id)
                self.assertEqual(
                    {**before, 'description': self.body(
                        form, release=release)['description']},
                    self.job(job_id), (release, kind))

    def test_an_interval_takes_the_place_of_other_times(self) -> None:
        for schedule in SCHEDULES.values():
            job_id = self.kept_job(schedule)
            self.submit('give a cron job an interval', job=job_id)
            zone = {key: value for key, value in schedule.items()
                    if key == 'schedule_timezone'}
            self.assertEqual({**zone, 'schedule_interval': '3 hours'},
                             self.schedule(job_id))

    def test_bounds_are_set_on_cron_fields(self) -> None:
        for schedule in (CRON, CRONTAB, BOUNDED_CRON):
            job_id = self.kept_job(schedule)
            self.submit('bound a crontab job', job=job_id)
            self.assertEqual({**schedule, **BOUNDS}, self.schedule(job_id))

    def test_what_the_form_shows_it_may_delete(self) -> None:
        job_id = self.kept_job(INTERVAL)
        self.submit('take the interval away', job=job_id)
        self.assertEqual({'schedule_timezone': 'Europe/Berlin'},
                         self.schedule(job_id))
        self.assertEqual('completed',
                         self.job(job_id)['job_schedule']['status'])

    def test_who_sends_no_description_means_it(self) -> None:
        job_id = self.kept_job(CRON)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'job_schedule': {}}, 200)
        self.assertEqual({}, self.schedule(job_id))

    def test_actions_come_and_go_and_the_job_stays(self) -> None:
        job_id = self.kept_job({**CRONTAB, **BOUNDS}, 'crontab renamed')
        before = self.job(job_id)
        words = self.whole(job_id)
        kept = words.pop('action')
        self.submit('leave the actions as they are', action=kept, **words)
        self.assertEqual(before, self.job(job_id))
        self.submit('create an action of mode cindernative')
        self.submit('add an action', action=self.names['new action'],
                    action_2=kept, **words)
        job = self.job(job_id)
        self.assertEqual([self.names['new action'], kept], [
            one['action_id'] for one in job['job_actions']])
        self.assertEqual(
            {**before, 'job_actions': before['job_actions']},
            {**job, 'job_actions': job['job_actions'][1:]})
        self.submit('remove an action', action=kept, **words)
        self.assertEqual(before, self.job(job_id))
        self.submit('create an action of mode fs')
        for form in ('add an action outside the capabilities',
                     'add an action that is gone', 'remove all actions'):
            self.submit(form, action=self.names['new action'], **words)
            self.assertEqual(before, self.job(job_id), form)

    def test_actions_come_and_go_in_the_panel_of_18(self) -> None:
        first, second = (self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': {
                key: value for key, value in one['freezer_action'].items()
                if value is not None},
            'max_retries': one['max_retries'],
            'max_retries_interval': one['max_retries_interval']},
            201)['action_id'] for one in self.body(
                'add an action', release='18.0.0')['job_actions'])
        self.submit('create a job: daily', '18.0.0', action=first)
        job_id = self.names['new job']
        words = {**self.whole(job_id), 'action': first}
        before = self.job(job_id)
        self.submit('add an action', '18.0.0', **words, action_2=second)
        self.assertEqual([first, second], [
            one['action_id'] for one in self.job(job_id)['job_actions']])
        self.submit('remove an action', '18.0.0', **words)
        self.assertEqual(before, self.job(job_id))

    def test_a_clone_is_the_same_job_and_waits(self) -> None:
        for release, schedule in (('19.0.0', BOUNDED_CRON),
                                  ('18.0.0', CRONTAB)):
            job_id = self.kept_job(schedule)
            self.submit('clone a job', release, **self.whole(job_id))
            clone = self.names['new job']
            self.assertNotEqual(job_id, clone)
            self.assertEqual(schedule, self.schedule(clone))
            self.assertEqual(self.job(job_id)['job_actions'],
                             self.job(clone)['job_actions'])
            self.assertEqual('stop', self.job(clone)['job_schedule'][
                'status'])

    def test_a_suspended_job_is_delegated_again_by_its_actions(self) -> None:
        """The panel has no other form that can."""
        job_id = self.kept_job({
            'schedule_interval': '2 days',
            'schedule_start_date': '2027-02-01T03:00:00'}, 'still suspended')
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'user_credentials': {}}, 200)
        self.submit('stop a job', job=job_id)
        self.submit('start a job', job=job_id)
        [rows] = self.submit('list jobs')
        self.assertEqual('suspended', rows['jobs'][0]['job_schedule'][
            'status'])
        self.submit('edit the actions of a suspended job',
                    **self.whole(job_id))
        job = self.job(job_id)
        self.assertEqual('scheduled', job['job_schedule']['status'])
        self.assertNotIn('suspended', job)
        self.assertEqual('alice', job['trustor_user_id'])

    def test_an_action_keeps_the_keys_that_its_form_does_not_show(
            self) -> None:
        job_id = self.kept_job(CRON)
        action_id = self.whole(job_id)['action']
        self.submit(
            'rename an action with keys that the panel does not show',
            action=action_id)
        [entry] = self.job(job_id)['job_actions']
        self.assertEqual(action_id, entry['action_id'])
        self.assertEqual(
            {**KEPT, 'backup_name': 'kept2', 'remove_older_than': '7'},
            {key: entry['freezer_action'][key] for key in KEPT})
        self.assertEqual(
            (2, 9, False), (entry['max_retries'],
                            entry['max_retries_interval'],
                            entry['mandatory']))

    def test_what_is_ticked_can_be_unticked(self) -> None:
        self.submit('create an action of mode fs')
        action_id = self.names['new action']
        before = self.read(f'actions/{action_id}')
        self.submit('change the retries of an action', action=action_id)
        shown = self.read(f'actions/{action_id}')
        self.assertEqual((True, 4, 8), (
            shown['mandatory'], shown['max_retries'],
            shown['max_retries_interval']))
        # The form leaves out what is not ticked, and fields that are blank.
        self.submit('rename an action of mode fs', '18.0.0',
                    action=action_id)
        shown = self.read(f'actions/{action_id}')
        self.assertIs(False, shown['mandatory'])
        self.assertEqual(before['freezer_action']['path_to_backup'],
                         shown['freezer_action']['path_to_backup'])

    def test_backups_are_restored(self) -> None:
        for kind, record in (
                ('plain', {'backup_name': 'plain', 'storage': 'local'}),
                ('without a user name', {
                    'backup_name': 'ssh_one', 'storage': 'ssh',
                    'ssh_host': 'h', 'ssh_key': '/k', 'ssh_username': ''})):
            form = f'restore a backup of an agent: {kind}'
            self.submit(form, backup=self.backup(**record))
            job = self.job(self.names['new job'])
            self.assertEqual('start', job['job_schedule']['event'], kind)
            [entry] = job['job_actions']
            self.assertEqual(self.names['new action'], entry['action_id'])
            self.assertEqual(
                self.body(form, 1)['freezer_action'],
                {key: value for key, value in entry['freezer_action'].items()
                 if value is not None})
        for form, reason in (
                ('restore a backup of an agent: blank in the name',
                 'already exists with a different definition'),
                ('restore a backup of a volume',
                 'does not support mode: fs (the default')):
            *_, answer = self.submit(form, backup='x')
            self.assertIn(reason, answer['description'])
        backup_id = self.backup(backup_name='plain')
        self.submit('backup detail', backup=backup_id)
        self.submit('delete a backup', backup=backup_id)
        self.call(base.MEMBER, 'GET', f'backups/{backup_id}', status=404)

    def test_what_is_refused_is_refused_in_words(self) -> None:
        self.submit('create an action of mode cindernative')
        native = self.names['new action']
        self.submit('create an action of mode fs')
        plain = self.names['new action']
        job_id = self.kept_job(CRON)
        before = self.job(job_id)
        for form, action_id in (
                ('create a job: every second', native),
                ('create a job: outside the capabilities', plain),
                ('create a job: no actions', native),
                ('an interval that is none', native)):
            *_, answer = self.submit(form, job=job_id, action=action_id)
            self.assertTrue(answer['description'], form)
        self.assertEqual(before, self.job(job_id))
        self.assertEqual(1, len(self.read('jobs')['jobs']))
