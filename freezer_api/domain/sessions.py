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

"""Sessions: jobs of several clients that run together, in rounds.

``session_tag`` of a session counts its rounds; a job has the tag of its last
round. The first job that starts after the hold-off since the last start begins
a new round. The other jobs, which still have the previous tag, join it within
the hold-off. This module decides that from the whole session, independent of
the order of its jobs. Times are epoch seconds.

A polling scheduler reports (:func:`start`, :func:`end`). For jobs whose runs
are claimed, the service knows the due times and needs no tags to find the
round (:func:`take_part`, :func:`finish`).
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

RUNNING = 'running'
COMPLETED = 'completed'
ACTIVE = 'active'

#: Maximum of the column; a session with this value does not count further.
_LAST_TAG = 2 ** 31 - 1


class TagTooHigh(Exception):
    """A job reports a round that the session has not reached."""


class NotAMember(Exception):
    """The session has no such job."""


@dataclasses.dataclass(frozen=True)
class Member:
    """A job of a session; times are -1 while there is none."""

    client_id: str
    status: str = ''
    result: str = ''
    time_started: int = -1
    time_ended: int = -1


@dataclasses.dataclass(frozen=True)
class Session:
    """The state for the decisions: the round, its times and its jobs."""

    members: Mapping[str, Member]
    session_tag: int = 0
    hold_off: int = 30
    status: str | None = ACTIVE
    result: str | None = None
    time_start: int = -1
    time_end: int = -1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The session after a report, and the answer to the report.

    :ivar tag: the job's new tag, None if it does not change
    """

    session: Session
    result: str
    tag: int | None = None


def start(session: Session, job_id: str, tag: int, now: int) -> Outcome:
    """Process the report that a job starts.

    A job that missed a whole round gets the answer that it is out of sync and
    the current tag, and takes part again from its next run.

    :raises TagTooHigh: if it reports a future round
    :raises NotAMember: if the session has no such job
    """
    _member(session, job_id)
    if tag > session.session_tag:
        raise TagTooHigh(
            'requested tag value too high. '
            f'Session Tag: {session.session_tag} Job Tag: {tag}')
    held_off = now - session.time_start <= session.hold_off
    behind = tag < session.session_tag
    if held_off and not behind:
        return Outcome(session, 'hold-off')
    if behind and not held_off:
        return Outcome(session, 'out-of-sync', session.session_tag)
    session = _joined(session if held_off else _next_round(session, now),
                      job_id, now)
    return Outcome(session, 'success', session.session_tag)


def take_part(session: Session, job_id: str, due: int, now: int) -> Session:
    """Process the claim of a run.

    The run belongs to the round of its due time, even if it is late and the
    other jobs have ended. If a job runs again in one round, its last result
    counts.

    :param due: due time of the run
    :raises NotAMember: if the session has no such job
    """
    _member(session, job_id)
    if due - session.time_start > session.hold_off:
        session = _next_round(session, due)
    return _joined(session, job_id, now)


def finish(session: Session, job_id: str, result: str, now: int) -> Session:
    """Process the end of a run, which may have taken part in a round."""
    member = session.members.get(job_id)
    if member is None or member.status != RUNNING:
        return session
    after = _changed(session, job_id, status=COMPLETED, result=result,
                     time_ended=now)
    return _settled(after, now) if session.status == RUNNING else after


def end(session: Session, job_id: str, result: str, now: int) -> Outcome:
    """Process the report of a job's result; the last one ends the round.

    :raises NotAMember: if the session has no such job
    """
    _member(session, job_id)
    session = _changed(session, job_id, status=COMPLETED, result=result,
                       time_ended=now)
    return Outcome(_settled(session, now), 'success')


def leave(session: Session, job_id: str, now: int) -> Session:
    """Remove a job from the session; the others no longer wait for it."""
    left = dataclasses.replace(session, members={
        member_id: member for member_id, member in session.members.items()
        if member_id != job_id})
    return _settled_without(session, left, job_id, now)


def stand_aside(session: Session, job_id: str, now: int) -> Session:
    """Remove a member's run from the round."""
    if job_id not in session.members:
        return session
    aside = _changed(session, job_id, status='', result='', time_started=-1)
    return _settled_without(session, aside, job_id, now)


def overall_result(session: Session) -> str:
    """Return running, fail or success for the current round.

    Only jobs that take part in this round count: a run since the previous
    round does not keep it open. A current run keeps it open, and a failed one
    makes it fail.
    """
    present = [member for member in session.members.values()
               if member.time_started >= session.time_start]
    results = {member.result for member in present
               if member.status == COMPLETED}
    if not results or any(member.status == RUNNING for member in present):
        return RUNNING
    return 'success' if results == {'success'} else 'fail'


def _next_round(session: Session, begins: int) -> Session:
    return dataclasses.replace(
        session, session_tag=min(session.session_tag + 1, _LAST_TAG),
        time_start=begins)


def _joined(session: Session, job_id: str, now: int) -> Session:
    """Return the session with a running job, which makes it running."""
    return _changed(
        dataclasses.replace(session, status=RUNNING, result=''), job_id,
        status=RUNNING, result='',
        # With another clock it can be earlier.
        time_started=max(now, session.time_start))


def _settled(session: Session, now: int) -> Session:
    """Return the session; its round ends if no job of it runs."""
    overall = overall_result(session)
    if session.status == COMPLETED or overall == RUNNING:
        return session
    # Reports can arrive in another order than the ends.
    ends = [member.time_ended for member in session.members.values()]
    return dataclasses.replace(
        session, status=COMPLETED, result=overall, time_end=max(now, *ends))


def _settled_without(before: Session, after: Session, job_id: str,
                     now: int) -> Session:
    member = before.members.get(job_id)
    if before.status != RUNNING or member is None or (
            member.status != RUNNING):
        return after
    if any(one.status in (RUNNING, COMPLETED)
           and one.time_started >= after.time_start
           for one in after.members.values()):
        return _settled(after, now)
    # It was the only job in the round.
    return dataclasses.replace(after, status=ACTIVE)


def _member(session: Session, job_id: str) -> Member:
    try:
        return session.members[job_id]
    except KeyError:
        raise NotAMember('job_id not found in session') from None


def _changed(session: Session, job_id: str, **changes: Any) -> Session:
    """Return the session with changed values of a member."""
    member = dataclasses.replace(session.members[job_id], **changes)
    return dataclasses.replace(
        session, members={**session.members, job_id: member})
