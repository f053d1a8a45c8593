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

"""Assigning a job to a client: may it, and with whose authority."""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg
from sqlalchemy import orm

from freezer_api.api import errors
from freezer_api.db import actions
from freezer_api.db import assignment
from freezer_api.db import clients
from freezer_api.db import delegations
from freezer_api.db import models
from freezer_api.domain import capabilities


def client_of(session: orm.Session, project_id: str,
              client_id: str) -> models.Client:
    """Return the client that a project's job names.

    :raises freezer_api.api.errors.ApiError: 422 when there is none
    """
    return known(clients.look(session, project_id, client_id), client_id)


def known(client: models.Client | None, client_id: str) -> models.Client:
    """Return a client that was looked for.

    :raises freezer_api.api.errors.ApiError: 422 when there is none
    """
    if client is None:
        raise errors.unprocessable(
            f'Client not found with ID {client_id}', 'client_not_found')
    return client


def look(session: orm.Session, project_id: str, job: models.Job, now: int,
         ) -> tuple[models.Client | None, delegations.Given | None]:
    """Return a job's client, None where it is gone, and its trust's giver."""
    found = assignment.look(session, project_id, job, now)
    return found or (None, delegations.given(session, job, now))


def of_job(session: orm.Session, project_id: str, job: models.Job, now: int,
           ) -> tuple[models.Client, delegations.Given | None]:
    """Return a job's client, and whose trust the job has.

    :raises freezer_api.api.errors.ApiError: 422 when there is no such client
    """
    client, given = assignment.look(
        session, project_id, job, now) or (None, None)
    return known(client, job.client_id), given


def check(client: models.Client, wanted: Sequence[models.Action]) -> None:
    """Refuse actions that the client does not support.

    :raises freezer_api.api.errors.ApiError: 422 that names all of it
    """
    supported = clients.supported(client)
    missing = [text for action in wanted for text in capabilities.unsupported(
        supported, actions.freezer_action(action))]
    if missing:
        raise errors.unprocessable(
            f'Client {client.client_id} does not support '
            + ', '.join(dict.fromkeys(missing)), 'capability_not_supported')


def wants_trust(conf: cfg.ConfigOpts, client: models.Client) -> bool:
    """Whether jobs of the client run with a trust."""
    return conf.service_mode.enabled and (
        bool(client.is_central) or conf.service_mode.enforce_trusts)


def must_delegate(conf: cfg.ConfigOpts, client: models.Client,
                  given: delegations.Given | None, user_id: str) -> bool:
    """Whether a user who changes what a job does must give it his trust.

    He need not where he has done so before, unless that trust is spent.
    """
    return wants_trust(conf, client) and is_others(given, user_id)


def is_others(given: delegations.Given | None, user_id: str) -> bool:
    """Whether a job has no trust of a user that can still be used."""
    return (given is None or given.trustor_user_id != user_id
            or given.spent)
