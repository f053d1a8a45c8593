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

"""Whatever a volume's backups are, only what may go goes.

Histories are made by a model of Cinder that knows what each backup was made
upon, which Cinder does not show; the rules are held to what it knows.
"""

from __future__ import annotations

import dataclasses
import datetime

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import retention

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
STATUSES = ('available', 'error', 'creating', 'deleting', 'restoring',
            'error_deleting', 'something new')


def hours(number: float) -> datetime.datetime:
    return START + datetime.timedelta(hours=number)


def backup(number: int, made: float | None = None, incremental: bool = False,
           status: str = 'available', mine: bool = True,
           dependents: bool = False, data: float | None = None,
           snapshot: bool = False) -> cinder_client.CinderBackup:
    return cinder_client.CinderBackup(
        id=f'b{number:03}', status=status, volume_id='v', fail_reason=None,
        is_incremental=incremental, size=1,
        created_at=hours(number if made is None else made),
        container=None, availability_zone=None,
        metadata={'created_by': 'freezer'} if mine else {},
        has_dependents=dependents, of_snapshot=snapshot,
        data_at=None if data is None else hours(data))


class Cinder:
    """What Cinder knows and does, as of release 29."""

    def __init__(self) -> None:
        self.backups: dict[str, cinder_client.CinderBackup] = {}
        self.upon: dict[str, str | None] = {}
        self.counted: dict[str, int] = {}
        self.clock = 0.0

    def make(self, incremental: bool, mine: bool, fails: bool,
             passed: float) -> None:
        self.clock += passed
        base = None
        if incremental:
            base = max((one for one in self.backups.values()
                        if one.status == 'available'),
                       key=lambda one: (one.data_at, one.id), default=None)
            if base is None:
                return
        new = backup(len(self.upon), self.clock, base is not None,
                     'error' if fails else 'available', mine,
                     data=self.clock)
        self.backups[new.id] = new
        self.counted[new.id] = 0
        self.upon[new.id] = base.id if base else None
        if base and not fails:
            self.counted[base.id] += 1

    def set_status(self, backup_id: str, status: str) -> None:
        self.backups[backup_id] = dataclasses.replace(
            self.backups[backup_id], status=status)

    def delete(self, backup_id: str) -> bool:
        """Delete a backup; False where Cinder refuses."""
        if (self.backups[backup_id].status not in ('available', 'error')
                or any(self.upon[other] == backup_id
                       for other in self.backups)):
            return False
        del self.backups[backup_id]
        base = self.upon[backup_id]
        # It counts an increment out that it has not counted in.
        if base is not None and self.counted[base]:
            self.counted[base] -= 1
        return True

    def listed(self) -> list[cinder_client.CinderBackup]:
        return [dataclasses.replace(
            one, has_dependents=bool(self.counted[one.id]))
            for one in reversed(self.backups.values())]

    def root(self, backup_id: str) -> str:
        """Return the full backup that a backup depends on."""
        base = self.upon[backup_id]
        return backup_id if base is None else self.root(base)

    def chains(self) -> dict[str, list[cinder_client.CinderBackup]]:
        """Return the backups by the full one they depend on, oldest first."""
        found: dict[str, list[cinder_client.CinderBackup]] = {}
        for one in self.backups.values():
            found.setdefault(self.root(one.id), []).append(one)
        return found


@st.composite
def histories(draw: st.DrawFn, gaps: st.SearchStrategy[float],
              statuses: bool = False) -> Cinder:
    """Make what users, Freezer and failures leave behind over time."""
    cinder = Cinder()
    for _step in range(draw(st.integers(0, 14))):
        match draw(st.sampled_from('fiiidx')):
            case 'd' if cinder.backups:
                cinder.delete(draw(st.sampled_from(sorted(cinder.backups))))
            case 'x' if cinder.backups and statuses:
                cinder.set_status(
                    draw(st.sampled_from(sorted(cinder.backups))),
                    draw(st.sampled_from(STATUSES)))
            case kind:
                cinder.make(kind == 'i', draw(st.sampled_from(
                    (True, True, True, False))), draw(st.sampled_from(
                        (False, False, False, True))), draw(gaps))
    return cinder


