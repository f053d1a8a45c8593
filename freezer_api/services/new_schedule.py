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

from freezer_api.db import clients
from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules
from freezer_api import errors
from freezer_api.services import parsed_documents


def minimum_interval(conf: cfg.ConfigOpts, client: clients.AnyClient) -> int:
    """Return the least seconds between two firings of a client's jobs."""
    minimum: int = conf.scheduling.minimum_interval if client.is_central else 0
    return minimum


def check(read: parsed_documents.Readings, field: str, stored: object,
          wanted: Mapping[str, object], minimum: int = 0,
          moved: bool = False) -> None:
    """Refuse a schedule that is not the stored one and must not be new.

    A client that sends a stored schedule back changes nothing, so what an
    earlier release has accepted is accepted again.

    :param read: what documents say
    :param field: the schedule, as the document names it
    :param minimum: seconds from one firing to the next; see minimum_interval
    :param moved: whether the job moves to another client
    :raises freezer_api.errors.ApiError: 400 naming the field, 422 naming
        all of those that exclude each other
    :raises freezer_api.services.parsed_documents.Unread: see there
    """
    user, _ = job_state.split_schedule(wanted)
    same = (isinstance(stored, Mapping)
            and user == job_state.split_schedule(stored)[0])
    if same and not moved:
        return
    try:
        read.check_schedule(user, not same, minimum)
    except schedules.Ambiguous as error:
        raise errors.ApiError('schedule_refused', f'{field}.{error}') from None
    except schedules.ScheduleError as error:
        raise errors.ApiError('invalid_document', f'{field}.{error}') from None


def check_known(schedule: Mapping[str, object],
                client: clients.AnyClient) -> None:
    """Refuse a schedule that the client's scheduler would not understand.

    A scheduler of an earlier release polls, ignores the keys that it does not
    know, and runs a job without a time at once.

    :raises freezer_api.errors.ApiError: 422 naming the field
    """
    if schedule.get('schedule_cron') and not client.supports_claims:
        raise errors.ApiError(
            'schedule_refused',
            'job_schedule.schedule_cron: the scheduler of client '
            f'{client.client_id} is of an earlier release, does not know this '
            'key and would run the job at once; use schedule_hour, '
            'schedule_minute and so on')
