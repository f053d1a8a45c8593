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

"""The actions of a job: the links between the two, in their order."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import itertools
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import actions as db_actions
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api import errors


def unlink(session: orm.Session, job: models.Job, now: int) -> None:
    """Take all actions out of a job.

    Actions that were made for it, and that no other job has, are deleted.

    :param now: epoch seconds
    """
    unused = set()
    for link in session.scalars(sa.select(models.JobAction).where(
            models.JobAction.job_id == job.id).with_for_update()):
        unused.add(link.action_id)
        session.delete(link)
    _delete_unused(session, unused, now)


def set_of_job(session: orm.Session, job: models.Job, user_id: str,
               entries: Sequence[Mapping[str, Any]],
               current: Sequence[models.Action],
               now: int) -> list[models.Action]:
    """Make the entries of a job's document the job's actions.

    An entry names an action of the project, brings a new one, or repeats the
    one it names. Links of the job are kept where they serve again, so that a
    job that has many actions needs few rows.

    Actions that were made for this job, and that no job has any more, are
    deleted. An entry that repeats such an action as it was brings it back.

    :param current: the live actions of the job, read since it is locked
    :param now: epoch seconds
    :raises freezer_api.errors.ApiError: action_refused on an unknown
        action_id, or one with another definition
    :raises freezer_api.schemas.InvalidDocument: on a new action that is too
        large
    """
    project_id = job.project_id or ''
    links = [] if job in session.new else session.scalars(
        sa.select(models.JobAction).where(models.JobAction.job_id == job.id)
        .order_by(models.JobAction.position, models.JobAction.id)
        .with_for_update()).all()
    named = _named(session, project_id, entries)
    actions = [
        _of_entry(session, project_id, user_id, entry, named,
                  f'job_actions.{position}.freezer_action')
        for position, entry in enumerate(entries)]
    unused = ({link.action_id for link in links}
              - {action.id for action in actions})
    for position, (link, action) in enumerate(
            itertools.zip_longest(links, actions)):
        if action is None:
            session.delete(link)
        elif link is None:
            session.add(models.JobAction(
                id=rows.new_id(), job_id=job.id, action_id=action.id,
                # Held until the terms of the job are made of it.
                action=action, position=position))
        else:
            link.action_id = action.id
            link.position = position
            link.deleted = False
    owned = {action.id for action in current if action.owned_by_job}
    shared = {action.id for action in current} - owned
    _delete_unused(session, unused - shared, now, owned)
    return actions


def _delete_unused(session: orm.Session, action_ids: set[str], now: int,
                   owned: Collection[str] = ()) -> None:
    """Delete those of some actions that were made for jobs, and lost theirs.

    :param owned: actions that are known to be made for a job
    """
    made = action_ids.intersection(owned)
    if others := action_ids - made:
        made |= set(session.scalars(sa.select(models.Action.id).where(
            rows.live(models.Action), models.Action.owned_by_job.is_(True),
            models.Action.id.in_(others))))
    if not made:
        return
    # Who gives an action to a job locks it first.
    found = session.scalars(rows.locked_by_id(models.Action, made)).all()
    session.flush()
    used = set(session.scalars(sa.select(models.JobAction.action_id).where(
        rows.live(models.JobAction), models.JobAction.action_id.in_(made))))
    for action in found:
        if action.id not in used and action.deleted is False:
            rows.delete(action, now)


def _named(session: orm.Session, project_id: str,
           entries: Sequence[Mapping[str, Any]]) -> dict[str, models.Action]:
    """Return the actions that entries name, by id, locked.

    All are read at once, since an entry may be repeated many times, and only
    those of the project are locked.

    :raises freezer_api.errors.ApiError: action_refused on an unknown action_id
    """
    wanted = {entry['action_id']: None for entry in entries
              if entry.get('action_id')}
    if not wanted:
        return {}
    there = set(session.scalars(sa.select(models.Action.id).where(
        sa.or_(rows.live(models.Action), models.Action.owned_by_job.is_(True)),
        models.Action.project_id == project_id,
        models.Action.id.in_(list(wanted)))))
    found = {action.id: action for action in session.scalars(
        rows.locked_by_id(models.Action, there & wanted.keys()))
        if action.project_id == project_id}
    for entry in entries:
        action = found.get(entry.get('action_id') or '')
        if (action is not None and action.deleted
                and entry.get('freezer_action')
                and db_actions.is_named(action, entry)):
            rows.restore(action)
    for action_id in wanted:
        if action_id not in found:
            raise errors.ApiError(
                'action_refused', f'Action id: {action_id} not found.')
        if found[action_id].deleted is not False:
            raise errors.ApiError(
                'action_refused',
                f'Action id: {action_id} not found. It was made for a job, '
                'and is deleted. Omit action_id to create a new action, or '
                'give its freezer_action as it was.')
    return found


def _of_entry(session: orm.Session, project_id: str, user_id: str,
              entry: Mapping[str, Any], named: Mapping[str, models.Action],
              field: str) -> models.Action:
    action_id = entry.get('action_id')
    if not action_id:
        return db_actions.add(
            session, project_id, user_id, None,
            db_actions.Content.of(entry), field, owned_by_job=True)
    action = named[action_id]
    if not db_actions.is_named(action, entry):
        raise errors.ApiError(
            'action_refused',
            f'Action id: {action_id} already exists with a different '
            'definition. Update the action directly, or omit action_id to '
            'create a new one.')
    return action
