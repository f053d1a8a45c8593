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

"""Rows as documents, without parts that depend on the reader or the time.

Searches cover these documents and columns of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freezer_api.db import actions
from freezer_api.db import clients
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import sessions


def client(row: models.Client) -> dict[str, Any]:
    """Return a client as shown to callers."""
    supported = clients.supported(row)
    return {
        'project_id': row.project_id,
        'user_id': row.user_id,
        'client': {
            'uuid': row.uuid,
            'hostname': row.hostname,
            'client_id': row.client_id,
            'is_central': bool(row.is_central),
            'description': row.description,
            'supported_actions': list(supported.actions),
            'supported_modes': list(supported.modes),
            'supported_storages': list(supported.storages),
            'supported_engines': list(supported.engines),
        },
    }


def action(row: actions.AnyAction) -> dict[str, Any]:
    """Return an action as shown to callers, alone and in its jobs."""
    return {
        'project_id': row.project_id,
        'action_id': row.id,
        'user_id': row.user_id,
        **actions.retries_of(row),
        'mandatory': bool(row.mandatory),
        'freezer_action': actions.freezer_action(row),
    }


def listed_action(row: models.Action) -> dict[str, Any]:
    """Return an action as lists show it."""
    return {**action(row), 'timeout': row.timeout}


def session(row: models.Session) -> dict[str, Any]:
    """Return a session as shown to callers."""
    made = {
        'project_id': row.project_id,
        'session_id': row.id,
        'user_id': row.user_id,
        'schedule': row.schedule or {},
        **{name: getattr(row, name) for name in sessions.SETTABLE},
    }
    members = sessions.members(row)
    # The key is absent until the session has had a job: known clients count
    # its items, and one of them fails on null.
    if members is not None:
        made['jobs'] = members
    return made


def backup(row: models.Backup) -> dict[str, Any]:
    """Return a backup as shown to callers."""
    return {
        'project_id': row.project_id,
        'user_id': row.user_id,
        'backup_id': row.id,
        'status': row.status,
        'backup_metadata': row.backup_metadata or {},
    }


def shown_backup(row: models.Backup) -> dict[str, Any]:
    """Return a single backup as shown to callers.

    "freezer backup-show" prints ``backup_uuid`` as the ID. Lists omit it,
    because freezer-tempest-plugin compares their items completely.
    """
    return {**backup(row), 'backup_uuid': row.id}


def job(row: models.Job, its_actions: Sequence[models.Action],
        ) -> dict[str, Any]:
    """Return a job without its runtime and its credentials."""
    return {
        'job_id': row.id,
        'project_id': row.project_id,
        'user_id': row.user_id,
        'job_schedule': jobs.schedule(row),
        'client_id': row.client_id,
        'session_id': row.session_id or '',
        'session_tag': row.session_tag or 0,
        'description': row.description,
        'job_actions': [action(one) for one in its_actions],
    }
