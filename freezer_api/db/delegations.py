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

"""Rows of trusts and of the jobs that run with them."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import exact
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.domain import causes
from freezer_api.domain import suspension

# Seconds for which a retired trust waits for the end of a run.
_LONGEST_RUN = 86_400


@dataclasses.dataclass(frozen=True)
class Life:
    """When a trust ends, and when to make another; None for never."""

    expires_at: int | None = None
    renew_at: int | None = None


def live_key(project_id: str, trustor_user_id: str, roles: str) -> str:
    """Return what is unique among the trusts that new jobs may share."""
    text = '\0'.join((project_id, trustor_user_id, roles))
    return hashlib.sha256(text.encode()).hexdigest()


# Jobs that one transaction gives another trust.
_GIVEN_AT_ONCE = 20

# Made once: to put a query together takes longer than to ask it.
_LIVE = sa.select(models.Delegation).where(
    models.Delegation.live_key == exact.text('key'))
_LOCKED = _LIVE.with_for_update().execution_options(populate_existing=True)

_OF_JOBS = rows.ordered(sa.select(models.UserCredential).where(
    rows.live(models.UserCredential),
    models.UserCredential.job_id.in_(sa.bindparam('jobs', expanding=True))),
    models.UserCredential)

#: What :func:`of_row` is told by.
GIVEN = (models.UserCredential.trustor_user_id, models.Delegation.id,
         models.Delegation.live_key, models.Delegation.renew_at)

_GIVEN = (
    sa.select(*GIVEN)
    .outerjoin(models.Delegation, models.Delegation.id
               == models.UserCredential.delegation_id)
    .where(rows.live(models.UserCredential),
           models.UserCredential.job_id == exact.text('job')))

_SPENT = sa.or_(models.Delegation.live_key.is_(None),
                models.Delegation.renew_at <= sa.bindparam('now'))

_OWED = sa.select(models.UserCredential.id).where(
    rows.live(models.UserCredential),
    models.UserCredential.job_id == exact.text('job'),
    models.UserCredential.trustor_user_id == exact.text('user'),
    models.Delegation.id == models.UserCredential.delegation_id, _SPENT)


def find_live(session: orm.Session, project_id: str, trustor_user_id: str,
              roles: str, lock: bool = False) -> models.Delegation | None:
    """Return the trust that a user's jobs in a project share."""
    return session.scalars(_LOCKED if lock else _LIVE, {
        'key': live_key(project_id, trustor_user_id, roles)}).first()


def of_jobs(session: orm.Session, job_ids: Iterable[str],
            ) -> dict[str, models.UserCredential]:
    """Return the credentials of jobs, by job id."""
    return {credential.job_id: credential for credential in session.scalars(
        _OF_JOBS, {'jobs': list(job_ids)})}


_LOOK_OF_JOBS = _OF_JOBS.with_only_columns(
    models.UserCredential.job_id, models.UserCredential.trust_id,
    models.UserCredential.decrypt_method,
    models.UserCredential.trustor_user_id,
    models.UserCredential.delegation_id)


def look(session: orm.Session, job_ids: Iterable[str],
         ) -> Iterator[models.UserCredential]:
    """Yield what may be shown of the credentials of jobs.

    Where there are several of a job, the last counts.
    """
    return rows.look(session, _LOOK_OF_JOBS, models.UserCredential,
                     {'jobs': list(job_ids)})


def intend(session: orm.Session, project_id: str, trustor_user_id: str,
           roles: str, until: int, life: Life) -> models.Delegation:
    """Note that a trust is about to be made.

    :param until: when to look for what came of it, should no one say
    """
    intent = models.Delegation(
        id=rows.new_id(), project_id=project_id, trust_id='',
        trustor_user_id=trustor_user_id, roles=roles, delete_after=until,
        expires_at=life.expires_at, renew_at=life.renew_at)
    session.add(intent)
    return intent


def fulfil(session: orm.Session, intent_id: str, trust_id: str,
           decrypt_method: str) -> models.Delegation | None:
    """Make an intent the trust that a user's jobs share.

    :param trust_id: as it is stored
    :returns: None when the intent was given up meanwhile
    """
    delegation = session.get(models.Delegation, intent_id,
                             with_for_update=True, populate_existing=True)
    if delegation is None or delegation.deleted:
        return None
    delegation.trust_id = trust_id
    delegation.decrypt_method = decrypt_method
    delegation.delete_after = None
    delegation.live_key = live_key(
        delegation.project_id, delegation.trustor_user_id, delegation.roles)
    session.flush()
    return delegation


