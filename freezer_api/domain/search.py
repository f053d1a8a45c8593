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

"""Search documents, and the terms of documents that they match.

The body of a list request can contain ``match`` and ``match_not``: lists of
objects. A document matches if it contains every pair of ``match`` and no pair
of ``match_not``; values are equal if they have the same type and content. A
key is searched at any depth; a missing key compares as null.

``_all`` in the first object of ``match`` is a text. If it is a JSON list of
objects, it replaces the whole search; otherwise it is searched in the texts
that identify an item.

The terms of a document are a text for searches: each key has one term that
depends on its value. They are stored when the document changes, because no
function of the databases reads JSON by these rules.
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

# More than any known client sends. Each pair costs time for each item.
_MOST_PAIRS = 64
_LONGEST_TEXT = 1024

#: Maximum number of terms of one item. Each term has 33 characters.
MOST_TERMS = 256

# Longer keys, which a request can contain, are not cached.
_LONG_KEY = 256

_JSON = json.JSONEncoder(sort_keys=True)


class SearchError(ValueError):
    """A search document is invalid; the text names the field."""


@dataclasses.dataclass(frozen=True)
class Search:
    """The conditions of a list.

    :ivar text: must occur in one of an item's texts; None for no condition
    """

    match: tuple[tuple[str, Any], ...] = ()
    match_not: tuple[tuple[str, Any], ...] = ()
    text: str | None = None

    def __bool__(self) -> bool:
        return bool(self.match or self.match_not or self.text)


class UnknownMarker(Exception):
    """The list has no item with the marker's ID."""


@dataclasses.dataclass(frozen=True)
class Page:
    """A part of a list.

    :ivar offset: number of items to skip after the marker
    :ivar marker: ID of the item before the page, None for the beginning
    """

    limit: int
    offset: int = 0
    marker: str | None = None
    newest_first: bool = False


@dataclasses.dataclass(frozen=True)
class ListParams:
    """The items of a list to return."""

    page: Page
    search: Search


def parse(document: Any) -> Search:
    """Parse the body of a list request.

    :raises SearchError: if it is invalid
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
    """Return a text as a list of objects, None for other texts."""
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
    """Yield the keys of each level, top level first."""
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
    """Return the terms of a document, in ASCII.

    Each key with a value other than null has one, because null is equal to
    absence. With more than :data:`MOST_TERMS` keys the topmost ones have one.

    :param without: keys that are not searched by terms
    """
    return ''.join(
        _term(key, value) for key, value in itertools.islice(
            ((key, value) for key, value in _pairs_of(document)
             if value is not None and key not in without), MOST_TERMS))


def _pairs_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the pairs that a search can find, topmost keys first.

    The topmost value of a key counts, and at the same depth the last one.
    """
    seen: set[str] = set()
    for here in _levels(document):
        yield from ((key, value) for key, value in here.items()
                    if key not in seen)
        seen |= here.keys()


def term(key: str, value: Any) -> str:
    """Return the text in the terms of documents with a value of a key.

    :param value: None for any value
    """
    return (_key(_JSON.encode(key)) if value is None
            else _term(key, value))


def _key(name: str) -> str:
    """Return the beginning of the terms of a key."""
    return _known_key(name) if len(name) < _LONG_KEY else f' {_digest(name)}'


@functools.lru_cache(maxsize=1024)
def _known_key(name: str) -> str:
    """Return the beginning for a key, with a cache for frequent keys."""
    return f' {_digest(name)}'


def _term(key: str, value: Any) -> str:
    name = _JSON.encode(key)
    try:
        text = _canonical(value)
    except RecursionError:
        text = ''  # A search cannot contain such a value either.
    return _key(name) + _digest(f'{name}:{text}')


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()


def _canonical(value: Any) -> str:
    """Return the same text for equal values of one type."""
    text = _JSON.encode(value)
    # JSON writes only zero in two ways. The text may also be part of another
    # number, or of a text.
    return (_JSON.encode(_without_minus_zero(value)) if '-0.0' in text
            else text)


def _without_minus_zero(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_minus_zero(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_minus_zero(one) for one in value]
    return value + 0.0 if isinstance(value, float) else value