LATER = st.integers(1, 48).map(float)
MAYBE_LATER = st.sampled_from((0.0, 0.0, 1.0, 24.0))
RULES = st.builds(
    lambda keep, cutoff, mine, last: retention.Rule(
        keep, None if keep else hours(cutoff), mine, last),
    st.none() | st.integers(1, 4), st.integers(-1, 300), st.booleans(),
    st.booleans())


def run(cinder: Cinder, rule: retention.Rule, made: str | None = None,
        most: int = 1000) -> list[str]:
    """Delete as the engine does: one, then plan again."""
    gone: list[str] = []
    while len(gone) < most:
        plan = retention.plan(cinder.listed(), rule, made)
        if not plan.deletions or not cinder.delete(plan.deletions[0].id):
            break
        gone.append(plan.deletions[0].id)
    return gone


def copied(cinder: Cinder) -> Cinder:
    other = Cinder()
    other.backups = dict(cinder.backups)
    other.upon = dict(cinder.upon)
    other.counted = dict(cinder.counted)
    return other


def good(cinder: Cinder, rule: retention.Rule) -> list[str]:
    """Return the full backups that count, oldest first."""
    return [one.id for one in cinder.backups.values()
            if not one.is_incremental and one.status == 'available'
            and rule.takes(one)]


def expected(cinder: Cinder, rule: retention.Rule) -> list[str]:
    """Return what is to be deleted, the slow way and by what is true."""
    counted = good(cinder, rule)
    gone: list[str] = []
    for root, chain in cinder.chains().items():
        newest = chain[-1].created_at
        assert newest is not None
        if rule.keep is not None:
            named = (len(counted) >= rule.keep
                     and root < counted[-rule.keep])
        else:
            assert rule.cutoff is not None
            named = newest <= rule.cutoff
            if not rule.last_too:
                named = named and root != counted[-1] if counted else False
        if named and all(rule.takes(one) for one in chain):
            gone += [one.id for one in reversed(chain)]
    return gone


class TestHistories(testtools.TestCase):

    @hypothesis.given(histories(LATER), RULES)
    def test_what_goes_is_what_the_rule_says(self, cinder, rule):
        plan = retention.plan(cinder.listed(), rule)
        self.assertEqual(expected(cinder, rule),
                         [one.id for one in plan.deletions])

    @hypothesis.given(histories(LATER, statuses=True), RULES)
    def test_cinder_refuses_nothing_of_a_plan(self, cinder, rule):
        """No base goes before what depends on it, whatever happened."""
        named = {cinder.root(one.id) for one in retention.plan(
            cinder.listed(), rule).deletions}
        # One that was in error for a while hides what was made upon it.
        hypothesis.assume(not any(
            cinder.backups[base].status not in ('available', 'restoring')
            for base in cinder.upon.values() if base in cinder.backups))
        for one in retention.plan(cinder.listed(), rule).deletions:
            self.assertTrue(cinder.delete(one.id), named)

    @hypothesis.given(histories(MAYBE_LATER, statuses=True), RULES,
                      st.integers(0, 10))
    def test_to_stop_and_plan_again_ends_in_the_same(self, cinder, rule,
                                                     moment):
        other = copied(cinder)
        run(cinder, rule)
        run(other, rule, most=moment)
        run(other, rule)
        self.assertEqual(set(cinder.backups), set(other.backups))
        self.assertEqual([], run(cinder, rule))

    @hypothesis.given(histories(MAYBE_LATER, statuses=True), RULES)
    def test_the_last_good_backup_stays(self, cinder, rule):
        rule = dataclasses.replace(rule, last_too=False)
        before = good(cinder, rule)
        run(cinder, rule)
        after = good(cinder, rule)
        self.assertEqual(before[-(rule.keep or 1):],
                         after[-(rule.keep or 1):])

    @hypothesis.given(histories(MAYBE_LATER, statuses=True), RULES)
    def test_what_others_made_stays(self, cinder, rule):
        rule = dataclasses.replace(rule, freezer_only=True)
        theirs = {one.id for one in cinder.backups.values()
                  if not one.metadata}
        run(cinder, rule)
        self.assertEqual(set(), theirs - set(cinder.backups))

    @hypothesis.given(histories(LATER), RULES, st.booleans())
    def test_the_chain_of_the_new_backup_stays(self, cinder, rule,
                                               incremental):
        cinder.make(incremental, True, False, 1)
        hypothesis.assume(cinder.backups)
        made = list(cinder.backups)[-1]
        chain = {one.id for one in cinder.chains()[cinder.root(made)]}
        gone = run(cinder, dataclasses.replace(
            rule, cutoff=hours(10000), keep=None, last_too=True,
            freezer_only=False), made)
        self.assertEqual(chain, set(cinder.backups))
        self.assertEqual(set(), chain & set(gone))


