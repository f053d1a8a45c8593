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

"""Documents of sessions, and reports of jobs to them."""

from __future__ import annotations

from typing import Any

from freezer_api.schemas import common
from freezer_api.schemas import jobs

_JOB_ID = common.text(36, minLength=1)

_PROPERTIES: common.Schema = {
    'schedule': jobs.JOB_SCHEDULE,
    'session_tag': common.integer(0),
    'hold_off': common.integer(0),
    'description': common.nullable(common.text(255)),
    'status': common.nullable(common.text(255)),
    'result': common.nullable(common.text(255)),
    **dict.fromkeys(('time_start', 'time_end', 'time_started', 'time_ended'),
                    common.integer()),
}

# Other keys are accepted and ignored.
CREATE = common.Compiled({
    'type': 'object', 'required': ['schedule'], 'properties': _PROPERTIES})

UPDATE = common.Compiled({
    'type': 'object', 'properties': {
        **_PROPERTIES,
        'jobs': {'type': ['object', 'array', 'null']}}})

_ID = common.Compiled({
    'type': 'object', 'properties': {'session_id': common.ID}})

# Clients send the tag as a text, as it is on a command line.
_TAG: common.Schema = {'anyOf': [
    common.integer(0), common.text(10, pattern=r'^\d+$')]}

ACTIONS: common.Schema = {
    'start': {
        'type': 'object', 'required': ['job_id', 'current_tag'],
        'properties': {'job_id': _JOB_ID, 'current_tag': _TAG}},
    'end': {
        'type': 'object', 'required': ['job_id', 'result'],
        'properties': {
            'job_id': _JOB_ID, 'current_tag': _TAG,
            'result': common.text(255)}},
}

_ACTION = common.Compiled({'type': 'object', 'properties': ACTIONS})


def validate_create(document: Any) -> None:
    """Validate a new session, or one that replaces another.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    CREATE(document)
    jobs.check_schedule('schedule', document['schedule'])


def validate_id(session_id: str) -> None:
    """Validate an ID that the caller chose.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    _ID({'session_id': session_id})


def validate_update(document: Any) -> None:
    """Validate a change of a session; nothing is required.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    UPDATE(document)
    jobs.check_schedule('schedule', document.get('schedule', {}))
    common.check_stored_size('jobs', document.get('jobs'))


def validate_action(action: str, parameters: Any) -> None:
    """Validate the report of a job.

    :param action: start or end
    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    _ACTION({action: parameters})
