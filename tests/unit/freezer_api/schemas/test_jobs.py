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

import json
from typing import Any

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import schedule as schedules
from freezer_api import schemas
from freezer_api.schemas import jobs
from tests.unit.freezer_api.schemas import base

KEYS = ['client_id', 'job_actions', 'job_schedule', 'job_id', 'session_id',
        'session_tag', 'description', 'freezer_action', 'action',
        'action_id', 'schedule_interval', 'schedule_date',
        'schedule_hour', 'schedule_day', 'status', 'max_retries']
BACKUP = {'freezer_action': {'action': 'backup'}}
JOB = {'client_id': 'n1', 'job_actions': [BACKUP]}


class TestJobs(base.SchemaTestCase):

    def schedule(self, **schedule: Any) -> None:
        jobs.validate_update({'job_schedule': schedule})

    def test_document_of_the_test_plugin(self) -> None:
        jobs.validate_create({
            'job_actions': [{
                'freezer_action': {
                    'action': 'backup', 'mode': 'fs', 'src_file': '/home/x',
                    'backup_name': 'b', 'container': 'c'},
                'exit_status': 'success', 'max_retries': 1,
                'max_retries_interval': 1, 'mandatory': True}],
            'job_schedule': {
                'time_created': 1234, 'time_started': 1234, 'time_ended': 0,
                'status': 'stop', 'schedule_date': '2015-06-02T16:20:00',
                'schedule_month': '1-6, 9-12',
                'schedule_day': 'mon, wed, fri', 'schedule_hour': '03',
                'schedule_minute': '25'},
            'job_id': '6cb2f4d7', 'client_id': 'n1', 'user_id': 'u',
            'description': 'scheduled'})

    def test_an_answer_can_be_sent_back(self) -> None:
        answer = {
            **JOB, 'job_id': 'j', 'project_id': 'p', 'user_id': 'u',
            'session_id': '', 'session_tag': 0, 'session_name': None,
            'description': None, '_version': 1,
            'user_credentials': {'trust_id': 't', 'trustor_user_id': 'u'},
            'trust_id': 't', 'trustor_user_id': 'u', 'next_run_at': None,
            'status_reason': 'The schedule has no firing in the future.',
            'job_schedule': {'event': '', 'status': 'scheduled',
                             'result': '', 'current_pid': 5,
                             'time_created': 1795334582,
                             'time_started': -1, 'time_ended': -1}}
        jobs.validate_create(answer)
        jobs.validate_update(answer)
        jobs.validate_update({'user_credentials': {}})

    def test_what_is_required(self) -> None:
        self.refused(jobs.validate_create, {}, 'job_actions',
                     "'job_actions' is a required property")
        self.refused(jobs.validate_create, {'job_actions': []}, 'client_id',
                     "'client_id' is a required property")
        jobs.validate_update({})

    def test_unknown_keys(self) -> None:
        self.refused(
            jobs.validate_create, {**JOB, 'bogus': 1}, 'bogus',
            "Additional properties are not allowed ('bogus' was unexpected)")
        self.refused(
            jobs.validate_update, {'job_schedule': {'bogus': 1}},
            'job_schedule.bogus', 'Additional properties are not allowed')

    def test_an_entry_without_id_needs_an_action(self) -> None:
        place = 'job_actions.0.freezer_action'
        self.refused(jobs.validate_create, {**JOB, 'job_actions': [{}]},
                     place, "'freezer_action' is a required property")
        for freezer_action in ({}, {'mode': 'fs'}):
            for no_id in ({}, {'action_id': ''}, {'action_id': None}):
                entry = {'freezer_action': freezer_action, **no_id}
                self.refused(
                    jobs.validate_create, {**JOB, 'job_actions': [entry]},
                    f'{place}.action', "'action' is a required property")

    def test_an_entry_with_id_needs_nothing_else(self) -> None:
        entries: list[dict[str, Any]] = [
            {}, {'freezer_action': {}}, {'max_retries': None},
            {'max_retries_interval': None, 'mandatory': None}]
        for entry in entries:
            jobs.validate_create(
                {**JOB, 'job_actions': [{'action_id': 'a', **entry}]})

    def test_wrong_entries(self) -> None:
        for field, entry in (
                ('max_retries', {**BACKUP, 'max_retries': None}),
                ('max_retries', {**BACKUP, 'max_retries': 2 ** 31}),
                ('max_retries_interval',
                 {**BACKUP, 'max_retries_interval': -1}),
                ('mandatory', {**BACKUP, 'mandatory': 1}),
                ('action_id', {'action_id': 'a/b'}),
                ('action_id', {'action_id': 'a' * 37}),
                ('freezer_action', {'freezer_action': None}),
                ('freezer_action.action',
                 {'freezer_action': {'action': 'zzz'}}),
                ('freezer_action.mode', {'action_id': 'a', 'freezer_action': {
                    'action': 'backup', 'mode': 'zzz'}})):
            self.refused(
                jobs.validate_create, {**JOB, 'job_actions': [BACKUP, entry]},
                f'job_actions.1.{field}')
        no_lists: list[Any] = [None, {}, 'x', [BACKUP] * 201]
        for wrong in no_lists:
            self.refused(jobs.validate_create,
                         {**JOB, 'job_actions': wrong}, 'job_actions')
        self.refused(jobs.validate_create, {**JOB, 'job_actions': [None]},
                     'job_actions.0')

    def test_wrong_values(self) -> None:
        for field, value in (
                ('client_id', 'a b'), ('client_id', None), ('job_id', ''),
                ('job_id', 'j' * 37), ('session_id', 's' * 37),
                ('session_id', 'a b'), ('session_tag', '1'),
                ('session_tag', 2 ** 31), ('description', 'd' * 256),
                ('description', 5), ('job_schedule', None),
                ('job_schedule', []), ('action_defaults', {})):
            self.refused(jobs.validate_update, {field: value}, field)

    def test_what_does_not_fit_its_column(self) -> None:
        self.refused(
            jobs.validate_create,
            {**JOB, 'job_actions': [BACKUP, {'freezer_action': {
                'action': 'backup', 'x': 'y' * 65536}}]},
            'job_actions.1.freezer_action')

    def test_schedules(self) -> None:
        for interval in ('5 days', '5  days', '0 days', 'continuous',
                         '1 weeks', '24 hours', '1 minutes', '90 seconds'):
            self.schedule(schedule_interval=interval)
        for date in ('2026-01-31T23:59:59', '2026-01-31T23:59:59Z',
                     '2026-01-31T23:59:59.123', '2026-01-31T23:59:59+02:00'):
            self.schedule(schedule_date=date, schedule_start_date=date,
                          schedule_end_date=date)
        self.schedule(schedule_year='2030', schedule_month='jan-mar,12',
                      schedule_day='last', schedule_week='1-53/2',
                      schedule_day_of_week='mon-fri', schedule_hour='*/5',
                      schedule_minute='0,30', schedule_second='59')
        self.schedule(schedule_timezone='Europe/Berlin', schedule_hour='2',
                      schedule_start_date='2026-03-29T02:30:00')
        self.schedule(schedule_hour='', schedule_day='')
        self.schedule(schedule_start_date='2026-02-01T00:00:00',
                      schedule_end_date='2026-01-01T00:00:00')

    def test_weekdays_where_days_belong_pass(self) -> None:
        for days in ('mon, wed, fri', 'mon', 'SAT,SUN', 'mon-fri'):
            self.schedule(schedule_day=days)

    def test_schedules_that_cannot_be_used(self) -> None:
        for name, value in (
                ('schedule_timezone', 'Mars'), ('schedule_timezone', 5),
                ('schedule_interval', ''), ('schedule_interval', 'every day'),
                ('schedule_interval', '5days'),
                ('schedule_interval', '1 day'),
                ('schedule_interval', '5 days\n'),
                ('schedule_interval', '-1 days'),
                ('schedule_interval', '9' * 13 + ' weeks'),
                ('schedule_interval', '9' * 5000 + ' weeks'),
                ('schedule_date', '2026-02-30T00:00:00'),
                ('schedule_date', '2026-01-01 00:00:00'),
                ('schedule_date', '2026-01-01T24:00:00'),
                ('schedule_date', '2026-01-01T00:00:60'),
                ('schedule_date', '2026-01-01T00:00:00+24:00'),
                ('schedule_date', '0000-01-01T00:00:00'),
                ('schedule_date', '0001-01-01T00:00:00+01:00'),
                ('schedule_start_date', '2026-13-01T00:00:00'),
                ('schedule_end_date', '2026-01-01T00:00:00\n'),
                ('schedule_year', '30'), ('schedule_year', '*'),
                ('schedule_year', '1969'), ('schedule_month', '13'),
                ('schedule_month', 'january'), ('schedule_day', '32'),
                ('schedule_day', 'monday'), ('schedule_day', 'mon;wed'),
                ('schedule_week', '54'), ('schedule_day_of_week', '7'),
                ('schedule_day_of_week', 'mon;tue'),
                ('schedule_day_of_week', 'mon wed'),
                ('schedule_hour', '24'), ('schedule_hour', '*/0'),
                ('schedule_hour', '5-1'), ('schedule_hour', '\u0663'),
                ('schedule_minute', '60'), ('schedule_second', 'x'),
                ('schedule_second', '1,,2'), ('schedule_second', '9' * 200),
                ('schedule_second', '9' * 256), ('schedule_hour', 3)):
            self.refused(jobs.validate_update, {'job_schedule': {name: value}},
                         f'job_schedule.{name}')

    def test_runtime_of_a_schedule(self) -> None:
        self.refused(
            jobs.validate_update, {'job_schedule': {'status': 'zzz'}},
            'job_schedule.status', "'zzz' is not one of ['', 'completed', "
            "'stop', 'scheduled', 'running', 'aborting', 'removed', "
            "'suspended']")
        for name, value in (('event', 'go'), ('result', 'ok'),
                            ('time_created', '1'), ('time_ended', 2 ** 63),
                            ('current_pid', 1.0), ('time_started', None)):
            self.refused(jobs.validate_update, {'job_schedule': {name: value}},
                         f'job_schedule.{name}')

    @hypothesis.given(base.documents_of(KEYS))
    def test_any_json(self, document: Any) -> None:
        self.only_invalid_document(jobs.validate_create, document)
        self.only_invalid_document(jobs.validate_update, document)

    @hypothesis.given(st.dictionaries(
        st.sampled_from([f'schedule_{name}' for name in (
            *schedules.CRON_FIELDS, 'date', 'start_date', 'end_date',
            'interval')]),
        st.text('0123456789-:TZ.+*/, adnmostuewy', max_size=25)
        | st.sampled_from(['5 days', '2026-01-31T00:00:00', '2030', '5'])))
    def test_a_schedule_that_passes_can_be_read(self, schedule: Any) -> None:
        try:
            jobs.validate_update({'job_schedule': schedule})
        except schemas.InvalidDocument:
            return
        schedules.parse(json.loads(json.dumps(schedule)))
