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

"""Whatever the backups of a volume are, only what may go goes."""

from __future__ import annotations

import dataclasses

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import chains as domain_chains
from freezer_api.domain import keep_rules
from freezer_api.domain import retention
from tests.unit.freezer_api.domain import cinder_model as model
from tests.unit.freezer_api.domain.cinder_model import backup
from tests.unit.freezer_api.domain.cinder_model import hours

PERIODS = st.builds(
    keep_rules.KeepRules, st.integers(0, 3), st.integers(0, 5),
    st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)).filter(
        lambda periods: periods != keep_rules.KeepRules())
RULES = st.builds(
    lambda periods, keep, cutoff, mine, last: retention.Rule(
        None if periods else keep,
        None if periods or keep else hours(cutoff), mine, last, periods),
    st.none() | PERIODS, st.none() | st.integers(1, 4), st.integers(-1, 400),
    st.booleans(), st.booleans())
SCOPES = st.builds(
    lambda others: retention.Scope(frozenset(others)),
    st.sampled_from(((), (model.OTHER,), (model.OTHER, model.GONE))))
NOBODY = retention.Scope()


def run(cinder, rule, scope=NOBODY, refuses=(), most=1000, forced=False,
        each=lambda: None):
    """Delete as the engine does: one, then plan again."""
    gone: list[str] = []
    while len(gone) < most:
        plan = retention.plan(cinder.listed(), rule, scope)
        if not plan.deletions:
            break
        first = plan.deletions[0].id
        if first in refuses or not cinder.delete(first, forced):
            scope = dataclasses.replace(
                scope, refused=frozenset({*scope.refused, first}))
        else:
            gone.append(first)
        each()
    return gone


def own(one, rule, scope):
    return rule.takes(one) and not scope.other(one)


def good(cinder, rule, scope):
    """Return the first backups of the chains that count, oldest first."""
    return [root for root, chain in cinder.chains().items()
            if chain[0].status == 'available' and (
                any(own(one, rule, scope) and one.status == 'available'
                    for one in chain) if scope.other(chain[0])
                else own(chain[0], rule, scope))]


def moments(cinder, rule, scope):
    """Return the times that periods count, by backup."""
    counted = good(cinder, rule, scope)
    return {one.id: one.data_at for root, chain in cinder.chains().items()
            for one in chain if root in counted
            and one.status == 'available' and own(one, rule, scope)}


def expected(cinder, rule, scope):
    """Return what is to be deleted, the slow way and by what is true."""
    counted = good(cinder, rule, scope)
    stay = rule.periods.kept(moments(
        cinder, rule, scope)) if rule.periods else {}
    gone = set()
    for root, chain in cinder.chains().items():
        mine = [one for one in chain if own(one, rule, scope)]
        aged = mine if scope.other(chain[0]) else chain
        if not mine:
            continue
        if rule.periods is not None:
            named = (bool(counted) and root < counted[-1]
                     and not any(one.id in stay for one in chain))
        elif rule.keep is not None:
            named = (len(counted) >= rule.keep
                     and root < counted[-rule.keep])
        else:
            named = aged[-1].created_at <= rule.cutoff
            if not rule.last_too:
                named = named and root != counted[-1] if counted else False
        if named and all(rule.takes(one) or scope.other(one)
                         for one in chain):
            staying = {needed for one in chain
                       if not own(one, rule, scope)
                       for needed in cinder.path(one.id)}
            gone |= {one.id for one in chain} - staying
    return gone


