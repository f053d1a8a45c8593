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

"""The record of a backup."""

from __future__ import annotations

from typing import Any

from freezer_api.schemas import budgets
from freezer_api.schemas import common

STATUSES = ('creating', 'available', 'error', 'deleting', 'deleted')

_NAME = common.text(minLength=1)
_JOB_ID = common.nullable(common.text(36))

CREATE = common.Compiled({
    'type': 'object',
    'required': ['backup_name'],
    'properties': {
        'backup_name': _NAME,
        'status': {'enum': list(STATUSES)},
        'job_id': _JOB_ID,
    },
    # A backup that does not exist yet, or failed, has no location.
    'if': {'required': ['status'],
           'properties': {
               'status': {'enum': ['creating', 'error', 'deleting']}}},
    'then': {'properties': {'container': common.nullable(_NAME),
                            'hostname': common.nullable(_NAME)}},
    'else': {'required': ['container', 'hostname'],
             'properties': {'container': _NAME, 'hostname': _NAME}},
})

UPDATE = common.Compiled({
    'type': 'object',
    # Any other key is metadata, as stock schedulers send it.
    'properties': {
        'status': {'enum': list(STATUSES)},
        'backup_metadata': {
            'type': 'object', 'properties': {'job_id': _JOB_ID}},
    },
})


def validate_create(document: Any) -> None:
    """Validate a new record, which is the metadata and its status.

    :raises freezer_api.schemas.InvalidDocument: with the text of
        earlier releases, ``Bad Data Format``, and then the reason
    """
    try:
        CREATE(document)
        budgets.check('backup_metadata', document)
    except common.InvalidDocument as error:
        raise common.InvalidDocument(
            error.field, f'Bad Data Format: {error.message}') from error


def validate_update(document: Any) -> None:
    """Validate a change of a record; an empty one is refused.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    UPDATE(document)
    if not document:
        raise common.InvalidDocument('', 'Missing request body')
    common.check_stored_size(
        'backup_metadata', document.get('backup_metadata'))
