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

"""How jsonschema validates the documents of requests."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import functools
import re
from typing import Any
from typing import NamedTuple

import jsonschema
from jsonschema import exceptions
from jsonschema import validators

# Longer texts match no pattern.
_MAX_PATTERN_INPUT = 1024


class Reason(NamedTuple):
    """What is wrong.

    :ivar field: the dotted path to it, empty for the document as a whole
    """

    field: str
    message: str


def reason(validator: Any, document: object) -> Reason | None:
    """Return why a document is not valid, None if it is.

    :param validator: a Validator of a schema
    """
    error = exceptions.best_match(validator.iter_errors(document))
    return None if error is None else Reason(_field(error), error.message)


def _field(error: Any) -> str:
    path = [str(part) for part in error.absolute_path]
    if error.validator == 'required':
        path += [name for name in error.validator_value
                 if name not in error.instance][:1]
    elif error.validator == 'additionalProperties':
        known = error.schema['properties']
        path += [name for name in error.instance if name not in known][:1]
    return '.'.join(path)


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _match_whole(validator: Any, pattern: str, instance: object,
                 schema: Mapping[str, Any],
                 ) -> Iterable[exceptions.ValidationError]:
    """The keyword ``pattern``, for the whole text: no newline at its end."""
    if isinstance(instance, str) and (
            len(instance) > _MAX_PATTERN_INPUT
            or _pattern(pattern).fullmatch(instance) is None):
        yield exceptions.ValidationError(
            f'{instance!r} does not match {pattern!r}')


def _is_integer(checker: object, instance: object) -> bool:
    """Whether a value is an integer: neither 1.0 nor true is one."""
    return isinstance(instance, int) and not isinstance(instance, bool)


Validator = validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {'pattern': _match_whole},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        'integer', _is_integer))
