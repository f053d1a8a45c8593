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

"""The invariants of the project, each a function of the observations.

A function yields a line for each case in which its invariant was broken.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools

from benchmarks.observation import firings
from benchmarks.stages.chaos import faults
from benchmarks.stages.chaos import observations as known

_GOOD = 'success'

#: Seconds by which two clocks or two roundings of one may differ.
_BLUR = 0.05


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits for the schedulers, in seconds.

    :ivar patience: allowance for a busy machine
    :ivar uneven: how many times the mean number of runs a scheduler may start
    """

    claim_interval: float
    patience: float
    uneven: float = 2

    def late(self, since: float, until: float,
             windows: list[known.Window]) -> bool:
        """Whether something that was due is late by now.

        The time for which the API, Keystone, Cinder or the database was
        unavailable does not count.
        """
        away = sum(self._overlap(since, until, window)
                   for window in windows if not window.target)
        return until - since - away > self.claim_interval + self.patience

    def _overlap(self, since: float, until: float,
                 window: known.Window) -> float:
        # Requests have to time out, and connections to be made anew.
        shared = (min(until, window.until + self.patience)
                  - max(since, window.since))
        return max(0.0, shared)


Rule = Callable[[known.Observations, Limits], Iterator[str]]


def chains(found: known.Observations, limits: Limits) -> Iterator[str]:
    """Each firing is one run, or part of one."""
    rows = collections.defaultdict(list)
    for run in found.runs:
        rows[run.job_id].append(run)
    for job in found.jobs:
        yield from firings.Chain(
            job.id, job.schedule, job.created, job.created - 1).follow(
                rows[job.id])


def ends(found: known.Observations, limits: Limits) -> Iterator[str]:
    for run in found.runs:
        if run.state == 'running' or run.time_ended is None:
            yield f'run {run.id} of job {run.job_id} has no end'
        elif run.state == 'fail':
            yield f'run {run.id} of job {run.job_id} failed: {run.reason}'
        elif run.state != _GOOD and not run.reason:
            yield f'run {run.id} is {run.state} without a reason'
    for job in found.jobs:
        if job.run_id is not None or job.next_run_at is not None:
            yield f'job {job.id} still waits for something'


def backups(found: known.Observations, limits: Limits) -> Iterator[str]:
    """One backup for each run that succeeded, and none for others."""
    there = collections.defaultdict(list)
    for backup in found.backups:
        there[backup.run_id].append(backup)
    good = {run.id for run in found.runs if run.state == _GOOD}
    for run_id in good:
        states = [backup.status for backup in there[run_id]]
        if states != ['available']:
            yield f'run {run_id} was a success and has backups {states}'
    for run_id, made in there.items():
        if run_id not in good:
            yield (f'run {run_id} was no success and has '
                   f'{len(made)} backups')


def records(found: known.Observations, limits: Limits) -> Iterator[str]:
    wanted = collections.Counter(
        run.job_id for run in found.runs if run.state == _GOOD)
    there = collections.Counter(
        job_id for job_id, status in found.records
        if status == 'available')
    for job_id in wanted.keys() | there.keys():
        if wanted[job_id] != there[job_id]:
            yield (f'job {job_id}: {wanted[job_id]} successes and '
                   f'{there[job_id]} records of backups')
    for job_id, status in found.records:
        if status == 'creating':
            yield f'job {job_id}: a record of a backup says {status}'


def leases(found: known.Observations, limits: Limits) -> Iterator[str]:
    """Each lease is renewed or reclaimed in its time, and not before."""
    for run_id, lived in _by_run(found.changes):
        for before, after in itertools.pairwise(lived):
            if before.lease is None:
                yield f'run {run_id} was changed after its end'
                continue
            if after.at > before.lease and limits.late(
                    before.lease, after.at, found.windows):
                yield (f'run {run_id}: its lease ended '
                       f'{after.at - before.lease:.1f} s before it was '
                       f'reclaimed')
            yield from _claimed_anew(before, after)


