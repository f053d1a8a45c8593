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

"""Sessions: jobs of several clients that run together, round by round.

A session counts its rounds in ``session_tag``; a job carries the tag of the
round it last took part in. The first job that starts once the hold-off since
the last start is over opens a new round; the others, still carrying the tag
before, join it within the hold-off. All of that is decided here, from the
whole session, whatever the order of its jobs. Times are epoch seconds.

A scheduler that keeps its jobs itself reports (:func:`start`, :func:`end`).
Of jobs whose runs are claimed the service knows by itself when each of them
was due, and needs no tags to find its round (:func:`take_part`,
:func:`finish`).
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

RUNNING = 'running'
COMPLETED = 'completed'
ACTIVE = 'active'

#: What a column holds; a session that somebody set to it counts no further.
_LAST_TAG = 2 ** 31 - 1


class TagTooHigh(Exception):
    """A job claims a round that the session has not come to."""


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
    """What is decided on: the round, its times and its jobs."""

    members: Mapping[str, Member]
    session_tag: int = 0
    hold_off: int = 30
    status: str | None = ACTIVE
    result: str | None = None
    time_start: int = -1
    time_end: int = -1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The session after a report, and what its reporter is answered.

    ``tag`` is what the job's own tag becomes, None where it stays.
    """

    session: Session
    result: str
    tag: int | None = None


def start(session: Session, job_id: str, tag: int, now: int) -> Outcome:
    """A job says that it starts.

    A job that missed a whole round is told that it is out of sync, and takes
    part again from its next run on: its tag is set right.

    :raises TagTooHigh: when it claims a round that has not been
    :raises NotAMember: when the session has no such job
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
    """A run of a job is handed out.

    It belongs to the round that its time falls into, however late it is and
    even if the others have ended; when a job runs again in one round, its
    last result counts.

    :param due: when the run was due
    :raises NotAMember: when the session has no such job
    """
    _member(session, job_id)
    if due - session.time_start > session.hold_off:
        session = _next_round(session, due)
    return _joined(session, job_id, now)


def finish(session: Session, job_id: str, result: str, now: int) -> Session:
    """A run of a job has ended that took part in a round, or did not."""
    member = session.members.get(job_id)
    if member is None or member.status != RUNNING:
        return session
    after = _changed(session, job_id, status=COMPLETED, result=result,
                     time_ended=now)
    return _settled(after, now) if session.status == RUNNING else after


def end(session: Session, job_id: str, result: str, now: int) -> Outcome:
    """A job says how its run ended; the last of a round ends the round.

    :raises NotAMember: when the session has no such job
    """
    _member(session, job_id)
    session = _changed(session, job_id, status=COMPLETED, result=result,
                       time_ended=now)
    return Outcome(_settled(session, now), 'success')


def leave(session: Session, job_id: str, now: int) -> Session:
    """A job leaves the session; the others do not wait for it any more."""
    left = dataclasses.replace(session, members={
        member_id: member for member_id, member in session.members.items()
        if member_id != job_id})
    return _settled_without(session, left, job_id, now)


def stand_aside(session: Session, job_id: str, now: int) -> Session:
    """A member's run is none of the session's any more."""
    if job_id not in session.members:
        return session
    aside = _changed(session, job_id, status='', result='', time_started=-1)
    return _settled_without(session, aside, job_id, now)


def overall_result(session: Session) -> str:
    """Return running, fail or success for the session's round.

    A job that did not take part in this round has no say, and one that runs
    since the round before does not keep it open. One that runs does, and one
    that failed makes it fail.
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
    """Return the session with a job that runs, and so runs itself."""
    return _changed(
        dataclasses.replace(session, status=RUNNING, result=''), job_id,
        status=RUNNING, result='',
        # By another clock it may be earlier.
        time_started=max(now, session.time_start))


def _settled(session: Session, now: int) -> Session:
    """Return the session, with its round ended if nothing of it goes on."""
    overall = overall_result(session)
    if session.status == COMPLETED or overall == RUNNING:
        return session
    # Who is told of last need not have ended last.
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
    # It was alone in the round.
    return dataclasses.replace(after, status=ACTIVE)


def _member(session: Session, job_id: str) -> Member:
    try:
        return session.members[job_id]
    except KeyError:
        raise NotAMember('job_id not found in session') from None


def _changed(session: Session, job_id: str, *, status: str, result: str,
             time_started: int | None = None,
             time_ended: int | None = None) -> Session:
    before = session.members[job_id]
    after = dataclasses.replace(
        before, status=status, result=result,
        time_started=(before.time_started if time_started is None
                      else time_started),
        time_ended=before.time_ended if time_ended is None else time_ended)
    return dataclasses.replace(
        session, members={**session.members, job_id: after})
