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

"""What a stock scheduler writes back of a job.

Such a scheduler keeps a copy of each job, and after each step writes the
whole job_schedule of its copy, with the session that it knew. Only where the
job stands is its own to say: the rest is what somebody wrote before, perhaps
long before, and must not undo what was written since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freezer_api.domain import jobs

# With these a stock scheduler leaves a job alone until it is started.
_ENDED = ('completed', 'stop', 'removed')

_KEYS = {'job_schedule', 'session_id', 'session_tag'}

# Never without them: the API set the one, and it the others.
_SCHEDULE_KEYS = {'time_created', 'event', 'status'}


def is_report(sent: Mapping[str, Any]) -> bool:
    """Whether a checked PATCH document is a scheduler's and no user's."""
    return set(sent) == _KEYS and _SCHEDULE_KEYS <= set(sent['job_schedule'])


def settled(sent: Mapping[str, Any], schedule: Mapping[str, Any],
            runtime: jobs.Runtime, session_id: str) -> dict[str, Any]:
    """Return a scheduler's PATCH document without what is not its own.

    :param schedule: the user's part of the job's schedule, as it is now
    :param runtime: where the job stands before
    :param session_id: the session that the job is in now
    """
    _, said = jobs.split_schedule(sent['job_schedule'])
    if (runtime.event in ('stop', 'abort') and said['event'] == ''
            and said['status'] in ('running', 'scheduled')):
        # It cannot have found the event yet: it would have stopped. What
        # does not run any more can only be stopped.
        said['event'] = (
            runtime.event if said['status'] == 'running' else 'stop')
    made: dict[str, Any] = {'job_schedule': {**schedule, **said}}
    if sent['session_id'] == session_id:
        made['session_tag'] = sent['session_tag']
    return made


def restarts(before: jobs.Runtime, said: Mapping[str, Any]) -> bool:
    """Whether runtime keys make a stock scheduler run a job again.

    :param before: where the job stands
    :param said: the runtime keys of a document
    """
    if before.event == 'start':
        return False
    return said.get('event') == 'start' or (
        before.status in _ENDED
        and said.get('status', before.status) not in _ENDED)
