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

"""Search documents: what they ask, and the terms by which it is found.

The body of a list request may hold ``match`` and ``match_not``: lists of
objects. Each pair of ``match`` must be found in the document, none of
``match_not``; values are equal when they are of one type and the same. A key
is looked for at any depth; one that a document lacks compares as null.

``_all`` in the first object of ``match`` is a text. One that is a JSON list
of objects takes the place of the whole search; any other is looked for in the
texts by which people know an item.

The terms of a document are a text in which one can be looked up: each key has
one in it that says which value it has. They are written when the document
changes, since no function of the databases reads JSON by these rules.
"""

from __future__ import annotations

import base64
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import itertools
import json
from typing import Any

ALL = '_all'

# No client asks for more, and each costs time for each item.
_MOST_PAIRS = 64
_LONGEST_TEXT = 1024

#: The most terms of one item. Each term has 33 characters.
MOST_TERMS = 256

# What is searched for may be as long as a request. Such keys are not kept.
_LONG_KEY = 256

_JSON = json.JSONEncoder(sort_keys=True)


class SearchError(ValueError):
    """A search document that asks nothing; the text names the field."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What a list is narrowed to.

    ``text`` is to occur in one of an item's texts, None asks for nothing.
    """

    match: tuple[tuple[str, Any], ...] = ()
    match_not: tuple[tuple[str, Any], ...] = ()
    text: str | None = None

    def __bool__(self) -> bool:
        return bool(self.match or self.match_not or self.text)


def parse(document: Any) -> Search:
    """Read the body of a list request.

    :raises SearchError: on wrong types
    """
    if not isinstance(document, dict):
        raise SearchError('The search must be an object')
    match = _objects(document, 'match')
    match_not = _objects(document, 'match_not')
    text = None
    if match and ALL in match[0]:
        text = match[0][ALL]
        if not isinstance(text, str):
            raise SearchError('match.0._all must be a string')
        listed = _listed(text)
        if listed is not None:
            return Search(_pairs(listed))
        if len(text) > _LONGEST_TEXT:
            raise SearchError('match.0._all is longer than '
                              f'{_LONGEST_TEXT} characters')
        match = [{key: value for key, value in match[0].items()
                  if key != ALL}, *match[1:]]
    return Search(_pairs(match), _pairs(match_not), text or None)


def _objects(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise SearchError(f'{name} must be a list of objects')
    for position, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise SearchError(f'{name}.{position} must be an object')
    return value


def _listed(text: str) -> list[dict[str, Any]] | None:
    """Return the list of objects that a text is, None for other texts."""
    try:
        listed = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list):
        return None
    for entry in listed:
        if not isinstance(entry, dict):
            raise SearchError('match.0._all must be a list of objects')
    return listed


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _pairs(objects: list[dict[str, Any]]) -> tuple[tuple[str, Any], ...]:
    pairs = tuple(pair for entry in objects for pair in entry.items())
    if len(pairs) > _MOST_PAIRS:
        raise SearchError(f'more than {_MOST_PAIRS} keys are searched for')
    for key, value in pairs:
        try:
            _canonical(value)
        except RecursionError:
            raise SearchError(f'{key} is nested too deeply') from None
    return pairs


def _levels(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the keys of each level, the topmost first."""
    level: list[Any] = [document]
    while level:
        here: dict[str, Any] = {}
        for entry in level:
            if isinstance(entry, dict):
                here.update(entry)
        yield here
        level = [below for entry in level for below in (
            entry.values() if isinstance(entry, dict)
            else entry if isinstance(entry, list) else ())]


def terms(document: Mapping[str, Any], without: Container[str] = ()) -> str:
    """Return the terms of a document, ASCII.

    There is one for each key that is not null: null is as good as absent. Of
    more than :data:`MOST_TERMS` keys the topmost have one.

    :param without: keys that nobody looks up in the terms
    """
    return ''.join(
        _term(key, value) for key, value in itertools.islice(
            ((key, value) for key, value in _pairs_of(document)
             if value is not None and key not in without), MOST_TERMS))


def _pairs_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a search finds under each key, the topmost keys first.

    The document's own key goes before those below it. Of several at one
    depth the last counts.
    """
    seen: set[str] = set()
    for here in _levels(document):
        yield from ((key, value) for key, value in here.items()
                    if key not in seen)
        seen |= here.keys()


def term(key: str, value: Any) -> str:
    """Return what the terms of a document hold where a key has a value.

    :param value: for None, what they hold where it has any value
    """
    return (_key(_JSON.encode(key)) if value is None
            else _term(key, value))


def _key(name: str) -> str:
    """What terms of a key begin with."""
    return _known_key(name) if len(name) < _LONG_KEY else f' {_digest(name)}'


@functools.lru_cache(maxsize=1024)
def _known_key(name: str) -> str:
    """The same of a key that may be met again: few are in most documents."""
    return f' {_digest(name)}'


def _term(key: str, value: Any) -> str:
    name = _JSON.encode(key)
    try:
        text = _canonical(value)
    except RecursionError:
        text = ''  # nobody can ask for it either
    return _key(name) + _digest(f'{name}:{text}')


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()


def _canonical(value: Any) -> str:
    """Return the same text for values of one type that are equal."""
    text = _JSON.encode(value)
    # The one number that JSON writes in two ways. The text may be part of
    # another number, or of a text.
    return (_JSON.encode(_without_minus_zero(value)) if '-0.0' in text
            else text)


def _without_minus_zero(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_minus_zero(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_minus_zero(one) for one in value]
    return value + 0.0 if isinstance(value, float) else value
