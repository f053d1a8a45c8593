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

"""Rows of registered schedulers."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from typing import TypeVarTuple

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.domain import capabilities
from freezer_api import errors

Columns = TypeVarTuple('Columns')

SEARCHED = search.Columns(
    terms=models.Client.search_terms,
    keys=search.always({
        'client_id': models.Client.client_id,
        'uuid': models.Client.uuid,
        'hostname': models.Client.hostname,
        'description': models.Client.description,
        'project_id': models.Client.project_id,
        'user_id': models.Client.user_id,
        'is_central': models.Client.is_central,
    }),
    texts=(models.Client.client_id, models.Client.uuid,
           models.Client.hostname, models.Client.description))


@dataclasses.dataclass(frozen=True)
class Registration:
    """What a scheduler says of itself."""

    client_id: str
    hostname: str | None
    description: str | None
    uuid: str | None
    supported: capabilities.Capabilities
    is_central: bool
    supports_claims: bool


@dataclasses.dataclass(frozen=True)
class Assigned:
    """The columns of a client that its jobs depend on."""

    client_id: str
    is_central: bool
    supports_claims: bool
    supported_actions: list[str] | None
    supported_modes: list[str] | None
    supported_storages: list[str] | None
    supported_engines: list[str] | None


AnyClient = models.Client | Assigned


def supported(client: AnyClient) -> capabilities.Capabilities:
    """Return the capability lists of a client."""
    return capabilities.Capabilities(
        *(tuple(value) if isinstance(value, list) else () for value in (
            client.supported_actions, client.supported_modes,
            client.supported_storages, client.supported_engines)))


def _visible(project_id: str | collation.Parameter) -> sa.ColumnElement[bool]:
    return sa.and_(
        rows.live(models.Client),
        sa.or_(models.Client.project_id == project_id,
               models.Client.is_central == sa.true()))


def visible(project_id: str) -> sa.Select[models.Client]:
    """Return the query of the project's clients and of all central ones."""
    return sa.select(models.Client).where(_visible(project_id))


def named(query: sa.Select[*Columns]) -> sa.Select[*Columns]:
    """Restrict a query of clients to those that a client ID means.

    The first one counts: a central client precedes one of the project's own,
    which cannot take its place. The query has the parameters ``project`` and
    ``name``.
    """
    return query.where(
        _visible(collation.text('project')),
        collation.same_text(models.Client.client_id, collation.text('name'))
        ).order_by(models.Client.is_central.desc(), models.Client.created_at,
                   models.Client.id)


# Created once: constructing a query takes longer than executing it. A job
# that is being changed is written later, once.
NAMED = named(sa.select(models.Client)).execution_options(autoflush=False)
_OWNERS = named(sa.select(models.Client.id, models.Client.project_id))


def _named(session: orm.Session, project_id: str,
           client_id: str) -> Sequence[models.Client]:
    return session.scalars(
        NAMED, {'project': project_id, 'name': client_id}).all()


def find_visible(session: orm.Session, project_id: str,
                 client_id: str) -> models.Client | None:
    """Return the client that an ID means to a project; see :func:`named`."""
    return next(iter(_named(session, project_id, client_id)), None)


def find_owned(session: orm.Session, project_id: str,
               client_id: str) -> models.Client | None:
    """Return the project's own client of that id, a central one first."""
    client = find_visible(session, project_id, client_id)
    return None if client is None or client.project_id != project_id \
        else client


def find_many(session: orm.Session, project_id: str,
              client_ids: set[str]) -> dict[str, models.Client]:
    """Return the visible clients of a set of ids, by client_id."""
    if not client_ids:
        return {}
    query = sa.select(models.Client).where(
        _visible(project_id), models.Client.client_id.in_(client_ids))
    return {client.client_id: client for client in session.scalars(
        query.order_by(models.Client.is_central))}


def lock(session: orm.Session, client_row_id: str) -> models.Client | None:
    """Read a client again, and keep others from changing it.

    :param client_row_id: ID of the row, not of the client
    :returns: None when it has been deleted meanwhile
    """
    return session.scalars(rows.locked(sa.select(models.Client).where(
        rows.live(models.Client),
        models.Client.id == client_row_id))).first()


def lock_unless_busy(session: orm.Session,
                     client_row_id: str) -> models.Client | None:
    """Return a client, locked; None if another transaction has locked it.

    :param client_row_id: ID of the row, not of the client
    """
    return session.scalars(rows.locked(sa.select(models.Client).where(
        models.Client.id == client_row_id), skip_locked=True)).first()


