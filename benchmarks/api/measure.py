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
    :ivar slow: seconds of a request that is asked for in one round only, and
        not by several clients at once if it takes five times as long
    """

    rounds: int = 3
    seconds: float = 0.7
    patience: float = 20.0
    slow: float = 1.5


@dataclasses.dataclass(frozen=True)
class Result:
    """What one kind of request takes at one side.

    :ivar p50: milliseconds, one client
    :ivar p99: likewise, over the requests of all rounds
    :ivar rate: requests a second, one client; median of the rounds
    :ivar rate4: likewise, four clients at once; None where not measured
    :ivar statements: SQL statements of a request, median
    :ivar requests: how many were sent by one client
    :ivar failed: of all that were sent, how many the server failed in
    """

    p50: float
    p99: float
    rate: float
    rate4: float | None
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
    # Whatever is made at the first request is no part of the others.
    first = {one.side.name: load.run(
        one.side.port, requests[one.side.name], 1, 0).elapsed
        for one in asked}
    for number in range(effort.rounds):
        for one in asked:
            name = one.side.name
            if number and first[name] > effort.slow:
                continue
            alone.setdefault(name, []).append(load.run(
                one.side.port, requests[name], 1, effort.seconds))
            if first[name] <= 5 * effort.slow:
                together.setdefault(name, []).append(load.run(
                    one.side.port, requests[name], CLIENTS, effort.seconds,
                    CLIENTS))
    return {name: _result(alone[name], together.get(name, []))
            for name in alone}


def _result(alone: Sequence[load.Sample],
            together: Sequence[load.Sample]) -> Result:
    seconds = sorted(one for sample in alone for one in sample.seconds)
    return Result(
        p50=1000 * statistics.median(
            statistics.median(sample.seconds) for sample in alone),
        p99=1000 * seconds[math.ceil(0.99 * len(seconds)) - 1],
        rate=statistics.median(sample.rate for sample in alone),
        rate4=(statistics.median(sample.rate for sample in together)
               if together else None),
        statements=statistics.median(
            one for sample in alone for one in sample.statements),
        requests=len(seconds),
        failed=sum(sample.failed for sample in (*alone, *together)))


def sweep(asked: world.World, effort: Effort) -> Sweep:
    """Read all pages as a stock scheduler does."""
    pages = asked.jobs // operations.PAGE + 1
    seconds: list[float] = []
    for number in (0, pages - 1, pages // 2):
        if sum(seconds) < effort.patience:
            seconds.append(asked.send(operations.page(
                asked, number * operations.PAGE)).seconds)
    expected = statistics.mean(seconds) * pages
    if expected > effort.patience:
        return Sweep('by offset, reckoned', expected, pages, len(seconds))
    began = time.perf_counter()
    found = 0
    for number in range(pages):
        found += len(asked.send(operations.page(
            asked, number * operations.PAGE)).document['jobs'])
    _all(found, asked)
    return Sweep('by offset', time.perf_counter() - began, pages, pages)


def sweep_by_marker(asked: world.World, limit: int,
                    effort: Effort) -> Sweep:
    """Read all pages, each from where the last one ended."""
    how = f'by marker, {limit} a page'
    all_pages = asked.jobs // limit + 1
    marker, found, pages = None, 0, 0
    began = time.perf_counter()
    while True:
        jobs = asked.send(operations.page_after(
            asked, marker, limit)).document['jobs']
        found += len(jobs)
        pages += 1
        seconds = time.perf_counter() - began
        if len(jobs) < limit:
            break
        if seconds > effort.patience and pages < all_pages:
            return Sweep(f'{how}, reckoned', seconds / pages * all_pages,
                         all_pages, pages)
        marker = jobs[-1]['job_id']
    _all(found, asked)
    return Sweep(how, seconds, pages, pages)


def _all(found: int, asked: world.World) -> None:
    # There may be more: jobs that were made to measure how long that takes.
    if found < asked.jobs:
        raise load.Refused(f'{asked.side.name}: a sweep of {asked.jobs} jobs '
                           f'found {found}')


def claim_all(asked: world.World) -> None:
    """Claim what is due, until nothing is."""
    while asked.send(operations.claim(asked, 100)).document['runs']:
        pass


def busy() -> float:
    """The load of the machine over the last minute."""
    return os.getloadavg()[0]
