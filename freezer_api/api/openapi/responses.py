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

"""What answers look like.

Answers are not checked when they are given. What was stored by an earlier
release may be looser than what is accepted today, so texts have no form here
that their requests ask for.
"""

from __future__ import annotations

from freezer_api.db import actions as action_rows
from freezer_api.domain import quota
from freezer_api.domain import run_state
from freezer_api.domain import trust_errors
from freezer_api.schemas import actions
from freezer_api.schemas import backups
from freezer_api.schemas import claims
from freezer_api.schemas import common
from freezer_api.schemas import jobs

Schema = common.Schema

_TEXT = common.text()
_TEXT_OR_NULL = common.nullable(_TEXT)
_TEXTS: Schema = {'type': 'array', 'items': _TEXT}
_INTEGER: Schema = {'type': 'integer'}
_INTEGER_OR_NULL: Schema = {'type': ['integer', 'null']}
_BOOLEAN: Schema = {'type': 'boolean'}
_TIME = common.text(format='date-time')
_TIME_OR_NULL: Schema = {'anyOf': [_TIME, {'type': 'null'}]}


def _document(optional: Schema | None = None, **required: Schema) -> Schema:
    return {'type': 'object', 'required': list(required),
            'properties': {**required, **(optional or {})}}


def list_of(name: str, item: Schema) -> Schema:
    """The answer of a list request; links are there if it ended early."""
    return _document(
        {f'{name}_links': {
            'type': 'array', 'minItems': 1, 'maxItems': 1,
            'items': _document(rel={'const': 'next'}, href=_TEXT)}},
        **{name: {'type': 'array', 'items': item}})


def id_of(name: str) -> Schema:
    """The answer to a creation."""
    return _document(**{name: _TEXT})


def changed(name: str, version: Schema = _TEXT) -> Schema:
    """The answer to a change; the version says nothing."""
    return _document(**{name: _TEXT, 'version': version})


CLIENT = _document(
    project_id=_TEXT_OR_NULL, user_id=_TEXT,
    client=_document(
        uuid=_TEXT, hostname=_TEXT_OR_NULL, client_id=_TEXT,
        is_central=_BOOLEAN, description=_TEXT_OR_NULL,
        supported_actions=_TEXTS, supported_modes=_TEXTS,
        supported_storages=_TEXTS, supported_engines=_TEXTS))

_SENT = actions.FREEZER_ACTION['properties']

_CONTENT: Schema = {
    'action_id': _TEXT, 'max_retries': _INTEGER,
    'max_retries_interval': _INTEGER, 'mandatory': _BOOLEAN,
    'freezer_action': {
        'type': 'object',
        'required': list(action_rows.COLUMNS),
        'properties': {
            **_SENT, 'action': {'enum': [*_SENT['action']['enum'], None]}}}}

ACTION = _document(
    project_id=_TEXT_OR_NULL, user_id=_TEXT, **_CONTENT)

LISTED_ACTION: Schema = {
    **ACTION, 'properties': {
        **ACTION['properties'], 'timeout': _INTEGER_OR_NULL}}

_CAUSE: Schema = {'enum': [cause.value for cause in trust_errors.Cause]}
_TRUST = {'trust_id': _TEXT, 'trustor_user_id': _TEXT}
_CREDENTIALS = _document(**_TRUST)

JOB = _document(
    job_id=_TEXT, project_id=_TEXT_OR_NULL, user_id=_TEXT, client_id=_TEXT,
    description=_TEXT_OR_NULL, job_schedule=jobs.JOB_SCHEDULE,
    job_actions={'type': 'array', 'items': ACTION},
    session_id=_TEXT, session_tag=_INTEGER,
    optional={'status_reason': _TEXT, 'next_run_at': _TIME,
              'suspended': {'const': True}, 'suspended_cause': _CAUSE,
              'suspended_at': _TIME, **_TRUST,
              'user_credentials': _CREDENTIALS})