def its_jobs(client: models.Client) -> sa.ColumnElement[bool]:
    """Return the condition of the live jobs of a client."""
    jobs = sa.and_(
        rows.live(models.Job),
        collation.same_text(models.Job.client_id, client.client_id))
    return jobs if client.is_central else sa.and_(
        jobs, models.Job.project_id == client.project_id)


def register(session: orm.Session, project_id: str, user_id: str,
             registration: Registration, check: Callable[[bool], None],
             ) -> tuple[models.Client, bool]:
    """Add a client, or bring the project's own up to date.

    :param check: raises an error of its own unless the caller may register a
        client; it is told whether the client is a central one, in the
        registration or in the database
    :returns: the client, and whether there may be more of its name, to be
        dropped in a transaction of its own
    :raises freezer_api.errors.ApiError: already_exists when the id is another
        project's central client, or the uuid any row's
    """
    found = session.execute(_OWNERS, {
        'project': project_id, 'name': registration.client_id}).all()
    if any(client.project_id != project_id for client in found):
        raise _of_another_project(registration.client_id)
    known = lock(session, found[0].id) if found else None
    check(registration.is_central
          or (known is not None and known.is_central))
    client = known or _add(session, project_id, user_id, registration)
    client.user_id = user_id
    client.description = registration.description
    offered = registration.supported
    client.supported_actions = list(offered.actions)
    client.supported_modes = list(offered.modes)
    client.supported_storages = list(offered.storages)
    client.supported_engines = list(offered.engines)
    if registration.supports_claims and not client.supports_claims:
        # From its start: freezer_api.db.adoption.
        client.adoption_cursor = ''
    client.supports_claims = registration.supports_claims
    becomes_central = registration.is_central and not client.is_central
    if becomes_central:
        # One that was registered before it became central does so now; none
        # is demoted, since jobs of other projects may rely on it.
        client.is_central = True
    return client, len(found) != 1 or becomes_central


def _add(session: orm.Session, project_id: str, user_id: str,
         registration: Registration) -> models.Client:
    row_id = registration.uuid or rows.new_id()
    if registration.uuid and session.get(models.Client, row_id) is not None:
        raise errors.ApiError(
            'already_exists', 'Document with the specified ID already exists.')
    client = models.Client(
        id=row_id, uuid=row_id, project_id=project_id, user_id=user_id,
        client_id=registration.client_id, hostname=registration.hostname,
        is_central=False)
    session.add(client)
    return client


def drop_duplicates(session: orm.Session, client: models.Client,
                    now: int) -> None:
    """Leave one of several clients of the same name.

    Schedulers that start at once may each find none and add one. Called in a
    transaction after that of :func:`register`, the last of them sees all
    clients, and each call that sees several keeps the same one. Only a
    registration that adds a client needs this. A central client is kept
    rather than another one.

    :raises freezer_api.errors.ApiError: already_exists when that is another
        project's
    """
    condition: list[sa.ColumnElement[bool]] = [
        rows.live(models.Client),
        collation.same_text(models.Client.client_id, client.client_id)]
    condition.append(
        models.Client.is_central == sa.true() if client.is_central
        else models.Client.project_id == client.project_id)
    found = session.scalars(rows.locked(rows.ordered(
        sa.select(models.Client).where(*condition).order_by(
            models.Client.is_central.desc()), models.Client))).all()
    for other in found[1:]:
        rows.delete(other, now)
    if found and found[0].project_id != client.project_id:
        raise _of_another_project(client.client_id)


def _of_another_project(client_id: str) -> errors.ApiError:
    return errors.ApiError(
        'already_exists',
        f'Client {client_id} is already registered by another project')


def delete(session: orm.Session, client: models.Client, now: int) -> None:
    """Delete a client.

    :raises freezer_api.errors.ApiError: client_in_use for a central one that
        has jobs
    """
    # Deleted once only, since it is counted.
    session.refresh(client, with_for_update=True)
    if client.deleted:
        return
    if client.is_central and session.scalars(
            sa.select(models.Job.id).where(
                rows.live(models.Job),
                collation.same_text(models.Job.client_id, client.client_id)
                ).limit(1)).first():
        raise errors.ApiError(
            'client_in_use', f'Client {client.client_id} still has jobs')
    rows.delete(client, now)
