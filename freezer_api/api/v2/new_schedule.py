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

"""Schedules that users set: what a new one may not hold."""

from __future__ import annotations

from collections.abc import Mapping

from oslo_config import cfg

from freezer_api.api import errors
from freezer_api.db import models
from freezer_api.domain import jobs
from freezer_api.domain import schedule as schedules


def minimum_interval(conf: cfg.ConfigOpts, client: models.Client) -> int:
    """Return the least seconds between two firings of a client's jobs."""
    minimum: int = conf.scheduling.minimum_interval if client.is_central else 0
    return minimum


def check(field: str, stored: object, wanted: Mapping[str, object],
          minimum: int = 0, moved: bool = False) -> None:
    """Refuse a schedule that is not the stored one and must not be new.

    A client that sends a stored schedule back changes nothing, so what an
    earlier release has accepted is accepted again.

    :param field: the schedule, as the document names it
    :param minimum: seconds from one firing to the next; see minimum_interval
    :param moved: whether the job moves to another client
    :raises freezer_api.api.errors.ApiError: 400 naming the field
    """
    user, _ = jobs.split_schedule(wanted)
    same = (isinstance(stored, Mapping)
            and user == jobs.split_schedule(stored)[0])
    if same and not moved:
        return
    try:
        if not same:
            schedules.check_new(user)
        if minimum:
            schedules.check_interval(user, minimum)
    except schedules.ScheduleError as error:
        raise errors.bad_request(
            f'{field}.{error}', 'invalid_document') from None
