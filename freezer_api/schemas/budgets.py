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

"""How large the parts of documents may be that users fill as they like.

Such a part is copied into jobs, lists and claims, so that a small request
could otherwise cost a lot.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from freezer_api.schemas import common


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a value.

    :ivar characters: of its JSON, in ASCII
    :ivar keys: of all objects in it
    :ivar levels: how deeply it is nested; an object of texts has one
    """

    characters: int = 0
    keys: int = 0
    levels: int = 0


_UNITS = {'characters': 'characters of JSON', 'keys': 'keys',
          'levels': 'levels of nesting'}


@dataclasses.dataclass(frozen=True)
class Budget:
    """The largest size that a part of a document may have."""

    most: Size

    def allows(self, value: Any, stored: Any = None) -> bool:
        """Return whether :meth:`check` lets a value pass."""
        return not self._excess(value, stored)

    def check(self, field: str, value: Any, stored: Any = None) -> None:
        """Refuse a value that is too large.

        A value that was stored before there were budgets may stay as large as
        it is.

        :param stored: what the value takes the place of, None for nothing
        :raises freezer_api.schemas.InvalidDocument: names the field, the
            limit and the size of the value
        """
        excess = self._excess(value, stored)
        if excess:
            raise common.InvalidDocument(
                field, f'{field} is too large: {excess}')

    def _excess(self, value: Any, stored: Any) -> str:
        """Say in what a value is too large, in an empty text if it is not."""
        found = measure(value)
        if _within(found, self.most):
            return ''
        before = Size() if stored is None else measure(stored)
        return ', '.join(
            f'{getattr(found, name)} {unit}, where {limit} are the most'
            for name, unit in _UNITS.items()
            if getattr(found, name) > (limit := max(
                getattr(self.most, name), getattr(before, name))))


#: The freezer_action of an action.
ACTION = Budget(Size(characters=16 * 1024, keys=256, levels=8))

#: The metadata of a backup.
BACKUP_METADATA = Budget(Size(characters=16 * 1024, keys=256, levels=8))

#: How many jobs a session may have.
SESSION_JOBS = 256


def measure(value: Any) -> Size:
    """Return the size of a value."""
    keys = levels = 0
    level = [value]
    while True:
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            break
        levels += 1
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                keys += len(one)
                deeper.extend(one.values())
            else:
                deeper.extend(one)
        level = deeper
    return Size(len(json.dumps(value)), keys, levels)


def _within(found: Size, most: Size) -> bool:
    return (found.characters <= most.characters and found.keys <= most.keys
            and found.levels <= most.levels)
