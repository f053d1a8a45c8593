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

"""An action, and the freezer_action that is also part of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freezer_api.domain import capabilities
from freezer_api.schemas import common

_OPTIONAL_TEXT = common.nullable(common.text(255))
_WITHIN_COLUMN = {'minimum': -common.MAX_INTEGER - 1,
                  'maximum': common.MAX_INTEGER}

# Other keys are accepted, because agents of other releases have other options.
# Stock schedulers write each key as a line of an ini file, so a key must not
# contain characters that end the line or begin a section.
_KEY = r'^[\w.-]+$'

FREEZER_ACTION: common.Schema = {
    'type': 'object',
    'propertyNames': {'pattern': _KEY},
    'properties': {
        'action': {'enum': list(capabilities.ACTIONS)},
        'mode': {'enum': [*capabilities.MODES, None]},
        'path_to_backup': _OPTIONAL_TEXT,
        'backup_name': _OPTIONAL_TEXT,
        'container': _OPTIONAL_TEXT,
        'restore_abs_path': common.nullable(common.text(4096)),
        'log_file': _OPTIONAL_TEXT,
        'cindernative_freezer_only': {'type': ['boolean', 'null']},
        # Of any type, but a number must fit its column.
        'timeout': _WITHIN_COLUMN,
        'priority': _WITHIN_COLUMN,
    },
}

_PROPERTIES: common.Schema = {
    'freezer_action': FREEZER_ACTION,
    # For an empty one, the API generates an ID.
    'action_id': common.text(36, pattern=r'^[\w-]*$'),
    'max_retries': common.nullable(common.integer(0)),
    'max_retries_interval': common.nullable(common.integer(0)),
    'mandatory': {'type': ['boolean', 'null']},
}

CREATE = common.Compiled({
    'type': 'object',
    'required': ['freezer_action'],
    'properties': {
        **_PROPERTIES,
        'freezer_action': {**FREEZER_ACTION, 'required': ['action']},
    },
})

UPDATE = common.Compiled({'type': 'object', 'properties': _PROPERTIES})


def validate_create(document: Any) -> None:
    """Validate a new action, or one that replaces another.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    CREATE(document)
    check_content('freezer_action', document['freezer_action'])


def validate_update(document: Any) -> None:
    """Validate a change of an action; nothing is required.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    UPDATE(document)
    check_content('freezer_action', document.get('freezer_action', {}))


def check_content(field: str, freezer_action: Mapping[str, Any]) -> None:
    """Check the rules of a freezer_action that a schema cannot express.

    A carriage return is refused: for an agent that reads its file as text, it
    ends the line and begins another one.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    common.check_stored_size(field, freezer_action)
    for key, value in freezer_action.items():
        if isinstance(value, str) and '\r' in value:
            raise common.InvalidDocument(
                f'{field}.{key}', 'Text with a carriage return')
