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

"""The report of a trial, for people."""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator
from collections.abc import Mapping

from benchmarks.fire import audit
from benchmarks.fire import evidence as known
from benchmarks.fire import firings
from benchmarks.fire import plan

_SHOWN = 20


def of_own(chosen: argparse.Namespace, evidence: known.Evidence,
           broken: Mapping[str, list[str]]) -> str:
    """Figures first, and then what held and what did not."""
    asked = collections.Counter(run_id for run_id, _, _ in evidence.taken)
    counted = firings.of_runs(evidence.jobs, evidence.runs, asked)
    return '\n'.join((
        _title('This scheduler', chosen), '', *_firings(counted), '',
        *_table(_figures(evidence)), *_table(_shares(evidence)), '',
        *_promises(broken)))


def of_upstream(chosen: argparse.Namespace,
                counted: firings.Firings) -> str:
    return '\n'.join((
        _title('The scheduler of 19.0.0', chosen), '', *_firings(counted)))


def _title(who: str, chosen: argparse.Namespace) -> str:
    return (f'{who}: {chosen.schedulers} of them, {chosen.database}, '
            f'{chosen.minutes:g} minutes, {chosen.jobs} jobs of '
            f'{chosen.projects} projects, seed {chosen.seed}')


def _table(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield f'{name:50} {value}'


def _firings(counted: firings.Firings) -> Iterator[str]:
    yield from _table(counted.rows())


def _shares(evidence: known.Evidence) -> dict[str, str]:
    begun, well = audit.shares(evidence)
    return {f'{name} began': f'{begun[name]} runs, well for {well[name]:.0f} '
                             f's: {begun[name] / max(1, well[name]):.2f} a '
                             f'second' for name in sorted(begun)}


def _promises(broken: Mapping[str, list[str]]) -> Iterator[str]:
    for promise, cases in broken.items():
        yield f'{"BROKEN" if cases else "held":8} {promise}'
        yield from (f'         {case}' for case in cases[:_SHOWN])
        if len(cases) > _SHOWN:
            yield f'         and {len(cases) - _SHOWN} more'


def _figures(evidence: known.Evidence) -> dict[str, str]:
    states = collections.Counter(run.state for run in evidence.runs)
    late = sorted(run.time_started - run.nominal_at for run in evidence.runs
                  if run.time_started is not None)
    fences = collections.Counter(
        max(0, fence - 1) for fence in _last_fences(evidence).values())
    refused = [report for report in evidence.reports
               if report.status == 409]
    windows = collections.Counter(
        window.kind for window in evidence.windows)
    return {
        'runs': f'{len(evidence.runs)}: ' + ', '.join(
            f'{count} {state}' for state, count in sorted(states.items())),
        'begun after their time, in seconds': (
            f'{late[len(late) // 2]} in the middle, {late[-1]} at most'
            if late else 'none'),
        'backups asked for in Cinder': str(len(evidence.taken)),
        'of these a second one for a run, and deleted': str(
            len(evidence.taken) - len({
                (run_id, action) for run_id, action, _ in evidence.taken})),
        'reports': str(len(evidence.reports)),
        'with a stale fence, refused': str(len(refused)),
        'runs by how often they were taken over': ', '.join(
            f'{times} times: {count}'
            for times, count in sorted(fences.items())),
        'answers of 500 and more': str(len(evidence.errors)),
        'the longest until an answer, in seconds': '{:.1f}'.format(max(
            (report.until - report.at for report in evidence.reports
             if report.until is not None), default=0)),
        'faults': str(len(evidence.windows)),
        **{f'  {plan.SAID[kind]}': str(count)
           for kind, count in sorted(windows.items())},
    }


def _last_fences(evidence: known.Evidence) -> dict[str, int]:
    return {change.run_id: change.fence for change in evidence.changes}
