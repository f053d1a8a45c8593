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

"""The content of a request: its JSON body and its parameters."""

from __future__ import annotations

import json
from typing import Any

import falcon
from oslo_config import cfg

from freezer_api.domain import search
from freezer_api import errors
from freezer_api import schemas


class BodyLimit:
    """Refuses bodies that are too large, or of unknown length.

    :param most: bytes
    """

    def __init__(self, most: int) -> None:
        self._most = most

    def process_request(self, req: falcon.Request,
                        resp: falcon.Response) -> None:
        length = req.content_length
        if length is None and req.get_header('Transfer-Encoding'):
            # An empty body would mean another operation.
            raise errors.ApiError(
                'length_required', 'Send the body with a Content-Length.')
        if length is not None and length > self._most:
            raise errors.ApiError(
                'too_large',
                f'A request may have {self._most} bytes at the most.')


class Ids:
    """Refuses IDs in the path that no document can have."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response,
                         resource: object, params: dict[str, str]) -> None:
        for name, value in params.items():
            _check_storable(name, value)


def _check_storable(name: str, value: str) -> None:
    # Database engines treat such characters differently.
    if not schemas.storable(value):
        raise errors.invalid_parameter(
            name, 'It has a character that cannot be stored.')


def body(req: falcon.Request) -> Any:
    """Return the JSON body, ``{}`` if there is none.

    The text stays in the context of the request, because it can be read only
    once.

    :raises freezer_api.errors.ApiError: 400 if it is not JSON
    """
    if not req.content_length:
        return {}
    req.context.body = req.bounded_stream.read()
    try:
        return json.loads(req.context.body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise errors.ApiError(
            'malformed_json', 'The request body is not valid JSON.') from None


def _no_constant(text: str) -> None:
    raise ValueError(text)


def list_params(req: falcon.Request, conf: cfg.ConfigOpts,
                newest_first: bool = True) -> search.ListParams:
    """Return the page and the search of a list request.

    A limit of 0 means the default, and one above the configured maximum means
    that maximum.

    :param newest_first: the default order
    :raises freezer_api.errors.ApiError: 400 for a limit or offset that is not
        an integer of at least 0, and for an invalid order, marker or search
    """
    limit = _integer(req, 'limit') or conf.api.default_limit
    marker = req.get_param('marker')
    _check_storable('marker', marker or '')
    try:
        conditions = search.parse(body(req))
    except search.SearchError as error:
        raise errors.ApiError('invalid_search', str(error)) from None
    return search.ListParams(search.Page(
        min(limit, conf.api.max_limit), _integer(req, 'offset'), marker,
        _newest_first(req, newest_first)), conditions)


def _newest_first(req: falcon.Request, default: bool) -> bool:
    value = last(req, 'sort_dir')
    if value not in ('asc', 'desc', None):
        raise errors.invalid_parameter(
            'sort_dir', 'The value must be "asc" or "desc".')
    return default if value is None else value == 'desc'


def last(req: falcon.Request, name: str) -> str | None:
    """Return the last value of a parameter, None if it is absent."""
    values = req.get_param_as_list(name)
    return values[-1] if values else None


def _integer(req: falcon.Request, name: str) -> int:
    text = last(req, name)
    try:
        value = 0 if text is None else int(text)
    except ValueError:
        raise errors.invalid_parameter(
            name, 'The value must be an integer.') from None
    if not 0 <= value < 2 ** 31:
        raise errors.invalid_parameter(
            name, 'The value must be 0 or more, and less than 2147483648.')
    return value


def flag(req: falcon.Request, name: str) -> bool:
    """Return a boolean parameter, False if it is absent.

    :raises freezer_api.errors.ApiError: 400 for any other text
    """
    value = (last(req, name) or 'false').lower()
    if value not in ('true', 'false'):
        raise errors.invalid_parameter(
            name, 'The value of the parameter must be "true" or "false".')
    return value == 'true'
