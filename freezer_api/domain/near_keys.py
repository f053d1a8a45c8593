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

"""Suggest a known key for an unknown one.

A comparison takes up to 0.1 ms, and a document can have thousands of keys, so
:class:`Comparisons` limits their number.
"""

from __future__ import annotations

from collections.abc import Iterable
import difflib

#: Maximum number of unknown keys of one job or request that are compared.
MOST = 64


class Names:
    """Known names, to compare others with.

    :param near: similarity, from 0 to 1, at which a name is suggested
    """

    def __init__(self, names: Iterable[str], near: float) -> None:
        self._letters = {name: _letters(name) for name in sorted(names)}
        self._near = near
        longest = max(map(len, self._letters))
        self._longest = longest * (2 - near) / near

    def nearest(self, text: str) -> str | None:
        """Return the most similar name, None if no name is similar.

        The result is that of difflib.get_close_matches. Names that cannot be
        similar are skipped without a comparison.
        """
        if len(text) > self._longest:
            return None
        matcher = difflib.SequenceMatcher(None, '', text)
        own = _letters(text)
        best, most = None, self._near
        for name, others in self._letters.items():
            both = len(name) + len(text)
            # A character that only one of them has matches none.
            if (max(abs(len(name) - len(text)), (own ^ others).bit_count())
                    > (1 - most) * both + 1e-9):
                continue
            matcher.set_seq1(name)
            if matcher.quick_ratio() >= most and matcher.ratio() >= most:
                best, most = name, matcher.ratio()
        return best


class Comparisons:
    """A limited number of comparisons of unknown keys with known names.

    A key that occurs in several actions is compared once. Keys beyond the
    limit get no suggestion.

    :param names: the known names
    :param most: number of different keys that are compared
    """

    def __init__(self, names: Names, most: int = MOST) -> None:
        self._names = names
        self._most = most
        self._suggestions: dict[str, str | None] = {}

    @property
    def exhausted(self) -> bool:
        """Whether the limit has been reached."""
        return len(self._suggestions) >= self._most

    def meant(self, key: str) -> str | None:
        """Return the suggestion for a key, or None."""
        if key not in self._suggestions:
            if self.exhausted:
                return None
            self._suggestions[key] = self._names.nearest(key)
        return self._suggestions[key]


def shown(name: object) -> str:
    """Return a key or a value for an error, in at most 64 characters."""
    text = str(name)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 64 else text[:61] + '...'


def _letters(text: str) -> int:
    """Return the set of a text's characters, as bits."""
    bits = 0
    for letter in text:
        bits |= 1 << (ord(letter) & 127)
    return bits
