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

"""The request, the answer and the errors of each operation.

Methods and paths are those of the routes, and the policies determine who may
send a request; a test compares the three. Requests have the schemas that the
API validates them with.

Answers are not validated. Documents that were stored by an earlier release can
be looser than a new one, so texts have no format here that their requests
have.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from freezer_api.db import actions as action_rows
from freezer_api.domain import events
from freezer_api.domain import quota
from freezer_api.domain import run_state
from freezer_api.domain import search
from freezer_api.domain import trust_errors
from freezer_api.schemas import actions
from freezer_api.schemas import backups
from freezer_api.schemas import claims
from freezer_api.schemas import clients
from freezer_api.schemas import common
from freezer_api.schemas import jobs
from freezer_api.schemas import sessions

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


def _list_of(name: str, item: Schema) -> Schema:
    """Return the answer to a list; a page that ends early has links."""
    return _document(
        {f'{name}_links': {
            'type': 'array', 'minItems': 1, 'maxItems': 1,
            'items': _document(rel={'const': 'next'}, href=_TEXT)}},
        **{name: {'type': 'array', 'items': item}})


def _id_of(name: str) -> Schema:
    """Return the answer to a creation."""
    return _document(**{name: _TEXT})


def _changed(name: str, version: Schema = _TEXT) -> Schema:
    """Return the answer to a change; the version has no meaning."""
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

SESSION_REPORTED = _document(result=_TEXT, session_tag=_INTEGER)

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


_OBJECTS: Schema = {
    'type': ['array', 'null'], 'items': {'type': 'object'}}

SEARCH: Schema = {
    'type': 'object',
    'properties': {
        'match': {
            **_OBJECTS,
            'prefixItems': [{
                'type': 'object',
                'properties': {search.ALL: common.text()}}]},
        'match_not': _OBJECTS}}


def _with_defaults(schema: Schema) -> Schema:
    # They are filled into the actions before those are validated.
    return {**schema, 'properties': {
        **schema['properties'], 'action_defaults': {'type': 'object'}}}


JOB_CREATE = _with_defaults(jobs.CREATE.schema)
JOB_UPDATE = _with_defaults(jobs.UPDATE.schema)

EVENT: Schema = {
    'type': 'object', 'minProperties': 1, 'maxProperties': 1,
    'propertyNames': {'enum': list(events.EVENTS)}}

SESSION_ACTION: Schema = {
    'type': 'object', 'minProperties': 1, 'maxProperties': 1,
    'additionalProperties': False,
    'properties': sessions.ACTIONS}


@dataclasses.dataclass(frozen=True)
class Operation:
    """A method of a path.

    :ivar status: of success
    :ivar answer: the body of success, None for none
    :ivar request: the body of the request, None if none is read
    :ivar optional: whether a request without a body means ``{}``
    :ivar query: the names of its query parameters
    :ivar errors: the statuses of errors that not every request can have
    :ivar new_id: the schema of the last ID of the path, if the caller chooses
        it
    """

    status: int
    answer: Schema | None = None
    request: Schema | None = None
    optional: bool = False
    query: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    new_id: Schema | None = None


PAGE = ('limit', 'offset')
_LIST = (*PAGE, 'marker', 'sort_dir')


def _list(name: str, item: Schema, *query: str) -> Operation:
    return Operation(200, _list_of(name, item), SEARCH, True,
                     (*_LIST, *query))


def _show(document: Schema) -> Operation:
    return Operation(200, document, errors=(404,))


_VERSION_0: Schema = {'const': 0}
_JOB_ERRORS = (409, 422)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ('GET', '/clients'): _list('clients', CLIENT),
    ('POST', '/clients'): Operation(
        201, _id_of('client_id'), clients.CREATE.schema,
        errors=(409, 422)),
    ('GET', '/clients/{client_id}'): _show(CLIENT),
    ('DELETE', '/clients/{client_id}'): Operation(204, errors=(409,)),
    ('POST', '/clients/{client_id}/claims'): Operation(
        200, CLAIMED, claims.CLAIM.schema, errors=(404,)),
    ('PATCH', '/clients/{client_id}/runs/{run_id}'): Operation(
        200, REPORTED, claims.REPORT.schema, errors=(404, 409)),
    ('POST', '/clients/{client_id}/runs/{run_id}/jobs'): Operation(
        200, RUN_JOBS, claims.ASKED_JOBS.schema, errors=(404, 409)),
    ('POST', '/clients/{client_id}/reports'): Operation(
        200, REPORTS, claims.REPORTS.schema, errors=(404,)),

    ('GET', '/jobs'): _list('jobs', JOB, 'all_projects'),
    ('POST', '/jobs'): Operation(
        201, _id_of('job_id'), JOB_CREATE, errors=_JOB_ERRORS),
    ('GET', '/jobs/{job_id}'): _show(JOB),
    ('PATCH', '/jobs/{job_id}'): Operation(
        200, _changed('job_id', _VERSION_0), JOB_UPDATE, True,
        errors=(404, *_JOB_ERRORS)),
    ('POST', '/jobs/{job_id}'): Operation(
        201, _changed('job_id'), JOB_CREATE, errors=_JOB_ERRORS,
        new_id=common.ID),
    ('DELETE', '/jobs/{job_id}'): Operation(204),
    ('POST', '/jobs/{job_id}/event'): Operation(
        202, RESULT, EVENT, errors=(404, 422)),
    ('GET', '/jobs/{job_id}/runs'): Operation(
        200, _list_of('runs', RUN), query=PAGE,
        errors=(404,)),

    ('GET', '/actions'): _list('actions', LISTED_ACTION),
    ('POST', '/actions'): Operation(
        201, _id_of('action_id'), actions.CREATE.schema,
        errors=(409, 422)),
    ('GET', '/actions/{action_id}'): _show(ACTION),
    ('PATCH', '/actions/{action_id}'): Operation(
        200, _changed('action_id'), actions.UPDATE.schema, True,
        errors=(404, *_JOB_ERRORS)),
    ('POST', '/actions/{action_id}'): Operation(
        201, _changed('action_id'), actions.CREATE.schema,
        errors=_JOB_ERRORS,
        new_id=actions.CREATE.schema['properties']['action_id']),
    ('DELETE', '/actions/{action_id}'): Operation(204, errors=_JOB_ERRORS),

    ('GET', '/sessions'): _list('sessions', SESSION),
    ('POST', '/sessions'): Operation(
        201, _id_of('session_id'), sessions.CREATE.schema),
    ('GET', '/sessions/{session_id}'): _show(SESSION),
    ('PATCH', '/sessions/{session_id}'): Operation(
        200, _changed('session_id', _VERSION_0),
        sessions.UPDATE.schema, True, errors=(404,)),
    ('POST', '/sessions/{session_id}'): Operation(
        201, _changed('session_id'), sessions.CREATE.schema,
        errors=(409,), new_id=common.ID),
    ('DELETE', '/sessions/{session_id}'): Operation(204),
    ('POST', '/sessions/{session_id}/action'): Operation(
        202, SESSION_REPORTED, SESSION_ACTION, errors=(404, 405)),
    ('PUT', '/sessions/{session_id}/jobs/{job_id}'): Operation(
        204, errors=(404, *_JOB_ERRORS)),
    ('DELETE', '/sessions/{session_id}/jobs/{job_id}'): Operation(
        204, errors=(404,)),

    ('GET', '/backups'): _list('backups', BACKUP),
    ('POST', '/backups'): Operation(
        201, _id_of('backup_id'), backups.CREATE.schema),
    ('GET', '/backups/{backup_id}'): _show(BACKUP),
    ('PATCH', '/backups/{backup_id}'): Operation(
        200, BACKUP, backups.UPDATE.schema, errors=(404,)),
    ('DELETE', '/backups/{backup_id}'): Operation(204, errors=(404,)),

    ('GET', '/limits'): Operation(200, LIMITS),

    ('POST', '/maintenance'): Operation(200, MAINTENANCE),
}

#: Schemas that the document refers to by name.
SCHEMAS: Mapping[str, Schema] = {
    'Action': ACTION,
    'ActionCreate': actions.CREATE.schema,
    'ActionUpdate': actions.UPDATE.schema,
    'Backup': BACKUP,
    'BackupCreate': backups.CREATE.schema,
    'BackupUpdate': backups.UPDATE.schema,
    'Claim': claims.CLAIM.schema,
    'Claimed': CLAIMED,
    'ClaimedRun': CLAIMED_RUN,
    'Client': CLIENT,
    'ClientCreate': clients.CREATE.schema,
    'Error': ERROR,
    'Event': EVENT,
    'FreezerAction': actions.FREEZER_ACTION,
    'Job': JOB,
    'JobCreate': JOB_CREATE,
    'JobSchedule': jobs.JOB_SCHEDULE,
    'JobUpdate': JOB_UPDATE,
    'Report': claims.REPORT.schema,
    'Reports': claims.REPORTS.schema,
    'Limits': LIMITS,
    'Run': RUN,
    'Search': SEARCH,
    'Session': SESSION,
    'SessionAction': SESSION_ACTION,
    'SessionCreate': sessions.CREATE.schema,
    'SessionUpdate': sessions.UPDATE.schema,
    'Step': claims.STEP,
}
