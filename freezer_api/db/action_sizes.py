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

"""How large the actions of a job may be together.

Whoever asks for a job gets all of it, and a scheduler gets many at a time.
One large action may be in a job as often as a job has actions.
"""

from __future__ import annotations

from collections.abc import Sequence
import json

from freezer_api.db import json_text
from freezer_api.db import models

# As many actions of any size may be in one job, and more that are smaller.
_OF_ANY_SIZE = 8
_MOST = _OF_ANY_SIZE * json_text.TEXT_SIZE
# Actions of no more characters are never too many.
_SMALL = _MOST // 256


class TooMuch(Exception):
    """Actions are too much for one job; the text says how much."""


def is_small(action: models.Action) -> bool:
    """Return whether an action may be in any job."""
    return _size(action) <= _SMALL


def check(found: Sequence[models.Action]) -> None:
    """Make sure that actions are not too much for one job.

    :raises TooMuch: when they are
    """
    if len(found) <= _OF_ANY_SIZE:
        return
    sizes = {action.id: _size(action) for action in found}
    size = sum(sizes[action.id] for action in found)
    if size > _MOST:
        raise TooMuch(
            f'The actions of a job have {size} characters of JSON together, '
            f'where {_MOST} are the most.')


def _size(action: models.Action) -> int:
    return len(json.dumps(action.backup_metadata))
