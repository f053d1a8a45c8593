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

"""The maximum sizes of the parts of documents with free content.

Such a part is copied into jobs, lists and claims, so that a small request
could otherwise cost a lot. There are limits for the freezer_action of an
action, and for the metadata of a backup.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
from typing import Any

from freezer_api.schemas import common

#: The limit of each unit. The characters are those of JSON in ASCII, the keys
#: those of all nested objects. An object of texts has one level.
LIMITS = {'characters of JSON': 16 * 1024, 'keys': 256,
          'levels of nesting': 8}

#: Maximum number of jobs of a session.
SESSION_JOBS = 256


def allows(value: Any, stored: Any = None) -> bool:
    """Return whether :func:`check` accepts a value."""
    return not _excess(value, stored)


def check(field: str, value: Any, stored: Any = None) -> None:
    """Refuse a value that is too large.

    A value that was stored by a release without limits may keep its size.

    :param stored: the value that is replaced, None for nothing
    :raises freezer_api.schemas.InvalidDocument: names the field, the limit and
        the size of the value
    """
    excess = _excess(value, stored)
    if excess:
        raise common.InvalidDocument(field, f'{field} is too large: {excess}')


def _excess(value: Any, stored: Any) -> str:
    """Return the exceeded limits in words, an empty text for none."""
    size = _measure(value)
    if all(size[unit] <= limit for unit, limit in LIMITS.items()):
        return ''
    before = dict.fromkeys(LIMITS, 0) if stored is None else _measure(stored)
    return ', '.join(
        f'{size[unit]} {unit}, where {most} are the most'
        for unit, limit in LIMITS.items()
        if size[unit] > (most := max(limit, before[unit])))


def _measure(value: Any) -> Mapping[str, int]:
    """Return the size of a value in each unit."""
    keys = levels = 0
    level = [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        levels += 1
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                keys += len(one)
                inner.extend(one.values())
            else:
                inner.extend(one)
        level = inner
    return dict(zip(LIMITS, (len(json.dumps(value)), keys, levels),
                    strict=True))