BACKUPS = st.lists(st.builds(
    backup, st.just(0), st.integers(0, 30), st.booleans(),
    st.sampled_from(STATUSES), st.booleans(), st.booleans(),
    st.none() | st.integers(0, 30), st.booleans()), max_size=12).map(
        lambda found: [dataclasses.replace(one, id=f'b{number:03}')
                       for number, one in enumerate(found)])


def bases(backups):
    """Yield what is incremental and what it was made upon, the slow way."""
    ordered = sorted(backups, key=lambda one: (
        one.created_at, one.is_incremental, not one.has_dependents, one.id))
    for at, one in enumerate(ordered):
        data = one.data_at or one.created_at
        able = [(other.data_at or other.created_at, other.has_dependents,
                 before, other) for before, other in enumerate(ordered[:at])
                if other.has_dependents or other.status in (
                    'available', 'restoring', 'something new')]
        if one.of_snapshot:
            able = [entry for entry in able if entry[0] < data]
        if one.is_incremental and able:
            yield one, max(able, key=lambda entry: entry[:3])[3]


class TestAnything(testtools.TestCase):
    """Listings that no Cinder gives, or only with clocks that disagree."""

    @hypothesis.given(BACKUPS, RULES, st.none() | st.integers(0, 12),
                      st.randoms())
    def test_the_limits_hold(self, backups, rule, number, random):
        made = None if number is None else f'b{number:03}'
        plan = retention.plan(backups, rule, made)
        gone = [one.id for one in plan.deletions]
        self.assertEqual(len(set(gone)), len(gone))
        self.assertNotIn(made, gone)
        for one in plan.deletions:
            self.assertIn(one.status, ('available', 'error'))
            self.assertTrue(rule.takes(one))
            if rule.keep is None:
                self.assertLessEqual(one.created_at, rule.cutoff)
        whole = [one for one in backups if not one.is_incremental
                 and one.status == 'available' and rule.takes(one)]
        whole.sort(key=lambda one: one.created_at)
        if whole and not rule.last_too:
            self.assertTrue(any(
                one.created_at == whole[-1].created_at
                and one.id not in gone for one in whole))
        if rule.keep:
            self.assertGreaterEqual(
                len([one for one in whole if one.id not in gone]),
                min(len(whole), rule.keep))
        random.shuffle(backups)
        self.assertEqual(plan, retention.plan(backups, rule, made))

    @hypothesis.given(BACKUPS, RULES)
    def test_no_increment_outlives_its_base(self, backups, rule):
        gone = [one.id for one in retention.plan(backups, rule).deletions]
        for one, base in bases(backups):
            if base.id in gone:
                self.assertIn(one.id, gone[:gone.index(base.id)])

    def test_an_unknown_time_keeps_everything(self):
        first, second = backup(1), backup(2)
        plan = retention.plan(
            [first, dataclasses.replace(second, created_at=None)],
            retention.Rule(cutoff=hours(1000), last_too=True))
        self.assertEqual((), plan.deletions)
        self.assertIn(second.id, plan.kept[0].reason)

    def test_a_new_backup_that_is_gone_keeps_everything(self):
        plan = retention.plan([backup(1), backup(2)], retention.Rule(1),
                              made='elsewhere')
        self.assertEqual((), plan.deletions)
        self.assertIn('not there any more', plan.kept[0].reason)


