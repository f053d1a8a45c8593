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

"""Claims of due runs, and reports about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freezer_api.domain import run_state
from freezer_api.schemas import budgets
from freezer_api.schemas import common

BACKUP_STATUSES = ('creating', 'available', 'error', 'deleted')

MAX_HELD = 10000
MAX_LEASE = 3600
MAX_REPORTS = 500

# Backups that the steps of a run name. When the run is given up, one
# transaction closes the records of all of them. A scheduler has at most 256.
MAX_BACKUPS = 400

# Jobs that a scheduler asks about with one request.
MAX_ASKED_JOBS = 100

_SCHEDULER_ID = common.text(255, minLength=1)
_FENCE = common.integer(1)
_REASON = common.nullable(common.text(4096))
_REFERENCE = common.nullable(common.text(255))
_EPOCH = {'type': ['integer', 'null']}
_LEASE = {'type': 'integer', 'minimum': 10, 'maximum': MAX_LEASE}

# Unknown keys are let pass everywhere: a scheduler may be newer than its API.
CLAIM = common.Compiled({
    'type': 'object',
    'required': ['scheduler_id', 'limit', 'lease_seconds'],
    'properties': {
        'scheduler_id': _SCHEDULER_ID,
        'limit': {'type': 'integer', 'minimum': 0, 'maximum': 1000},
        'per_project': {'type': 'integer', 'minimum': 1, 'maximum': 10_000},
        'lease_seconds': _LEASE,
        'held': {
            'type': 'array',
            'maxItems': MAX_HELD,
            'items': {
                'type': 'object',
                'required': ['run_id', 'fence'],
                'properties': {'run_id': common.ID, 'fence': _FENCE},
            },
        },
    },
})

_PROGRESS: common.Schema = {
    'state': {'enum': [str(state) for state in run_state.StepState]},
    'action': common.text(64),
    'tries': common.integer(0),
    'posts': common.integer(0),
    'reason': _REASON,
    'volume_id': _REFERENCE,
    'backup_id': _REFERENCE,
    'cinder_backup_id': _REFERENCE,
    'started_at': _EPOCH,
    'ended_at': _EPOCH,
    'retry_at': _EPOCH,
    'volume_deleted': {'type': 'boolean'},
}

# One volume of an action of several; one without an ID is a server without a
# volume.
_PART: common.Schema = {
    'type': 'object',
    'required': ['state'],
    'properties': _PROGRESS,
}

STEP: common.Schema = {
    'type': 'object',
    'required': ['action_id', 'position', 'state'],
    'properties': {
        'action_id': common.ID,
        'position': common.integer(0),
        'engine': common.text(64),
        **_PROGRESS,
        'parts': {'type': 'array', 'items': _PART, 'maxItems': 256},
    },
}

_BACKUP: common.Schema = {
    'type': 'object',
    'required': ['backup_id', 'status'],
    'properties': {
        'backup_id': common.text(32, pattern='^[0-9a-f]{32}$'),
        'status': {'enum': list(BACKUP_STATUSES)},
        'backup_metadata': {'type': 'object'},
    },
}

_SAID: common.Schema = {
    'fence': _FENCE,
    'state': {'enum': [str(state) for state in run_state.REPORTED]},
    'reason': _REASON,
    'actions': {'type': 'array', 'items': STEP, 'maxItems': 256},
    'backups': {'type': 'array', 'items': _BACKUP, 'maxItems': 256},
    'release': {'type': 'boolean'},
    # Renews the lease of a run that goes on.
    'lease_seconds': _LEASE,
    # Of a report that could not be sent at once, in seconds.
    'age': common.integer(0),
    # Why the trust could not be used, where the run failed for that.
    'cause': common.nullable(common.text(64)),
}

REPORT = common.Compiled({
    'type': 'object',
    'required': ['scheduler_id', 'fence', 'state'],
    'properties': {'scheduler_id': _SCHEDULER_ID, **_SAID},
})

REPORTS = common.Compiled({
    'type': 'object',
    'required': ['scheduler_id', 'reports'],
    'properties': {
        'scheduler_id': _SCHEDULER_ID,
        'reports': {
            'type': 'array',
            'maxItems': MAX_REPORTS,
            'items': {
                'type': 'object',
                'required': ['run_id', 'fence', 'state'],
                'properties': {'run_id': common.ID, **_SAID},
            },
        },
    },
})

ASKED_JOBS = common.Compiled({
    'type': 'object',
    'required': ['scheduler_id', 'fence', 'job_ids'],
    'properties': {
        'scheduler_id': _SCHEDULER_ID,
        'fence': _FENCE,
        'job_ids': {'type': 'array', 'items': common.ID, 'minItems': 1,
                    'maxItems': MAX_ASKED_JOBS},
    },
})


def validate_asked_jobs(document: Any) -> None:
    """Check a question for the jobs that exist.

    :raises freezer_api.schemas.InvalidDocument: naming the field
    """
    ASKED_JOBS(document)


def validate_claim(document: Any) -> None:
    """Check a claim; without ``held`` nothing is held.

    :raises freezer_api.schemas.InvalidDocument: naming the field
    """
    CLAIM(document)


def validate_report(document: Any) -> None:
    """Check a report; only a running run can be released.

    :raises freezer_api.schemas.InvalidDocument: naming the field
    """
    REPORT(document)
    _check_said(document, '')


def validate_reports(document: Any) -> None:
    """Check reports of several runs, each as :func:`validate_report` does.

    :raises freezer_api.schemas.InvalidDocument: naming the field
    """
    REPORTS(document)
    for position, one in enumerate(document['reports']):
        _check_said(one, f'reports.{position}.')


def _check_said(said: Mapping[str, Any], where: str) -> None:
    if said.get('release') and said['state'] != run_state.State.RUNNING:
        raise common.InvalidDocument(
            f'{where}release', 'release needs the state running')
    common.check_stored_size(f'{where}actions', said.get('actions'))
    named = sum(part.get('backup_id') is not None
                for step in said.get('actions', ())
                for part in (step, *step.get('parts', ())))
    if named > MAX_BACKUPS:
        raise common.InvalidDocument(
            f'{where}actions', f'{where}actions names {named} backups, where '
            f'{MAX_BACKUPS} are the most')
    for position, backup in enumerate(said.get('backups', ())):
        budgets.check(
            f'{where}backups.{position}.backup_metadata',
            backup.get('backup_metadata'))
