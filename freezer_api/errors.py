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

"""The registry of error codes.

Each answer to a failed request has a code, which is stable and meant for
programs. A code has one status and one title; api-ref/source/general.rst
describes when it is used. :mod:`freezer_api.api.error_responses` renders the
errors.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import types
from typing import TypeVar

Row = TypeVar('Row')


@dataclasses.dataclass(frozen=True)
class Kind:
    """The common properties of all errors with one code.

    :ivar status: the HTTP status
    :ivar title: for users; stock clients show it
    """

    status: int
    title: str


_FORBIDDEN = Kind(403, 'Access Forbidden')
_BAD_REQUEST = Kind(400, 'Bad request format')
_CONFLICT = Kind(409, 'Conflict')
_NOT_FOUND = Kind(404, 'Not Found')
_UNAVAILABLE = Kind(503, 'Service Unavailable')
_UNPROCESSABLE = Kind(422, 'Unprocessable Entity')

KINDS: Mapping[str, Kind] = types.MappingProxyType({
    'bad_request': _BAD_REQUEST,
    'invalid_document': _BAD_REQUEST,
    'invalid_parameter': Kind(400, 'Invalid parameter'),
    'invalid_search': _BAD_REQUEST,
    'invalid_value': _BAD_REQUEST,
    'malformed_json': Kind(400, 'Malformed JSON'),
    'session_action_refused': _BAD_REQUEST,
    'unauthorized': Kind(401, 'Unauthorized'),
    'delegation_needs_own_token': _FORBIDDEN,
    'delegation_refused': _FORBIDDEN,
    'delegation_wrong_project': _FORBIDDEN,
    'forbidden': _FORBIDDEN,
    'no_encryption_key': _FORBIDDEN,
    'not_trustee': _FORBIDDEN,
    'quota_exceeded': Kind(403, 'Quota Exceeded'),
    'token_without_project': _FORBIDDEN,
    'client_not_found': _NOT_FOUND,
    'not_found': _NOT_FOUND,
    'method_not_allowed': Kind(405, 'Bad Method'),
    'action_in_use': _CONFLICT,
    'already_exists': Kind(409, 'Document already existing'),
    'client_in_use': _CONFLICT,
    'concurrent_change': _CONFLICT,
    'run_fence_stale': _CONFLICT,
    'length_required': Kind(411, 'Length Required'),
    'too_large': Kind(413, 'Content Too Large'),
    'action_in_too_many_jobs': _UNPROCESSABLE,
    'action_refused': _UNPROCESSABLE,
    'capability_not_supported': _UNPROCESSABLE,
    'client_not_registered': _UNPROCESSABLE,
    'delegation_missing_roles': Kind(422, 'Missing required credentials'),
    'invalid_action': _UNPROCESSABLE,
    'schedule_refused': _UNPROCESSABLE,
    'service_mode_disabled': _UNPROCESSABLE,
    'headers_too_large': Kind(431, 'Request Header Fields Too Large'),
    'internal_error': Kind(500, 'Internal Server Error'),
    'storage_error': Kind(500, 'Internal Storage Error'),
    'not_implemented': Kind(501, 'Not Implemented'),
    'database_busy': _UNAVAILABLE,
    'database_deadline': _UNAVAILABLE,
    'database_unavailable': _UNAVAILABLE,
    'keystone_unavailable': _UNAVAILABLE,
    'limits_unavailable': _UNAVAILABLE,
    'policy_refused': _UNAVAILABLE,
    'unavailable': _UNAVAILABLE,
})

# Codes of errors of falcon and waitress, which have only a status.
_BY_STATUS = {
    400: 'bad_request', 404: 'not_found', 405: 'method_not_allowed',
    413: 'too_large', 431: 'headers_too_large', 500: 'internal_error',
    501: 'not_implemented'}


class ApiError(Exception):
    """A request is refused, or fails.

    :param code: one of KINDS
    :param description: for users: the problem, its place and its remedy
    :param retry_after: seconds after which a retry can succeed
    """

    def __init__(self, code: str, description: str,
                 retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.kind = KINDS[code]
        self.retry_after = retry_after


def found(row: Row | None, text: str) -> Row:
    """Return a row that a caller named.

    :param text: the error if the row is None
    :raises ApiError: not_found
    """
    if row is None:
        raise ApiError('not_found', text)
    return row


def document(code: str, description: str) -> dict[str, str]:
    """Return the document of an answer with an error."""
    return {'title': KINDS[code].title, 'description': description,
            'code': code}


def code_of_status(status: int) -> str:
    """Return the code of an error with only a status.

    :param status: from 400 on; one without a code of its own counts as 400
        or 500, see RFC 9110, section 15
    """
    return _BY_STATUS.get(status) or _BY_STATUS[status // 100 * 100]


def invalid_parameter(name: str, rule: str) -> ApiError:
    """Return the error of a query parameter or of an id in the path.

    :param rule: a sentence about the valid values
    """
    return ApiError('invalid_parameter',
                    f'The "{name}" parameter is invalid. {rule}')