def supersede(session: orm.Session, delegation: models.Delegation) -> None:
    """Let another trust take the place of one, which still works or not."""
    delegation.live_key = None
    session.flush()


def give(session: orm.Session, job: models.Job,
         delegation: models.Delegation, now: int, new: bool = False) -> None:
    """Let a job run with a trust, which the transaction holds locked.

    :param new: it has had none before
    """
    credential = None if new else of_jobs(session, [job.id]).get(job.id)
    if credential is None or credential.delegation_id != delegation.id:
        if credential is not None:
            release(session, job, now)
        session.add(models.UserCredential(
            id=rows.new_id(), job_id=job.id, trust_id=delegation.trust_id,
            decrypt_method=delegation.decrypt_method,
            trustor_user_id=delegation.trustor_user_id,
            delegation_id=delegation.id))
    jobs.set_runtime(job, suspension.resume(jobs.runtime(job), now))
    session.flush()


def give_spent(session: orm.Session, delegation: models.Delegation,
               now: int) -> bool:
    """Give a new trust to jobs that have an older one of its giver's.

    A few in one transaction; maintenance goes on with the rest.

    :returns: whether there may be more
    """
    spent = sa.select(models.Delegation.id).where(
        models.Delegation.project_id == delegation.project_id,
        models.Delegation.trustor_user_id == delegation.trustor_user_id,
        models.Delegation.live_key.is_(None),
        models.Delegation.trust_id != '')
    wanted = session.scalars(
        sa.select(models.UserCredential.job_id).where(
            rows.live(models.UserCredential),
            models.UserCredential.delegation_id.in_(spent))
        .limit(_GIVEN_AT_ONCE)).all()
    if wanted:
        for job in session.scalars(rows.locked_by_id(models.Job, wanted)):
            give(session, job, delegation, now)
    return len(wanted) == _GIVEN_AT_ONCE


def spent_in_use(session: orm.Session,
                 limit: int) -> Sequence[models.Delegation]:
    """Return trusts that are spent and that jobs still have."""
    return session.scalars(sa.select(models.Delegation).where(
        models.Delegation.live_key.is_(None),
        models.Delegation.trust_id != '',
        sa.exists().where(
            models.UserCredential.delegation_id == models.Delegation.id,
            rows.live(models.UserCredential))).limit(limit)).all()


@dataclasses.dataclass(frozen=True)
class Given:
    """Whose trust a job has.

    ``spent``: it is to be replaced when its giver can do so.
    """

    trustor_user_id: str
    spent: bool


def given(session: orm.Session, job: models.Job, now: int) -> Given | None:
    """Return whose trust a job has, None for none."""
    found = session.connection().execute(_GIVEN, {'job': job.id}).first()
    return None if found is None else of_row(found, job, now)


def of_row(found: Any, job: models.Job, now: int) -> Given | None:
    """Return whose trust a job has, of a row of :data:`GIVEN`."""
    if found.trustor_user_id is None:
        return None
    return Given(found.trustor_user_id, _is_spent(found, job.suspended, now))


def owes(connection: sa.Connection, job_id: str, user_id: str,
         now: int) -> bool:
    """Whether a job has a trust of a user's that he is to replace.

    What a suspended job needs is another question.
    """
    return connection.execute(_OWED, {
        'job': job_id, 'user': user_id, 'now': now}).first() is not None


def _is_spent(found: Any, suspended: str | None, now: int) -> bool:
    return causes.is_spent(suspended) or (found.id is not None and (
        found.live_key is None or to_renew(found.renew_at, now)))


def to_renew(renew_at: int | None, now: int) -> bool:
    """Whether a trust will soon expire, or has done so."""
    return renew_at is not None and renew_at <= now


