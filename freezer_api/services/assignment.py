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

"""Assigning a job to a client: whether the client can carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import assignment
from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.db import trusts
from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_selection
from freezer_api import errors
from freezer_api.services import parsed_documents

Client = TypeVar('Client', bound=clients.AnyClient)

_FIELD = 'job_actions.{}.freezer_action'


def client_of(session: orm.Session, project_id: str,
              client_id: str) -> models.Client:
    """Return the client of a project's job.

    :raises freezer_api.errors.ApiError: 422 if it does not exist
    """
    return known(
        clients.find_visible(session, project_id, client_id), client_id)


def known(client: Client | None, client_id: str) -> Client:
    """Return a client.

    :param client: None if it does not exist
    :raises freezer_api.errors.ApiError: 422 if it does not exist
    """
    if client is None:
        raise errors.ApiError(
            'client_not_registered', f'Client not found with ID {client_id}')
    return client


def of_job(session: orm.Session, project_id: str, job: models.Job, now: int,
           ) -> tuple[clients.Assigned, trusts.JobTrust | None]:
    """Return the client of a job, and the trust that the job has.

    :raises freezer_api.errors.ApiError: 422 if the client does not exist
    """
    client, job_trust = assignment.find(session, project_id, job, now)
    return known(client, job.client_id), job_trust


def check(read: parsed_documents.Readings, client: clients.AnyClient,
          wanted: Sequence[actions.AnyAction], new: bool = True) -> None:
    """Refuse actions of a job that cannot be carried out.

    :param read: the parsed documents
    :param wanted: all actions of the job, in order
    :param new: whether the actions are new; a stored one may break a newer
        rule
    :raises freezer_api.errors.ApiError: 422 with all missing capabilities, or
        with the invalid key
    :raises freezer_api.services.parsed_documents.Unread: see there
    """
    if not wanted:
        raise errors.ApiError(
            'invalid_action',
            'job_actions: empty; a job needs at least one action')
    found = read.of_actions(wanted)
    for position, one in enumerate(found):
        _check_usable(one.problem_if_new if new else one.problem,
                      _FIELD.format(position))
    check_together([one.volumes for one in found])
    _check_client(client, found, _FIELD)


def check_client(read: parsed_documents.Readings, client: clients.AnyClient,
                 action: models.Action) -> None:
    """Refuse an action that the client of one of its jobs does not support.

    :raises freezer_api.errors.ApiError: 422 with all missing capabilities
    :raises freezer_api.services.parsed_documents.Unread: see there
    """
    _check_client(client, read.of_actions([action]), 'freezer_action')


def _check_client(client: clients.AnyClient,
                  wanted: Sequence[parsed_documents.Action],
                  field: str) -> None:
    """Refuse actions that the client does not support.

    :param field: the name of a freezer_action in errors, with its position
    """
    supported = clients.supported(client)
    missing: dict[str, None] = {}
    hint = ''
    for position, action in enumerate(wanted):
        lacks = action.needs.reasons(supported)
        missing.update(dict.fromkeys(lacks))
        if lacks and not hint and action.needs.lacks_mode(supported):
            hint = (f'. {field.format(position)}.mode is missing: write '
                    '"mode": "cindernative" to back up volumes')
    if missing:
        raise errors.ApiError(
            'capability_not_supported',
            f'Client {client.client_id} does not support '
            f'{", ".join(missing)}{hint}')


def names_volumes(action: models.Action) -> bool:
    """Return whether an action can have a list of volumes."""
    stored = action.backup_metadata
    return (isinstance(stored, dict)
            and stored.get(cinder_selection.KEY) is not None)


def check_together(named: Sequence[int]) -> None:
    """Refuse a job whose actions have too many volumes together.

    :param named: the number of volumes in the list of each action
    :raises freezer_api.errors.ApiError: 422 with the numbers
    """
    try:
        cinder_action.check_volumes(named)
    except cinder_action.Unusable as error:
        raise errors.ApiError(
            'invalid_action', f'job_actions: {error}') from None


def check_action(read: parsed_documents.Readings, action: models.Action,
                 ) -> parsed_documents.Action:
    """Refuse a cinder-native action that cannot be carried out.

    :returns: what it says
    :raises freezer_api.errors.ApiError: 422 that names the key
    :raises freezer_api.services.parsed_documents.Unread: see there
    """
    [found] = read.of_actions([action])
    _check_usable(found.problem_if_new, 'freezer_action')
    return found


def _check_usable(problem: str | None, field: str) -> None:
    if problem is not None:
        raise errors.ApiError('invalid_action', f'{field}.{problem}')
