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

"""Measuring two APIs in turn, so that both meet the same machine."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import math
import os
import statistics
import time

from benchmarks.api import load
from benchmarks.api import operations
from benchmarks.api import world

CLIENTS = 4


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long is measured.

    :ivar rounds: in each of which each side is asked once
    :ivar seconds: of a round, for one and again for four clients
    :ivar patience: seconds that a sweep may take; a longer one is reckoned
        from some of its pages
    """

    rounds: int = 3
    seconds: float = 1.0
    patience: float = 20.0


@dataclasses.dataclass(frozen=True)
class Result:
    """What one kind of request takes at one side.

    :ivar p50: milliseconds, one client
    :ivar p99: likewise, over the requests of all rounds
    :ivar rate: requests a second, one client; median of the rounds
    :ivar rate4: likewise, four clients at once
    :ivar statements: SQL statements of a request, median
    :ivar requests: how many were sent by one client
    :ivar failed: of all that were sent, how many the server failed in
    """

    p50: float
    p99: float
    rate: float
    rate4: float
    statements: float
    requests: int
    failed: int = 0


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Reading the whole list once.

    :ivar how: in words
    :ivar seconds: for all of it
    :ivar measured: of its pages, how many were asked for
    """

    how: str
    seconds: float
    pages: int
    measured: int


def in_turn(asked: Sequence[world.World], what: operations.Operation,
            effort: Effort) -> dict[str, Result]:
    """Measure a kind of request at each side, by the side's name."""
    alone: dict[str, list[load.Sample]] = {}
    together: dict[str, list[load.Sample]] = {}
    requests = {one.side.name: what.requests(one) for one in asked}
    for one in asked:
        # Whatever is made at the first request is no part of the others.
        load.run(one.side.port, requests[one.side.name], 1, 0, 2)
    for _ in range(effort.rounds):
        for one in asked:
            name = one.side.name
            alone.setdefault(name, []).append(load.run(
                one.side.port, requests[name], 1, effort.seconds))
            together.setdefault(name, []).append(load.run(
                one.side.port, requests[name], CLIENTS, effort.seconds,
                CLIENTS))
    return {name: _result(alone[name], together[name]) for name in alone}


def _result(alone: Sequence[load.Sample],
            together: Sequence[load.Sample]) -> Result:
    seconds = sorted(one for sample in alone for one in sample.seconds)
    return Result(
        p50=1000 * statistics.median(
            statistics.median(sample.seconds) for sample in alone),
        p99=1000 * seconds[math.ceil(0.99 * len(seconds)) - 1],
        rate=statistics.median(sample.rate for sample in alone),
        rate4=statistics.median(sample.rate for sample in together),
        statements=statistics.median(
            one for sample in alone for one in sample.statements),
        requests=len(seconds),
        failed=sum(sample.failed for sample in (*alone, *together)))


def sweep(asked: world.World, effort: Effort) -> Sweep:
    """Read all pages as a stock scheduler does."""
    pages = asked.jobs // operations.PAGE + 1
    ends = (0, pages // 2, pages - 1)
    seconds = [asked.send(operations.page(asked, number * operations.PAGE)
                          ).seconds for number in ends]
    expected = statistics.mean(seconds) * pages
    if expected > effort.patience:
        return Sweep('by offset, reckoned', expected, pages, len(ends))
    began = time.perf_counter()
    found = 0
    for number in range(pages):
        found += len(asked.send(operations.page(
            asked, number * operations.PAGE)).document['jobs'])
    _all(found, asked)
    return Sweep('by offset', time.perf_counter() - began, pages, pages)


def sweep_by_marker(asked: world.World, limit: int) -> Sweep:
    """Read all pages, each from where the last one ended."""
    marker, found, pages = None, 0, 0
    began = time.perf_counter()
    while True:
        jobs = asked.send(operations.page_after(
            asked, marker, limit)).document['jobs']
        found += len(jobs)
        pages += 1
        if len(jobs) < limit:
            break
        marker = jobs[-1]['job_id']
    seconds = time.perf_counter() - began
    _all(found, asked)
    return Sweep(f'by marker, {limit} a page', seconds, pages, pages)


def _all(found: int, asked: world.World) -> None:
    if found != asked.jobs:
        raise load.Refused(f'{asked.side.name}: a sweep of {asked.jobs} jobs '
                           f'found {found}')


def due_claims(asked: world.World, jobs: int) -> Result:
    """Start jobs, then measure claims that hand them out, ten at a time."""
    started = asked.job_ids[:jobs]
    for job_id in started:
        for event in ('stop', 'start'):
            asked.send(asked.member.request(
                'POST', f'jobs/{job_id}/event', {event: None}))
    answers = [asked.send(operations.claim(asked, operations.PAGE))
               for _ in range(len(started) // operations.PAGE)]
    if not all(answer.document['runs'] for answer in answers):
        raise load.Refused('a claim handed out nothing')
    sample = load.Sample(
        [answer.seconds for answer in answers],
        sum(answer.seconds for answer in answers),
        [answer.statements for answer in answers])
    return _result([sample], [sample])


def busy() -> float:
    """The load of the machine over the last minute."""
    return os.getloadavg()[0]
