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

"""Whatever users write, only known keys get through, and only well formed."""

from __future__ import annotations

import dataclasses
import datetime

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_scheduler.engines.cinder import action as cinder_action
from freezer_scheduler.engines.cinder import retention
from tests.unit.freezer_scheduler import fakes

KEYS = ('action', 'mode', 'cindernative_vol_id', 'cindernative_backup_id',
        'cindernative_backup_az', 'cindernative_backup_container',
        'cindernative_freezer_only', 'container', 'backup_name',
        'incremental', 'fullbackup_rotation', 'remove_older_than',
        'remove_before_date', 'remove_from_date', 'remove_last_chain',
        'restore_from_date')

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(['backup', 'restore', 'admin', 'cindernative', 'true',
                       fakes.VOLUME, '2026-01-01', '{mode}', '{', '%s',
                       '{mode:>999999999}', '{0.__class__}']),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS) | st.text(), ANYTHING)


def read(**keys):
    return cinder_action.read(fakes.action(**keys), fakes.PROJECT)


class TestAnything(testtools.TestCase):

    @hypothesis.given(DOCUMENTS)
    def test_an_action_or_a_reason(self, document):
        try:
            action = cinder_action.read(document, fakes.PROJECT)
        except cinder_action.Unusable as unusable:
            self.assertTrue(str(unusable))
            return
        for text in (action.name, action.container,
                     action.availability_zone or ''):
            self.assertIsInstance(text, str)
            self.assertLessEqual(len(text), 255)
            self.assertTrue(text.isprintable())

    @hypothesis.given(ANYTHING, st.sampled_from(KEYS[2:]))
    def test_one_value_of_any_kind(self, value, key):
        try:
            action = read(**{key: value})
        except cinder_action.Unusable as unusable:
            self.assertNotIn(fakes.PROJECT, str(unusable))
        else:
            self.assertEqual('backup', action.action)

    @hypothesis.given(st.dictionaries(
        st.text(min_size=1).filter(lambda key: key not in KEYS),
        st.just('intruder') | st.just(['intruder'])))
    def test_unknown_keys_reach_nothing(self, unknown):
        action = cinder_action.read({**unknown, **fakes.action()},
                                    fakes.PROJECT)
        self.assertEqual(read(), action)
        self.assertNotIn('intruder', str(dataclasses.asdict(action)))


