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

"""Shortening the steps of a run to the size that the API stores."""

from __future__ import annotations

from collections.abc import Collection
import json
from typing import Any

# The API accepts a list of actions of up to 64 KiB.
_MOST_BYTES = 60 * 1024

_SHORT_REASONS = (100, 40)


def fitted(steps: list[dict[str, Any]],
           final: Collection[str]) -> list[dict[str, Any]]:
    """Return the documents of steps in a size that can be stored.

    If they are too large, those that have ended are shortened first: no
    scheduler has to continue them.

    :param steps: they are changed
    :param final: the states of steps that have ended
    """
    if _fit(steps):
        return steps
    # Each step and each of its parts, and whether it is a part.
    entries = [(entry, entry is not step) for step in steps
               for entry in (step, *step.get('parts', ()))]
    for entry, part in entries:
        _compact(entry, part, entry['state'] in final)
    for length in _SHORT_REASONS:
        if not _fit(steps):
            for entry, _part in entries:
                if len(entry.get('reason', '')) > length:
                    entry['reason'] = entry['reason'][:length - 3] + '...'
    # The reasons of current steps are removed last: users read those.
    for entry, _part in sorted(
            entries, key=lambda one: one[0]['state'] not in final):
        if _fit(steps):
            break
        entry.pop('reason', None)
        # The failed base of the increment has the same reason.
        entry.pop('full_because', None)
        if entry['state'] in final:
            entry.pop('cinder_backup_id', None)
    return steps


def _compact(entry: dict[str, Any], part: bool, final: bool) -> None:
    for key in [key for key, value in entry.items() if value is None]:
        del entry[key]
    if 'full_because' in entry:
        # Without the words of Cinder, which are as long as a reason.
        entry['full_because'] = entry['full_because'].partition(':')[0]
    if final:
        # A part needs its volume: nothing else names it.
        for key in ('full_because', 'started_at', 'ended_at', 'posts',
                    'engine', 'action', 'volume_id')[:7 - part]:
            entry.pop(key, None)


def _fit(steps: list[dict[str, Any]]) -> bool:
    return len(json.dumps(steps)) <= _MOST_BYTES
