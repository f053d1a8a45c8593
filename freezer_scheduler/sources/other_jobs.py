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

"""The jobs whose backups a rule of retention has to spare.

A backup bears the id of the job that made it. Whether that job exists is
asked of the API. As long as the API has not said that it is gone, it counts
as living, whatever the reason is: then nothing of it is removed.
"""

from __future__ import annotations

from collections.abc import Collection
import re

from oslo_log import log as logging

from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.sources import base

LOG = logging.getLogger(__name__)

# The ids that jobs have. Users can write any mark.
_ID = re.compile('[A-Za-z0-9_-]{1,36}')

# What the API takes with one request, and what is asked about one volume.
_BATCH = 100
_MOST = 500


class OtherJobs:
    """Tells jobs that are gone from those that live."""

    def __init__(self, source: base.Source) -> None:
        self._source = source

    def gone(self, run_id: str, fence: int,
             job_ids: Collection[str]) -> frozenset[str]:
        """Return those of the marks whose jobs are certainly gone."""
        asked = sorted(filter(_ID.fullmatch, job_ids))
        found: set[str] = set()
        try:
            for start in range(0, min(len(asked), _MOST), _BATCH):
                found |= self._source.gone_jobs(
                    run_id, fence, asked[start:start + _BATCH])
        except freezer_client.ApiError as error:
            LOG.warning('Run %s: the backups of other jobs stay, as the API '
                        'does not say which jobs exist: %s', run_id, error)
        return frozenset(found)
