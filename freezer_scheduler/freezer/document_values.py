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

"""Read single values of documents, and shorten texts for them."""

from __future__ import annotations

from collections.abc import Mapping


class Malformed(Exception):
    """A document cannot be read."""


def shortened(text: str | None, length: int) -> str | None:
    """Cut a text to a length, and replace characters that cannot be shown."""
    if text is None:
        return None
    # Lone surrogates cannot be sent, and control characters are not shown.
    text = ''.join(letter if letter.isprintable() else ' ' for letter in text)
    return text if len(text) <= length else text[:length - 3] + '...'


def entries(document: Mapping[str, object], key: str) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise Malformed(f'{key} is not a list')
    return value


def text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f'{key} is not a text')
    return value


def number(document: Mapping[str, object], key: str) -> int:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f'{key} is not a number')
    return value


def optional_text(document: Mapping[str, object], key: str) -> str | None:
    return None if document.get(key) is None else text(document, key)


def optional_number(document: Mapping[str, object], key: str) -> int | None:
    return None if document.get(key) is None else number(document, key)
