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

"""The invariants of chaos find what is wrong."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import testtools

from benchmarks.observation import firings
from benchmarks.stages.chaos import faults
from benchmarks.stages.chaos import invariants
from benchmarks.stages.chaos import observations as known

LIMITS = invariants.Limits(claim_interval=1, patience=3)
JOB = firings.Job('job', {'schedule_interval': '10 seconds',
                          'schedule_start_date': '1970-01-01T00:16:40Z',
                          'schedule_end_date': '1970-01-01T00:17:10Z'},
                  created=990, next_run_at=None, run_id=None)
HOLDER = 'host:7:x'


def run(nominal: int, **more: object) -> firings.Run:
    return dataclasses.replace(firings.Run(
        f'run-{nominal}', 'job', nominal, 'success', None, nominal,
        nominal + 2), **more)  # type: ignore[arg-type]


def good() -> known.Observations:
    """Four firings, each run as it should be."""
    runs = [run(nominal) for nominal in (1000, 1010, 1020, 1030)]
    changes, reports = [], []
    for one in runs:
        begun, ended = float(one.nominal_at), one.nominal_at + 2.0
        changes += [
            known.Change(begun, one.id, 1, HOLDER, 'running',
                         one.nominal_at + 12, 0),
            known.Change(ended, one.id, 1, HOLDER, 'success', None, 1)]
        reports.append(known.RunReport(ended - 0.1, ended + 0.1, one.id,
                                       HOLDER, 1, 200))
    return known.Observations(
        jobs=[JOB], runs=runs, changes=changes, reports=reports,
        taken=[(one.id, 'action', f'backup-{one.id}') for one in runs],
        backups=[known.Backup(f'backup-{one.id}', one.id, 'action',
                              'available') for one in runs],
        records=[('job', 'available')] * 4, windows=[],
        lives=[('s1', 7, 990, 1100)], began=1000, ended=1040)


def broken(found: known.Observations) -> set[str]:
    return {rule.__name__ for rule in invariants.INVARIANTS.values()
            if list(rule(found, LIMITS))}


class InvariantTests(testtools.TestCase):

    def test_nothing_is_wrong(self) -> None:
        self.assertEqual(set(), broken(good()))

    def test_a_firing_without_a_run(self) -> None:
        for number in range(4):
            found = good()
            lost = found.runs.pop(number)
            self.assertIn('chains', broken(found), str(lost))

    def test_a_run_for_no_firing(self) -> None:
        found = good()
        found.runs.insert(1, run(1005))
        self.assertIn('chains', broken(found))

    def test_a_firing_that_is_run_again(self) -> None:
        found = good()
        found.runs[0] = run(1000, time_started=1011, coalesced_until=1012)
        self.assertIn('chains', broken(found))

    def test_late_firings_are_one_run(self) -> None:
        found = good()
        found.runs[0] = run(1000, time_started=1011, coalesced_until=1012)
        del found.runs[1]
        self.assertEqual([], list(invariants.chains(found, LIMITS)))

    def test_no_end(self) -> None:
        found = good()
        found.runs[3] = run(1030, state='running', time_ended=None)
        self.assertIn('ends', broken(found))

    def test_a_second_backup(self) -> None:
        found = good()
        found.backups.append(known.Backup(
            'other', 'run-1010', 'action', 'available'))
        self.assertEqual({'backups'}, broken(found))

    def test_a_success_without_a_backup(self) -> None:
        found = good()
        del found.backups[2]
        self.assertEqual({'backups'}, broken(found))

    def test_a_record_that_was_left(self) -> None:
        found = good()
        found.records[1] = ('job', 'creating')
        self.assertEqual({'records'}, broken(found))

    def reclaimed(self, at: float, fence: int = 2) -> known.Observations:
        """Have the first run reclaimed in between; its lease ends at 1012."""
        found = good()
        found.changes[1:2] = [
            known.Change(at, 'run-1000', fence, 'host:8:y', 'running',
                         int(at) + 12, 0),
            known.Change(at + 2, 'run-1000', fence, 'host:8:y', 'success',
                         None, 1)]
        found.reports[0] = known.RunReport(
            at + 1.9, at + 2.1, 'run-1000', 'host:8:y', fence, 200)
        return found

    def test_a_lease_is_reclaimed(self) -> None:
        self.assertEqual(set(), broken(self.reclaimed(1013)))

    def test_a_lease_is_reclaimed_too_early(self) -> None:
        self.assertEqual({'leases'}, broken(self.reclaimed(1011)))

    def test_a_lease_is_forgotten_for_too_long(self) -> None:
        self.assertEqual({'leases'}, broken(self.reclaimed(1020)))

    def test_nobody_can_take_over_while_the_api_is_away(self) -> None:
        found = self.reclaimed(1020)
        found.windows.append(known.Window(1011, 1018, faults.Kind.API, ''))
        self.assertEqual(set(), broken(found))

    def test_that_one_scheduler_was_away_excuses_nobody(self) -> None:
        found = self.reclaimed(1020)
        found.windows.append(known.Window(
            1011, 1018, faults.Kind.KILL, 's1'))
        self.assertEqual({'leases'}, broken(found))

    def test_a_new_holder_with_an_old_fence(self) -> None:
        self.assertIn('leases', broken(self.reclaimed(1013, fence=1)))

    def test_a_stale_fence_changes_something(self) -> None:
        found = self.reclaimed(1013)
        found.reports[0] = found.reports[0]._replace(
            scheduler_id=HOLDER, fence=1)
        self.assertEqual({'stale'}, broken(found))

    def test_a_refused_report_changes_something(self) -> None:
        found = good()
        found.reports[2] = found.reports[2]._replace(status=409)
        self.assertEqual({'stale'}, broken(found))

    def test_one_scheduler_does_it_all(self) -> None:
        found = good()
        found.changes = [
            known.Change(1000 + number, f'run-{number}', 1, HOLDER,
                         'running', 2000, 0) for number in range(200)]
        self.assertEqual([], list(invariants.spread(found, LIMITS)))
        found.lives += [('s2', 8, 990, 1100), ('s3', 9, 990, 1100)]
        self.assertEqual(3, len(list(invariants.spread(found, LIMITS))))

    def test_an_error_while_all_is_well(self) -> None:
        found = good()
        found.errors.append((1020, '503 /v2'))
        self.assertEqual({'complaints'}, broken(found))
        found.windows.append(
            known.Window(1019, 1019.5, faults.Kind.DATABASE, ''))
        self.assertEqual(set(), broken(found))


class FiringsTests(testtools.TestCase):

    def test_starts(self) -> None:
        counted = firings.of_starts(
            [JOB], {'job': [999, 1000.5, 1001, 1010, 1031]})
        self.assertEqual(firings.Firings(once=2, repeated=1, lost=1,
                                         surplus=2), counted)

    def test_runs(self) -> None:
        found = good()
        counted = firings.of_runs(
            [JOB], [run(1000, time_started=1011, coalesced_until=1012),
                    run(1020, state='skipped', reason='because')],
            {'run-1000': 2})
        self.assertEqual(firings.Firings(repeated=1, explained=2, lost=1,
                                         surplus=1), counted)
        self.assertEqual(firings.Firings(once=4), firings.of_runs(
            found.jobs, found.runs,
            {one.id: 1 for one in found.runs}))


class PlanTests(testtools.TestCase):

    @given(st.integers(0, 10 ** 6), st.integers(60, 200),
           st.integers(2, 5), st.floats(0.5, 20))
    def test_somebody_is_left_alone_and_all_is_well_in_the_end(
            self, seed: int, seconds: int, number: int,
            pause: float) -> None:
        names = [f's{one}' for one in range(number)]
        drawn = faults.draw(seed, seconds, names, 'guest', 12, pause)
        self.assertEqual(drawn, faults.draw(
            seed, seconds, names, 'guest', 12, pause))
        for fault in drawn:
            self.assertLessEqual(fault.until, seconds)
            going = [other.target for other in drawn
                     if other.at <= fault.at < other.until
                     or other is fault]
            self.assertEqual(len(going), len(set(going)))
            self.assertTrue(set(names) - set(going))
