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

"""What a request says: its JSON body and its paging."""

from __future__ import annotations

import json
from typing import Any

import falcon
from oslo_config import cfg

from freezer_api.api import request_text
from freezer_api.domain import search
from freezer_api import errors
from freezer_api import schemas


class BodyLimit:
    """Refuses bodies that are too large, or of unknown length."""

    def __init__(self, most: int) -> None:
        self._most = most

    def process_request(self, req: falcon.Request,
                        resp: falcon.Response) -> None:
        length = req.content_length
        if length is None and req.get_header('Transfer-Encoding'):
            # To take it for an empty one would be to do something else than
            # was asked.
            raise errors.ApiError(
                'length_required', 'Send the body with a Content-Length.')
        if length is not None and length > self._most:
            raise errors.ApiError(
                'too_large',
                f'A request may have {self._most} bytes at the most.')


class Ids:
    """Refuses ids in the path that no document can have."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response,
                         resource: object, params: dict[str, str]) -> None:
        for name, value in params.items():
            _check_storable(name, value)


def _check_storable(name: str, value: str) -> None:
    # Engines differ in what they make of it.
    if not schemas.storable(value):
        raise errors.invalid_parameter(
            name, 'It has a character that cannot be stored.')


def body(req: falcon.Request) -> Any:
    """Return the JSON body, ``{}`` where there is none.

    :raises freezer_api.errors.ApiError: 400 on what is not JSON
    """
    if not req.content_length:
        return {}
    raw = req.bounded_stream.read()
    request_text.keep(req, raw)
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise errors.ApiError(
            'malformed_json', 'The request body is not valid JSON.') from None


def _no_constant(text: str) -> None:
    raise ValueError(text)


def wanted(req: falcon.Request, conf: cfg.ConfigOpts,
           newest_first: bool = True) -> search.ListParams:
    """Return what a list request asks for, in its query and its body.

    A limit of 0 means the default, and one over the configured maximum that
    maximum.

    :param newest_first: the order, unless the request asks for another
    :raises freezer_api.errors.ApiError: 400 on a limit or offset that is
        no integer of 0 or more, and on an unusable order, marker or search
    """
    limit = _integer(req, 'limit') or conf.api.default_limit
    marker = req.get_param('marker')
    _check_storable('marker', marker or '')
    try:
        asked = search.parse(body(req))
    except search.SearchError as error:
        raise errors.ApiError('invalid_search', str(error)) from None
    return search.ListParams(search.Page(
        min(limit, conf.api.max_limit), _integer(req, 'offset'), marker,
        _newest_first(req, newest_first)), asked)


def _newest_first(req: falcon.Request, default: bool) -> bool:
    values = req.get_param_as_list('sort_dir')
    if not values:
        return default
    if values[-1] not in ('asc', 'desc'):
        raise errors.invalid_parameter(
            'sort_dir', 'The value must be "asc" or "desc".')
    return bool(values[-1] == 'desc')


def _integer(req: falcon.Request, name: str) -> int:
    values = req.get_param_as_list(name)
    if not values:
        return 0
    try:
        value = int(values[-1])
    except ValueError:
        raise errors.invalid_parameter(
            name, 'The value must be an integer.') from None
    if not 0 <= value < 2 ** 31:
        raise errors.invalid_parameter(
            name, 'The value must be 0 or more, and less than 2147483648.')
    return value


def flag(req: falcon.Request, name: str) -> bool:
    """Return a boolean parameter, False where it is absent.

    :raises freezer_api.errors.ApiError: 400 on any other text
    """
    values = req.get_param_as_list(name)
    if not values:
        return False
    value = values[-1].lower()
    if value not in ('true', 'false'):
        raise errors.invalid_parameter(
            name, 'The value of the parameter must be "true" or "false".')
    return value == 'true'
