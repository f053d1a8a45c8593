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

"""A job: its schedule, and its actions or references to them.

``action_defaults`` is not part of the schema: the caller fills it into the
actions before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules
from freezer_api.domain import schedule_values
from freezer_api.schemas import actions
from freezer_api.schemas import common

_DATE = common.text(255, pattern=(
    r'^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?'
    r'(Z|[+-]\d{2}:\d{2})?$'))
_INTEGER = {'type': 'integer'}
_ANYTHING: common.Schema = {}

JOB_SCHEDULE: common.Schema = {
    'type': 'object',
    'additionalProperties': False,
    'properties': {
        'time_created': _INTEGER,
        'time_started': _INTEGER,
        'time_ended': _INTEGER,
        'current_pid': _INTEGER,
        'event': {'enum': ['', 'stop', 'start', 'abort', 'remove']},
        'status': {'enum': ['', 'completed', 'stop', 'scheduled', 'running',
                            'aborting', 'removed', job_state.SUSPENDED]},
        'result': {'enum': ['', 'success', 'fail', 'aborted']},
        'schedule_date': _DATE,
        'schedule_start_date': _DATE,
        'schedule_end_date': _DATE,
        'schedule_interval': common.text(255, pattern=(
            r'^(continuous|(\d+ +(weeks|days|hours|minutes|seconds)))$')),
        'schedule_year': common.text(255, pattern=r'^\d{4}$'),
        **{f'schedule_{name}': common.text(255)
           for name in (*schedules.CRON_FIELDS, 'cron', 'timezone')
           if name != 'year'},
    },
}

_NUMBERS = ('max_retries', 'max_retries_interval')

# With an action_id, the numbers come from an answer and have no meaning; they
# can be null.
_JOB_ACTION: common.Schema = {
    'type': 'object',
    'properties': {
        'action_id': common.nullable(common.text(36, pattern=r'^[\w-]*$')),
        'freezer_action': actions.FREEZER_ACTION,
    },
    'if': {'required': ['action_id'],
           'properties': {'action_id': {'type': 'string', 'minLength': 1}}},
    'else': {
        'required': ['freezer_action'],
        'properties': {
            **{name: common.integer(0) for name in _NUMBERS},
            'mandatory': {'type': 'boolean'},
        },
    },
}

# An older job may have 256. To replace them, a transaction writes one row for
# each of those, and one for each new action.
_MOST_ACTIONS = 200

_PROPERTIES: common.Schema = {
    'job_actions': {
        'type': 'array', 'items': _JOB_ACTION, 'maxItems': _MOST_ACTIONS},
    'client_id': common.CLIENT_ID,
    'job_schedule': JOB_SCHEDULE,
    'job_id': common.ID,
    'session_id': common.nullable(common.text(36, pattern=r'^[\w-]*$')),
    'session_tag': common.integer(),
    'description': common.nullable(common.text(255)),
    # Keys of answers that clients send back. They are ignored, so their
    # values are not checked.
    **dict.fromkeys(
        ('_version', 'session_name', 'user_id', 'project_id',
         'user_credentials', 'trust_id', 'trustor_user_id', 'status_reason',
         'next_run_at', 'suspended', 'suspended_cause', 'suspended_at'),
        _ANYTHING),
}

CREATE = common.Compiled({
    'type': 'object',
    'required': ['job_actions', 'client_id'],
    'additionalProperties': False,
    'properties': _PROPERTIES,
})

UPDATE = common.Compiled({
    'type': 'object',
    'additionalProperties': False,
    'properties': _PROPERTIES,
})


def validate_create(document: Any) -> None:
    """Validate a new job, or one that replaces another.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    CREATE(document)
    _check_meaning(document)


def validate_update(document: Any) -> None:
    """Validate a change of a job; nothing is required.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    UPDATE(document)
    _check_meaning(document)


def _check_meaning(document: Mapping[str, Any]) -> None:
    if 'job_schedule' in document:
        check_schedule('job_schedule', document['job_schedule'])
    for position, entry in enumerate(document.get('job_actions', ())):
        field = f'job_actions.{position}.freezer_action'
        freezer_action = entry.get('freezer_action', {})
        if not entry.get('action_id') and 'action' not in freezer_action:
            raise common.InvalidDocument(
                f'{field}.action', "'action' is a required property")
        actions.check_content(field, freezer_action)


def check_schedule(field: str, schedule: Mapping[str, Any]) -> None:
    """Check the meaning of each value of a schedule.

    Names of weekdays in ``schedule_day`` pass: known clients send them, and
    the schedule then never fires.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    common.check_stored_size(field, schedule)
    values = {name: value for name, value in schedule.items()
              if name.startswith('schedule_') and value != ''}
    try:
        name = values.pop('schedule_timezone', None)
        zone = None if name is None else schedule_values.parse_zone(
            'schedule_timezone', name)
        for name, value in values.items():
            if name.endswith('_date'):
                schedule_values.parse_date(name, value, zone)
            elif name == 'schedule_interval':
                schedule_values.parse_interval(name, value)
            elif name == 'schedule_cron':
                schedule_values.parse_crontab(name, value)
            elif not schedule_values.is_weekdays_in_day(name, value):
                schedule_values.check_cron_field(name, value)
    except schedule_values.ScheduleError as error:
        raise common.InvalidDocument(
            f'{field}.{error.field}', error.message) from error
