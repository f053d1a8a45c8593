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

"""Search documents: what they ask, and whether a document answers it.

The body of a list request may hold ``match`` and ``match_not``: lists of
objects. Each pair of ``match`` must be found in the document, none of
``match_not``; values are equal when they are of one type and the same. A key
is looked for at any depth; one that a document lacks compares as null.

``_all`` in the first object of ``match`` is a text. One that is a JSON list
of objects takes the place of the whole search; any other is looked for in the
texts by which people know an item.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

ALL = '_all'

# No client asks for more, and each costs time for each item.
_MOST_PAIRS = 64
_LONGEST_TEXT = 1024


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
        listed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list):
        return None
    for entry in listed:
        if not isinstance(entry, dict):
            raise SearchError('match.0._all must be a list of objects')
    return listed


def _pairs(objects: list[dict[str, Any]]) -> tuple[tuple[str, Any], ...]:
    pairs = tuple(pair for entry in objects for pair in entry.items())
    if len(pairs) > _MOST_PAIRS:
        raise SearchError(f'more than {_MOST_PAIRS} keys are searched for')
    return pairs


def same(left: Any, right: Any) -> bool:
    """Whether two values are of one type and equal, all the way down."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            same(one, other) for one, other in zip(left, right, strict=True))
    return type(left) is type(right) and bool(left == right)


def flattened(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search finds under each key.

    The document's own key goes before those below it. Of several at one
    depth the last counts.
    """
    flat: dict[str, Any] = {}
    level: list[Any] = [document]
    while level:
        here: dict[str, Any] = {}
        for entry in level:
            if isinstance(entry, dict):
                here.update(entry)
        flat = here | flat
        level = [below for entry in level for below in (
            entry.values() if isinstance(entry, dict)
            else entry if isinstance(entry, list) else ())]
    return flat


def answers(document: Mapping[str, Any], search: Search) -> bool:
    """Whether a document is what is searched for, its texts aside."""
    flat = flattened(document)
    return (
        all(same(flat.get(key), value) for key, value in search.match)
        and not any(same(flat.get(key), value)
                    for key, value in search.match_not))
