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

"""Jobs as callers see them."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

from oslo_log import log
from sqlalchemy import orm

from freezer_api import crypt
from freezer_api.db import actions
from freezer_api.db import delegations
from freezer_api.db import documents as db_documents
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api import delegations as trust_keeper
from freezer_api.domain import jobs as domain
from freezer_api.domain import plans

LOG = log.getLogger(__name__)

_NONE: tuple[None, list[models.Action]] = (None, [])

# Of jobs whose actions are read at once.
_AT_A_TIME = 100


@dataclasses.dataclass(frozen=True)
class Reader:
    """Who reads, and what of a job is shown.

    ``pids_of`` are the clients whose process ids are shown, None for all;
    ``delay`` is how long a new job looks untouched, in seconds.
    """

    user_id: str
    sees_trusts: bool
    pids_of: set[str] | None
    now: int
    delay: int


def iso(epoch: int) -> str:
    """Return a time as text, UTC."""
    return plans.aware(epoch).strftime('%Y-%m-%dT%H:%M:%SZ')


def document(job: models.Job, job_actions: Sequence[models.Action],
             reader: Reader) -> dict[str, Any]:
    """Return a job, without its credentials."""
    state = jobs.runtime(job)
    pid_shown = reader.pids_of is None or job.client_id in reader.pids_of
    shown = dataclasses.replace(
        state, status=domain.visible_status(state, reader.now, reader.delay),
        current_pid=state.current_pid if pid_shown else None)
    made = db_documents.job(job, job_actions)
    made['job_schedule'] = domain.merge_schedule(made['job_schedule'], shown)
    if state.status_reason is not None:
        made['status_reason'] = state.status_reason
    if state.suspended is not None:
        made.update(suspended=True, suspended_cause=state.suspended,
                    suspended_at=iso(state.suspended_at or 0))
    if state.next_run_at is not None:
        made['next_run_at'] = iso(state.next_run_at)
    return made


def documents(session: orm.Session, found: Sequence[models.Job],
              reader: Reader,
              keeper: trust_keeper.Delegations) -> Iterator[dict[str, Any]]:
    """Yield jobs, each with the credentials that the reader may see.

    Only a few are read ahead: the page may end before the last of them.

    :param found: in their stable order
    """
    for start in range(0, len(found), _AT_A_TIME):
        yield from _documents(
            session, found[start:start + _AT_A_TIME], reader, keeper)


def _documents(session: orm.Session, found: Sequence[models.Job],
               reader: Reader,
               keeper: trust_keeper.Delegations) -> Iterator[dict[str, Any]]:
    ids = [job.id for job in found]
    job_credentials = _credentials(session, ids, reader, keeper)
    its_actions = actions.look(session, ids)
    ahead, job_actions = next(its_actions, _NONE)
    for job in found:
        mine: Sequence[models.Action] = ()
        if job.id == ahead:
            mine = job_actions
            ahead, job_actions = next(its_actions, _NONE)
        yield {**document(job, mine, reader),
               **job_credentials.get(job.id, {})}
    if ahead is not None:
        # Better no answer than jobs that seem to do nothing.
        raise RuntimeError(f'The actions of job {ahead} came out of order')


def _credentials(session: orm.Session, job_ids: Sequence[str], reader: Reader,
                 keeper: trust_keeper.Delegations,
                 ) -> dict[str, dict[str, Any]]:
    # Jobs of a user share a trust, and reading one takes its time.
    known: dict[tuple[str | None, ...], dict[str, Any]] = {}
    made = {}
    for credential in delegations.look(session, job_ids):
        stored = (credential.trust_id, credential.decrypt_method,
                  credential.trustor_user_id)
        if stored not in known:
            known[stored] = (_shown(keeper, credential) if reader.sees_trusts
                             or credential.trustor_user_id == reader.user_id
                             else {})
        made[credential.job_id] = known[stored]
    return made


def _shown(keeper: trust_keeper.Delegations,
           credential: models.UserCredential) -> dict[str, Any]:
    try:
        read = keeper.credentials(credential)
    except crypt.CryptError as error:
        LOG.error('The trust of job %s cannot be read: %s',
                  credential.job_id, error)
        return {}
    shown = {'trust_id': read.trust_id,
             'trustor_user_id': read.trustor_user_id}
    return {**shown, 'user_credentials': shown}
