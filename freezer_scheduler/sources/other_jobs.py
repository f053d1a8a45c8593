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

"""The jobs whose backups a rule of retention must keep.

A backup has the ID of the job that made it. The API says whether that job
exists. Until it has said that the job is gone, the job counts as living, for
whatever reason: then none of its backups is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
import re

from oslo_log import log as logging

from freezer_scheduler.freezer import client as freezer_client

LOG = logging.getLogger(__name__)

# The form of the IDs of jobs. Users can write any mark.
_ID = re.compile('[A-Za-z0-9_-]{1,36}')

# Maximum number of IDs in one request to the API, and for one volume.
_BATCH = 100
_MOST = 500


def gone(ask: Callable[[str, int, Collection[str]], frozenset[str]],
         run_id: str, fence: int, job_ids: Collection[str]) -> frozenset[str]:
    """Return those of the marks whose jobs are certainly gone.

    :param ask: returns those of at most 100 IDs that are no job any longer;
        raises ApiError
    """
    asked = sorted(filter(_ID.fullmatch, job_ids))
    found: set[str] = set()
    try:
        for start in range(0, min(len(asked), _MOST), _BATCH):
            found |= ask(run_id, fence, asked[start:start + _BATCH])
    except freezer_client.ApiError as error:
        LOG.warning('Run %s: the backups of other jobs stay, because the API '
                    'does not say which jobs exist: %s', run_id, error)
    return frozenset(found)
