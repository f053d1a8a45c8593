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

"""Runs as users see them, and which jobs the scheduler of a run may prune."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Generator
from typing import Any

from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import run_rows
from freezer_api.domain import firing_plan
from freezer_api.domain import run_state
from freezer_api.domain import search
from freezer_api import errors
from freezer_api.services import dependencies
from freezer_api.services import schedulers

# Seconds for which a run waits for a scheduler without a word about it.
_SOON = 120


class RunService:
    """The runs of jobs."""

    def __init__(self, services: dependencies.Services) -> None:
        self._clock = services.clock
        self._database = services.database

    def list(self, project_id: str, job_id: str,
             page: search.Page) -> Generator[dict[str, Any]]:
        """Yield the documents of a page of a job's runs, newest first.

        :param page: without a marker
        :raises freezer_api.errors.ApiError: not_found
        """
        now = self._clock()
        with self._database.read() as session:
            if jobs.find(session, project_id, job_id) is None:
                raise errors.ApiError(
                    'not_found', f'No job with ID {job_id}')
            for run in run_rows.list_of_job(
                    session, job_id, page.limit, page.offset):
                yield _document(run, now)

    def living_jobs(self, client: models.Client, scheduler_id: str,
                    run_id: str, fence: int,
                    job_ids: Collection[str]) -> set[str]:
        """Return those of some ids that are jobs of the project of a run.

        :param scheduler_id: of the client, which holds the run
        :raises freezer_api.errors.ApiError: not_found, run_fence_stale
        """
        holder = schedulers.holder(client, scheduler_id)
        with self._database.read() as session:
            run = run_rows.look_up(session, holder, run_id)
            if run is None:
                raise not_found(run_id)
            if not holder.has(run, fence):
                raise stale(run_id)
            return jobs.living(session, run.project_id, job_ids)


def not_found(run_id: str) -> errors.ApiError:
    """Return the error of a run that does not exist."""
    return errors.ApiError('not_found', f'No run with ID {run_id}')


def stale(run_id: str) -> errors.ApiError:
    """Return the error of a run that its reporter does not hold."""
    return errors.ApiError(
        'run_fence_stale', f'Run {run_id} has another holder or has ended')


def _document(run: models.JobRun, now: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        'run_id': run.id,
        'job_id': run.job_id,
        'project_id': run.project_id,
        'client_id': run.client_id,
        'nominal_at': firing_plan.iso(run.nominal_at),
        'trigger': run.trigger,
        'state': run.state,
        'reason': run.reason,
        'time_started': -1 if run.time_started is None else run.time_started,
        'time_ended': (
            -1 if run.time_ended is None
            or run.state == run_state.State.WAITING else run.time_ended),
        'scheduler_id': run.scheduler_id,
        'actions': run.actions or [],
    }
    if run.coalesced_until is not None:
        made['covers_until'] = firing_plan.iso(run.coalesced_until)
    if run.trust_error is not None:
        made['cause'] = run.trust_error
    if (run.lease_expires_at is not None
            and run.lease_expires_at < now - _SOON):
        made['reason'] = (
            f'Waits for a scheduler of client {run.client_id} to go on with '
            f'it, since {firing_plan.iso(run.lease_expires_at)}.')
    return made
