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

"""Rows of trusts, and of the jobs that run with them."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import hashlib

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.domain import suspension
from freezer_api.domain import trust_errors

#: A row with a trust.
Stored = models.UserCredential | models.Delegation

# Seconds that a trust to be deleted waits for the end of a run.
_LONGEST_RUN = 86_400


@dataclasses.dataclass(frozen=True)
class Life:
    """When a trust ends and is renewed, in epoch seconds; None: never."""

    expires_at: int | None = None
    renew_at: int | None = None


def active_key(project_id: str, trustor_user_id: str, roles: str) -> str:
    """Return the unique key of a trust that new jobs can share."""
    text = '\0'.join((project_id, trustor_user_id, roles))
    return hashlib.sha256(text.encode()).hexdigest()


# Number of jobs that get another trust in one transaction.
_REPLACED_AT_ONCE = 20

# Created once: constructing a query takes longer than executing it.
_LIVE = sa.select(models.Delegation).where(
    models.Delegation.active_key == collation.text('key'))
_LOCKED = rows.locked(_LIVE)

_OF_JOBS = rows.ordered(sa.select(models.UserCredential).where(
    rows.live(models.UserCredential),
    models.UserCredential.job_id.in_(sa.bindparam('jobs', expanding=True))),
    models.UserCredential)

#: The condition that a trust is that of the job of the parameter ``job``.
OF_JOB = sa.and_(rows.live(models.UserCredential),
                 models.UserCredential.job_id == collation.text('job'))
#: The condition that a trust of our own is that of a job.
DELEGATION = collation.same(
    models.Delegation.id, models.UserCredential.delegation_id)
_INVALID = sa.or_(models.Delegation.active_key.is_(None),
                  models.Delegation.renew_at <= sa.bindparam(
                      'now', type_=sa.BigInteger()))

#: Whether a trust of our own must be replaced at the time of the parameter
#: ``now``, in epoch seconds.
REPLACED = sa.and_(models.Delegation.id.is_not(None), _INVALID)

_JOB_TRUST = (
    sa.select(models.UserCredential.trustor_user_id, REPLACED)
    .outerjoin(models.Delegation, DELEGATION).where(OF_JOB))

_NEEDS_NEW = sa.select(models.UserCredential.id).where(
    OF_JOB,
    models.UserCredential.trustor_user_id == collation.text('user'),
    DELEGATION, _INVALID)


def find_live(session: orm.Session, project_id: str, trustor_user_id: str,
              roles: str, lock: bool = False) -> models.Delegation | None:
    """Return the trust that a user's jobs in a project share."""
    return session.scalars(_LOCKED if lock else _LIVE, {
        'key': active_key(project_id, trustor_user_id, roles)}).first()


def of_jobs(session: orm.Session, job_ids: Iterable[str],
            ) -> dict[str, models.UserCredential]:
    """Return the credentials of jobs, by job ID; of several, the last."""
    return {credential.job_id: credential for credential in session.scalars(
        _OF_JOBS, {'jobs': list(job_ids)})}


def of_run(session: orm.Session, current: models.UserCredential | None,
           delegation_id: str | None) -> Stored | None:
    """Return the trust that a run continues with, None if there is none.

    That is the trust that it was claimed with, or a newer one of the same
    trustor. Another member who has changed the job since did not ask for what
    the run does.

    :param current: the trust of the job
    :param delegation_id: of the trust that the run was claimed with
    """
    if current is not None and current.delegation_id == delegation_id:
        return current
    own = (None if delegation_id is None
           else session.get(models.Delegation, delegation_id))
    if own is None:
        return None
    if (current is not None
            and current.trustor_user_id == own.trustor_user_id):
        return current
    return own if own.trust_id else None


def intend(session: orm.Session, project_id: str, trustor_user_id: str,
           roles: str, until: int, life: Life) -> models.Delegation:
    """Store the intent to create a trust.

    :param until: epoch seconds after which the result is looked up in
        Keystone, if none is stored
    :param life: times of the trust
    """
    intent = models.Delegation(
        id=rows.new_id(), project_id=project_id, trust_id='',
        trustor_user_id=trustor_user_id, roles=roles, delete_after=until,
        expires_at=life.expires_at, renew_at=life.renew_at)
    session.add(intent)
    return intent


def activate(session: orm.Session, intent_id: str, trust_id: str,
             decrypt_method: str) -> models.Delegation | None:
    """Turn an intent into the trust that a user's jobs share.

    :param trust_id: as it is stored
    :param decrypt_method: of ``trust_id``
    :returns: None if the intent has been abandoned
    """
    delegation = session.get(models.Delegation, intent_id,
                             with_for_update=True, populate_existing=True)
    if delegation is None or delegation.deleted:
        return None
    delegation.trust_id = trust_id
    delegation.decrypt_method = decrypt_method
    delegation.delete_after = None
    delegation.active_key = active_key(
        delegation.project_id, delegation.trustor_user_id, delegation.roles)
    session.flush()
    return delegation


def supersede(session: orm.Session, delegation: models.Delegation) -> None:
    """Stop new jobs from sharing a trust, to replace it by another one."""
    delegation.active_key = None
    session.flush()


