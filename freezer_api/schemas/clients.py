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

"""The registration of a client."""

from __future__ import annotations

from collections.abc import Iterable

from freezer_api.domain import capabilities
from freezer_api.schemas import common


def _list_of(values: Iterable[str]) -> common.Schema:
    known = list(values)
    return {'type': 'array', 'items': {'enum': known},
            'maxItems': len(known)}


CREATE = common.Compiled({
    'type': 'object',
    'required': ['client_id'],
    # Other keys are accepted and dropped: known clients send them.
    'properties': {
        'client_id': common.CLIENT_ID,
        'hostname': common.text(
            128, pattern=r'^[^\x00-\x1f]*[a-zA-Z\d][^\x00-\x1f]*$'),
        'description': common.text(255),
        'uuid': common.text(36),
        'supported_actions': _list_of(capabilities.ACTIONS),
        'supported_modes': _list_of(capabilities.MODES),
        'supported_storages': _list_of(capabilities.STORAGES),
        'supported_engines': _list_of(capabilities.ENGINES),
        'is_central': {'type': 'boolean'},
        # Whether the client's scheduler claims runs.
        'claims': {'type': 'boolean'},
    },
})


def validate_create(document: object) -> None:
    """Validate a registration.

    :raises freezer_api.schemas.InvalidDocument: with the field
    """
    CREATE(document)
