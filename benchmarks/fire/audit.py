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

"""Whether what is promised held: each promise is a function of the evidence.

The promises are the invariants of the project; a function yields a line for
each case in which one was broken, and nothing where it held.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools

from benchmarks.fire import evidence as known
from benchmarks.fire import plan
from freezer_api.domain import plans

_GOOD = 'success'

#: Seconds by which two clocks or two roundings of one may differ.
_BLUR = 0.05


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the schedulers were configured with, in seconds.

    :ivar patience: more than an interval of claims, for a busy machine
    :ivar uneven: how many times as many runs as in the mean a scheduler may
        begin in the time in which it was well
    """

    claim_interval: float
    patience: float
    uneven: float = 2

    def late(self, since: float, until: float,
             windows: list[known.Window]) -> bool:
        """Whether something that was due is late by now.

        What all schedulers need was not away for that long.
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


Rule = Callable[[known.Evidence, Limits], Iterator[str]]


def _firing_after(job: known.Job, after: int) -> int | None:
    return plans.Plan(job.schedule).firing_after(job.created, after)


def chains(evidence: known.Evidence,
           limits: Limits) -> Iterator[str]:
    """Go through the firings of each job, and through its runs."""
    rows = collections.defaultdict(list)
    for run in evidence.runs:
        rows[run.job_id].append(run)
    for job in evidence.jobs:
        after = job.created - 1
        for run in rows[job.id]:
            expected = _firing_after(job, after)
            if run.nominal_at != expected:
                yield (f'job {job.id}: run {run.id} is for '
                       f'{run.nominal_at}, the next firing was {expected}')
            # What came due until then is in this run, or was passed over
            # with it.
            after = run.nominal_at
            if run.covers_until is not None:
                after = run.covers_until - 1
        left = _firing_after(job, after)
        if left is not None:
            yield f'job {job.id}: nothing became of its firing at {left}'


def ends(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    for run in evidence.runs:
        if run.state == 'running' or run.time_ended is None:
            yield f'run {run.id} of job {run.job_id} has no end'
        elif run.state == 'fail':
            yield f'run {run.id} of job {run.job_id} failed: {run.reason}'
        elif run.state != _GOOD and not run.reason:
            yield f'run {run.id} is {run.state} without a reason'
    for job in evidence.jobs:
        if job.run_id is not None or job.next_run_at is not None:
            yield f'job {job.id} still waits for something'


def backups(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    """At most one backup for each action of a run; what is more is deleted."""
    there = collections.defaultdict(list)
    for backup in evidence.backups:
        there[backup.run_id].append(backup)
    good = {run.id for run in evidence.runs if run.state == _GOOD}
    for run_id in good:
        states = [backup.status for backup in there[run_id]]
        if states != ['available']:
            yield f'run {run_id} was a success and has backups {states}'
    for run_id, made in there.items():
        if run_id not in good:
            yield (f'run {run_id} was no success and has '
                   f'{len(made)} backups')


def records(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    wanted = collections.Counter(
        run.job_id for run in evidence.runs if run.state == _GOOD)
    found = collections.Counter(
        job_id for job_id, status in evidence.records
        if status == 'available')
    for job_id in wanted.keys() | found.keys():
        if wanted[job_id] != found[job_id]:
            yield (f'job {job_id}: {wanted[job_id]} successes and '
                   f'{found[job_id]} records of backups')
    for job_id, status in evidence.records:
        if status == 'creating':
            yield f'job {job_id}: a record of a backup says {status}'


def leases(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    """Each lease was renewed or taken over within its time, and no sooner."""
    for run_id, lived in _by_run(evidence.changes):
        for before, after in itertools.pairwise(lived):
            if before.lease is None:
                yield f'run {run_id} was changed after its end'
                continue
            if after.at > before.lease and limits.late(
                    before.lease, after.at, evidence.windows):
                yield (f'run {run_id}: its lease ended '
                       f'{after.at - before.lease:.1f} s before somebody '
                       f'cared')
            yield from _handed_over(before, after)


def _handed_over(before: known.Change,
                 after: known.Change) -> Iterator[str]:
    who = f'run {after.run_id}'
    moved = after.scheduler_id != before.scheduler_id
    if not moved and after.fence == before.fence:
        return
    if after.fence != before.fence + 1:
        yield f'{who}: fence {before.fence} became {after.fence}'
    if before.lease is not None and after.at + _BLUR < before.lease:
        yield (f'{who}: taken over {before.lease - after.at:.1f} s before '
               f'its lease ended')


def stale(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    """Each report that counted was the holder's of that moment."""
    by_fence = collections.defaultdict(list)
    for report in evidence.reports:
        if report.status in (None, 200) or report.status >= 500:
            by_fence[report.run_id, report.fence].append(report)
    for run_id, lived in _by_run(evidence.changes):
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
                       f'nobody who held it')


def complaints(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    yield from evidence.complaints
    for at, text in evidence.errors:
        if text.startswith('500'):
            yield f'the API answered {text}'
        elif not any(window.since <= at <= window.until + limits.patience
                     for window in evidence.windows if not window.target):
            yield f'the API answered {text} while all was well'


def spread(evidence: known.Evidence, limits: Limits) -> Iterator[str]:
    begun, well = shares(evidence)
    if sum(begun.values()) < 100:
        return
    mean = sum(begun.values()) / sum(well.values())
    for name, seconds in well.items():
        expected = mean * seconds
        # So few say nothing, nor does so short a time: what comes due at one
        # moment goes to whoever asks first after it, and it takes some claims
        # until everybody has been first.
        if expected >= 25 and seconds >= 30 and not (
                1 / limits.uneven <= begun[name] / expected
                <= limits.uneven):
            yield (f'{name} began {begun[name]} runs, and in the time in '
                   f'which it was well {expected:.0f} would have been even')


def shares(evidence: known.Evidence,
           ) -> tuple[dict[str, int], dict[str, float]]:
    """How many runs each scheduler began, and its seconds in good health."""
    names = {pid: name for name, pid, _since, _until in evidence.lives}
    begun = dict.fromkeys(names.values(), 0)
    for _run_id, lived in _by_run(evidence.changes):
        if lived[0].scheduler_id is not None:
            begun[names[known.pid(lived[0].scheduler_id)]] += 1
    well = dict.fromkeys(begun, 0.0)
    for name, _pid, born, died in evidence.lives:
        since, until = max(born, evidence.began), min(died, evidence.ended)
        well[name] += max(0.0, until - since) - sum(
            max(0.0, min(until, window.until) - max(since, window.since))
            for window in evidence.windows
            if window.target == name and window.kind in (
                plan.Kind.SLEEP, plan.Kind.NAP))
    return begun, well


def _by_run(changes: list[known.Change],
            ) -> Iterator[tuple[str, list[known.Change]]]:
    found = collections.defaultdict(list)
    for change in changes:
        found[change.run_id].append(change)
    yield from found.items()


#: What is promised, and how it is seen.
PROMISES: dict[str, Rule] = {
    'each firing is exactly one run': chains,
    'each run has an end, and a good one or a reason': ends,
    'each good run has exactly one backup in Cinder': backups,
    'each good run has exactly one record': records,
    'each lease is renewed or taken over in its time, and not before':
        leases,
    'a stale fence changes nothing': stale,
    'the work is spread evenly': spread,
    'nobody has met an error of the program': complaints,
}