def attach(session: orm.Session, job: models.Job,
           delegation: models.Delegation, now: int, new: bool = False) -> None:
    """Attach a trust to a job; the transaction has locked the trust.

    :param now: epoch seconds
    :param new: whether the job has had no trust before
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


def replace_invalid(session: orm.Session, delegation: models.Delegation,
                    now: int) -> bool:
    """Attach a new trust to jobs that have an older one of its trustor.

    One transaction changes a few jobs; maintenance continues with the others.

    :returns: whether there may be more
    """
    invalid = sa.select(collation.comparable(
        models.Delegation.id, models.UserCredential.delegation_id)).where(
        models.Delegation.project_id == delegation.project_id,
        models.Delegation.trustor_user_id == delegation.trustor_user_id,
        models.Delegation.active_key.is_(None),
        models.Delegation.trust_id != '')
    wanted = session.scalars(
        sa.select(models.UserCredential.job_id).where(
            rows.live(models.UserCredential),
            models.UserCredential.delegation_id.in_(invalid))
        .limit(_REPLACED_AT_ONCE)).all()
    if wanted:
        for job in session.scalars(rows.locked_by_id(models.Job, wanted)):
            attach(session, job, delegation, now)
    return len(wanted) == _REPLACED_AT_ONCE


def invalid_in_use(session: orm.Session,
                   limit: int) -> Sequence[models.Delegation]:
    """Return replaced or invalid trusts that jobs still have."""
    return session.scalars(sa.select(models.Delegation).where(
        models.Delegation.active_key.is_(None),
        models.Delegation.trust_id != '',
        sa.exists().where(
            collation.same(models.UserCredential.delegation_id,
                           models.Delegation.id),
            rows.live(models.UserCredential))).limit(limit)).all()


@dataclasses.dataclass(frozen=True)
class JobTrust:
    """The trust of a job.

    :ivar invalid: whether it should be replaced when its trustor can do so
    """

    trustor_user_id: str
    invalid: bool


def of_job(session: orm.Session, job: models.Job, now: int) -> JobTrust | None:
    """Return the trust of a job, or None."""
    found = session.connection().execute(
        _JOB_TRUST, {'job': job.id, 'now': now}).first()
    return None if found is None else job_trust(
        *found, job.suspension_reason)


def job_trust(trustor_user_id: str | None, replaced: bool | None,
              suspension_reason: str | None) -> JobTrust | None:
    """Return the trust of a job.

    :param trustor_user_id: None for a job without a trust
    :param replaced: :data:`REPLACED`, None if that is unknown
    :param suspension_reason: of the job
    """
    if trustor_user_id is None:
        return None
    return JobTrust(trustor_user_id, bool(replaced)
                    or trust_errors.is_invalid(suspension_reason))


def needs_new(connection: sa.Connection, job_id: str, user_id: str,
              now: int) -> bool:
    """Return whether a user must replace the own trust of a job.

    The suspension of a job is not considered.
    """
    return connection.execute(_NEEDS_NEW, {
        'job': job_id, 'user': user_id, 'now': now}).first() is not None


def to_renew(renew_at: int | None, now: int) -> bool:
    """Return whether a trust must be renewed or has expired."""
    return renew_at is not None and renew_at <= now


def invalidate(session: orm.Session, delegation_id: str | None,
               now: int) -> trust_errors.Cause:
    """Store that Keystone no longer has a trust, so that no new job shares it.

    It is kept for jobs that have it, in case it is restored.

    :returns: what happened to it
    """
    if delegation_id is None:
        return trust_errors.Cause.GONE
    delegation = session.get_one(
        models.Delegation, delegation_id, with_for_update=True,
        populate_existing=True)
    delegation.active_key = None
    if delegation.expires_at is not None and delegation.expires_at <= now:
        return trust_errors.Cause.EXPIRED
    return trust_errors.Cause.GONE


def release(session: orm.Session, job: models.Job, now: int) -> None:
    """Detach a job's trust; with its last job the trust is to be deleted."""
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
    # The lock prevents another transaction from attaching it to a job.
    delegation = session.scalars(
        sa.select(models.Delegation).where(
            models.Delegation.id == delegation_id).with_for_update()).first()
    # Also read with a lock: without one, MySQL reads the snapshot of the
    # transaction, and misses a job that has received the trust since.
    used = session.scalars(sa.select(models.UserCredential.id).where(
        rows.live(models.UserCredential),
        models.UserCredential.delegation_id == delegation_id
        ).limit(1).with_for_update()).first()
    if delegation is not None and used is None:
        delegation.active_key = None
        delegation.delete_after = when


def due(session: orm.Session, now: int, limit: int,
        project_id: str | None = None) -> Sequence[models.Delegation]:
    """Return trusts that are to be deleted in Keystone now.

    The trust of a current run is left until the run has ended, for at most
    one day.

    :param project_id: only trusts of this project, without intents; None for
        all projects
    """
    in_use = sa.exists().where(
        collation.same(models.UserCredential.delegation_id,
                       models.Delegation.id),
        collation.same(models.Job.id, models.UserCredential.job_id),
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
    """Return the stored trusts of the same user and project.

    :returns: pairs of trust ID and decrypt_method
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
    """Return the number of trusts that wait for their deletion in Keystone."""
    return session.scalar(
        sa.select(sa.func.count()).select_from(models.Delegation).where(
            models.Delegation.delete_after.is_not(None))) or 0


def postpone(session: orm.Session, delegation_id: str, when: int) -> None:
    """Retry a deletion at a later time, in epoch seconds."""
    session.execute(sa.update(models.Delegation).where(
        models.Delegation.id == delegation_id).values(delete_after=when))


def forget(session: orm.Session, delegation_id: str, now: int) -> None:
    """Store that a trust is deleted in Keystone, and clear its ID.

    The row of an intent without a trust is removed, because there are as many
    of them as refused requests.
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
