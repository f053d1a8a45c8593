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
from collections.abc import Sequence
import hashlib

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import rows


def live_key(project_id: str, trustor_user_id: str, roles: str) -> str:
    """Return what is unique among the trusts that new jobs may share."""
    text = '\0'.join((project_id, trustor_user_id, roles))
    return hashlib.sha256(text.encode()).hexdigest()


def find_live(session: orm.Session, project_id: str, trustor_user_id: str,
              roles: str, lock: bool = False) -> models.Delegation | None:
    """Return the trust that a user's jobs in a project share."""
    query = sa.select(models.Delegation).where(
        models.Delegation.live_key == live_key(
            project_id, trustor_user_id, roles))
    if lock:
        query = query.with_for_update().execution_options(
            populate_existing=True)
    return session.scalars(query).first()


def of_jobs(session: orm.Session, job_ids: Iterable[str],
            ) -> dict[str, models.UserCredential]:
    """Return the credentials of jobs, by job id."""
    query = sa.select(models.UserCredential).where(
        rows.live(models.UserCredential),
        models.UserCredential.job_id.in_(list(job_ids)))
    return {credential.job_id: credential for credential in session.scalars(
        rows.ordered(query, models.UserCredential))}


def attach(session: orm.Session, job: models.Job,
           delegation: models.Delegation, now: int) -> None:
    """Let a job run with a trust, which the transaction holds locked."""
    credential = of_jobs(session, [job.id]).get(job.id)
    if credential is not None:
        if credential.delegation_id == delegation.id:
            return
        release(session, job, now, 0)
    session.add(models.UserCredential(
        id=rows.new_id(), job_id=job.id, trust_id=delegation.trust_id,
        decrypt_method=delegation.decrypt_method,
        trustor_user_id=delegation.trustor_user_id,
        delegation_id=delegation.id))


def release(session: orm.Session, job: models.Job, now: int,
            grace: int) -> None:
    """Take a job's trust away; with the last job it is to be deleted.

    :param grace: seconds that a trust is kept for a run that goes on
    """
    for credential in session.scalars(sa.select(models.UserCredential).where(
            rows.live(models.UserCredential),
            models.UserCredential.job_id == job.id)).all():
        rows.delete(credential, now)
        credential.trust_id = ''
        session.flush()
        if credential.delegation_id is not None:
            _retire_unused(session, credential.delegation_id, now + grace)


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


def due(session: orm.Session, now: int,
        limit: int) -> Sequence[models.Delegation]:
    """Return trusts that are to be deleted in Keystone now."""
    return session.scalars(
        sa.select(models.Delegation).where(
            models.Delegation.delete_after <= now)
        .order_by(models.Delegation.delete_after).limit(limit)).all()


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
    """Note that a trust is gone from Keystone; its id is not kept."""
    delegation = session.get(models.Delegation, delegation_id)
    if delegation is not None:
        delegation.trust_id = ''
        delegation.delete_after = None
        rows.delete(delegation, now)
