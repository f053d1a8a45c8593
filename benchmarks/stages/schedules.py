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

"""What the most expensive schedule costs, in CPU time.

hypothesis searches the document that executes most lines of Python, as the
unit tests do, and the worst documents on its way are measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import datetime
import json
import pathlib
import time
from typing import Any

import hypothesis

from benchmarks import report
from freezer_api.domain import schedule
from tests.unit.freezer_api.domain import test_schedule_cost as cost
from tools.cloud import progress

_REPEAT = 20

_Document = tuple[int, Mapping[str, Any], datetime.datetime]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--examples', type=int, default=2000)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    worst = _search(20 if chosen.quick else chosen.examples)[:50]
    for name, cold in (('parsed, and its first firing', True),
                       ('each further firing', False)):
        seconds, document = max(
            ((_measure(document, moment, cold), document)
             for _, document, moment in worst), key=lambda one: one[0])
        yield report.Figure(name, 1000 * seconds, 'ms of CPU',
                            note=json.dumps(document)[:200])
    yield report.Figure('the document of an attack', 1000 * _measure(
        cost.ATTACK, cost.moment(2026), True), 'ms of CPU')


def _measure(document: Mapping[str, Any], moment: datetime.datetime,
             cold: bool) -> float:
    """Return the CPU seconds of one firing, the median of some attempts.

    :param cold: the document is parsed for the first time
    """
    taken = []
    for _ in range(_REPEAT):
        if cold:
            cost.forget()
        began = time.process_time()
        schedule.next_firing(schedule.parse(document), moment, moment)
        taken.append(time.process_time() - began)
    return sorted(taken)[_REPEAT // 2]


def _search(examples: int) -> list[_Document]:
    """Return the documents that execute most lines, the worst first."""
    found: list[_Document] = []

    @hypothesis.settings(deadline=None, database=None, max_examples=examples)
    @hypothesis.given(cost.documents, cost.moments)
    @hypothesis.example(cost.ATTACK, cost.moment(2026))
    def look(document: dict[str, str], moment: datetime.datetime) -> None:
        first, _ = cost.cost(document, moment, moment)
        hypothesis.target(float(first))
        with contextlib.suppress(schedule.ScheduleError):
            schedule.parse(document)
            found.append((first, document, moment))

    look()
    return sorted(found, key=lambda one: -one[0])
