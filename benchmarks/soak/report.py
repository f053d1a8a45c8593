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

"""The report of a soak, for people."""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator
from collections.abc import Mapping

from benchmarks.fire import evidence as known
from benchmarks.soak import flatness

_SHOWN = 20


def text(chosen: argparse.Namespace, interval: int, evidence: known.Evidence,
         verdicts: Mapping[tuple[str, str], flatness.Verdict],
         broken: Mapping[str, list[str]]) -> str:
    """Return figures, verdicts and promises.

    :param interval: between two firings of a job as they were, in seconds
    """
    # Rows of runs are trimmed; their changes are not.
    states = {change.run_id: change.state for change in evidence.changes}
    ended = collections.Counter(states.values())
    return '\n'.join((
        f'{chosen.schedulers} schedulers, {chosen.database}, '
        f'{chosen.minutes:g} minutes with the firings of '
        f'{chosen.hours:g} hours: {chosen.jobs} jobs of {chosen.projects} '
        f'projects, each every {interval} s',
        f'{len(states)} runs: ' + ', '.join(
            f'{count} {state}' for state, count in sorted(ended.items())),
        f'{len(evidence.taken)} backups in Cinder, of which '
        f'{len(evidence.backups)} are left; {len(evidence.windows)} faults; '
        f'{len(evidence.errors)} answers of 500 and more', '',
        *_table(verdicts), '', *_promises(broken)))


def _table(verdicts: Mapping[tuple[str, str], flatness.Verdict],
           ) -> Iterator[str]:
    yield (f'{"":22}{"":16}{"first":>9}{"middle":>9}{"most":>9}'
           f'{"growth":>9}{"allowed":>9}')
    for (whose, what), one in verdicts.items():
        yield (f'{whose:22}{what:16}{one.first:9.1f}{one.middle:9.1f}'
               f'{one.most:9.1f}{one.growth:+9.2f}{one.allowed:9.2f}'
               f'  {"flat" if one.flat else "GROWS"}')


def _promises(broken: Mapping[str, list[str]]) -> Iterator[str]:
    for promise, cases in broken.items():
        yield f'{"BROKEN" if cases else "held":8} {promise}'
        yield from (f'         {case}' for case in cases[:_SHOWN])
