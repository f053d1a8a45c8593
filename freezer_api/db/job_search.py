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

"""What a search for jobs is asked of.

A job shows more than its row and its actions: where it stands, which changes
too often to be in its terms, and what not every reader may see. All of that
is compared as it would be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.db import unknown_schedules
from freezer_api.domain import job_state

# Keys that each job has at its top, and which are not in its terms.
ALWAYS = search.always({
    'job_id': models.Job.id, 'client_id': models.Job.client_id,
    'project_id': models.Job.project_id, 'user_id': models.Job.user_id,
    'description': models.Job.description,
    'session_id': sa.func.coalesce(models.Job.session_id, ''),
    'session_tag': sa.func.coalesce(models.Job.session_tag, 0)})


@dataclasses.dataclass(frozen=True)
class Reader:
    """Who searches, and when.

    ``pids_of`` is the project whose clients' process ids are shown, None for
    those of all; ``trusts_of`` is the user whose trusts are, None for those
    of all; ``delay`` is that of freezer_api.domain.job_state.visible, which
    is repeated in SQL.
    """

    pids_of: str | None
    trusts_of: str | None
    now: int
    delay: int


def columns(reader: Reader) -> search.Columns:
    """Return what a search by a reader is asked of."""
    job = models.Job
    unknown = unknown_schedules.condition()
    shown = {
        **{key: getattr(job, key) for key in job_state.RUNTIME_KEYS},
        'event': sa.case((sa.and_(unknown, job.event.is_not(None)),
                          sa.literal('')), else_=job.event),
        'status': _status(reader, unknown),
        'current_pid': _current_pid(reader)}
    trustor = _trustor(reader)
    return search.Columns(
        terms=job.search_terms,
        keys={
            **ALWAYS,
            **search.unless_null(job.search_terms, {
                **shown, 'status_reason': sa.case(
                    (unknown, sa.literal(job_state.UNKNOWN_SCHEDULE)),
                    else_=job.status_reason),
                'suspended': sa.case((job.suspension_reason.is_not(None),
                                      sa.true())),
                'suspended_cause': job.suspension_reason,
                'trustor_user_id': trustor}),
            **search.unless_null(
                job.search_terms, {
                    'next_run_at': sa.case(
                        (sa.not_(unknown), job.next_run_at)),
                    'suspended_at': job.suspended_at}, _at),
            **search.unless_null(
                job.search_terms,
                {'trust_id': trustor, 'user_credentials': trustor}, _secret),
            'job_schedule': lambda value: _schedule(shown, value)},
        texts=(job.id, job.client_id, job.description, job.session_id,
               # Clients that can only send a text find suspended jobs, too.
               sa.literal('suspended: ') + job.suspension_reason))


def _status(reader: Reader,
            unknown: sa.ColumnElement[bool]) -> search.Column:
    job = models.Job
    stopped = sa.and_(unknown, sa.func.coalesce(job.status, '').not_in(
        job_state.DISARMED))
    no_event = sa.func.coalesce(job.event, '') == ''
    suspended = sa.and_(
        job.suspension_reason.is_not(None), job.run_id.is_(None), no_event,
        sa.func.coalesce(job.status, '').in_(('', 'scheduled')))
    untouched = sa.and_(
        sa.func.coalesce(job.status, '') == '',
        no_event, job.next_run_at.is_not(None),
        sa.func.coalesce(job.time_created, 0) < reader.now - reader.delay)
    return sa.case((stopped, sa.literal('stop')),
                   (suspended, job_state.SUSPENDED), (untouched, 'scheduled'),
                   else_=job.status)


def _current_pid(reader: Reader) -> search.Column:
    """The process id, on a client that is the reader's own by its id.

    Another project's central client of that id goes before it.
    """
    job, client = models.Job, models.Client
    if reader.pids_of is None:
        return job.current_pid
    name = collation.letters(job.client_id)
    names = sa.select(collation.letters(client.client_id)).where(
        rows.live(client))
    return sa.case((sa.and_(
        name.in_(names.where(client.project_id == reader.pids_of)),
        name.not_in(names.where(client.project_id != reader.pids_of,
                                client.is_central == sa.true()))),
        job.current_pid))


def _trustor(reader: Reader) -> search.Column:
    """Whose trust a job has, NULL without one that the reader may see."""
    credential = models.UserCredential
    trustor = sa.select(credential.trustor_user_id).where(
        rows.live(credential),
        collation.same(credential.job_id, models.Job.id)).order_by(
            credential.created_at.desc(), credential.id.desc()).limit(
                1).scalar_subquery()
    if reader.trusts_of is None:
        return trustor
    return sa.case(
        (collation.same_text(trustor, reader.trusts_of), trustor))


def _secret(column: search.Column, value: Any) -> sa.ColumnElement[bool]:
    """Answer no guess, so that nobody makes one: trusts are secrets.

    They are stored encrypted, too, each time with another outcome.
    """
    return sa.false()


def _at(column: search.Column, value: Any) -> sa.ColumnElement[bool]:
    """Compare epoch seconds with a time as it is shown."""
    form = '%Y-%m-%dT%H:%M:%SZ'
    try:
        time = datetime.datetime.strptime(value, form).replace(
            tzinfo=datetime.UTC)
    except (TypeError, ValueError):
        return sa.false()
    if time.strftime(form) != value:
        return sa.false()
    return search.equal(column, int(time.timestamp()))


def _schedule(shown: Mapping[str, search.Column],
              value: Any) -> sa.ColumnElement[bool]:
    """Compare a whole job_schedule: the user's part and the runtime."""
    if not isinstance(value, dict):
        return sa.false()
    user = {key: one for key, one in value.items() if key not in shown}
    return sa.and_(
        search.holds(models.Job.search_terms, 'job_schedule', user), *(
            column.is_(None) if key not in value
            else sa.false() if value[key] is None
            else search.equal(column, value[key])
            for key, column in shown.items()))
