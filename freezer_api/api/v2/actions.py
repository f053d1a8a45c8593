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

"""Actions: what jobs do."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import falcon
from sqlalchemy import orm

from freezer_api.api import answers
from freezer_api.api import context
from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import assignment
from freezer_api.api.v2 import authority
from freezer_api.db import actions
from freezer_api.db import delegations
from freezer_api.db import documents
from freezer_api.db import job_size
from freezer_api.db import models
from freezer_api.db import search
from freezer_api.schemas import actions as schema

# Returns the action as it is from now on, given the one that there is.
_Change = Callable[[orm.Session, models.Action | None], models.Action]


def _in_too_many_jobs(error: actions.InTooManyJobs) -> errors.ApiError:
    return errors.unprocessable(str(error), 'action_in_too_many_jobs')


class Actions(services.Resource):
    """``/v2/{project_id}/actions``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('actions:get_all', project_id)
        wanted = request.wanted(req, self._conf)
        with self._database.read() as session:
            answers.show_list(req, resp, 'actions', search.page(
                session, actions.of_project(project_id), models.Action,
                actions.SEARCHED, wanted.search, wanted.page,
                lambda found: map(documents.listed_action, found)),
                'action_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:create', project_id)
        sent = request.body(req)
        schema.validate_create(sent)
        try:
            action = self._quotas.write(
                project_id, lambda session: actions.add(
                    session, project_id, caller.user_id,
                    sent.get('action_id'), actions.Content.of(sent)))
        except actions.Taken as error:
            raise errors.conflict(str(error)) from None
        resp.status = falcon.HTTP_201
        resp.media = {'action_id': action.id}


class Action(services.Resource):
    """``/v2/{project_id}/actions/{action_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, action_id: str) -> None:
        self._caller(req).must('actions:get', project_id)
        with self._database.read() as session:
            action = actions.find(session, project_id, action_id)
            if action is None:
                raise errors.not_found(f'No action with ID {action_id}')
            resp.media = documents.action(action)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, action_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:update', project_id)
        sent = request.body(req)
        schema.validate_update(sent)

        def change(session: orm.Session,
                   action: models.Action | None) -> models.Action:
            if action is None:
                raise errors.not_found(
                    f'Action not registered with ID {action_id}')
            actions.update(action, sent)
            return action

        self._change(caller, project_id, action_id, change)
        resp.media = {'action_id': action_id, 'version': action_id}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, action_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:replace', project_id)
        sent = request.body(req)
        schema.validate_create({**sent, 'action_id': action_id}
                               if isinstance(sent, dict) else sent)

        def change(session: orm.Session,
                   action: models.Action | None) -> models.Action:
            if action is None:
                return actions.add(session, project_id, caller.user_id,
                                   action_id, actions.Content.of(sent))
            actions.write(action, actions.Content.of(sent))
            return action

        try:
            self._change(caller, project_id, action_id, change)
        except actions.Taken as error:
            raise errors.conflict(str(error)) from None
        resp.status = falcon.HTTP_201
        resp.media = {'action_id': action_id, 'version': action_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, action_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:delete', project_id)
        now = self._now()
        trust = authority.Authority(
            self._delegations, caller.trust_caller, project_id)

        def work(session: orm.Session) -> None:
            action = actions.find_to_change(session, project_id, action_id)
            if action is None:
                return
            jobs = actions.jobs_with(session, action, lock=True)
            actions.delete(session, action, jobs, now)
            for job in jobs:
                client, given = assignment.look(
                    session, project_id, job, now)
                self._delegate(session, trust, caller, job, client, given)

        try:
            trust.run(lambda: self._database.write(work))
        except actions.InTooManyJobs as error:
            raise _in_too_many_jobs(error) from None
        resp.status = falcon.HTTP_204

    def _change(self, caller: context.Caller, project_id: str,
                action_id: str, change: _Change) -> None:
        """Change an action under the authority of who changes it.

        The jobs that use it do something else from now on: their clients
        must support it, and where they run with a trust it becomes the
        caller's.
        """
        now = self._now()
        trust = authority.Authority(
            self._delegations, caller.trust_caller, project_id)

        def write(session: orm.Session) -> None:
            action = actions.find_to_change(session, project_id, action_id)
            size = 0 if action is None else job_size.of_action(action)
            action = change(session, action)
            session.flush()
            jobs = actions.jobs_with(session, action, lock=True)
            self._check_sizes(session, action, size, jobs)
            for job in jobs:
                client, given = assignment.of_job(
                    session, project_id, job, now)
                assignment.check(client, [action])
                self._delegate(session, trust, caller, job, client, given)

        try:
            trust.run(lambda: self._quotas.write(project_id, write))
        except job_size.TooLarge as error:
            raise errors.unprocessable(str(error), 'action_refused') from None
        except actions.InTooManyJobs as error:
            raise _in_too_many_jobs(error) from None

    def _check_sizes(self, session: orm.Session, action: models.Action,
                     size: int, jobs: Sequence[models.Job]) -> None:
        """Refuse an action that makes one of its jobs too large.

        :param size: of the action before it was changed
        :param jobs: that use it
        """
        more = job_size.of_action(action) - size
        if not jobs or more <= 0:
            return
        sizes = job_size.Sizes()
        for found in actions.of_jobs(
                session, [job.id for job in jobs]).values():
            now = sizes.of_actions(found)
            job_size.check_size(now, now - more * sum(
                one.id == action.id for one in found))

    def _delegate(self, session: orm.Session, trust: authority.Authority,
                  caller: context.Caller, job: models.Job,
                  client: models.Client | None,
                  given: delegations.Given | None) -> None:
        """Let a job whose actions have changed run with the caller's trust.

        A trust that the job no longer needs is taken from it.
        """
        trust.require(self._conf, client, given)
        if client is None or assignment.wants_trust(self._conf, client):
            if assignment.is_others(given, caller.user_id) and (
                    client is not None or given is not None):
                trust.give(session, job, self._now())
        elif given is not None:
            trust.take(session, job, self._now())