class TestHistories(testtools.TestCase):

    @hypothesis.given(model.histories(), RULES, SCOPES)
    def test_what_goes_is_what_the_rule_says(self, cinder, rule, scope):
        plan = retention.plan(cinder.listed(), rule, scope)
        gone = [one.id for one in plan.deletions]
        self.assertEqual(expected(cinder, rule, scope), set(gone))
        self.assertEqual(len(set(gone)), len(gone))

    @hypothesis.given(model.histories(), RULES)
    def test_chains_go_whole_or_stay_whole(self, cinder, rule):
        """Also where snapshots are older than the first full backup."""
        before = cinder.chains()
        run(cinder, rule)
        after = cinder.chains()
        for root, chain in before.items():
            self.assertIn(len(after.get(root, ())), (0, len(chain)), root)

    @hypothesis.given(model.histories(), RULES, SCOPES,
                      st.sets(st.integers(0, 16).map('b{:03}'.format)))
    def test_each_increment_keeps_its_chain_whatever_is_refused(
            self, cinder, rule, scope, refuses):
        """Even of a Cinder that would delete a parent before its child."""
        lost = [one for one in cinder.backups if not cinder.whole(one)]
        self.assertEqual([], lost)

        def check():
            self.assertEqual([], [one for one in cinder.backups
                                  if not cinder.whole(one)])

        run(cinder, rule, scope, refuses, forced=True, each=check)

    @hypothesis.given(model.histories(), RULES, SCOPES,
                      st.sets(st.integers(0, 16).map('b{:03}'.format)))
    def test_one_that_will_not_go_keeps_only_its_parents(
            self, cinder, rule, scope, refuses):
        other = cinder.copy()
        run(other, rule, scope)
        gone = set(cinder.backups) - set(other.backups)
        kept = {needed for one in gone & refuses
                for needed in cinder.path(one)}
        run(cinder, rule, scope, refuses)
        self.assertEqual(set(other.backups) | (kept & gone),
                         set(cinder.backups))

    @hypothesis.given(model.histories(), RULES, SCOPES)
    def test_one_plan_is_all(self, cinder, rule, scope):
        """Done to its end, there is nothing more to do."""
        for one in retention.plan(cinder.listed(), rule, scope).deletions:
            self.assertTrue(cinder.delete(one.id), one)
        self.assertEqual((), retention.plan(
            cinder.listed(), rule, scope).deletions)

    @hypothesis.given(model.histories(model.MAYBE_LATER, statuses=True),
                      RULES, SCOPES, st.integers(0, 10))
    def test_to_stop_and_plan_again_ends_in_the_same(self, cinder, rule,
                                                     scope, moment):
        other = cinder.copy()
        run(other, rule, scope, most=moment)
        for one in (cinder, other):
            # What was refused may go once another one has gone.
            while run(one, rule, scope):
                pass
        self.assertEqual(set(cinder.backups), set(other.backups))

    @hypothesis.given(model.histories(model.MAYBE_LATER, statuses=True),
                      RULES, SCOPES)
    def test_never_fewer_than_asked_and_never_the_last(self, cinder, rule,
                                                       scope):
        rule = dataclasses.replace(rule, last_too=False)
        before = good(cinder, rule, scope)
        run(cinder, rule, scope)
        self.assertEqual(before[-(rule.keep or 1):],
                         good(cinder, rule, scope)[-(rule.keep or 1):])

    @hypothesis.given(model.histories(model.MAYBE_LATER, statuses=True),
                      RULES, SCOPES, PERIODS)
    def test_no_backup_that_a_period_keeps_is_removed(self, cinder, rule,
                                                      scope, periods):
        rule = dataclasses.replace(rule, keep=None, periods=periods)
        stay = set(periods.kept(moments(cinder, rule, scope)))
        whole = {one for one in stay if cinder.whole(one)}
        run(cinder, rule, scope)
        self.assertLessEqual(stay, set(cinder.backups))
        self.assertEqual(whole, {one for one in stay if cinder.whole(one)})

    @hypothesis.given(model.histories(model.MAYBE_LATER, statuses=True),
                      RULES, SCOPES)
    def test_what_others_made_stays(self, cinder, rule, scope):
        theirs = {one.id for one in cinder.backups.values()
                  if not own(one, rule, scope)}
        needed = {one for their in theirs for one in cinder.path(their)
                  if one in cinder.backups}
        run(cinder, rule, scope)
        self.assertEqual(set(), needed - set(cinder.backups))

    @hypothesis.given(model.histories(
        metadata=st.sampled_from((
            model.marks(model.OWN), model.marks(model.OTHER))),
        fails=st.just(False)), st.integers(1, 4), st.integers(1, 4))
    def test_two_jobs_end_with_what_each_asked_for(self, cinder, one, other):
        """Neither keeps more than its own rule says, in the long run."""
        jobs = ((retention.Rule(one), retention.Scope({model.OTHER})),
                (retention.Rule(other), retention.Scope({model.OWN})))
        wanted = [good(cinder, *job)[-keep:] for job, keep
                  in zip(jobs, (one, other), strict=True)]
        while any(run(cinder, *job) for job in jobs):
            pass
        left = [good(cinder, *job) for job in jobs]
        self.assertEqual(wanted, [found[-keep:] for found, keep
                                  in zip(left, (one, other), strict=True)])
        self.assertEqual({*wanted[0], *wanted[1]}, {*left[0], *left[1]})

    @hypothesis.given(model.histories(), RULES, SCOPES, st.booleans())
    def test_the_chain_of_the_new_backup_stays(self, cinder, rule, scope,
                                               incremental):
        cinder.clock += 1
        made = cinder.make(incremental)
        hypothesis.assume(made)
        chain = {one.id for one in cinder.chains()[cinder.root(made)]}
        gone = run(cinder, dataclasses.replace(
            rule, cutoff=hours(10000), keep=None, last_too=True,
            freezer_only=False), dataclasses.replace(scope, made=made))
        self.assertLessEqual(chain, set(cinder.backups))
        self.assertEqual(set(), chain & set(gone))