class TestReasons(testtools.TestCase):

    def reasons(self, *backups, keep=None, cutoff=1000.0, **keys):
        rule = retention.Rule(keep, hours(cutoff), **keys)
        plan = retention.plan(backups, rule)
        return ([one.id for one in plan.deletions],
                [(one.first, one.reason) for one in plan.kept])

    def test_a_cutoff_at_the_very_moment(self):
        gone, _kept = self.reasons(backup(1), backup(2), cutoff=1)
        self.assertEqual(['b001'], gone)

    def test_a_young_increment_keeps_its_chain(self):
        gone, kept = self.reasons(
            backup(1, dependents=True), backup(9, incremental=True),
            backup(10), cutoff=5)
        self.assertEqual(([], []), (gone, kept))

    def test_the_newest_good_one(self):
        gone, kept = self.reasons(backup(1), backup(2),
                                  backup(3, status='error'))
        self.assertEqual(['b001', 'b003'], gone)
        self.assertEqual([('b002', 'it is the newest good one')], kept)
        gone, kept = self.reasons(backup(1), backup(2), last_too=True)
        self.assertEqual((['b001', 'b002'], []), (gone, kept))

    def test_failed_ones_without_a_good_one_stay(self):
        gone, kept = self.reasons(backup(1, status='error'))
        self.assertEqual([], gone)
        self.assertIn('no good one', kept[0][1])
        self.assertEqual([], self.reasons(
            backup(1, status='error'), backup(2), keep=2)[0])
        self.assertEqual(['b001'], self.reasons(
            backup(1, status='error'), backup(2), keep=1)[0])

    def test_a_failed_increment_goes_with_its_chain(self):
        gone, kept = self.reasons(
            backup(1), backup(2, incremental=True, status='error'),
            backup(3), keep=1)
        self.assertEqual((['b002', 'b001'], []), (gone, kept))

    def test_a_base_that_came_into_error_is_still_one(self):
        gone, kept = self.reasons(
            backup(1, status='error', dependents=True),
            backup(2, incremental=True), backup(3), keep=1)
        self.assertEqual((['b002', 'b001'], []), (gone, kept))

    def test_of_two_at_one_moment_the_base_came_first(self):
        gone, kept = self.reasons(
            backup(1, dependents=True),
            backup(3, made=2, incremental=True, dependents=True),
            backup(2, made=2, incremental=True), backup(9), keep=1)
        self.assertEqual((['b002', 'b003', 'b001'], []), (gone, kept))

    def test_statuses_that_stop_a_chain(self):
        for status in STATUSES[2:]:
            gone, kept = self.reasons(
                backup(1, dependents=True),
                backup(2, incremental=True, status=status), backup(3),
                keep=1)
            self.assertEqual([], gone)
            self.assertEqual([('b001', f'backup b002 is {status}')], kept)

    def test_somebody_elses(self):
        chain = (backup(1, dependents=True),
                 backup(2, incremental=True, mine=False), backup(3))
        gone, kept = self.reasons(*chain, keep=1)
        self.assertEqual([], gone)
        self.assertEqual(
            [('b001', 'backup b002 is not one of Freezer\'s')], kept)
        gone, kept = self.reasons(*chain, keep=1, freezer_only=False)
        self.assertEqual((['b002', 'b001'], []), (gone, kept))
        # What is wholly theirs is no business of the rule.
        self.assertEqual(([], []), self.reasons(
            backup(1, mine=False), backup(2), backup(3), keep=2))

    def test_an_increment_without_a_base(self):
        gone, kept = self.reasons(backup(1, incremental=True), backup(2),
                                  keep=1)
        self.assertEqual([], gone)
        self.assertIn('made upon is not there', kept[0][1])

    def test_an_unknown_dependent(self):
        gone, kept = self.reasons(backup(1, dependents=True), backup(2),
                                  keep=1)
        self.assertEqual([], gone)
        self.assertIn('something unknown depends on backup b001', kept[0][1])

    def test_a_backup_of_an_old_snapshot_is_no_base(self):
        """Cinder goes by the age of the data, not of the backup."""
        gone, kept = self.reasons(
            backup(1, data=1, dependents=True),
            backup(3, data=3, incremental=True, dependents=True),
            backup(4, data=2, snapshot=True),
            backup(5, data=5, incremental=True),
            backup(9, data=9), cutoff=4, freezer_only=False)
        self.assertEqual((['b004'], []), (gone, kept))

    def test_an_increment_of_a_snapshot_is_upon_what_is_older(self):
        gone, kept = self.reasons(
            backup(1, data=1, dependents=True), backup(5, data=5),
            backup(6, data=3, snapshot=True, incremental=True), keep=1)
        self.assertEqual((['b006', 'b001'], []), (gone, kept))
