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

"""A user's job, read so that no document can do harm.

Everything here was written by a user, perhaps years ago and by way of another
release. What cannot be read is refused with a reason that the user sees; it
is never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime

from freezer_api.domain import schedule_values
from freezer_scheduler.runs import retries

# What the API takes: a job that could be saved is not refused for its size.
_MOST_ACTIONS = 256
_LARGEST = 2 ** 31 - 1

# More tries than that are not made. Nobody waits for the last one.
_MOST_RETRIES = 1000


class Unusable(Exception):
    """A job cannot be run; the text says why, to its user."""


@dataclasses.dataclass(frozen=True)
class JobAction:
    """One action of a job, with what is to be done when it fails."""

    action_id: str
    freezer_action: Mapping[str, object]
    retries: retries.Retries
    mandatory: bool


def read_actions(job: object) -> tuple[JobAction, ...]:
    """Return the actions of a job document, in order.

    :raises Unusable: when they cannot be read
    """
    if not isinstance(job, Mapping):
        raise Unusable('the job cannot be read: it is not an object')
    actions = job.get('job_actions')
    if not isinstance(actions, list) or not actions:
        raise Unusable('the job has no actions')
    if len(actions) > _MOST_ACTIONS:
        raise Unusable(f'the job has {len(actions)} actions; '
                       f'{_MOST_ACTIONS} is the most')
    return tuple(_read_action(number, action)
                 for number, action in enumerate(actions, start=1))


def read_zone(job: object) -> datetime.tzinfo:
    """Return the time zone of a job's schedule; UTC if it has none."""
    schedule = job.get('job_schedule') if isinstance(job, Mapping) else None
    if not isinstance(schedule, Mapping):
        return datetime.UTC
    name = schedule.get('schedule_timezone')
    if name is None or name == '':
        return datetime.UTC
    try:
        return schedule_values.parse_zone('schedule_timezone', name)
    except schedule_values.ScheduleError:
        # The API refuses it; a job of a file may have one.
        return datetime.UTC


def _read_action(number: int, document: object) -> JobAction:
    where = f'action {number} of the job'
    if not isinstance(document, Mapping):
        raise Unusable(f'{where} is not an object')
    action_id = document.get('action_id')
    if (not isinstance(action_id, str) or not action_id
            or len(action_id) > 255 or not action_id.isprintable()):
        raise Unusable(f'{where} has no usable action_id')
    freezer_action = document.get('freezer_action')
    if not isinstance(freezer_action, Mapping):
        raise Unusable(f'{where} has no freezer_action')
    return JobAction(
        action_id=action_id,
        freezer_action=freezer_action,
        retries=retries.Retries(
            most=min(_MOST_RETRIES, _number(
                document, 'max_retries', where, retries.NONE)),
            interval=_number(document, 'max_retries_interval', where,
                             retries.INTERVAL)),
        mandatory=document.get('mandatory') is True)


def _number(document: Mapping[str, object], key: str, where: str,
            default: int) -> int:
    value = document.get(key)
    if value is None:
        return default
    if (isinstance(value, bool) or not isinstance(value, int)
            or not 0 <= value <= _LARGEST):
        raise Unusable(f'{where}: {key} must be a number from 0 to '
                       f'{_LARGEST}')
    return value
