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

"""What is asked of both APIs, and what our own scheduler asks instead."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools

from benchmarks.api import load
from benchmarks.api import world

#: What a stock scheduler searches for, ten jobs at a time.
SEARCH = {'match_not': [{'status': 'completed'}],
          'match': [{'client_id': world.CENTRAL}]}
PAGE = 10

Requests = Callable[[world.World], Iterator[load.Request]]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One kind of request.

    :ivar name: for the tables
    :ivar requests: of it, without an end
    :ivar aim: how many times upstream's rate ours should have
    """

    name: str
    requests: Requests
    aim: float | None = None


def page(asked: world.World, offset: int) -> load.Request:
    """One page of a stock scheduler's list."""
    return asked.people.service.request(
        'GET', f'jobs/?limit={PAGE}&offset={offset}&all_projects=True',
        SEARCH)


def page_after(asked: world.World, marker: str | None,
               limit: int) -> load.Request:
    """One page of a list that goes on from its last item."""
    more = '' if marker is None else f'&marker={marker}'
    return asked.people.service.request(
        'GET', f'jobs/?limit={limit}&all_projects=True{more}', SEARCH)


def claim(asked: world.World, limit: int) -> load.Request:
    """What our own scheduler asks instead of for a list."""
    return asked.people.service.request(
        'POST', f'clients/{world.CENTRAL}/claims',
        {'scheduler_id': 'benchmark', 'limit': limit, 'lease_seconds': 600})


def _first_pages(asked: world.World) -> Iterator[load.Request]:
    return itertools.repeat(page(asked, 0))


def _get_job(asked: world.World) -> Iterator[load.Request]:
    for job_id in itertools.cycle(list(asked.job_ids)):
        yield asked.member.request('GET', f'jobs/{job_id}')


def _patch_job(asked: world.World) -> Iterator[load.Request]:
    ids = itertools.cycle(list(asked.job_ids))
    for number in itertools.count():
        yield asked.member.request('PATCH', f'jobs/{next(ids)}', {
            'description': f'changed {number}'})


def _reschedule_job(asked: world.World) -> Iterator[load.Request]:
    ids = itertools.cycle(list(asked.job_ids))
    for number in itertools.count():
        yield asked.member.request('PATCH', f'jobs/{next(ids)}', {
            'job_schedule': {
                'schedule_interval': f'{31 + number % 1000} days'}})


def _patch_job_actions(asked: world.World) -> Iterator[load.Request]:
    ids = itertools.cycle(list(asked.job_ids))
    [entry] = world.job_document(world.CENTRAL)['job_actions']
    for number in itertools.count():
        yield asked.member.request('PATCH', f'jobs/{next(ids)}', {
            'job_actions': [{**entry, 'freezer_action': {
                **entry['freezer_action'],
                'backup_name': f'nightly-{number}'}}]})


def _job_event(asked: world.World) -> Iterator[load.Request]:
    # Each changes its job, several clients ask for different ones, and few
    # jobs are left started.
    ids = itertools.cycle(list(asked.job_ids))
    while True:
        some = list(itertools.islice(ids, 8))
        for event in ('start', 'stop'):
            for job_id in some:
                yield asked.member.request(
                    'POST', f'jobs/{job_id}/event', {event: None})


def _post_job(asked: world.World) -> Iterator[load.Request]:
    return itertools.repeat(asked.member.request(
        'POST', 'jobs', world.job_document(world.PLAIN)))


def _post_central_job(asked: world.World) -> Iterator[load.Request]:
    return itertools.repeat(asked.member.request(
        'POST', 'jobs', world.job_document(world.CENTRAL)))


def _get_client(asked: world.World) -> Iterator[load.Request]:
    return itertools.repeat(
        asked.member.request('GET', f'clients/{world.PLAIN}'))


def _post_client(asked: world.World) -> Iterator[load.Request]:
    for number in itertools.count():
        yield asked.member.request('POST', 'clients', {
            **world.client_document(world.PLAIN, False),
            'description': f'changed {number}'})


def _post_backup(asked: world.World) -> Iterator[load.Request]:
    # As a scheduler announces one.
    return itertools.repeat(asked.member.request('POST', 'backups', {
        'status': 'creating', 'mode': 'cindernative', 'action': 'backup',
        'backup_media': 'cindernative', 'backup_name': 'nightly',
        'container': None, 'time_stamp': 1795334914,
        'cindernative_vol_id': '4d9d40a4-50b3-4f5f-8f0f-d3d7c5bb1d0e'}))


def idle_claims(asked: world.World) -> Iterator[load.Request]:
    """Claims where nothing is due."""
    return itertools.repeat(claim(asked, PAGE))


LIST = Operation('page of the scheduler\'s list', _first_pages)

SINGLE = (
    Operation('GET job', _get_job, 2),
    Operation('PATCH job', _patch_job, 2),
    Operation('PATCH job schedule', _reschedule_job, 2),
    Operation('PATCH job actions', _patch_job_actions, 2),
    Operation('POST job event', _job_event, 2),
    Operation('POST job', _post_job, 2),
    Operation('POST job, with a trust', _post_central_job, 5),
    Operation('GET client', _get_client, 2),
    Operation('POST client', _post_client, 2),
    Operation('POST backup', _post_backup, 2),
)

IDLE = Operation('POST claims, nothing due', idle_claims)
