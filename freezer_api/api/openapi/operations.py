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

"""What belongs to each request: its body, its answer, its errors.

Methods and paths are those of the routes, who may send them is the policies'
affair; a test holds the three together. Bodies are the very schemas that the
API checks them with.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from freezer_api.api.openapi import responses
from freezer_api.domain import events
from freezer_api.domain import search
from freezer_api.schemas import actions
from freezer_api.schemas import backups
from freezer_api.schemas import claims
from freezer_api.schemas import clients
from freezer_api.schemas import common
from freezer_api.schemas import jobs
from freezer_api.schemas import sessions

Schema = common.Schema

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
    # They are filled into the actions before those are checked.
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
    """What a method does on a path.

    :ivar status: of success
    :ivar answer: the body of success, None where there is none
    :ivar request: the body of the request, None where none is read
    :ivar optional: whether a request without a body means ``{}``
    :ivar query: the names of its query parameters
    :ivar errors: what can go wrong besides what can with every request
    :ivar new_id: what the last id of the path must look like, where the
        caller chooses it
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
    return Operation(200, responses.list_of(name, item), SEARCH, True,
                     (*_LIST, *query))


def _show(document: Schema) -> Operation:
    return Operation(200, document, errors=(404,))


_VERSION_0: Schema = {'const': 0}
_JOB_ERRORS = (409, 422)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ('GET', '/clients'): _list('clients', responses.CLIENT),
    ('POST', '/clients'): Operation(
        201, responses.id_of('client_id'), clients.CREATE.schema,
        errors=(409, 422)),
    ('GET', '/clients/{client_id}'): _show(responses.CLIENT),
    ('DELETE', '/clients/{client_id}'): Operation(204, errors=(409,)),
    ('POST', '/clients/{client_id}/claims'): Operation(
        200, responses.CLAIMED, claims.CLAIM.schema, errors=(404,)),
    ('PATCH', '/clients/{client_id}/runs/{run_id}'): Operation(
        200, responses.REPORTED, claims.REPORT.schema, errors=(404, 409)),
    ('POST', '/clients/{client_id}/runs/{run_id}/jobs'): Operation(
        200, responses.RUN_JOBS, claims.ASKED_JOBS.schema, errors=(404, 409)),
    ('POST', '/clients/{client_id}/reports'): Operation(
        200, responses.REPORTS, claims.REPORTS.schema, errors=(404,)),

    ('GET', '/jobs'): _list('jobs', responses.JOB, 'all_projects'),
    ('POST', '/jobs'): Operation(
        201, responses.id_of('job_id'), JOB_CREATE, errors=_JOB_ERRORS),
    ('GET', '/jobs/{job_id}'): _show(responses.JOB),
    ('PATCH', '/jobs/{job_id}'): Operation(
        200, responses.changed('job_id', _VERSION_0), JOB_UPDATE, True,
        errors=(404, *_JOB_ERRORS)),
    ('POST', '/jobs/{job_id}'): Operation(
        201, responses.changed('job_id'), JOB_CREATE, errors=_JOB_ERRORS,
        new_id=common.ID),
    ('DELETE', '/jobs/{job_id}'): Operation(204),
    ('POST', '/jobs/{job_id}/event'): Operation(
        202, responses.RESULT, EVENT, errors=(404, 422)),
    ('GET', '/jobs/{job_id}/runs'): Operation(
        200, responses.list_of('runs', responses.RUN), query=PAGE,
        errors=(404,)),

    ('GET', '/actions'): _list('actions', responses.LISTED_ACTION),
    ('POST', '/actions'): Operation(
        201, responses.id_of('action_id'), actions.CREATE.schema,
        errors=(409, 422)),
    ('GET', '/actions/{action_id}'): _show(responses.ACTION),
    ('PATCH', '/actions/{action_id}'): Operation(
        200, responses.changed('action_id'), actions.UPDATE.schema, True,
        errors=(404, *_JOB_ERRORS)),
    ('POST', '/actions/{action_id}'): Operation(
        201, responses.changed('action_id'), actions.CREATE.schema,
        errors=_JOB_ERRORS,
        new_id=actions.CREATE.schema['properties']['action_id']),
    ('DELETE', '/actions/{action_id}'): Operation(204, errors=_JOB_ERRORS),

    ('GET', '/sessions'): _list('sessions', responses.SESSION),
    ('POST', '/sessions'): Operation(
        201, responses.id_of('session_id'), sessions.CREATE.schema),
    ('GET', '/sessions/{session_id}'): _show(responses.SESSION),
    ('PATCH', '/sessions/{session_id}'): Operation(
        200, responses.changed('session_id', _VERSION_0),
        sessions.UPDATE.schema, True, errors=(404,)),
    ('POST', '/sessions/{session_id}'): Operation(
        201, responses.changed('session_id'), sessions.CREATE.schema,
        errors=(409,), new_id=common.ID),
    ('DELETE', '/sessions/{session_id}'): Operation(204),
    ('POST', '/sessions/{session_id}/action'): Operation(
        202, responses.SESSION_ACTION, SESSION_ACTION, errors=(404, 405)),
    ('PUT', '/sessions/{session_id}/jobs/{job_id}'): Operation(
        204, errors=(404, *_JOB_ERRORS)),
    ('DELETE', '/sessions/{session_id}/jobs/{job_id}'): Operation(
        204, errors=(404,)),

    ('GET', '/backups'): _list('backups', responses.BACKUP),
    ('POST', '/backups'): Operation(
        201, responses.id_of('backup_id'), backups.CREATE.schema),
    ('GET', '/backups/{backup_id}'): _show(responses.BACKUP),
    ('PATCH', '/backups/{backup_id}'): Operation(
        200, responses.BACKUP, backups.UPDATE.schema, errors=(404,)),
    ('DELETE', '/backups/{backup_id}'): Operation(204, errors=(404,)),

    ('GET', '/limits'): Operation(200, responses.LIMITS),

    ('POST', '/maintenance'): Operation(200, responses.MAINTENANCE),
}

#: What is called by name in the document, wherever it occurs.
SCHEMAS: Mapping[str, Schema] = {
    'Action': responses.ACTION,
    'ActionCreate': actions.CREATE.schema,
    'ActionUpdate': actions.UPDATE.schema,
    'Backup': responses.BACKUP,
    'BackupCreate': backups.CREATE.schema,
    'BackupUpdate': backups.UPDATE.schema,
    'Claim': claims.CLAIM.schema,
    'Claimed': responses.CLAIMED,
    'ClaimedRun': responses.CLAIMED_RUN,
    'Client': responses.CLIENT,
    'ClientCreate': clients.CREATE.schema,
    'Error': responses.ERROR,
    'Event': EVENT,
    'FreezerAction': actions.FREEZER_ACTION,
    'Job': responses.JOB,
    'JobCreate': JOB_CREATE,
    'JobSchedule': jobs.JOB_SCHEDULE,
    'JobUpdate': JOB_UPDATE,
    'Report': claims.REPORT.schema,
    'Reports': claims.REPORTS.schema,
    'Limits': responses.LIMITS,
    'Run': responses.RUN,
    'Search': SEARCH,
    'Session': responses.SESSION,
    'SessionAction': SESSION_ACTION,
    'SessionCreate': sessions.CREATE.schema,
    'SessionUpdate': sessions.UPDATE.schema,
    'Step': claims.STEP,
}
