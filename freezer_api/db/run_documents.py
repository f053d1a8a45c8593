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

"""What runs carry out: actions and schedule of their job, as of the claim.

Runs of a job with the same content share a row, whose ID is a digest of job
and content. Only a current run needs its row, for its next holder, and a job
has one current run at most. So a claim that adds a row removes the others of
the job, and maintenance removes rows that no run refers to; both have locked
the job. Two claims never add the same row, and no row is removed while a claim
is about to refer to it. Runs that have ended may refer to a row that is gone.
A document contains no trust: the run refers to that, see
:mod:`freezer_api.services.claims`.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import hashlib
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import collation
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows

_DOCUMENT = models.RunDocument


def add(session: orm.Session,
        begun: Sequence[tuple[models.Job, models.JobRun]],
        ) -> dict[str, dict[str, Any]]:
    """Let runs refer to what their jobs say now; return that, by run ID.

    :param begun: runs that begin, with their jobs, which are locked
    """
    if not begun:
        return {}
    its_actions = dict(actions.by_job(session, [job.id for job, _ in begun]))
    found = {}
    wanted = {}
    for job, run in begun:
        found[run.id] = content = _content(job, its_actions.get(job.id, ()))
        text = json.dumps(content, sort_keys=True, separators=(',', ':'))
        run.document_id = hashlib.sha256(
            f'{job.id}\0{text}'.encode()).hexdigest()
        wanted[run.document_id] = {
            'id': run.document_id, 'job_id': job.id, 'content': text}
    with session.no_autoflush:
        known = session.scalars(sa.select(_DOCUMENT.id).where(
            _DOCUMENT.id.in_(wanted))).all()
    missing = [wanted[document_id]
               for document_id in sorted(wanted.keys() - known)]
    if missing:
        _replace(session.connection(), missing)
    return found


def _replace(connection: sa.Connection,
             documents: Sequence[Mapping[str, str]]) -> None:
    """Add documents, each as the only one of its job.

    The session does not need them as objects.
    """
    earlier = connection.scalars(sa.select(_DOCUMENT.id).where(
        _DOCUMENT.job_id.in_([one['job_id'] for one in documents]))).all()
    if earlier:
        connection.execute(
            sa.delete(_DOCUMENT).where(_DOCUMENT.id.in_(earlier)))
    connection.execute(sa.insert(_DOCUMENT), documents)


def of_runs(session: orm.Session,
            runs: Sequence[models.JobRun]) -> dict[str, dict[str, Any]]:
    """Return what claimed runs carry out, by run ID."""
    if not runs:
        return {}
    texts: dict[str | None, str] = dict(session.execute(
        sa.select(_DOCUMENT.id, _DOCUMENT.content).where(_DOCUMENT.id.in_(
            {run.document_id for run in runs}))).all())
    # The scheduler ends a run without actions, and no claim stops at it.
    return {run.id: json.loads(texts.get(run.document_id, '{}'))
            for run in runs}


def remove_unused(session: orm.Session, after: str) -> str | None:
    """Remove the documents, of the next batch, that no run refers to.

    :param after: ID where the batch begins
    :returns: where the next batch begins; None if none follows
    """
    ids = session.scalars(sa.select(_DOCUMENT.id).where(
        _DOCUMENT.id > after).order_by(_DOCUMENT.id).limit(rows.MOST)).all()
    unused = sa.select(_DOCUMENT.id, _DOCUMENT.job_id).where(
        ~sa.exists().where(collation.same(
            models.JobRun.document_id, _DOCUMENT.id)))
    found = dict(session.execute(unused.where(_DOCUMENT.id.in_(ids))).all())
    if found:
        locked = set(session.scalars(rows.locked_by_id(
            models.Job, set(found.values()), skip_locked=True
            ).with_only_columns(models.Job.id)))
        # A claim may have referred to one before its job was locked here.
        going = session.scalars(unused.where(_DOCUMENT.id.in_(
            [document_id for document_id, job_id in found.items()
             if job_id in locked]))).all()
        session.execute(
            sa.delete(_DOCUMENT).where(_DOCUMENT.id.in_(going)),
            execution_options={'synchronize_session': False})
    return ids[-1] if len(ids) == rows.MOST else None


def _content(job: models.Job,
             its_actions: Sequence[models.Action]) -> dict[str, Any]:
    return {
        'job_schedule': jobs.schedule(job),
        'job_actions': [{
            'action_id': action.id,
            **actions.retries_of(action),
            'mandatory': bool(action.mandatory),
            'freezer_action': actions.freezer_action(action),
        } for action in its_actions],
    }
