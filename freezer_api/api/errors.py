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

"""Errors as HTTP answers: one JSON shape, and a stable code in each."""

from __future__ import annotations

import json
from typing import Any

import falcon
from oslo_db import exception as db_exception
from oslo_log import log
from sqlalchemy import exc

from freezer_api.db import deadlines
from freezer_api.db import search
from freezer_api.domain import quota
from freezer_api import schemas
from freezer_api import trusts
from freezer_api import unified_limits

LOG = log.getLogger(__name__)

_CODES = {400: 'bad_request', 401: 'unauthorized', 403: 'forbidden',
          404: 'not_found', 405: 'method_not_allowed', 406: 'not_acceptable',
          409: 'conflict', 413: 'too_large', 422: 'unprocessable',
          431: 'headers_too_large', 500: 'internal_error',
          503: 'unavailable'}


# MySQL's number for a text that the character set of a column lacks.
_NO_SUCH_CHARACTERS = 1267

# Beginnings of PostgreSQL's codes: it ends connections, or has no more.
_NO_CONNECTION = ('08', '53300', '57P')


class ApiError(falcon.HTTPError):
    """An answer that is no success.

    :param code: stable, for programs; the description is for people
    """

    def __init__(self, status: str, title: str, description: str,
                 code: str, retry_after: int | None = None) -> None:
        super().__init__(
            status, title=title, description=description,
            headers=None if retry_after is None
            else {'Retry-After': str(retry_after)})
        self.error_code = code


def code_of(status: int) -> str:
    """Return the code of errors that have none of their own."""
    return _CODES.get(status, 'error')


def bad_request(description: str, code: str = 'bad_request') -> ApiError:
    return ApiError(falcon.HTTP_400, 'Bad request format', description, code)


def invalid_parameter(name: str, wanted: str) -> ApiError:
    return ApiError(
        falcon.HTTP_400, 'Invalid parameter',
        f'The "{name}" parameter is invalid. {wanted}', 'invalid_parameter')


def forbidden(
        description: str = 'You are not allowed to access this resource',
        code: str = 'forbidden') -> ApiError:
    return ApiError(
        falcon.HTTP_403, 'Access Forbidden', description, code)


def quota_exceeded(error: quota.Exceeded) -> ApiError:
    return ApiError(
        falcon.HTTP_403, 'Quota Exceeded', str(error), 'quota_exceeded')


def not_found(description: str, code: str = 'not_found') -> ApiError:
    return ApiError(falcon.HTTP_404, 'Not Found', description, code)


def conflict(description: str, code: str = 'already_exists') -> ApiError:
    return ApiError(
        falcon.HTTP_409, 'Document already existing', description, code)


def unprocessable(description: str, code: str,
                  title: str = 'Unprocessable Entity') -> ApiError:
    return ApiError(falcon.HTTP_422, title, description, code)


def unavailable(description: str, code: str) -> ApiError:
    return ApiError(
        falcon.HTTP_503, 'Service Unavailable', description, code)


def serialize(req: falcon.Request, resp: falcon.Response,
              error: falcon.HTTPError) -> None:
    """Write an error as JSON, whatever the request would rather have."""
    resp.content_type = falcon.MEDIA_JSON
    resp.append_header('Vary', 'Accept')
    if error.status_code == 406:
        return
    body = {'title': error.title}
    if error.description:
        body['description'] = error.description
    body['code'] = getattr(
        error, 'error_code', code_of(error.status_code))
    resp.text = json.dumps(body)


def _on_invalid_document(req: falcon.Request, resp: falcon.Response,
                         error: schemas.InvalidDocument,
                         params: object) -> None:
    raise bad_request(str(error), 'invalid_document')


def _on_unknown_marker(req: falcon.Request, resp: falcon.Response,
                       error: search.UnknownMarker, params: object) -> None:
    raise invalid_parameter('marker', 'The list has no item with this id.')


def _on_trust_refused(req: falcon.Request, resp: falcon.Response,
                      error: trusts.TrustRefused, params: object) -> None:
    if error.code == 'delegation_missing_roles':
        raise unprocessable(
            str(error), error.code, 'Missing required credentials')
    raise forbidden(str(error), error.code)