def _claimed_anew(before: known.Change,
                  after: known.Change) -> Iterator[str]:
    who = f'run {after.run_id}'
    moved = after.scheduler_id != before.scheduler_id
    if not moved and after.fence == before.fence:
        return
    if after.fence != before.fence + 1:
        yield f'{who}: fence {before.fence} became {after.fence}'
    if before.lease is not None and after.at + _BLUR < before.lease:
        yield (f'{who}: reclaimed {before.lease - after.at:.1f} s before '
               f'its lease ended')


def stale(found: known.Observations, limits: Limits) -> Iterator[str]:
    """Each report that was accepted came from the holder of that moment."""
    by_fence = collections.defaultdict(list)
    for report in found.reports:
        if report.status in (None, 200) or report.status >= 500:
            by_fence[report.run_id, report.fence].append(report)
    for run_id, lived in _by_run(found.changes):
        for before, after in itertools.pairwise(lived):
            if not after.reported or after.fence != before.fence:
                continue
            if not any(
                    report.scheduler_id == after.scheduler_id
                    and report.at - _BLUR <= after.at
                    and (report.until is None
                         or after.at <= report.until + _BLUR)
                    for report in by_fence[run_id, after.fence]):
                yield (f'run {run_id} was changed at {after.at:.2f} by '
                       f'none of its holders')


def complaints(found: known.Observations, limits: Limits) -> Iterator[str]:
    yield from found.complaints
    for at, text in found.errors:
        if text.startswith('500'):
            yield f'the API answered {text}'
        elif not any(window.since <= at <= window.until + limits.patience
                     for window in found.windows if not window.target):
            yield f'the API answered {text} while all was well'


def spread(found: known.Observations, limits: Limits) -> Iterator[str]:
    begun, well = shares(found)
    if sum(begun.values()) < 100:
        return
    mean = sum(begun.values()) / sum(well.values())
    for name, seconds in well.items():
        expected = mean * seconds
        # Fewer runs or seconds say nothing: what is due at one moment goes to
        # the scheduler that asks first.
        if expected >= 25 and seconds >= 30 and not (
                1 / limits.uneven <= begun[name] / expected
                <= limits.uneven):
            yield (f'{name} began {begun[name]} runs, and in the time in '
                   f'which it was well {expected:.0f} would have been even')


def shares(found: known.Observations,
           ) -> tuple[dict[str, int], dict[str, float]]:
    """Return runs that each scheduler started, and its healthy seconds."""
    names = {pid: name for name, pid, _since, _until in found.lives}
    begun = dict.fromkeys(names.values(), 0)
    for _run_id, lived in _by_run(found.changes):
        if lived[0].scheduler_id is not None:
            begun[names[known.pid(lived[0].scheduler_id)]] += 1
    well = dict.fromkeys(begun, 0.0)
    for name, _pid, born, died in found.lives:
        since, until = max(born, found.began), min(died, found.ended)
        well[name] += max(0.0, until - since) - sum(
            max(0.0, min(until, window.until) - max(since, window.since))
            for window in found.windows
            if window.target == name and window.kind in (
                faults.Kind.SLEEP, faults.Kind.NAP))
    return begun, well


def _by_run(changes: list[known.Change],
            ) -> Iterator[tuple[str, list[known.Change]]]:
    found = collections.defaultdict(list)
    for change in changes:
        found[change.run_id].append(change)
    yield from found.items()


#: The invariants by what they say.
INVARIANTS: dict[str, Rule] = {
    'each firing is exactly one run': chains,
    'each run has an end, and a good one or a reason': ends,
    'each run that succeeded has exactly one backup in Cinder': backups,
    'each run that succeeded has exactly one record of a backup': records,
    'each lease is renewed or reclaimed in its time, and not before': leases,
    'a stale fence changes nothing': stale,
    'the work is spread evenly': spread,
    'there is no error of the program': complaints,
}
