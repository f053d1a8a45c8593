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

"""Renders every error as an HTTP answer of one JSON shape."""

from __future__ import annotations

import json
from typing import Any

import falcon
from oslo_log import log

from freezer_api.api import request_text
from freezer_api.db import deadlines
from freezer_api.db import driver_errors
from freezer_api.domain import quota
from freezer_api.domain import search
from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.keystone import unified_limits
from freezer_api import schemas

LOG = log.getLogger(__name__)

# What is said of errors that falcon makes, and describes by a title alone.
_DESCRIPTIONS = {
    404: 'There is no such path. GET /v2/openapi.json lists all of them.',
    405: 'The path does not know this method. The header Allow names those '
         'that it knows.'}


def install(app: falcon.App[Any, Any]) -> None:
    """Give an application these answers."""
    app.set_error_serializer(_serialize)
    # Falcon asks the handler of the closest class, its own for HTTPError.
    app.add_error_handler(Exception, _on_anything)
    app.add_error_handler(errors.ApiError, _on_api_error)
    app.add_error_handler(driver_errors.ERRORS, _on_database)
    app.add_error_handler(schemas.InvalidDocument, _on_invalid_document)
    app.add_error_handler(search.UnknownMarker, _on_unknown_marker)
    app.add_error_handler(quota.Exceeded, _on_exceeded)
    app.add_error_handler(
        unified_limits.Unavailable, _on_limits_unavailable)
    app.add_error_handler(trusts.KeystoneUnavailable, _on_keystone_unavailable)


def _serialize(req: falcon.Request, resp: falcon.Response,
               error: falcon.HTTPError) -> None:
    """Write an error that falcon makes, with falcon's title."""
    status = error.status_code
    _write(resp, None if status == 406 else {
        'title': error.title,
        'description': (error.description
                        or _DESCRIPTIONS.get(status, error.title)),
        'code': errors.code_of_status(status)})


def _write(resp: falcon.Response, document: dict[str, Any] | None) -> None:
    """Answer with JSON, whatever the request would rather have."""
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


def _on_invalid_document(req: falcon.Request, resp: falcon.Response,
                         error: schemas.InvalidDocument,
                         params: object) -> None:
    _answer(resp, errors.ApiError('invalid_document', str(error)))


def _on_unknown_marker(req: falcon.Request, resp: falcon.Response,
                       error: search.UnknownMarker, params: object) -> None:
    _answer(resp, errors.invalid_parameter(
        'marker', 'The list has no item with this id.'))


def _on_exceeded(req: falcon.Request, resp: falcon.Response,
                 error: quota.Exceeded, params: object) -> None:
    _answer(resp, errors.ApiError('quota_exceeded', str(error)))


def _on_keystone_unavailable(req: falcon.Request, resp: falcon.Response,
                             error: trusts.KeystoneUnavailable,
                             params: object) -> None:
    LOG.error('%s: %s', error, type(error.__cause__).__name__)
    _answer(resp, errors.ApiError(
        'keystone_unavailable',
        'The identity service cannot be asked for a trust right now. '
        'Nothing was changed; try again later.'))


def _on_limits_unavailable(
        req: falcon.Request, resp: falcon.Response,
        error: unified_limits.Unavailable, params: object) -> None:
    _answer(resp, errors.ApiError(
        'limits_unavailable',
        'The identity service cannot be asked for the limits of the project '
        'right now. Nothing was changed; try again later.'))


def _on_database(req: falcon.Request, resp: falcon.Response,
                 error: Exception, params: object) -> None:
    problem = driver_errors.problem(error)
    if (problem is driver_errors.Problem.CHARACTER
            and not request_text.is_ascii(req)):
        # Nothing else that a database cannot store is the caller's fault:
        # everything about a request but the character sets of the deployment
        # is checked before.
        _answer(resp, errors.ApiError(
            'invalid_value', 'The request holds a character that the database '
            'has no form for.'))
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
    if problem is driver_errors.Problem.UNAVAILABLE:
        failed = errors.ApiError('database_unavailable',
                                 'The database cannot be reached.')
    elif problem is driver_errors.Problem.BUSY:
        failed = errors.ApiError(
            'database_busy', 'Others change the same rows at this moment.')
    else:
        failed = errors.ApiError('storage_error', 'Database operation failed.')
    _answer(resp, failed)


def _on_anything(req: falcon.Request, resp: falcon.Response,
                 error: Exception, params: object) -> None:
    LOG.exception('An unexpected error')
    _answer(resp, errors.ApiError(
        'internal_error', 'An unexpected error occurred on the server.'))
