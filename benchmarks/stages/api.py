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

"""The API beside that of 19.0.0: single requests, and the whole list.

Both sides get the same requests in turn, in rounds: by one client, and by four
at once. Jobs are copied in the database until there are enough. Before
anything is measured, documents of both sides are compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import pathlib
import statistics
import time

from benchmarks.environment import deployment
from benchmarks.environment import side_by_side
from benchmarks.load import operations
from benchmarks.load import requests
from benchmarks.observation import processes
from benchmarks import report
from tools.cloud import progress

_CLIENTS = 4
_MIB_MOST = 150
_PAGE_MS, _PAGE_STATEMENTS = 15, 4
_SWEEP_AIM, _SWEEP_AIM_JOBS = 1000, 1000

_Figures = Iterator[report.Figure]


@dataclasses.dataclass(frozen=True)
class _Effort:
    """How long is measured.

    :ivar rounds: in each of which each side is measured once
    :ivar seconds: of a round, for one and again for four clients
    :ivar patience: seconds that a sweep may take; the time of a longer one is
        extrapolated from some of its pages
    :ivar slow: seconds of a request that is measured in one round only, and
        not by several clients if it takes five times as long
    """

    rounds: int = 3
    seconds: float = 0.7
    patience: float = 20.0
    slow: float = 1.5


def add_options(parser: argparse.ArgumentParser) -> None:
    side_by_side.add_options(parser, 1_000, 10_000, 100_000)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> _Figures:
    effort = _Effort(1, 0.2, 5) if chosen.quick else _Effort()
    with side_by_side.running(chosen, home, tell,
                              per_project=100) as environment:
        # The requests of a size change documents, each side other ones.
        compared = False
        for _ in environment.sizes():
            if not compared:
                _compare(environment.deployments)
                compared = True
            yield from _measure(environment, operations.LIST, effort)
            yield from _sweeps(environment, effort)
            for operation in operations.SINGLE:
                yield from _measure(environment, operation, effort)
            yield from _memory(environment)


def _compare(deployments: Sequence[deployment.Deployment]) -> None:
    """
    :raises requests.Refused: the sides show different documents
    """
    first, *others = [one.comparable_jobs() for one in deployments]
    if any(other != first for other in others):
        raise requests.Refused('the sides show different documents')


def _measure(environment: side_by_side.Environment,
             operation: operations.Operation, effort: _Effort) -> _Figures:
    """Measure an operation on all sides in turn."""
    sides = environment.deployments
    if operation is operations.IDLE:
        sides = [environment.ours]
    sent = {one.name: operation.requests(one) for one in sides}
    # What is done once at the first request is no part of the others.
    first = {one.name: requests.run(one.api.port, sent[one.name], 1,
                                    0).elapsed for one in sides}
    alone: dict[str, list[requests.Sample]] = {one.name: [] for one in sides}
    together: dict[str, list[requests.Sample]] = {
        one.name: [] for one in sides}
    for number in range(effort.rounds):
        for one in sides:
            name = one.name
            if number and first[name] > effort.slow:
                continue
            alone[name].append(requests.run(
                one.api.port, sent[name], 1, effort.seconds))
            if first[name] <= 5 * effort.slow:
                together[name].append(requests.run(
                    one.api.port, sent[name], _CLIENTS, effort.seconds,
                    _CLIENTS))
    for name in sent:
        yield from _told(environment, operation, name, alone[name],
                         together[name])
    if len(sides) > 1 and operation.aim:
        ours, theirs = (statistics.median(sample.rate for sample in
                                          alone[side])
                        for side in report.SIDES)
        yield environment.figure(
            f'{operation.name}: times the rate of 19.0.0', ours / theirs,
            aim=report.Aim(operation.aim, least=True))


def _told(environment: side_by_side.Environment,
          operation: operations.Operation, side: str,
          alone: Sequence[requests.Sample],
          together: Sequence[requests.Sample]) -> _Figures:
    seconds = sorted(one for sample in alone for one in sample.seconds)
    failed = sum(sample.failed for sample in (*alone, *together))
    is_page = operation is operations.LIST
    for name, value, unit, aim in (
            ('median', 1000 * statistics.median(
                statistics.median(sample.seconds) for sample in alone), 'ms',
             _PAGE_MS if is_page else None),
            ('99th percentile', 1000 * report.percentile(seconds, 0.99), 'ms',
             None),
            *((('requests a second, four clients', statistics.median(
                sample.rate for sample in together), '', None),)
              if together else ()),
            ('SQL statements', statistics.median(
                one for sample in alone for one in sample.statements), '',
             _PAGE_STATEMENTS if is_page else None)):
        yield environment.figure(
            f'{operation.name}: {name}', value, unit, side,
            None if aim is None else report.Aim(aim),
            f'{failed} failed' if failed else '')


def _sweeps(environment: side_by_side.Environment,
            effort: _Effort) -> _Figures:
    """Measure how long the whole list takes, and a claim instead."""
    ours, page = environment.ours, deployment.PAGE_SIZE
    seconds = {}
    for one in environment.deployments:
        seconds[one.name], note = _by_offset(one, effort)
        yield environment.figure('whole list by offset', seconds[one.name],
                                 's', one.name, note=note)
    found = {'by offset': seconds[report.OURS]}
    for limit in (page, 1000):
        found[f'by marker, {limit} a page'], note = _by_marker(
            ours, limit, effort)
        yield environment.figure(
            f'whole list by marker, {limit} a page',
            found[f'by marker, {limit} a page'], 's', note=note)
    while ours.send(operations.claim(ours, 100)).document['runs']:
        pass
    idle = list(_measure(environment, operations.IDLE, effort))
    yield from idle
    before = ours.read()
    for _ in range(50):
        ours.send(operations.claim(ours, page))
    yield environment.figure(
        f'{operations.IDLE.name}: CPU of the API',
        1000 * ours.read().since(before).api.cpu / 50, 'ms')
    found['by a claim instead'] = idle[0].value / 1000
    if report.UPSTREAM in seconds:
        for how, taken in found.items():
            yield environment.figure(
                f'whole list {how}: times as fast as 19.0.0',
                seconds[report.UPSTREAM] / taken,
                aim=report.Aim(_SWEEP_AIM, least=True)
                if ours.jobs == _SWEEP_AIM_JOBS else None)


def _by_offset(one: deployment.Deployment,
               effort: _Effort) -> tuple[float, str]:
    """Read all pages as a scheduler of 19.0.0 does.

    :returns: seconds, and how they were found
    """
    size, pages = deployment.PAGE_SIZE, deployment.pages(one.jobs)
    seconds: list[float] = []
    for number in (0, pages - 1, pages // 2):
        if sum(seconds) < effort.patience:
            seconds.append(one.send(operations.page(
                one, number * size)).seconds)
    expected = statistics.mean(seconds) * pages
    if expected > effort.patience:
        return expected, f'extrapolated from {len(seconds)} of {pages:,} pages'
    began = time.perf_counter()
    _check(one, sum(
        len(one.send(operations.page(one, number * size)).document['jobs'])
        for number in range(pages)))
    return time.perf_counter() - began, f'{pages:,} pages'


def _by_marker(one: deployment.Deployment, limit: int,
               effort: _Effort) -> tuple[float, str]:
    """Read all pages, each from where the last one ended."""
    all_pages = one.jobs // limit + 1
    marker, found, pages = None, 0, 0
    began = time.perf_counter()
    while True:
        jobs = one.send(operations.page_after(
            one, marker, limit)).document['jobs']
        found += len(jobs)
        pages += 1
        seconds = time.perf_counter() - began
        if len(jobs) < limit:
            break
        if seconds > effort.patience and pages < all_pages:
            return (seconds / pages * all_pages,
                    f'extrapolated from {pages:,} of {all_pages:,} pages')
        marker = jobs[-1]['job_id']
    _check(one, found)
    return seconds, f'{pages:,} pages'


def _check(one: deployment.Deployment, found: int) -> None:
    # There may be more: jobs that were created while that was measured.
    if found < one.jobs:
        raise requests.Refused(
            f'{one.name}: {found} of {one.jobs} jobs were listed')


def _memory(environment: side_by_side.Environment) -> _Figures:
    for one in environment.deployments:
        yield environment.figure(
            'memory of the API', one.read().api.resident / 1024, 'MiB',
            one.name)
        yield environment.figure(
            'memory of the API, shared pages once',
            processes.proportional_memory(one.api.pids), 'MiB', one.name,
            report.Aim(_MIB_MOST))
        yield environment.figure('processes of the API', len(one.api.pids),
                                 side=one.name)