class TestHolds(testtools.TestCase):

    HOLDS = st.sampled_from((
        {'freezer_hold': 'true'}, {'freezer_hold': 'True'},
        {'freezer_hold_until': '2030-01-01'},
        {'freezer_hold_until': '2030-01-01T00:00:00+01:00'},
        {'freezer_hold_until': 'next summer'},
        {'freezer_hold_until': '2001-01-01', 'freezer_hold': 'true'}))
    OVER = st.sampled_from((
        {'freezer_hold': 'false'}, {'freezer_hold': ''},
        {'freezer_hold_until': '2026-01-01'}, {'freezer_hold_until': ''}))

    def hold(self, cinder, one, metadata):
        found = cinder.backups[one]
        cinder.backups[one] = dataclasses.replace(
            found, metadata={**found.metadata, **metadata})

    @hypothesis.given(model.histories(), RULES, SCOPES, st.data())
    def test_a_chain_with_a_held_backup_stays_whole(self, cinder, rule,
                                                    scope, data):
        hypothesis.assume(cinder.backups)
        one = data.draw(st.sampled_from(sorted(cinder.backups)))
        self.hold(cinder, one, data.draw(self.HOLDS))
        chain = {each.id for each in cinder.chains()[cinder.root(one)]}
        run(cinder, rule, dataclasses.replace(scope, now=hours(1)))
        self.assertLessEqual(chain, set(cinder.backups))

    @hypothesis.given(model.histories(), RULES, SCOPES, st.data())
    def test_a_hold_that_is_over_has_no_effect(self, cinder, rule, scope,
                                               data):
        hypothesis.assume(cinder.backups)
        scope = dataclasses.replace(scope, now=hours(1))
        before = retention.plan(cinder.listed(), rule, scope)
        one = data.draw(st.sampled_from(sorted(cinder.backups)))
        self.hold(cinder, one, data.draw(self.OVER))
        after = retention.plan(cinder.listed(), rule, scope)
        self.assertEqual([gone.id for gone in before.deletions],
                         [gone.id for gone in after.deletions])

    def test_the_reason_names_the_hold(self):
        for metadata, said in (
                ({'freezer_hold': 'true'}, 'freezer_hold is true'),
                ({'freezer_hold_until': '2030-01-01'},
                 'freezer_hold_until is 2030-01-01'),
                ({'freezer_hold_until': 'soon'},
                 "freezer_hold_until is not a date: 'soon'")):
            held = backup(1)
            held = dataclasses.replace(
                held, metadata={**held.metadata, **metadata})
            plan = retention.plan([held, backup(2)], retention.Rule(1),
                                  retention.Scope(now=hours(1)))
            self.assertEqual([f'of backup b001, {said}'],
                             [kept.reason for kept in plan.kept])