def spend(session: orm.Session, delegation_id: str | None,
          now: int) -> causes.Cause:
    """Note that Keystone has a trust no more: no job shares it from now on.

    It is kept for those that do, in case it comes back.

    :returns: what became of it
    """
    if delegation_id is None:
        return causes.Cause.GONE
    delegation = session.get_one(
        models.Delegation, delegation_id, with_for_update=True,
        populate_existing=True)
    delegation.live_key = None
    if delegation.expires_at is not None and delegation.expires_at <= now:
        return causes.Cause.EXPIRED
    return causes.Cause.GONE


def release(session: orm.Session, job: models.Job, now: int) -> None:
    """Take a job's trust away; with the last job it is to be deleted."""
    for credential in session.scalars(sa.select(models.UserCredential).where(
            rows.live(models.UserCredential),
            models.UserCredential.job_id == job.id)).all():
        rows.delete(credential, now)
        credential.trust_id = ''
        session.flush()
        if credential.delegation_id is not None:
            _retire_unused(session, credential.delegation_id, now)


def _retire_unused(session: orm.Session, delegation_id: str,
                   when: int) -> None:
    # The lock keeps another transaction from giving it a job meanwhile.
    delegation = session.scalars(
        sa.select(models.Delegation).where(
            models.Delegation.id == delegation_id).with_for_update()).first()
    # Read with a lock too: MySQL would else read what was there when the
    # transaction began, and miss a job that was given the trust since.
    used = session.scalars(sa.select(models.UserCredential.id).where(
        rows.live(models.UserCredential),
        models.UserCredential.delegation_id == delegation_id
        ).limit(1).with_for_update()).first()
    if delegation is not None and used is None:
        delegation.live_key = None
        delegation.delete_after = when


def due(session: orm.Session, now: int, limit: int,
        project_id: str | None = None) -> Sequence[models.Delegation]:
    """Return trusts that are to be deleted in Keystone now.

    One that a going run began with is left until the run has ended, for a
    day at the most.

    :param project_id: only those of this project, without intents; None for
        those of all projects
    """
    in_use = sa.exists().where(
        models.UserCredential.delegation_id == models.Delegation.id,
        models.Job.id == models.UserCredential.job_id,
        models.Job.run_id.is_not(None))
    query = sa.select(models.Delegation).where(
        models.Delegation.delete_after <= now,
        sa.or_(sa.not_(in_use),
               models.Delegation.delete_after <= now - _LONGEST_RUN))
    if project_id is not None:
        query = query.where(models.Delegation.project_id == project_id,
                            models.Delegation.trust_id != '')
    return session.scalars(query.order_by(
        models.Delegation.delete_after).limit(limit)).all()


def known(session: orm.Session, delegation: models.Delegation,
          ) -> list[tuple[str, str | None]]:
    """Return the trusts of the same user and project, as they are stored.

    :returns: pairs of trust id and decrypt_method
    """
    made = session.execute(sa.select(
        models.Delegation.trust_id, models.Delegation.decrypt_method).where(
            models.Delegation.project_id == delegation.project_id,
            models.Delegation.trustor_user_id == delegation.trustor_user_id,
            models.Delegation.trust_id != ''))
    adopted = session.execute(sa.select(
        models.UserCredential.trust_id,
        models.UserCredential.decrypt_method).where(
            models.UserCredential.trustor_user_id
            == delegation.trustor_user_id,
            models.UserCredential.trust_id != ''))
    return [(trust_id, method) for rows_ in (made, adopted)
            for trust_id, method in rows_]


def pending(session: orm.Session) -> int:
    """Return how many trusts wait to be deleted in Keystone."""
    return session.scalar(
        sa.select(sa.func.count()).select_from(models.Delegation).where(
            models.Delegation.delete_after.is_not(None))) or 0


def postpone(session: orm.Session, delegation_id: str, when: int) -> None:
    """Try a deletion again later."""
    session.execute(sa.update(models.Delegation).where(
        models.Delegation.id == delegation_id).values(delete_after=when))


def forget(session: orm.Session, delegation_id: str, now: int) -> None:
    """Note that a trust is gone from Keystone; its id is not kept.

    Of an intent that came to nothing no row stays: there are as many of them
    as there are refused requests.
    """
    delegation = session.get(models.Delegation, delegation_id,
                             with_for_update=True)
    if delegation is None or delegation.deleted:
        return
    if not delegation.trust_id:
        session.delete(delegation)
        return
    delegation.trust_id = ''
    delegation.delete_after = None
    rows.delete(delegation, now)
