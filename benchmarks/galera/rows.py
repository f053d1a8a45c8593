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

"""A database of 18.0.0 with many jobs."""

from __future__ import annotations

import json
from typing import Any
import uuid

import sqlalchemy as sa

FROM = '23c8ad2655a6'
_CHUNK = 2000


def fill(engine: sa.Engine, jobs: int) -> None:
    """Fill a database of 18.0.0: of each job an action and two backups."""
    entry = {'action': 'backup', 'mode': 'cindernative',
             'cindernative_vol_id': 'v' * 36, 'backup_name': 'nightly',
             'storage': 'swift', 'container': 'freezer'}
    schedule = {'schedule_interval': '1 days', 'time_created': 1795334582,
                'time_started': 1795334600, 'time_ended': 1795334700,
                'status': 'scheduled', 'event': '', 'result': 'success'}
    metadata = {'hostname': 'h', 'backup_name': 'nightly', 'container': 'c',
                'time_stamp': 1795334582, 'curr_backup_level': 0,
                'job_id': ''}
    for start in range(0, jobs, _CHUNK):
        rows: dict[str, list[dict[str, Any]]] = {
            'actions': [], 'jobs': [], 'backups': []}
        for n in range(start, min(start + _CHUNK, jobs)):
            job_id, action_id = uuid.uuid4().hex, uuid.uuid4().hex
            common = {'project_id': f'{n % 500:032}', 'user_id': 'u' * 32,
                      'deleted': False, 'created_at': '2026-01-01 00:00:00'}
            rows['actions'].append({
                **common, 'id': action_id, 'action': 'backup',
                'actionmode': 'cindernative', 'backup_name': 'nightly',
                'container': 'freezer', 'max_retries': 5,
                'max_retries_interval': 6, 'mandatory': False,
                'backup_metadata': json.dumps(entry)})
            rows['jobs'].append({
                **common, 'id': job_id, 'client_id': 'central',
                'session_id': '', 'session_tag': 0, 'description': f'job {n}',
                'schedule': json.dumps(schedule),
                'job_actions': json.dumps([{
                    'action_id': action_id, 'freezer_action': entry,
                    'max_retries': 5, 'max_retries_interval': 6,
                    'mandatory': False}])})
            rows['backups'].extend({
                **common, 'id': uuid.uuid4().hex, 'job_id': job_id,
                'user_name': 'alice',
                'backup_metadata': json.dumps({**metadata, 'job_id': job_id})}
                for _ in range(2))
        with engine.begin() as connection:
            for name, values in rows.items():
                connection.execute(sa.table(
                    name, *map(sa.column, values[0])).insert(), values)
