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

"""Kinds of requests that both APIs are sent."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools
from typing import Any

from benchmarks.environment import deployment
from benchmarks.load import documents
from benchmarks.load import requests

#: What a scheduler of 19.0.0 searches for.
_SEARCH = {'match_not': [{'status': 'completed'}],
           'match': [{'client_id': documents.CENTRAL}]}

Requests = Iterator[requests.Request]

_AIM = 1.5


@dataclasses.dataclass(frozen=True)
class Operation:
    """One kind of request.

    :ivar requests: returns endless requests to a deployment
    :ivar aim: how many times upstream's rate ours should have. A change of a
        schedule also computes when the job is due, which upstream leaves to
        its scheduler.
    """

    name: str
    requests: Callable[[deployment.Deployment], Requests]
    aim: float | None = None


def page(one: deployment.Deployment, offset: int) -> requests.Request:
    """Return a request for a page of a scheduler's list."""
    return one.users.service.request(
        'GET', f'jobs/?limit={deployment.PAGE_SIZE}&offset={offset}'
               '&all_projects=True', _SEARCH)


def page_after(one: deployment.Deployment, marker: str | None,
               limit: int) -> requests.Request:
    """Return a request for the page after an item."""
    more = '' if marker is None else f'&marker={marker}'
    return one.users.service.request(
        'GET', f'jobs/?limit={limit}&all_projects=True{more}', _SEARCH)


def claim(one: deployment.Deployment, limit: int) -> requests.Request:
    """Return the request of our scheduler for due jobs."""
    return one.users.service.request(
        'POST', f'clients/{documents.CENTRAL}/claims',
        {'scheduler_id': 'benchmark', 'limit': limit, 'lease_seconds': 600})


def _each_job(one: deployment.Deployment, method: str,
              body: Callable[[int], Any]) -> Requests:
    for number, job_id in enumerate(itertools.cycle(list(one.job_ids))):
        yield one.member.request(method, f'jobs/{job_id}', body(number))


def _patch_actions(number: int) -> dict[str, Any]:
    [entry] = documents.job(documents.CENTRAL)['job_actions']
    return {'job_actions': [{**entry, 'freezer_action': {
        **entry['freezer_action'], 'backup_name': f'nightly-{number}'}}]}


def _job_events(one: deployment.Deployment) -> Requests:
    # Each changes its job, several clients ask for different ones, and few
    # jobs are left started.
    ids = itertools.cycle(list(one.job_ids))
    while True:
        some = list(itertools.islice(ids, 8))
        for event in ('start', 'stop'):
            for job_id in some:
                yield one.member.request(
                    'POST', f'jobs/{job_id}/event', {event: None})


def _post_job(one: deployment.Deployment, client_id: str) -> Requests:
    return itertools.repeat(one.member.request(
        'POST', 'jobs', documents.job(client_id)))


def _post_clients(one: deployment.Deployment) -> Requests:
    for number in itertools.count():
        yield one.member.request('POST', 'clients', {
            **documents.client(documents.PLAIN, False),
            'description': f'changed {number}'})


def _post_backup(one: deployment.Deployment) -> Requests:
    # As a scheduler announces one.
    return itertools.repeat(one.member.request('POST', 'backups', {
        'status': 'creating', 'mode': 'cindernative', 'action': 'backup',
        'backup_media': 'cindernative', 'backup_name': 'nightly',
        'container': None, 'time_stamp': 1795334914,
        'cindernative_vol_id': '4d9d40a4-50b3-4f5f-8f0f-d3d7c5bb1d0e'}))


LIST = Operation('page of the scheduler\'s list',
                 lambda one: itertools.repeat(page(one, 0)))

#: A claim where nothing is due; only this project has it.
IDLE = Operation(
    'POST claims, nothing due',
    lambda one: itertools.repeat(claim(one, deployment.PAGE_SIZE)))

SINGLE = (
    Operation('GET job', lambda one: _each_job(
        one, 'GET', lambda number: None), _AIM),
    Operation('PATCH job', lambda one: _each_job(
        one, 'PATCH', lambda number: {'description': f'changed {number}'}),
        _AIM),
    Operation('PATCH job schedule', lambda one: _each_job(
        one, 'PATCH', lambda number: {'job_schedule': {
            'schedule_interval': f'{31 + number % 1000} days'}}), 1),
    Operation('PATCH job actions', lambda one: _each_job(
        one, 'PATCH', _patch_actions), _AIM),
    Operation('POST job event', _job_events, _AIM),
    Operation('POST job', lambda one: _post_job(one, documents.PLAIN), _AIM),
    Operation('POST job, with a trust',
              lambda one: _post_job(one, documents.CENTRAL), _AIM),
    Operation('GET client', lambda one: itertools.repeat(
        one.member.request('GET', f'clients/{documents.PLAIN}')), _AIM),
    Operation('POST client', _post_clients, _AIM),
    Operation('POST backup', _post_backup, _AIM),
)
