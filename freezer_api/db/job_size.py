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

"""How large a job may be with its actions.

A reader gets all of a job, a scheduler gets many jobs at a time, and one
action may be in many jobs, several times in each.
"""

from __future__ import annotations

from collections.abc import Sequence
import json

from freezer_api.db import models
from freezer_api.db import serializers
from freezer_api import errors

#: Most characters of JSON in the answer that shows a job ...
MOST = 64 * 1024
# ... beside its actions. The schemas bound each of these: ids, schedule,
# description, state, reason and trust.
_REST = 12 * 1024

#: ... and in its actions.
MOST_OF_ACTIONS = MOST - _REST


def of_action(action: models.Action) -> int:
    """Return how many characters an action adds to each job it is in."""
    return len(json.dumps(serializers.action(action))) + len(', ')


class Sizes:
    """The sizes of the actions of jobs, each measured once.

    One action may be in a job many times, and in many jobs.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of_actions(self, its_actions: Sequence[models.Action]) -> int:
        """Return how many characters the actions of a job have."""
        for action in its_actions:
            if action.id not in self._known:
                self._known[action.id] = of_action(action)
        return sum(self._known[action.id] for action in its_actions)


def of_actions(its_actions: Sequence[models.Action]) -> int:
    """Return how many characters the actions of a job have."""
    return Sizes().of_actions(its_actions)


def check(its_actions: Sequence[models.Action], before: int = 0) -> None:
    """Refuse actions that make a job too large.

    Those of a job that was stored before there was a limit may stay as large
    as they are.

    :param before: their size before the change, 0 for a new job
    :raises freezer_api.errors.ApiError: action_refused, naming size and limit
    """
    check_size(of_actions(its_actions), before)


def check_size(size: int, before: int) -> None:
    """Refuse a size of the actions of a job, as :func:`check` does.

    :raises freezer_api.errors.ApiError: action_refused, naming size and limit
    """
    limit = max(MOST_OF_ACTIONS, before)
    if size > limit:
        raise errors.ApiError(
            'action_refused',
            f'The job_actions would have {size} characters of JSON together, '
            f'where {limit} are the most.')
