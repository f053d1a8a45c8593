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

"""Documents of clients and jobs."""

from __future__ import annotations

import time
from typing import Any

#: The client of all schedulers that serve all projects.
CENTRAL = 'central'
#: The client of a scheduler of one project.
PLAIN = 'node-1'

#: The volume of a job, unless it has another one.
VOLUME = '4d9d40a4-50b3-4f5f-8f0f-d3d7c5bb1d0e'


def client(client_id: str, central: bool) -> dict[str, Any]:
    """Return the document with which a scheduler registers."""
    return {'client_id': client_id, 'hostname': 'host-1',
            'description': 'benchmark', 'is_central': central,
            'supported_actions': ['backup', 'restore'],
            'supported_modes': ['cindernative'],
            'supported_storages': ['swift'], 'supported_engines': ['tar']}


def job(client_id: str, volume: str = VOLUME,
        schedule: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a job that backs up a volume.

    :param schedule: by default one that is not due during a benchmark
    """
    if schedule is None:
        schedule = {'schedule_interval': '30 days'}
    return {
        'description': 'template', 'client_id': client_id,
        'job_schedule': schedule,
        'job_actions': [{
            'freezer_action': {
                'action': 'backup', 'mode': 'cindernative',
                'backup_name': 'nightly', 'container': 'backups',
                'storage': 'swift', 'engine_name': 'tar',
                'cindernative_vol_id': volume},
            'max_retries': 2, 'max_retries_interval': 60}],
    }


def utc(epoch: float) -> str:
    """Return a date of a schedule."""
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(epoch))