class TestKeys(testtools.TestCase):

    def unusable(self, **keys):
        try:
            found = read(**keys)
        except cinder_action.Unusable as unusable:
            return str(unusable)
        self.fail(f'usable: {found}')

    def test_defaults(self):
        action = read()
        self.assertEqual(f'freezer_cindernative_{fakes.VOLUME}', action.name)
        self.assertEqual('freezer_backups', action.container)
        self.assertFalse(action.incremental)
        self.assertTrue(action.removal.freezer_only)
        self.assertIsNone(action.removal.rule(NOW))

    def test_null_is_absent(self):
        self.assertEqual(read(), read(
            container=None, backup_name=None, timeout=None, priority=None,
            incremental=None, remove_older_than=None))

    def test_names(self):
        action = read(backup_name='{project_id}-{container}-{resource_id}',
                      container='mine')
        self.assertEqual(f'{fakes.PROJECT}-mine-{fakes.VOLUME}', action.name)
        self.assertEqual('mine', action.container)
        for text in ('100%', '{unknown}', '{', '}', '{mode:>9}', '{mode!r}',
                     '{0.__class__}', '{mode.__class__}'):
            self.assertEqual(text, read(backup_name=text).name)
        self.assertEqual('{x}', read(backup_name='{{x}}').name)

    def test_containers(self):
        self.assertEqual('', read(cindernative_backup_container='').container)
        self.assertEqual(
            f'{fakes.VOLUME}-n', read(
                cindernative_backup_container='{volume_id}-{backup_name}',
                backup_name='n').container)
        self.assertIn('slash', self.unusable(container='a/b'))

    def test_too_long(self):
        self.assertIn('255', self.unusable(backup_name='x' * 256))
        self.assertIn('255', self.unusable(
            backup_name='{resource_id}' * 15))

    def test_ids(self):
        for value in ('x', '../' + fakes.VOLUME, fakes.VOLUME + '\n', 7, [1]):
            self.assertIn('cindernative_vol_id:',
                          self.unusable(cindernative_vol_id=value))
        self.assertIn('missing', self.unusable(cindernative_vol_id=None))
        action = cinder_action.read(
            {'action': 'restore', 'mode': 'cindernative',
             'cindernative_backup_id': fakes.VOLUME}, fakes.PROJECT)
        self.assertIsNone(action.volume_id)

    def test_an_id_is_what_cinder_calls_it(self):
        """Else one volume would be two to who keeps requests apart."""
        written = '1E2F3A4B-0000-4000-8000-ABCDEFABCDEF'
        for form in (written, written.lower(), written.replace('-', '')):
            made = cinder_action.read({
                'action': 'restore', 'mode': 'cindernative',
                'cindernative_vol_id': form, 'cindernative_backup_id': form},
                fakes.PROJECT)
            self.assertEqual([written.lower()] * 2,
                             [made.volume_id, made.backup_id])

    def test_false_is_no_number_of_days(self):
        for value in (False, True, 'False', 'x', -1, 'nan', float('inf')):
            self.assertIn('remove_older_than:',
                          self.unusable(remove_older_than=value))
        self.assertEqual(0.0, read(remove_older_than=0)
                         .removal.remove_older_than)
        self.assertEqual(1.5, read(remove_older_than='1.5')
                         .removal.remove_older_than)

    def test_numbers_that_cannot_even_be_printed(self):
        for key in ('remove_older_than', 'fullbackup_rotation'):
            self.assertIn(f'{key}:', self.unusable(**{key: 10 ** 5000}))

    def test_rotation(self):
        for value in (0, '0', -1, 1.5, True, 'x'):
            self.assertIn('fullbackup_rotation:',
                          self.unusable(fullbackup_rotation=value))
        self.assertEqual(3, read(fullbackup_rotation='3')
                         .removal.fullbackup_rotation)

    def test_a_backup_removes_only_what_is_asked_for(self):
        for keys in ({}, {'remove_older_than': ''},
                     {'remove_older_than': None}, {'fullbackup_rotation': ''},
                     {'remove_last_chain': True}):
            self.assertIsNone(read(**keys).removal.rule(NOW), f'{keys}')

    def test_the_rules(self):
        rule = read(remove_older_than=1.5, fullbackup_rotation=3,
                    cindernative_freezer_only=False).removal.rule(NOW)
        self.assertEqual(retention.Rule(
            None, NOW - datetime.timedelta(hours=36), False, False), rule)
        rule = read(fullbackup_rotation='3',
                    remove_last_chain='true').removal.rule(NOW)
        self.assertEqual(retention.Rule(3, None, True, True), rule)

    def test_rotation_is_what_an_admin_action_does_by_itself(self):
        self.assertEqual(retention.Rule(1),
                         read(action='admin').removal.rule(NOW))
        self.assertEqual(
            retention.Rule(cutoff=NOW),
            read(action='admin', remove_older_than=0).removal.rule(NOW))

    def test_an_empty_field_is_no_wish_for_the_default(self):
        for key in ('remove_older_than', 'remove_before_date',
                    'remove_from_date', 'fullbackup_rotation'):
            self.assertEqual(f'{key}: is empty',
                             self.unusable(action='admin', **{key: ''}))
        rule = read(action='admin', remove_older_than='',
                    fullbackup_rotation=2).removal.rule(NOW)
        self.assertEqual(retention.Rule(2), rule)

    def test_the_longest_time_is_no_error(self):
        self.assertLess(read(remove_older_than=365000).removal.rule(NOW)
                        .cutoff, NOW)
        for date in ('0001-01-01T00:00:00+14:00', '9999-12-31T23:59-14:00'):
            cutoff = read(remove_before_date=date).removal.rule(NOW).cutoff
            self.assertIsInstance(cutoff <= NOW, bool)

    def test_dates(self):
        found = read(remove_from_date='2026-01-02T03:04:05').removal
        self.assertEqual(
            datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
            found.remove_before)
        self.assertIn('remove_before_date:',
                      self.unusable(remove_before_date='yesterday'))
        self.assertIn('only one', self.unusable(
            remove_before_date='2026-01-01', remove_older_than=1))

    def test_other_work_is_refused(self):
        self.assertIn('action:', self.unusable(action='exec'))
        for mode in (None, 'fs', '', 3):
            self.assertIn('mode:', self.unusable(mode=mode))

    def test_flags(self):
        self.assertTrue(read(incremental='True').incremental)
        for value in (1, 0, 'yes', [1]):
            self.assertIn('incremental:', self.unusable(incremental=value))