def _on_keystone_away(req: falcon.Request, resp: falcon.Response,
                      error: trusts.KeystoneAway, params: object) -> None:
    LOG.error('%s: %s', error, type(error.__cause__).__name__)
    raise unavailable(
        'The identity service cannot be asked for a trust right now. '
        'Nothing was changed; try again later.', 'keystone_unavailable')


def _on_exceeded(req: falcon.Request, resp: falcon.Response,
                 error: quota.Exceeded, params: object) -> None:
    raise quota_exceeded(error)


def _on_limits_unavailable(
        req: falcon.Request, resp: falcon.Response,
        error: unified_limits.Unavailable, params: object) -> None:
    raise unavailable(
        'The identity service cannot be asked for the limits of the project '
        'right now. Nothing was changed; try again later.',
        'limits_unavailable')


def _storage_error() -> ApiError:
    return ApiError(falcon.HTTP_500, 'Internal Storage Error',
                    'Database operation failed.', 'storage_error')


def _on_database(req: falcon.Request, resp: falcon.Response,
                 error: db_exception.DBError, params: object) -> None:
    if isinstance(getattr(error, 'inner_exception', None), exc.DataError):
        _on_unstorable(req, resp, error, params)
    if deadlines.reason(error):
        _on_deadline(req, resp, error, params)
    LOG.exception('A database operation failed')
    if isinstance(error, db_exception.DBConnectionError):
        raise _database_away()
    if isinstance(error, db_exception.DBDeadlock):
        raise unavailable('Others change the same rows at this moment.',
                          'database_busy')
    raise _storage_error()


def _on_deadline(req: falcon.Request, resp: falcon.Response,
                 error: Exception, params: object) -> None:
    LOG.warning('%s %s ended at a deadline. %s', req.method, req.path,
                deadlines.reason(error))
    raise ApiError(
        falcon.HTTP_503, 'Service Unavailable',
        'The database took too long for the request, and nothing was '
        'changed. Try again later; ask for a smaller page or with a narrower '
        'search where you read a list.', 'database_deadline', retry_after=1)


def _database_away() -> ApiError:
    return unavailable('The database cannot be reached.',
                       'database_unavailable')


def _on_unstorable(req: falcon.Request, resp: falcon.Response,
                   error: Exception, params: object) -> None:
    # In paths and searches; documents are checked before.
    raise bad_request('The request holds a text or a number that the database '
                      'has no form for.', 'invalid_value')


def _on_operational(req: falcon.Request, resp: falcon.Response,
                    error: exc.OperationalError, params: object) -> None:
    # oslo.db lets through what it has no name for.
    arguments = getattr(error.orig, 'args', None) or (None,)
    if arguments[0] == _NO_SUCH_CHARACTERS:
        _on_unstorable(req, resp, error, params)
    if deadlines.reason(error):
        _on_deadline(req, resp, error, params)
    LOG.exception('A database operation failed')
    # PostgreSQL's driver has no code for a connection that cannot be made.
    code = getattr(error.orig, 'sqlstate', '')
    if code is None or code.startswith(_NO_CONNECTION):
        raise _database_away()
    raise _storage_error()


def _on_anything(req: falcon.Request, resp: falcon.Response,
                 error: Exception, params: object) -> None:
    LOG.exception('An unexpected error')
    raise ApiError(falcon.HTTP_500, 'Internal Server Error',
                   'An unexpected error occurred on the server.',
                   'internal_error')


def install(app: falcon.App[Any, Any]) -> None:
    """Give an application these answers."""
    app.set_error_serializer(serialize)
    # Falcon asks the handler of the closest class, its own for HTTPError.
    app.add_error_handler(Exception, _on_anything)
    app.add_error_handler(db_exception.DBError, _on_database)
    app.add_error_handler(deadlines.DeadlineExceeded, _on_deadline)
    app.add_error_handler(exc.OperationalError, _on_operational)
    app.add_error_handler(
        db_exception.DBInvalidUnicodeParameter, _on_unstorable)
    app.add_error_handler(schemas.InvalidDocument, _on_invalid_document)
    app.add_error_handler(search.UnknownMarker, _on_unknown_marker)
    app.add_error_handler(quota.Exceeded, _on_exceeded)
    app.add_error_handler(
        unified_limits.Unavailable, _on_limits_unavailable)
    app.add_error_handler(trusts.TrustRefused, _on_trust_refused)
    app.add_error_handler(trusts.KeystoneAway, _on_keystone_away)
