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

"""Searches read plainly: every document, one after the other."""

from __future__ import annotations

from typing import Any


def value(document: Any, key: str) -> Any:
    """Return what a document has under a key, None where it has nothing."""
    level = [document]
    while level:
        found = [one[key] for one in level
                 if isinstance(one, dict) and key in one]
        if found:
            return found[-1]
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        level = below
    return None


def same(left: Any, right: Any) -> bool:
    """Whether two values are of one type and equal, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(
            same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def found(documents: list[dict[str, Any]],
          asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the documents that are what is asked for."""

    def hits(document: Any, name: str) -> list[bool]:
        return [same(value(document, key), wanted)
                for one in asked.get(name, []) for key, wanted in one.items()]

    return [document for document in documents
            if all(hits(document, 'match'))
            and not any(hits(document, 'match_not'))]


def pairs(document: Any) -> list[tuple[str, Any]]:
    """Return each key that is anywhere in a document, with each value."""
    if isinstance(document, dict):
        return [*document.items(), *(
            pair for below in document.values() for pair in pairs(below))]
    if isinstance(document, list):
        return [pair for below in document for pair in pairs(below)]
    return []