class TestRoom(testtools.TestCase):

    @hypothesis.given(model.histories(), RULES, SCOPES, st.booleans())
    def test_what_goes_before_a_backup_would_go_after_it(
            self, cinder, rule, scope, full):
        """And never the last good chain, nor what an increment needs."""
        before = good(cinder, rule, scope)
        room = retention.make_room(
            cinder.listed(), rule, full, hours(cinder.clock + 1), scope)
        gone = {one.id for one in room.deletions}
        after = cinder.copy()
        for one in room.deletions:
            self.assertTrue(after.delete(one.id))
        self.assertEqual(before[-1:], good(after, rule, scope)[-1:])
        cinder.clock += 1
        after.clock += 1
        made, same = cinder.make(not full), after.make(not full)
        if made is None:
            return
        self.assertIsNotNone(same)
        self.assertTrue(after.whole(same))
        scope = dataclasses.replace(scope, made=made)
        would = retention.plan(cinder.listed(), rule, scope).deletions
        self.assertLessEqual(gone, {one.id for one in would})

    def test_a_full_backup_is_one_of_those_that_are_kept(self):
        there = [backup(1), backup(2), backup(3)]
        for keep, full, gone in ((3, True, ['b001']), (3, False, []),
                                 (2, True, ['b001', 'b002']),
                                 (2, False, ['b001']), (4, True, []),
                                 # The last good one stays.
                                 (1, True, ['b001', 'b002']),
                                 (1, False, ['b001', 'b002'])):
            plan = retention.make_room(
                there, retention.Rule(keep), full, hours(9))
            self.assertEqual(gone, [one.id for one in plan.deletions],
                             f'{keep} {full}')

    def test_the_last_chain_stays_even_if_it_is_to_go(self):
        plan = retention.make_room(
            [backup(1), backup(2)],
            retention.Rule(cutoff=hours(9), last_too=True), True, hours(9))
        self.assertEqual(['b001'], [one.id for one in plan.deletions])

    def test_an_increment_needs_what_somebody_else_made(self):
        plan = retention.make_room(
            [backup(1), backup(2), backup(3, mine=False)],
            retention.Rule(1, freezer_only=False), False, hours(9))
        self.assertEqual(['b001', 'b002'], [one.id for one in plan.deletions])


BACKUPS = st.lists(st.builds(
    backup, st.just(0), st.integers(0, 30), st.booleans(),
    st.sampled_from(model.STATUSES), st.booleans(), st.booleans(),
    st.none() | st.integers(0, 30), st.booleans(),
    st.sampled_from((None, model.OWN, model.OTHER))), max_size=12).map(
        lambda found: [dataclasses.replace(one, id=f'b{number:03}')
                       for number, one in enumerate(found)])


def parents(backups):
    """Yield each increment and its parent, the slow way."""
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
        elif one.is_incremental and at:
            yield one, ordered[at - 1]


