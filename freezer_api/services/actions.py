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

"""Actions.

A change of an action changes each job that uses it: the client of the job must
support the new action, and a job with a trust runs with the trust of the
author of the change.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import assignment as db_assignment
from freezer_api.db import job_size
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import serializers
from freezer_api.domain import job_state
from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.services import assignment
from freezer_api.services import noun
from freezer_api.services import parsed_documents
from freezer_api.services import trust_for_change

# Maximum number of jobs in an error.
_MOST_NAMED = 10

# Returns the changed or new action; the argument is the stored one.
_Change = Callable[[orm.Session, models.Action | None], models.Action]


class ActionService(noun.NounService[models.Action]):
    """The actions of projects."""

    noun = noun.Noun(
        'No action with ID', models.Action, actions.SEARCHED,
        actions.of_project, actions.find, serializers.action,
        serializers.listed_action)

    def create(self, project_id: str, user_id: str,
               sent: Mapping[str, Any]) -> str:
        """Add an action and return its ID.

        :param sent: a validated document
        :raises freezer_api.errors.ApiError: already_exists, or invalid_action
            if it cannot be carried out
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        read = self._readings(project_id)
        read.prepare_action(sent['freezer_action'])

        def work(session: orm.Session) -> str:
            action = actions.add(
                session, project_id, user_id, sent.get('action_id'),
                actions.Content.of(sent))
            assignment.check_action(read, action)
            return action.id

        return read.run(lambda: self._quotas.write(project_id, work))

    def update(self, caller: trusts.Caller, project_id: str, action_id: str,
               sent: Mapping[str, Any]) -> None:
        """Change the parts that a document contains.

        :param sent: a validated document
        :raises freezer_api.errors.ApiError: not_found, and as
            :meth:`replace`
        """

        def change(session: orm.Session,
                   action: models.Action | None) -> models.Action:
            action = errors.found(
                action, f'Action not registered with ID {action_id}')
            actions.update(action, sent)
            return action

        self._change(caller, project_id, action_id, change,
                     self._readings(project_id))

    def replace(self, caller: trusts.Caller, project_id: str, action_id: str,
                sent: Mapping[str, Any]) -> None:
        """Replace an action, or add one with this ID.

        :param sent: a validated document
        :raises freezer_api.errors.ApiError: already_exists if an action of
            another project, or a deleted one, has the ID; invalid_action,
            capability_not_supported, action_refused or
            action_in_too_many_jobs if the action or one of its jobs is invalid
            then
        :raises freezer_api.keystone.trusts.TrustRefused: if one of its jobs
            needs a trust that the caller cannot create
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        read = self._readings(project_id)
        read.prepare_action(sent['freezer_action'])

        def change(session: orm.Session,
                   action: models.Action | None) -> models.Action:
            content = actions.Content.of(sent)
            if action is None:
                return actions.add(session, project_id, caller.user_id,
                                   action_id, content)
            actions.write(action, content)
            return action

        self._change(caller, project_id, action_id, change, read)

    def delete(self, caller: trusts.Caller, project_id: str,
               action_id: str) -> None:
        """Delete an action, if it exists, and remove it from its jobs.

        :raises freezer_api.errors.ApiError: action_in_use if a job that is not
            stopped has no other action, action_in_too_many_jobs
        :raises freezer_api.keystone.trusts.TrustRefused: see :meth:`replace`
        """
        now = self._clock()
        trust = trust_for_change.TrustForChange(
            self._services, caller, project_id)

        def work(session: orm.Session) -> None:
            action = actions.find_to_change(session, project_id, action_id)
            if action is None:
                return
            jobs = actions.jobs_with(session, action, lock=True)
            alone = actions.without_others(session, action, jobs)
            _refuse_if_needed(action_id, [
                job.id for job in alone
                if not job_state.at_rest(db_jobs.runtime(job))])
            actions.delete(session, action, jobs, now)
            for job in jobs:
                client, job_trust = db_assignment.find(
                    session, project_id, job, now)
                trust.give(session, job, client, job_trust, now)

        trust.run(lambda: self._database.write(work))

    def _change(self, caller: trusts.Caller, project_id: str, action_id: str,
                change: _Change, read: parsed_documents.Readings) -> None:
        """Change an action and its jobs in one transaction."""
        now = self._clock()
        trust = trust_for_change.TrustForChange(
            self._services, caller, project_id)

        def work(session: orm.Session) -> None:
            action = actions.find_to_change(session, project_id, action_id)
            size = 0 if action is None else job_size.of_action(action)
            action = change(session, action)
            volumes = assignment.check_action(read, action).volumes
            session.flush()
            jobs = actions.jobs_with(session, action, lock=True)
            _check_sizes(session, action, size, volumes, jobs, read)
            for job in jobs:
                client, job_trust = assignment.of_job(
                    session, project_id, job, now)
                assignment.check_client(read, client, action)
                trust.give(session, job, client, job_trust, now)

        trust.run(lambda: read.run(
            lambda: self._quotas.write(project_id, work)))

    def _readings(self, project_id: str) -> parsed_documents.Readings:
        return parsed_documents.Readings(
            project_id, self._clock(), self._services.known)


def _refuse_if_needed(action_id: str, job_ids: Sequence[str]) -> None:
    """Refuse the deletion of the only action of jobs.

    :param job_ids: jobs that are not stopped and have no other action
    :raises freezer_api.errors.ApiError: 409 with some of the jobs
    """
    if not job_ids:
        return
    named = ', '.join(job_ids[:_MOST_NAMED])
    more = len(job_ids) - _MOST_NAMED
    raise errors.ApiError(
        'action_in_use',
        f'Action {action_id} is the only action of jobs that are not stopped: '
        f'{named}{f" and {more} more" if more > 0 else ""}. Give them another '
        'action, stop them or delete them first.')


def _check_sizes(session: orm.Session, action: models.Action, size: int,
                 volumes: int, jobs: Sequence[models.Job],
                 read: parsed_documents.Readings) -> None:
    """Refuse an action that makes a job too large, or has too many volumes.

    :param size: of the action before the change, in characters
    :param volumes: number of volumes in its list
    :param jobs: the jobs that use it
    """
    more = job_size.of_action(action) - size
    if not jobs or more <= 0:
        return
    sizes = job_size.Sizes()
    of_jobs = actions.of_jobs(session, [job.id for job in jobs]).values()
    for found in of_jobs:
        now = sizes.of_actions(found)
        job_size.check_size(now, now - more * sum(
            one.id == action.id for one in found))
    if not volumes:
        return
    several = list({one.id: one for found in of_jobs for one in found
                    if assignment.names_volumes(one)}.values())
    named = {one.id: reading.volumes for one, reading in zip(
        several, read.of_actions(several), strict=True)}
    for found in of_jobs:
        assignment.check_together([named.get(one.id, 0) for one in found])
