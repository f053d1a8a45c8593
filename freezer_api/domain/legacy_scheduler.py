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

"""The meaning of the documents that stock clients send for a job.

A stock scheduler keeps a copy of each job. After each step it sends the whole
job_schedule of its copy with the session (19.0.0), or the whole job (up to
18.0.0). Only the runtime is its own: the rest is what it once read, perhaps
long ago, and must not undo later changes.

The panel edits a description and three keys of a schedule. It sends no other
keys, and does not mean to delete those that it does not show. The form for
sessions of 19.0.0 does not even show the interval of a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules

_ENDED = ('completed', 'stop', 'removed')

_KEYS = {'job_schedule', 'session_id', 'session_tag'}

# The keys of each document that was read from a job.
_WHOLE = {'job_id', 'project_id', 'user_id', 'client_id', 'description',
          'job_actions', *_KEYS}

_SCHEDULE_KEYS = {'time_created', 'event', 'status'}

_SENT_BY_PANEL = {'schedule_start_date', 'schedule_interval',
                  'schedule_end_date'}

# By the field of a schedule: the keys of a form, in which blank means none.
_SHOWN_BY_PANEL = {
    'job_schedule': _SENT_BY_PANEL,
    'schedule': _SENT_BY_PANEL - {'schedule_interval'}}


def with_hidden(sent: Mapping[str, Any], field: str,
                stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a PATCH document with the keys that its form does not show.

    A document with only a description and a schedule of no other keys than
    the panel's comes from the panel. Other keys for the time are kept, unless
    the document has a new interval, which replaces them. A document with an
    empty key deletes it, and does not come from the panel, which omits such
    keys.

    :param field: of the schedule: ``job_schedule``, or a session's
        ``schedule``
    :param stored: the current schedule
    """
    if field in sent and not all(sent[field].values()):
        return sent
    if set(sent) != {'description', field} or not (
            set(sent[field]) <= _SENT_BY_PANEL):
        return sent
    interval = sent[field].get('schedule_interval')
    replaced: tuple[str, ...] = ()
    if interval and interval != stored.get('schedule_interval'):
        replaced = schedules.WAYS
    shown = _SHOWN_BY_PANEL[field]
    hidden = {key: value for key, value in stored.items()
              if key.startswith('schedule_') and key not in shown
              and key not in replaced}
    return {**sent, field: {**hidden, **sent[field]}}


def is_report(sent: Mapping[str, Any], before: job_state.Runtime) -> bool:
    """Return whether a valid PATCH document comes from a scheduler.

    Users can also send a whole job that they have read. Then it contains no
    news about the runtime.

    :param before: the current runtime
    """
    schedule = sent.get('job_schedule')
    if schedule is None or not _SCHEDULE_KEYS <= set(schedule):
        return False
    if set(sent) == _KEYS:
        return True
    return (set(sent) == {'job_schedule'} or _WHOLE <= set(sent)) and (
        _is_news(schedule, before))


def _is_news(said: Mapping[str, Any], before: job_state.Runtime) -> bool:
    """Return whether runtime keys contain news since the job was read."""
    event, status = said['event'], said['status']
    started, known = (-1 if time is None else time for time in (
        said.get('time_started'), before.time_started))
    if before.event in ('start', 'stop', 'abort'):
        # The scheduler has handled the event, or still handles it.
        found = event == '' and status in (
            *_ENDED, *(('scheduled',) if before.event == 'start' else ()))
        if found or event == before.event == 'abort':
            return True
    if started != known:
        return started > known
    if status == 'running':
        return said.get('current_pid') not in (None, before.current_pid)
    ended = said.get('time_ended')
    if known >= 0 and ended is not None and ended > (
            -1 if before.time_ended is None else before.time_ended):
        return True
    return (event == '' and before.status in (None, '', 'running')
            and status in ('scheduled', *_ENDED))


def settled(sent: Mapping[str, Any], schedule: Mapping[str, Any],
            runtime: job_state.Runtime, session_id: str) -> dict[str, Any]:
    """Return a scheduler's PATCH document with its own keys only.

    :param schedule: the user's part of the current schedule
    :param runtime: the current runtime
    :param session_id: the current session of the job
    """
    _, said = job_state.split_schedule(sent['job_schedule'])
    if (runtime.event in ('stop', 'abort') and said['event'] == ''
            and said['status'] in ('running', 'scheduled')):
        # The scheduler has not handled the event yet, or it would have
        # stopped. A job that does not run can only be stopped.
        said['event'] = (
            runtime.event if said['status'] == 'running' else 'stop')
    made: dict[str, Any] = {'job_schedule': {**schedule, **said}}
    if 'session_tag' in sent and sent.get('session_id') == session_id:
        made['session_tag'] = sent['session_tag']
    return made


def reported_runtime(before: job_state.Runtime,
                     said: Mapping[str, Any]) -> job_state.Runtime:
    """Return the runtime according to a scheduler's report.

    :param before: the current runtime
    :param said: the runtime keys of a document
    """
    return job_state.Runtime(**{
        **{name: getattr(before, name) for name in (
            *job_state.RUNTIME_KEYS, 'status_reason', 'suspension_reason',
            'suspended_at')},
        **{key: value for key, value in said.items()
           if key != 'time_created'}})


def restarts(before: job_state.Runtime, said: Mapping[str, Any]) -> bool:
    """Return whether runtime keys make a stock scheduler run a job again.

    :param before: the current runtime
    :param said: the runtime keys of a document
    """
    if before.event == 'start':
        return False
    return said.get('event') == 'start' or (
        before.status in _ENDED
        and said.get('status', before.status) not in _ENDED)
