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

"""Renders each error as an HTTP answer, in one JSON format."""

from __future__ import annotations

from collections.abc import Callable
import functools
import json
from typing import Any

import falcon
from falcon import uri
from oslo_log import log

from freezer_api.db import deadlines
from freezer_api.db import driver_errors
from freezer_api.domain import quota
from freezer_api.domain import search
from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.keystone import unified_limits
from freezer_api import schemas

LOG = log.getLogger(__name__)

# Descriptions of errors that falcon raises with only a title.
_DESCRIPTIONS = {
    404: 'There is no such path. GET /v2/openapi.json lists all of them.',
    405: 'The path does not know this method. The header Allow names those '
         'that it knows.'}

_Answer = Callable[[Exception], errors.ApiError]

# The answer to an exception.
_ANSWERS: tuple[tuple[type[Exception], _Answer], ...] = (
    (Exception, lambda error: errors.ApiError(
        'internal_error', 'An unexpected error occurred on the server.')),
    (schemas.InvalidDocument, lambda error: errors.ApiError(
        'invalid_document', str(error))),
    (search.UnknownMarker, lambda error: errors.invalid_parameter(
        'marker', 'The list has no item with this id.')),
    (quota.Exceeded, lambda error: errors.ApiError(
        'quota_exceeded', str(error))),
    (unified_limits.Unavailable, lambda error: errors.ApiError(
        'limits_unavailable',
        'The identity service cannot be asked for the limits of the project '
        'right now. Nothing was changed; try again later.')),
    (trusts.KeystoneUnavailable, lambda error: errors.ApiError(
        'keystone_unavailable',
        'The identity service cannot be asked for a trust right now. '
        'Nothing was changed; try again later.')),
)


def install(app: falcon.App[Any, Any]) -> None:
    """Set the error handlers of an application."""
    app.set_error_serializer(_serialize)
    # Falcon calls the handler of the closest class, its own for HTTPError.
    for kind, make in _ANSWERS:
        app.add_error_handler(kind, functools.partial(_on_error, make))
    app.add_error_handler(errors.ApiError, _on_api_error)
    app.add_error_handler(driver_errors.ERRORS, _on_database)


def _serialize(req: falcon.Request, resp: falcon.Response,
               error: falcon.HTTPError) -> None:
    """Write an error of falcon, with falcon's title."""
    status = error.status_code
    _write(resp, None if status == 406 else {
        'title': error.title,
        'description': (error.description
                        or _DESCRIPTIONS.get(status, error.title)),
        'code': errors.code_of_status(status)})


def _write(resp: falcon.Response, document: dict[str, Any] | None) -> None:
    """Answer with JSON, independent of the media types that are accepted."""
    resp.content_type = falcon.MEDIA_JSON
    resp.append_header('Vary', 'Accept')
    if document is not None:
        resp.text = json.dumps(document)


def _answer(resp: falcon.Response, error: errors.ApiError) -> None:
    resp.status = error.kind.status
    if error.retry_after is not None:
        resp.set_header('Retry-After', str(error.retry_after))
    _write(resp, errors.document(error.code, str(error)))


def _on_api_error(req: falcon.Request, resp: falcon.Response,
                  error: errors.ApiError, params: object) -> None:
    _answer(resp, error)


def _on_error(make: _Answer, req: falcon.Request, resp: falcon.Response,
              error: Exception, params: object) -> None:
    made = make(error)
    if made.code == 'internal_error':
        LOG.exception('An unexpected error')
    elif made.code == 'keystone_unavailable':
        LOG.error('%s: %s', error, type(error.__cause__).__name__)
    _answer(resp, made)


def _on_database(req: falcon.Request, resp: falcon.Response,
                 error: Exception, params: object) -> None:
    problem = driver_errors.problem(error)
    if problem is driver_errors.Problem.CHARACTER and not _is_ascii(req):
        # No other value that a database cannot store is an error of the
        # caller: everything in a request except the character sets of the
        # deployment is checked before.
        _answer(resp, errors.ApiError(
            'invalid_value', 'The request has a character that the database '
            'cannot store.'))
        return
    if problem is driver_errors.Problem.DEADLINE:
        LOG.warning('%s %s ended at a deadline. %s', req.method, req.path,
                    deadlines.reason(error))
        _answer(resp, errors.ApiError(
            'database_deadline', 'The database took too long for the request, '
            'and nothing was changed. Try again later; ask for a smaller page '
            'or with a narrower search where you read a list.',
            retry_after=1))
        return
    LOG.exception('A database operation failed')
    _answer(resp, {
        driver_errors.Problem.UNAVAILABLE: errors.ApiError(
            'database_unavailable', 'The database cannot be reached.'),
        driver_errors.Problem.BUSY: errors.ApiError(
            'database_busy', 'Others change the same rows at this moment.'),
    }.get(problem, errors.ApiError(
        'storage_error', 'Database operation failed.')))


def _is_ascii(req: falcon.Request) -> bool:
    """Return whether the path, the query and the body of a request are ASCII.

    An escaped character of JSON counts as the character.
    """
    body: bytes = getattr(req.context, 'body', b'')
    return (req.path.isascii()
            and uri.decode(req.query_string or '').isascii()
            and body.isascii() and b'\\u' not in body)
