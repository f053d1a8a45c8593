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

"""The other tenants: their jobs, their requests, and the time of these."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
import threading
import time
import uuid

from benchmarks.environment import deployment
from benchmarks.environment import keystone
from benchmarks.load import documents
from benchmarks.load import requests as load

#: Seconds between two firings of a job.
INTERVAL = 60

# A scheduler of 19.0.0 knows a job after its next poll, each minute.
_AHEAD = 90
_EARLY = 1
_PAUSE = 1
_MEMBER_OF_LIST = 10


@dataclasses.dataclass(frozen=True)
class Job:
    """One job of a neighbour.

    :ivar volume: of no other job
    :ivar first: its first firing, in epoch seconds
    """

    caller: keystone.User
    job_id: str
    volume: str
    first: int

    def firings(self, until: float) -> Iterator[int]:
        """Yield the times at which it fires, in epoch seconds."""
        return itertools.takewhile(
            lambda at: at < until, itertools.count(self.first, INTERVAL))


def create_jobs(one: deployment.Deployment, each: int) -> list[Job]:
    """Create jobs of all members but the first, who is the hostile one.

    Their firings are spread evenly over a minute.
    """
    members = one.users.members[1:]
    count = len(members) * each
    now = int(time.time()) + _AHEAD
    created = []
    for number, member in enumerate(members * each):
        volume = str(uuid.uuid4())
        first = now + INTERVAL * number // count
        answer = one.send(member.request('POST', 'jobs', documents.job(
            documents.CENTRAL, volume, {
                'schedule_interval': f'{INTERVAL} seconds',
                'schedule_start_date': documents.utc(first).rstrip('Z')})))
        created.append(Job(member, answer.document['job_id'], volume, first))
    return created


def delays(jobs: Sequence[Job], starts: Mapping[str, Sequence[float]],
           until: float) -> tuple[list[float], int]:
    """Return how late each firing was, and how many never started.

    :param starts: when each volume's backups were asked for, ascending
    :param until: firings before it count, in epoch seconds
    """
    late: list[float] = []
    missing = 0
    for job in jobs:
        times = starts.get(job.volume, ())
        for at in job.firings(until):
            place = bisect.bisect_left(times, at - _EARLY)
            if place < len(times) and times[place] < at + INTERVAL - _EARLY:
                late.append(max(0.0, times[place] - at))
            else:
                missing += 1
    return sorted(late), missing


class Requests(threading.Thread):
    """A neighbour that sends a request each second.

    :param legacy: ask only for routes that 19.0.0 has
    :ivar seconds: that answers took, errors included
    :ivar failed: what was answered with an error, or not at all
    """

    def __init__(self, port: int, jobs: Sequence[Job], legacy: bool) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self._port = port
        self._jobs = jobs
        self._legacy = legacy
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        for request in self._requests():
            began = time.monotonic()
            try:
                load.send(self._port, request)
            except (load.Refused, OSError) as error:
                self.failed.append(f'{type(error).__name__}: {error}'[:300])
            self.seconds.append(time.monotonic() - began)
            if self._over.wait(_PAUSE):
                return

    def _requests(self) -> Iterator[load.Request]:
        for number, job in enumerate(itertools.cycle(self._jobs)):
            path = f'jobs/{job.job_id}'
            own = uuid.uuid4().hex
            yield job.caller.request('GET', path)
            yield job.caller.request('GET', f'jobs?limit={_MEMBER_OF_LIST}')
            yield job.caller.request('PATCH', path, {
                'description': f'changed {number}'})
            if not self._legacy:
                yield job.caller.request('GET', f'{path}/runs')
            yield job.caller.request('GET', 'backups?limit=100')
            yield job.caller.request('POST', f'jobs/{own}', documents.job(
                documents.CENTRAL))
            yield job.caller.request(
                'POST', f'jobs/{own}/event', {'stop': None})
            yield job.caller.request('DELETE', f'jobs/{own}')
