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

"""Jobs: create, read, change, replace, delete."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import falcon
from sqlalchemy import orm

from freezer_api.api import answers
from freezer_api.api import context
from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import action_defaults
from freezer_api.api.v2 import job_change
from freezer_api.api.v2 import job_documents
from freezer_api.db import clients
from freezer_api.db import delegations
from freezer_api.db import job_search
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import search
from freezer_api.schemas import jobs as schema

ALL = 'jobs:get_all_projects'


class _Reader(services.Resource):
    """Shows jobs."""

    def _documents(self, req: falcon.Request, session: orm.Session,
                   project_id: str, found: Sequence[models.Job],
                   every_project: bool) -> Iterator[dict[str, Any]]:
        caller = self._caller(req)
        owned = {client.client_id for client in clients.find_many(
            session, project_id,
            {job.client_id for job in found if job.current_pid is not None}
            ).values() if client.project_id == caller.project_id}
        reader = job_documents.Reader(
            user_id=caller.user_id, sees_trusts=caller.sees_trusts,
            pids_of=None if every_project else owned, now=self._now(),
            delay=self._conf.scheduling.autostart_delay)
        return job_documents.documents(
            session, found, reader, self._delegations)


class Jobs(_Reader):
    """``/v2/{project_id}/jobs``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:get_all', project_id)
        wanted = request.wanted(req, self._conf)
        every_project = request.flag(req, 'all_projects')
        if every_project:
            caller.must(ALL, project_id)
        with self._database.read() as session:
            answers.show_list(req, resp, 'jobs', search.page(
                session,
                jobs.of_project(None if every_project else project_id),
                models.Job, self._searched(caller, project_id),
                wanted.search, wanted.page,
                lambda found: self._documents(
                    req, session, project_id, list(found),
                    caller.may(ALL, project_id))), 'job_id')

    def _searched(self, caller: context.Caller,
                  project_id: str) -> search.Columns:
        return job_search.columns(job_search.Reader(
            pids_of=(None if caller.may(ALL, project_id)
                     else caller.project_id),
            trusts_of=None if caller.sees_trusts else caller.user_id,
            now=self._now(), delay=self._conf.scheduling.autostart_delay))

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:create', project_id)
        sent = action_defaults.filled_in(request.body(req))
        schema.validate_create(sent)
        job = job_change.JobChange(self._services, caller, project_id).create(
            sent, sent.get('job_id') or None)
        resp.status = falcon.HTTP_201
        resp.media = {'job_id': job.id}


class Job(_Reader):
    """``/v2/{project_id}/jobs/{job_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, job_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:get', project_id)
        every_project = caller.may(ALL, project_id)
        with self._database.read() as session:
            job = jobs.look(
                session, None if every_project else project_id, job_id)
            if job is None:
                raise errors.not_found(f'No job with ID {job_id}')
            [resp.media] = self._documents(
                req, session, project_id, [job], every_project)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, job_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:update', project_id)
        sent = action_defaults.filled_in(request.body(req))
        schema.validate_update(sent)
        job_change.JobChange(self._services, caller, project_id).update(
            job_id, sent)
        resp.media = {'job_id': job_id, 'version': 0}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, job_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:create', project_id)
        sent = action_defaults.filled_in(request.body(req))
        schema.validate_create({**sent, 'job_id': job_id}
                               if isinstance(sent, dict) else sent)
        job_change.JobChange(self._services, caller, project_id).replace(
            job_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'job_id': job_id, 'version': job_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, job_id: str) -> None:
        self._caller(req).must('jobs:delete', project_id)
        now = self._now()

        def work(session: orm.Session) -> bool:
            job = jobs.find(session, project_id, job_id, lock=True)
            if job is None:
                return False
            delegations.release(session, job, now)
            jobs.delete(session, job, now)
            return True

        if self._database.write(work):
            self._delegations.delete_retired(project_id)
        resp.status = falcon.HTTP_204
