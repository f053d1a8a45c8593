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

"""Rows of backup records."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.schemas import budgets


SEARCHED = search.Columns(
    terms=models.Backup.search_terms,
    keys=search.always({
        'backup_id': models.Backup.id,
        'status': models.Backup.status,
        'project_id': models.Backup.project_id,
        'user_id': models.Backup.user_id,
    }),
    texts=(models.Backup.id, models.Backup.job_id, models.Backup.status,
           models.Backup.backup_metadata))


def of_project(project_id: str) -> sa.Select[models.Backup]:
    """Return the query of the project's backups."""
    return sa.select(models.Backup).where(
        rows.live(models.Backup), models.Backup.project_id == project_id)


def find(session: orm.Session, project_id: str, backup_id: str,
         lock: bool = False) -> models.Backup | None:
    """Return a live backup of the project."""
    query = sa.select(models.Backup).where(
        rows.live(models.Backup), models.Backup.project_id == project_id,
        collation.same_text(models.Backup.id, backup_id))
    return session.scalars(rows.locked(query) if lock else query).first()


def add(session: orm.Session, project_id: str, user_id: str,
        metadata: Mapping[str, Any], status: str,
        backup_id: str | None = None) -> models.Backup:
    """Add a record; its job is the one that the metadata names."""
    job_id = metadata.get('job_id')
    backup = models.Backup(
        id=backup_id or rows.new_id(), project_id=project_id,
        user_id=user_id, backup_metadata=dict(metadata), status=status,
        job_id=job_id if isinstance(job_id, str) else None)
    session.add(backup)
    return backup


def update(backup: models.Backup, metadata: Mapping[str, Any],
           status: str | None) -> None:
    """Merge metadata into a record, and set its status where one is given."""
    stored = backup.backup_metadata
    backup.backup_metadata = {
        **(stored if isinstance(stored, dict) else {}), **metadata}
    if status is not None:
        backup.status = status


def give_up(session: orm.Session, job: models.Job, run: models.JobRun,
            reason: str, now: int) -> None:
    """Close the records of backups that nobody will follow any more."""
    records = of_ids(session, (
        part.get('backup_id') or '' for step in run.actions or ()
        for part in (step, *step.get('parts', ()))))
    for backup in list(records.values()):
        if backup.status == 'creating':
            report(session, job, records, backup.id, 'error',
                   {'fail_reason': reason}, now)


def of_ids(session: orm.Session,
           backup_ids: Iterable[str]) -> dict[str, models.Backup]:
    """Return records by id, of any project, deleted ones too."""
    wanted = set(backup_ids)
    if not wanted:
        return {}
    return {backup.id: backup for backup in session.scalars(rows.locked(
        sa.select(models.Backup).where(models.Backup.id.in_(wanted))
        .order_by(models.Backup.id)))}


def report(session: orm.Session, job: models.Job,
           records: dict[str, models.Backup], backup_id: str,
           status: str, metadata: Mapping[str, Any], now: int) -> None:
    """Write what a run says of a backup: a new record or more of an old.

    The record is its job's owner's. An id of another project or job is left
    alone: a run reports its own backups only, but for the end of old ones.
    Metadata that users added makes way where the report would not fit beside
    it, so that a run can end.

    :param records: all that there are of those reported on, see
        :func:`of_ids`; a new one is added
    """
    if status == 'deleted':
        _report_deleted(session, job, backup_id,
                        metadata.get('cinder_backup_id'), now)
        return
    metadata = {**metadata, 'job_id': job.id}
    backup = records.get(backup_id)
    if backup is None:
        records[backup_id] = add(
            session, job.project_id or '', job.user_id, metadata, status,
            backup_id)
    elif (backup.project_id, backup.job_id) == (job.project_id, job.id):
        stored = backup.backup_metadata
        update(backup, metadata, status)
        if not budgets.allows(
                backup.backup_metadata, stored):
            backup.backup_metadata = metadata


def set_status(job: models.Job, backup: models.Backup | None,
               status: str) -> None:
    """Write of a report only what needs no room.

    :param backup: the record that is reported on, if there is one
    """
    if backup is not None and (backup.project_id, backup.job_id) == (
            job.project_id, job.id):
        backup.status = status


def _report_deleted(session: orm.Session, job: models.Job, backup_id: str,
                    cinder_id: object, now: int) -> None:
    """Delete the record of a backup that is gone.

    Retention removes what earlier runs made, of other jobs of the project
    too. There the record has to name Cinder's backup: tries of one action
    share a record, and what a backup in Cinder says of its record is written
    by users.
    """
    backup = find(session, job.project_id or '', backup_id, lock=True)
    if backup is None:
        return
    stored = backup.backup_metadata
    known = stored.get('cinder_backup_id') if isinstance(
        stored, dict) else None
    if (cinder_id and known == cinder_id) or (
            backup.job_id == job.id and not (cinder_id and known)):
        rows.delete(backup, now)