class TestAnything(testtools.TestCase):
    """Listings that no Cinder gives, or only with clocks that disagree."""

    @hypothesis.given(BACKUPS, RULES, SCOPES, st.none() | st.integers(0, 12),
                      st.randoms())
    def test_the_limits_hold(self, backups, rule, scope, number, random):
        made = None if number is None else f'b{number:03}'
        scope = dataclasses.replace(scope, made=made)
        plan = retention.plan(backups, rule, scope)
        gone = [one.id for one in plan.deletions]
        self.assertEqual(len(set(gone)), len(gone))
        self.assertNotIn(made, gone)
        for one in plan.deletions:
            self.assertIn(one.status, ('available', 'error'))
            self.assertTrue(own(one, rule, scope))
            if rule.cutoff is not None:
                self.assertLessEqual(one.created_at, rule.cutoff)
        whole = [one for one in backups if not one.is_incremental
                 and one.status == 'available' and own(one, rule, scope)]
        whole.sort(key=lambda one: one.created_at)
        chains = [chain for chain in domain_chains.link(backups)
                  if not chain.first.is_incremental
                  and chain.first.status == 'available'
                  and any(one.status == 'available'
                          and own(one, rule, scope)
                          for one in chain.backups)
                  and rule.takes(chain.first)]
        left = [chain for chain in chains if chain.first.id not in gone
                and any(own(one, rule, scope) for one in chain.backups
                        if one.id not in gone)]
        if chains and not rule.last_too:
            self.assertIs(chains[-1], left[-1])
        if rule.keep:
            self.assertGreaterEqual(len(left), min(len(chains), rule.keep))
        random.shuffle(backups)
        self.assertEqual(plan, retention.plan(backups, rule, scope))

    @hypothesis.given(BACKUPS, RULES, SCOPES)
    def test_no_increment_outlives_its_parent(self, backups, rule, scope):
        gone = [one.id for one in
                retention.plan(backups, rule, scope).deletions]
        for one, parent in parents(backups):
            if parent.id in gone:
                self.assertIn(one.id, gone[:gone.index(parent.id)])

    def test_an_unknown_time_keeps_everything(self):
        first, second = backup(1), backup(2)
        plan = retention.plan(
            [first, dataclasses.replace(second, created_at=None)],
            retention.Rule(cutoff=hours(1000), last_too=True))
        self.assertEqual((), plan.deletions)
        self.assertIn(second.id, plan.kept[0].reason)
        self.assertEqual((), retention.make_room(
            [first, dataclasses.replace(second, created_at=None)],
            retention.Rule(1), False, hours(9)).deletions)

    def test_a_new_backup_that_is_gone_keeps_everything(self):
        plan = retention.plan([backup(1), backup(2)], retention.Rule(1),
                              retention.Scope(made='elsewhere'))
        self.assertEqual((), plan.deletions)
        self.assertIn('no longer exists', plan.kept[0].reason)


class TestReasons(testtools.TestCase):

    def reasons(self, *backups, keep=None, cutoff=1000.0, scope=NOBODY,
                **keys):
        rule = retention.Rule(keep, hours(cutoff), **keys)
        plan = retention.plan(backups, rule, scope)
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
        self.assertEqual([('b002', 'it is the newest good chain')], kept)
        gone, kept = self.reasons(backup(1), backup(2), last_too=True)
        self.assertEqual((['b001', 'b002'], []), (gone, kept))

    def test_failed_ones_without_a_good_one_stay(self):
        gone, kept = self.reasons(backup(1, status='error'))
        self.assertEqual([], gone)
        self.assertIn('no good chain', kept[0][1])
        self.assertEqual([], self.reasons(
            backup(1, status='error'), backup(2), keep=2)[0])
        self.assertEqual(['b001'], self.reasons(
            backup(1, status='error'), backup(2), keep=1)[0])

    def test_a_failed_increment_goes_with_its_chain(self):
        gone, kept = self.reasons(
            backup(1), backup(2, incremental=True, status='error'),
            backup(3), keep=1)
        self.assertEqual((['b002', 'b001'], []), (gone, kept))

    def test_a_parent_that_came_into_error_is_still_one(self):
        gone, kept = self.reasons(
            backup(1, status='error', dependents=True),
            backup(2, incremental=True), backup(3), keep=1)
        self.assertEqual((['b002', 'b001'], []), (gone, kept))

    def test_of_two_at_one_moment_the_parent_came_first(self):
        gone, kept = self.reasons(
            backup(1, dependents=True),
            backup(3, made=2, incremental=True, dependents=True),
            backup(2, made=2, incremental=True), backup(9), keep=1)
        self.assertEqual((['b002', 'b003', 'b001'], []), (gone, kept))

    def test_statuses_that_stop_a_chain(self):
        for status in model.STATUSES[2:]:
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
            [('b001', 'backup b002 was not made by Freezer')], kept)
        gone, kept = self.reasons(*chain, keep=1, freezer_only=False)
        self.assertEqual((['b002', 'b001'], []), (gone, kept))
        # What is wholly theirs is no business of the rule.
        self.assertEqual(([], []), self.reasons(
            backup(1, mine=False), backup(2), backup(3), keep=2))

    def test_an_increment_without_a_parent(self):
        gone, kept = self.reasons(backup(1, incremental=True), backup(2),
                                  keep=1)
        self.assertEqual([], gone)
        self.assertIn('parent of backup b001 does not exist', kept[0][1])

    def test_an_unknown_dependent(self):
        gone, kept = self.reasons(backup(1, dependents=True), backup(2),
                                  keep=1)
        self.assertEqual([], gone)
        self.assertIn('an unknown backup depends on backup b001', kept[0][1])

    def test_a_backup_of_an_old_snapshot_is_no_parent(self):
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

    def test_a_snapshot_older_than_the_first_full_backup(self):
        """Its increment is upon the backup that was created before it."""
        gone, kept = self.reasons(
            backup(1, data=1, dependents=True),
            backup(2, data=0, snapshot=True, incremental=True),
            backup(3, data=3, incremental=True), backup(9), keep=1)
        self.assertEqual((['b003', 'b002', 'b001'], []), (gone, kept))


