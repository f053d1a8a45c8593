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

"""The common parts of the schemas of all nouns."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import functools
import json
import math
import re
from typing import Any

import jsonschema
from jsonschema import exceptions
from jsonschema import validators

MAX_INTEGER = 2 ** 31 - 1

# Maximum length of a TEXT column of MySQL.
MAX_STORED = 65535

_MAX_DEPTH = 32
_MAX_VALUES = 50000
_MAX_TEXT = 2 ** 20
_MAX_KEY = 255
_MAX_MESSAGE = 500
# Longer texts match no pattern.
_MAX_PATTERN_INPUT = 1024
_SURROGATE = re.compile('[\ud800-\udfff]')

Schema = dict[str, Any]

# A place in a document: a key, and the place of its object. It becomes a
# dotted path only for an error.
_Place = tuple['_Place', str] | None


class InvalidDocument(Exception):
    """A document is refused.

    :ivar field: the dotted path to the wrong value, empty for the whole
        document
    :ivar message: the text of the exception, which contains the field
    """

    def __init__(self, field: str, message: str) -> None:
        if len(message) > _MAX_MESSAGE:
            message = message[:_MAX_MESSAGE] + '...'
        if field not in message:
            message = f'{message} ({field[:_MAX_MESSAGE]})'
        super().__init__(message)
        self.field = field
        self.message = message


def text(max_length: int | None = None, **more: Any) -> Schema:
    limit = {} if max_length is None else {'maxLength': max_length}
    return {'type': 'string', **limit, **more}


def nullable(schema: Schema) -> Schema:
    return {**schema, 'type': [schema['type'], 'null']}


def integer(minimum: int = -MAX_INTEGER - 1) -> Schema:
    """Return the schema of an integer that fits into a column."""
    return {'type': 'integer', 'minimum': minimum, 'maximum': MAX_INTEGER}


ID = text(36, pattern=r'^[\w-]+$')

_LABEL = r'([a-zA-Z\d]|[a-zA-Z\d][a-zA-Z\d\-]{0,61}[a-zA-Z\d])'
# A host name, optionally after a project ID and an underscore.
CLIENT_ID = text(
    255, pattern=rf'^(?:([\w\-]+)_)?{_LABEL}(\.{_LABEL})*$')


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _match_whole(validator: Any, pattern: str, instance: object,
                 schema: Mapping[str, Any],
                 ) -> Iterable[exceptions.ValidationError]:
    """Check ``pattern`` against the whole text, without a final newline."""
    if isinstance(instance, str) and (
            len(instance) > _MAX_PATTERN_INPUT
            or _pattern(pattern).fullmatch(instance) is None):
        yield exceptions.ValidationError(
            f'{instance!r} does not match {pattern!r}')


def _is_integer(checker: object, instance: object) -> bool:
    """Return whether a value is an integer; 1.0 and true are not."""
    return isinstance(instance, int) and not isinstance(instance, bool)


_Validator = validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {'pattern': _match_whole},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        'integer', _is_integer))


class Compiled:
    """A schema that documents are validated against by calling it.

    The call raises InvalidDocument and no other error.

    :ivar schema: to be read only
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._validator = _Validator(schema)

    def __call__(self, document: object) -> None:
        check_values(document)
        error = exceptions.best_match(self._validator.iter_errors(document))
        if error is not None:
            raise InvalidDocument(_field(error), error.message)


def _field(error: Any) -> str:
    path = [str(part) for part in error.absolute_path]
    if error.validator == 'required':
        path += [name for name in error.validator_value
                 if name not in error.instance][:1]
    elif error.validator == 'additionalProperties':
        known = error.schema['properties']
        path += [name for name in error.instance if name not in known][:1]
    return '.'.join(path)


def check_values(document: object) -> None:
    """Refuse values that no column can store, at any place, and large ones.

    These are texts with NUL or half a surrogate pair, NaN and infinity,
    integers of more than 64 bits, deep nesting, and very large documents.

    :raises InvalidDocument: also if the document is not an object
    """
    if not isinstance(document, dict):
        raise InvalidDocument('', 'The request body is not an object')
    budget = [_MAX_VALUES, _MAX_TEXT]
    level: list[tuple[_Place, object]] = [(None, document)]
    for _ in range(_MAX_DEPTH):
        deeper: list[tuple[_Place, object]] = []
        for place, value in level:
            deeper.extend(_children(place, value, budget))
        if not deeper:
            return
        level = deeper
    raise InvalidDocument(
        _dotted(level[0][0]), 'The document is nested too deeply')


def storable(text: str) -> bool:
    """Return whether every database engine can store a text."""
    return '\0' not in text and not _SURROGATE.search(text)


def check_stored_size(field: str, value: object) -> None:
    """Refuse a value whose JSON is too long for a column.

    Call it again after a change was merged into the stored value.

    :raises InvalidDocument: with ``field``
    """
    size = len(json.dumps(value))
    if size > MAX_STORED:
        raise InvalidDocument(
            field, f'{field} is too large: {size} characters of JSON, where '
            f'{MAX_STORED} can be stored')


def _children(place: _Place, value: object,
              budget: list[int]) -> Iterator[tuple[_Place, object]]:
    """Check a value, and yield the values in it."""
    _spend(place, budget, 0, 1)
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_text(place, key, budget)
            if len(key) > _MAX_KEY:
                raise InvalidDocument(
                    _dotted(place), 'The name of a key is too long')
            yield (place, key), inner
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield (place, str(position)), inner
    elif isinstance(value, str):
        _check_text(place, value, budget)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidDocument(
                _dotted(place), f'{value} is not a number')
    elif isinstance(value, int) and not -2 ** 63 <= value < 2 ** 63:
        raise InvalidDocument(
            _dotted(place), 'An integer is out of range')


def _check_text(place: _Place, value: str, budget: list[int]) -> None:
    _spend(place, budget, 1, len(value))
    if not storable(value):
        raise InvalidDocument(
            _dotted(place), 'Text with a character that cannot be stored')


def _spend(place: _Place, budget: list[int], kind: int, amount: int) -> None:
    budget[kind] -= amount
    if budget[kind] < 0:
        raise InvalidDocument(_dotted(place), 'The document is too large')


def _dotted(place: _Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, part = place
        parts.append(part)
    return '.'.join(reversed(parts))
