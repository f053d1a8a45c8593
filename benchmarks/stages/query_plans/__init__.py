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

"""How an engine executes the statements of frequent requests, with many jobs.

The whole API runs in this process, on a real database. The statements of each
request are recorded as they are sent, with their plans. An invariant is broken
where one reads a whole table, or sorts more than a request asks for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import pathlib

from benchmarks import report
from benchmarks.stages.query_plans import fixtures
from benchmarks.stages.query_plans import plans
from benchmarks.stages.query_plans import statements
from tools.cloud import progress

# Rows that one statement may read.
_MOST = 2500


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--digits', type=int, default=5,
                        help='of the number of jobs; 5 is 100,000')
    parser.add_argument('--engine', choices=fixtures.ENGINES,
                        default='mariadb', help='database (%(default)s)')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    digits = 3 if chosen.quick else chosen.digits
    with fixtures.filled(chosen.engine, digits) as api:
        seen = statements.Watch(api.database.engine)
        for call, ask in api.calls():
            with tell.step(call), seen.during(call):
                ask()
    found = list(seen.statements.values())
    yield report.Figure('statements', len(found), jobs=10 ** digits)
    yield report.Table('', [('request', 'statement', 'plan'), *(
        (one.call, one.short[:100], '; '.join(map(str, one.steps)))
        for one in found)])
    yield report.Invariant('each statement reads what it needs', [
        f'{one.call}: {fault}: {one.short}' for one in found
        for fault in plans.faults(one.steps, fixtures.SMALL, _MOST)])