class TestScope(testtools.TestCase):
    """Each job's rule is about its own backups."""

    SCOPE = retention.Scope(frozenset({'theirs'}))

    def plan(self, *backups, keep=1):
        plan = retention.plan(backups, retention.Rule(keep), self.SCOPE)
        return ([one.id for one in plan.deletions],
                [(one.first, one.reason) for one in plan.kept])

    def test_the_shorter_rotation_leaves_the_longer_ones_alone(self):
        self.assertEqual((['b003'], []), self.plan(
            backup(1, job='theirs'), backup(2, job='theirs'),
            backup(3, job='ours'), backup(4, job='ours'),
            backup(5, job='theirs')))

    def test_those_of_others_do_not_count(self):
        self.assertEqual(([], []), self.plan(
            backup(1, job='ours'), backup(2, job='theirs'),
            backup(3, job='theirs'), keep=2))

    def test_those_without_a_job_and_of_jobs_that_are_gone(self):
        self.assertEqual((['b001', 'b002'], []), self.plan(
            backup(1), backup(2, job='gone'), backup(3, job='ours')))

    def test_an_increment_of_another_job_keeps_its_chain(self):
        self.assertEqual(
            ([], [('b001', 'backup b002 is of job theirs')]), self.plan(
                backup(1, job='ours', dependents=True),
                backup(2, job='theirs', incremental=True),
                backup(3, job='ours')))

    def test_ones_own_increments_in_another_jobs_chain(self):
        """Without that, two jobs would keep each other's chains for ever."""
        chain = [backup(1, job='theirs', dependents=True),
                 backup(2, job='ours', incremental=True, dependents=True),
                 backup(3, job='theirs', incremental=True, dependents=True),
                 backup(4, job='ours', incremental=True)]
        self.assertEqual(
            (['b004'], [('b001', 'backup b001 is of job theirs')]),
            self.plan(*chain, backup(5, job='ours')))
        # While they are the only ones, they are what can be restored.
        self.assertEqual(([], []), self.plan(*chain))
        self.assertEqual(([], []), self.plan(
            *chain, backup(5, job='ours'), keep=2))

    def test_a_job_that_only_removes_is_told_that_nothing_is_its_own(self):
        gone, [(first, reason)] = self.plan(
            backup(1, job='theirs'), backup(2, mine=False),
            backup(3, job='theirs'))
        self.assertEqual(([], None), (gone, first))
        self.assertIn('"retention_scope": "volume"', reason)
        # There is nothing to tell where nothing is Freezer's.
        self.assertEqual(([], []), self.plan(backup(1, mine=False)))
        self.assertEqual(([], []), self.plan())

    def test_without_a_scope_all_are_alike(self):
        plan = retention.plan(
            [backup(1, job='theirs'), backup(2, job='ours')],
            retention.Rule(1))
        self.assertEqual(['b001'], [one.id for one in plan.deletions])
