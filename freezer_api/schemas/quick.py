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

"""Whether a document follows a schema, and nothing of why not.

jsonschema makes a validator for each value in a document. Nearly all
documents are as they should be, and of those it need not be asked.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import re
from typing import Any

Check = Callable[[Any], bool]

# Longer texts match no pattern.
MAX_PATTERN_INPUT = 1024

_TYPES: dict[str, Check] = {
    'object': lambda value: isinstance(value, dict),
    'array': lambda value: isinstance(value, list),
    'string': lambda value: isinstance(value, str),
    # Neither 1.0 nor true is one.
    'integer': lambda value: type(value) is int,
    'boolean': lambda value: isinstance(value, bool),
    'null': lambda value: value is None,
}


def compiled(schema: Mapping[str, Any]) -> Check | None:
    """Return what tells whether a document follows a schema.

    :returns: None for a schema with a keyword or a type that is not known
        here
    """
    checks = []
    for keyword, value in schema.items():
        if keyword in _OF_THE_WHOLE:
            check = _OF_THE_WHOLE[keyword](schema)
        else:
            make = _KEYWORDS.get(keyword)
            check = make(value) if make is not None else None
        if check is None:
            return None
        checks.append(check)

    def whole(document: Any) -> bool:
        for check in checks:
            if not check(document):
                return False
        return True

    return whole


def _type(names: str | list[str]) -> Check | None:
    if isinstance(names, str):
        return _TYPES.get(names)
    known = [_TYPES.get(name) for name in names]
    if None in known:
        return None
    return lambda value: any(check(value) for check in known if check)


def _properties(schemas: Mapping[str, Mapping[str, Any]]) -> Check | None:
    checks = {name: compiled(schema) for name, schema in schemas.items()}
    if None in checks.values():
        return None

    def check(value: Any) -> bool:
        if isinstance(value, dict):
            for name, inner in value.items():
                one = checks.get(name)
                if one is not None and not one(inner):
                    return False
        return True

    return check


def _items(schema: Mapping[str, Any]) -> Check | None:
    one = compiled(schema)
    if one is None:
        return None
    return lambda value: not isinstance(value, list) or all(map(one, value))


def _property_names(schema: Mapping[str, Any]) -> Check | None:
    one = compiled(schema)
    if one is None:
        return None
    return lambda value: not isinstance(value, dict) or all(map(one, value))


def _additional_properties(schema: Mapping[str, Any]) -> Check | None:
    if schema['additionalProperties'] is not False:
        return None
    known = frozenset(schema.get('properties', ()))
    return lambda value: not isinstance(value, dict) or known.issuperset(
        value)


def _if(schema: Mapping[str, Any]) -> Check | None:
    condition, then, otherwise = (
        compiled(schema.get(keyword, {})) for keyword in ('if', 'then',
                                                          'else'))
    if condition is None or then is None or otherwise is None:
        return None
    return lambda value: (then if condition(value) else otherwise)(value)


def _any_of(schemas: list[Mapping[str, Any]]) -> Check | None:
    checks = [compiled(schema) for schema in schemas]
    if None in checks:
        return None
    return lambda value: any(check(value) for check in checks if check)


def _required(names: list[str]) -> Check:
    return lambda value: not isinstance(value, dict) or all(
        name in value for name in names)


def _enum(values: list[Any]) -> Check | None:
    # Others are equal to what they are not, as 1 is to true.
    if not all(value is None or isinstance(value, str) for value in values):
        return None
    known = frozenset(values)
    return lambda value: (
        value is None or isinstance(value, str)) and value in known


def _pattern(pattern: str) -> Check:
    match = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: not isinstance(value, str) or (
        len(value) <= MAX_PATTERN_INPUT and match(value) is not None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KEYWORDS: dict[str, Callable[[Any], Check | None]] = {
    'type': _type,
    'properties': _properties,
    'items': _items,
    'propertyNames': _property_names,
    'anyOf': _any_of,
    'required': _required,
    'enum': _enum,
    'pattern': _pattern,
    'minimum': lambda least: lambda value: (
        not _is_number(value) or value >= least),
    'maximum': lambda most: lambda value: (
        not _is_number(value) or value <= most),
    'minLength': lambda least: lambda value: (
        not isinstance(value, str) or len(value) >= least),
    'maxLength': lambda most: lambda value: (
        not isinstance(value, str) or len(value) <= most),
    'maxItems': lambda most: lambda value: (
        not isinstance(value, list) or len(value) <= most),
}

#: Keywords that mean something only beside others.
_OF_THE_WHOLE: dict[str, Callable[[Mapping[str, Any]], Check | None]] = {
    'additionalProperties': _additional_properties,
    'if': _if,
    'then': lambda schema: _anything,
    'else': lambda schema: _anything,
}


def _anything(value: Any) -> bool:
    return True
