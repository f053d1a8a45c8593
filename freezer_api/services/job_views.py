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

from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import clients
from freezer_api.db import job_search
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import search
from freezer_api.db import serializers
from freezer_api.db import trusts
from freezer_api.db import unknown_schedules
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import search as domain_search
from freezer_api import errors
from freezer_api.services import callers
from freezer_api.services import dependencies
from freezer_api.services import trusts as trust_service

_NONE: tuple[None, list[models.Action]] = (None, [])

# Of jobs whose actions are read at once.
_AT_A_TIME = 100

# The policy by which a caller sees the jobs of every project.
ALL = 'jobs:get_all_projects'


@dataclasses.dataclass(frozen=True)
class Reader:
    """Who reads, and what of a job is shown.

    ``pids_of`` are the clients whose process ids are shown, None for all;
    ``delay`` is how long a new job looks untouched, in seconds;
    ``newest_first`` is the order in which several are read.
    """

    user_id: str
    sees_trusts: bool
    pids_of: set[str] | None
    now: int
    delay: int
    newest_first: bool = False


def document(job: models.Job, job_actions: Sequence[models.Action],
             reader: Reader, unknown: bool = False) -> dict[str, Any]:
    """Return a job, without its credentials.

    :param unknown: whether its scheduler does not know its schedule
    """
    state = jobs.runtime(job)
    if unknown:
        state = job_state.as_stopped(state)
    pid_shown = reader.pids_of is None or job.client_id in reader.pids_of
    shown = dataclasses.replace(
        state, status=job_state.visible(state, reader.now, reader.delay),
        current_pid=state.current_pid if pid_shown else None)
    made = serializers.job(job, job_actions)
    made['job_schedule'] = job_state.merge_schedule(made['job_schedule'],
                                                    shown)
    if state.status_reason is not None:
        made['status_reason'] = state.status_reason
    if state.suspension_reason is not None:
        made.update(suspended=True, suspended_cause=state.suspension_reason,
                    suspended_at=firing_plan.iso(state.suspended_at or 0))
    if state.next_run_at is not None:
        made['next_run_at'] = firing_plan.iso(state.next_run_at)
    return made


class JobReader:
    """Shows jobs to callers."""

    def __init__(self, services: dependencies.Services) -> None:
        self._clock = services.clock
        self._database = services.database
        self._delay: int = services.conf.scheduling.autostart_delay
        self._trusts = services.trusts

    def list(self, caller: callers.Caller, project_id: str,
             wanted: domain_search.ListParams,
             every_project: bool) -> Generator[dict[str, Any]]:
        """Yield the documents of a page of a project's jobs.

        :param every_project: whether it is a list of all projects' jobs,
            which the caller may see
        :raises freezer_api.domain.search.UnknownMarker: when none has the
            marker's id
        """
        sees_all = caller.may(ALL, project_id)
        columns = job_search.columns(job_search.Reader(
            pids_of=None if sees_all else caller.project_id,
            trusts_of=None if caller.sees_trusts else caller.user_id,
            now=self._clock(), delay=self._delay))
        with self._database.read() as session:
            yield from search.page(
                session,
                jobs.of_project(None if every_project else project_id),
                models.Job, columns, wanted, lambda found: self._documents(
                    session, caller, project_id, [*found], sees_all,
                    wanted.page.newest_first))

    def get(self, caller: callers.Caller, project_id: str,
            job_id: str) -> dict[str, Any]:
        """Return the document of a job.

        :raises freezer_api.errors.ApiError: not_found
        """
        sees_all = caller.may(ALL, project_id)
        with self._database.read() as session:
            job = errors.found(jobs.find(
                session, None if sees_all else project_id, job_id),
                f'No job with ID {job_id}')
            [shown] = self._documents(
                session, caller, project_id, [job], sees_all)
            return shown

    def _documents(self, session: orm.Session, caller: callers.Caller,
                   project_id: str, found: Sequence[models.Job],
                   sees_all: bool, newest_first: bool = False,
                   ) -> Iterator[dict[str, Any]]:
        """Yield jobs, each with the credentials that the caller may see.

        Only a few are read ahead: the page may end before the last of them.

        :param found: in their stable order
        """
        owned = {client.client_id for client in clients.find_many(
            session, project_id,
            {job.client_id for job in found if job.current_pid is not None}
            ).values() if client.project_id == caller.project_id}
        reader = Reader(
            user_id=caller.user_id, sees_trusts=caller.sees_trusts,
            pids_of=None if sees_all else owned, now=self._clock(),
            delay=self._delay, newest_first=newest_first)
        for start in range(0, len(found), _AT_A_TIME):
            yield from _read_together(
                session, found[start:start + _AT_A_TIME], reader,
                self._trusts)


def _read_together(session: orm.Session, found: Sequence[models.Job],
                   reader: Reader, service: trust_service.TrustService,
                   ) -> Iterator[dict[str, Any]]:
    ids = [job.id for job in found]
    job_credentials = _credentials(session, ids, reader, service)
    its_actions = actions.by_job(session, ids, reader.newest_first)
    ahead, job_actions = next(its_actions, _NONE)
    unknown = unknown_schedules.among(session, found)
    for job in found:
        mine: Sequence[models.Action] = ()
        if job.id == ahead:
            mine = job_actions
            ahead, job_actions = next(its_actions, _NONE)
        yield {**document(job, mine, reader, job.id in unknown),
               **job_credentials.get(job.id, {})}
    if ahead is not None:
        # No answer is better than jobs that seem to have no actions.
        raise RuntimeError(f'The actions of job {ahead} came out of order')


def _credentials(session: orm.Session, job_ids: Sequence[str], reader: Reader,
                 service: trust_service.TrustService,
                 ) -> dict[str, dict[str, Any]]:
    decrypted = trust_service.Decrypted(service)
    made = {}
    for credential in trusts.of_jobs(session, job_ids).values():
        if (reader.sees_trusts
                or credential.trustor_user_id == reader.user_id):
            read = decrypted.get(credential)
            if read is not None:
                shown = dataclasses.asdict(read)
                made[credential.job_id] = {**shown, 'user_credentials': shown}
    return made