RESULT = _document(result=_TEXT)

_TRIGGER: Schema = {
    'enum': [trigger.value for trigger in run_state.Trigger]}
_STEPS: Schema = {'type': 'array', 'items': claims.STEP}

RUN = _document(
    run_id=_TEXT, job_id=_TEXT, project_id=_TEXT_OR_NULL, client_id=_TEXT,
    nominal_at=_TIME, trigger=_TRIGGER,
    state={'enum': [state.value for state in run_state.State]},
    reason=_TEXT_OR_NULL,
    time_started=_INTEGER, time_ended=_INTEGER, scheduler_id=_TEXT_OR_NULL,
    actions=_STEPS, optional={'cause': _CAUSE, 'covers_until': _TIME})

_EVENT: Schema = {'enum': [*map(str, run_state.Event), None]}

CLAIMED_RUN = _document(
    run_id=_TEXT, fence=_INTEGER, project_id=_TEXT_OR_NULL, job_id=_TEXT,
    client_id=_TEXT, user_id=_TEXT, nominal_at=_TIME,
    trigger=_TRIGGER, lease_seconds=_INTEGER,
    event=_EVENT, actions=_STEPS,
    job=_document(
        job_schedule=jobs.JOB_SCHEDULE,
        job_actions={'type': 'array', 'items': _document(**_CONTENT)}),
    credentials={'anyOf': [_CREDENTIALS, {'type': 'null'}]})

REPORTED = _document(run_id=_TEXT, event=_EVENT)

RUN_JOBS = _document(run_id=_TEXT, living=_TEXTS, gone=_TEXTS)

REPORTS = _document(
    reports={'type': 'array', 'items': REPORTED}, lost=_TEXTS)

CLAIMED = _document(
    runs={'type': 'array', 'items': CLAIMED_RUN},
    held={'type': 'array', 'items': REPORTED},
    lost=_TEXTS, missed=_INTEGER, more={'type': 'boolean'},
    due_since=_TIME_OR_NULL, next_due_at=_TIME_OR_NULL, server_time=_TIME)

SESSION = _document(
    session_id=_TEXT, project_id=_TEXT_OR_NULL, user_id=_TEXT,
    description=_TEXT_OR_NULL, schedule=jobs.JOB_SCHEDULE,
    session_tag=_INTEGER_OR_NULL, hold_off=_INTEGER_OR_NULL,
    status=_TEXT_OR_NULL, result=_TEXT_OR_NULL,
    time_start=_INTEGER_OR_NULL, time_end=_INTEGER_OR_NULL,
    time_started=_INTEGER_OR_NULL, time_ended=_INTEGER_OR_NULL,
    # By job id.
    optional={'jobs': {
        'type': 'object', 'additionalProperties': {'type': 'object'}}})

SESSION_ACTION = _document(result=_TEXT, session_tag=_INTEGER)

BACKUP = _document(
    backup_id=_TEXT, project_id=_TEXT_OR_NULL, user_id=_TEXT,
    status={'enum': list(backups.STATUSES)},
    backup_metadata={'type': 'object'},
    optional={'backup_uuid': _TEXT})

LIMITS = _document(limits=_document(**{
    resource.value: _document(
        limit={'type': 'integer', 'minimum': quota.UNLIMITED},
        usage={'type': 'integer', 'minimum': 0})
    for resource in quota.Resource}))

MAINTENANCE = _document(trusts_deleted=_INTEGER, trusts_pending=_INTEGER,
                        trusts_unproven=_INTEGER,
                        runs_deleted=_INTEGER, runs_abandoned=_INTEGER,
                        jobs_suspended=_INTEGER,
                        jobs_suspended_by_cause={
                            'type': 'object',
                            'additionalProperties': _INTEGER},
                        clock_ahead=_INTEGER)

ERROR = _document(
    title=_TEXT, code=common.text(pattern='^[a-z_]+$'),
    optional={'description': _TEXT})
