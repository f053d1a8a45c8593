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
import pathlib
import zoneinfo

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import agent_keys
from freezer_api.domain import capabilities
from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import cinder_selection
from freezer_api.domain import keep_rules
from freezer_api.domain import near_keys
from freezer_api.domain import retention

VOLUME = '11111111-2222-4333-8444-555555555555'
PROJECT = 'a22273e22d344835a13cdb7edf4110e7'
KEYS = tuple(key.name for key in cinder_keys.KEYS)

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(['backup', 'restore', 'admin', 'cindernative', 'true',
                       VOLUME, '2026-01-01', '{mode}', '{', '%s',
                       '{mode:>999999999}', '{0.__class__}']),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS) | st.text(), ANYTHING)


def action_of(**keys):
    """Return a freezer_action that backs up VOLUME."""
    return {'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': VOLUME, **keys}


def read(**keys):
    return cinder_action.read(action_of(**keys), PROJECT, NOW)


def rule(**keys):
    return read(**keys).removal.rule(NOW)


def objection(document):
    """Return why the API refuses a document, None if it takes it."""
    try:
        cinder_action.check(document, PROJECT, NOW)
    except cinder_action.Unusable as unusable:
        return str(unusable)
    return None


class TestAnything(testtools.TestCase):

    @hypothesis.given(DOCUMENTS)
    def test_an_action_or_a_reason(self, document):
        try:
            action = cinder_action.read(document, PROJECT, NOW)
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
            self.assertNotIn(PROJECT, str(unusable))
        else:
            self.assertEqual('backup', action.action)

    @hypothesis.given(st.dictionaries(
        st.sampled_from(sorted(agent_keys.KNOWN - set(KEYS)))
        | st.text('xyz', min_size=1),
        st.just('intruder') | st.just(['intruder'])))
    def test_unknown_keys_reach_nothing(self, unknown):
        action = cinder_action.read({**unknown, **action_of()},
                                    PROJECT, NOW)
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
        self.assertEqual(f'freezer_cindernative_{VOLUME}', action.name)
        self.assertEqual('', action.container)
        self.assertFalse(action.incremental)
        self.assertTrue(action.removal.freezer_only)
        self.assertIsNone(rule())

    def test_null_is_absent(self):
        self.assertEqual(read(), read(
            container=None, backup_name=None, timeout=None, priority=None,
            incremental=None, remove_older_than=None))

    def test_names(self):
        action = read(backup_name='{project_id}-{container}-{resource_id}',
                      container='mine')
        self.assertEqual(f'{PROJECT}-mine-{VOLUME}', action.name)
        self.assertEqual('mine', action.container)
        for text in ('100%', '{unknown}', '{', '}', '{mode:>9}', '{mode!r}',
                     '{0.__class__}', '{mode.__class__}'):
            self.assertEqual(text, read(backup_name=text).name)
        self.assertEqual('{x}', read(backup_name='{{x}}').name)

    def test_containers(self):
        self.assertEqual('', read(cindernative_backup_container='').container)
        self.assertEqual(
            f'{VOLUME}-n', read(
                cindernative_backup_container='{volume_id}-{backup_name}',
                backup_name='n').container)
        self.assertIn('slash', self.unusable(container='a/b'))

    def test_too_long(self):
        self.assertIn('255', self.unusable(backup_name='x' * 256))
        self.assertIn('255', self.unusable(
            backup_name='{resource_id}' * 15))

    def test_ids(self):
        for value in ('x', '../' + VOLUME, VOLUME + '\n', 7, [1]):
            self.assertIn('cindernative_vol_id:',
                          self.unusable(cindernative_vol_id=value))
        self.assertIn('missing', self.unusable(cindernative_vol_id=None))
        action = cinder_action.read(
            {'action': 'restore', 'mode': 'cindernative',
             'cindernative_backup_id': VOLUME}, PROJECT, NOW)
        self.assertIsNone(action.volume_id)

    def test_an_id_is_what_cinder_calls_it(self):
        """Else one volume would be two to who keeps requests apart."""
        written = '1E2F3A4B-0000-4000-8000-ABCDEFABCDEF'
        for form in (written, written.lower(), written.replace('-', '')):
            made = cinder_action.read({
                'action': 'restore', 'mode': 'cindernative',
                'cindernative_vol_id': form, 'cindernative_backup_id': form},
                PROJECT, NOW)
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
            self.assertIsNone(rule(**keys), f'{keys}')

    def test_the_rules(self):
        found = rule(remove_older_than=1.5, fullbackup_rotation=3,
                     cindernative_freezer_only=False)
        self.assertEqual(retention.Rule(
            None, NOW - datetime.timedelta(hours=36), False, False), found)
        found = rule(fullbackup_rotation='3',
                     remove_last_chain='true')
        self.assertEqual(retention.Rule(3, None, True, True), found)

    def test_rotation_is_what_an_admin_action_does_by_itself(self):
        self.assertEqual(retention.Rule(1),
                         rule(action='admin'))
        self.assertEqual(
            retention.Rule(cutoff=NOW),
            rule(action='admin', remove_older_than=0))

    def test_an_empty_field_is_no_wish_for_the_default(self):
        for key in ('remove_older_than', 'remove_before_date',
                    'remove_from_date', 'fullbackup_rotation'):
            self.assertEqual(f'{key}: is empty',
                             self.unusable(action='admin', **{key: ''}))
        found = rule(action='admin', remove_older_than='',
                     fullbackup_rotation=2)
        self.assertEqual(retention.Rule(2), found)

    def test_numbers_of_days_weeks_months_and_years(self):
        berlin = zoneinfo.ZoneInfo('Europe/Berlin')
        found = read(keep_last=1, keep_daily=7, keep_weekly=4,
                     keep_monthly=12, keep_yearly=3).removal
        self.assertTrue(found.is_wanted)
        self.assertEqual(
            retention.Rule(periods=keep_rules.KeepRules(
                1, 7, 4, 12, 3, berlin)), found.rule(NOW, berlin))
        # They replace the rotation by 1.
        self.assertEqual(
            retention.Rule(periods=keep_rules.KeepRules(weekly=2)),
            rule(action='admin', keep_weekly=2))
        self.assertIsNone(read(keep_daily=None).removal.periods)

    def test_numbers_that_no_backup_can_meet(self):
        for key in ('keep_last', 'keep_daily', 'keep_weekly', 'keep_monthly',
                    'keep_yearly'):
            for value in (0, -1, 100001, 1.5, '7', '', True, [7]):
                self.assertTrue(self.unusable(**{key: value}).startswith(
                    f'{key}: must be a '), f'{key} {value!r}')
            for other, value in (
                    ('fullbackup_rotation', 2), ('remove_older_than', 3),
                    ('remove_before_date', '2027-01-01'),
                    ('remove_from_date', '2027-01-01')):
                self.assertEqual(
                    f'{key}: cannot be combined with {other}; set keep_last '
                    'to keep a number of backups',
                    self.unusable(**{key: 2, other: value}))

    def test_deleted_volumes_and_other_jobs(self):
        removal = read(fullbackup_rotation=2).removal
        self.assertEqual((None, False), (removal.keep_deleted_days,
                                         removal.whole_volume))
        removal = read(keep_deleted_days='90',
                       retention_scope='volume').removal
        self.assertEqual((90.0, True), (removal.keep_deleted_days,
                                        removal.whole_volume))
        self.assertTrue(removal.is_wanted)
        # Days of deleted volumes are no rule for others, nor a rotation by 1.
        self.assertIsNone(rule(action='admin', keep_deleted_days=0))
        self.assertFalse(read(retention_scope='job').removal.whole_volume)
        for key, value in (('retention_scope', 'project'),
                           ('retention_scope', True),
                           ('keep_deleted_days', False),
                           ('keep_deleted_days', -1),
                           ('keep_deleted_days', 'x')):
            self.assertIn(f'{key}:', self.unusable(**{key: value}))

    def test_the_longest_time_is_no_error(self):
        self.assertLess(rule(remove_older_than=365000)
                        .cutoff, NOW)
        for date in ('0001-01-01T00:00:00+14:00', '9999-12-31T23:59-14:00'):
            cutoff = rule(remove_before_date=date).cutoff
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


#: What clients of other releases are recorded to send.
STOCK = (
    # freezer-agent's reference, and tempest's.
    {'backup_name': 'bk', 'storage': 'swift', 'container': 'cont'},
    {'backup_name': 'bk', 'timeout': None, 'priority': None,
     'path_to_backup': None, 'log_file': None, 'container': None},
    {'engine_name': 'rsyncv2', 'backup_name': 'x'},
    {'remove_older_than': 365, 'backup_name': None},
    # freezer-tempest-plugin.
    {'no_incremental': True, 'hostname': False, 'max_backup_level': 1,
     'always_backup_level': 0, 'max_cpu_priority': False, 'exit_status': 0},
    {'engine': 'tar', 'engine_name': 'tar'},
    # Horizon: forms, restores and edits of actions.
    {'action': 'restore', 'backup_name': 'bk', 'restore_abs_path': '/x',
     'container': 'cont', 'restore_from_host': 'hosta', 'storage': 'swift',
     'restore_from_date': '2026-01-02T03:04:05', 'ssh_key': '',
     'ssh_username': '', 'ssh_host': ''},
    {'max_retries': 5, 'max_retries_interval': 6, 'mandatory': False,
     'is_windows': False, 'use_snapshot': False},
    {'action': 'admin', 'remove_from_date': '2026-01-02T03:04:05'},
    {'action': 'admin', 'fullbackup_rotation': '3'},
    {'incremental': 'True', 'cindernative_freezer_only': True},
    {'cindernative_backup_az': 'az1',
     'cindernative_backup_container': '{project_id}-{backup_name}'},
    {'backup_media': 'cindernative', 'status': 'available',
     'backup_id': 'fb9', '_version': 1, 'user_id': 'u'},
    {'future_option': 1, 'x': None},
)


class TestNewDocuments(testtools.TestCase):
    """What the API takes, and what it refuses."""

    def test_documents_of_other_releases_are_taken(self):
        for keys in STOCK:
            self.assertIsNone(objection(action_of(**keys)), f'{keys}')

    def test_every_option_of_an_agent_is_taken(self):
        for name in sorted(agent_keys.KNOWN - set(KEYS)):
            for value in (None, '', 'text', 7, True, ['x']):
                self.assertIsNone(
                    objection(action_of(**{name: value})), name)

    def test_other_modes_are_none_of_it(self):
        documents: tuple[object, ...] = (
                {'action': 'backup', 'mode': 'fs', 'remove_older_then': 3},
                {'action': 'backup'}, {'action': 'exec', 'command': 'true'},
                {'action': 'exec', 'mode': 'cindernative'},
                {'action': 'info', 'mode': 'cindernative'},
                {'mode': 'cinder', 'cinder_vol_id': 'x'}, None, 7, [])
        for document in documents:
            self.assertIsNone(objection(document), f'{document}')

    def test_every_key_misspelled(self):
        for name in KEYS:
            for wrong in (name[:-1] + name[-1] * 2, name[:2] + name[3:],
                          name.upper(), name.replace('_', '-')):
                if wrong in agent_keys.KNOWN or wrong in KEYS:
                    continue
                self.assertEqual(
                    f'{wrong}: unknown; did you mean {name}?',
                    objection(action_of(**{wrong: 'x'})))

    def test_misspelled_keys(self):
        for wrong, meant in (
                ('fullbackup_rotaton', 'fullbackup_rotation'),
                ('full_backup_rotation', 'fullbackup_rotation'),
                ('remove_older_then', 'remove_older_than'),
                ('cindernative_volume_id', 'cindernative_vol_id'),
                ('cindernative_volume', 'cindernative_volumes'),
                ('remove_last_chains', 'remove_last_chain'),
                ('backupname', 'backup_name')):
            self.assertEqual(f'{wrong}: unknown; did you mean {meant}?',
                             objection(action_of(**{wrong: 3})))
        self.assertIn('unknown', objection(action_of(cindernative_x=1)))
        self.assertIsNone(objection(action_of(cindernative_x=None)))

    def test_comparing_many_keys_is_bounded(self):
        for others, refused in ((63, True), (64, False)):
            document = action_of(**{
                **{f'tn_lliuvcd{n}': 1 for n in range(others)},
                'fullbackup_rotaton': 3})
            self.assertEqual(refused, objection(document) is not None)

    def test_every_key_is_documented(self):
        page = (pathlib.Path(__file__).resolve().parents[4]
                / 'doc/source/user/cinder-native.rst').read_text()
        for key in KEYS:
            self.assertIn(f'``{key}``', page)

    def test_misspelled_keys_of_a_selection(self):
        for wrong, meant in (('metdata', 'metadata'), ('id', 'ids'),
                             ('names', 'name')):
            document = {'action': 'backup', 'mode': 'cindernative',
                        'cindernative_volumes': {wrong: ['x']}}
            self.assertEqual(f'cindernative_volumes.{wrong}: unknown; did '
                             f'you mean {meant}?', objection(document))

    def test_without_a_volume(self):
        for action in ('backup', 'restore', 'admin'):
            for keys in ({}, {'cindernative_vol_id': None},
                         {'cindernative_vol_id': ''},
                         {'remove_older_than': 3}, {'restore_abs_path': '/'},
                         {'cindernative_volumes': None}):
                self.assertTrue(objection({
                    'mode': 'cindernative', 'action': action, **keys,
                    }).startswith('cindernative_vol_id: missing'), f'{keys}')
        self.assertIsNone(objection({
            'mode': 'cindernative', 'action': 'restore',
            'cindernative_backup_id': VOLUME}))

    def test_several_volumes(self):
        document: dict[str, object] = {
            'mode': 'cindernative', 'action': 'backup'}
        for selection in ({'name': 'db-*'}, {'metadata': {'a': 'b'}},
                          {'ids': [VOLUME]}):
            self.assertIsNone(objection(
                {**document, 'cindernative_volumes': selection}))
        self.assertIn('cindernative_volumes.ids: number 1', objection(
            {**document, 'cindernative_volumes': {'ids': ['v']}}))
        self.assertIn('full_every:', objection(
            {**document, 'cindernative_volumes': {'name': '*'},
             'full_every': 0}))

    def test_names_that_would_be_too_long(self):
        document = {'mode': 'cindernative', 'action': 'backup',
                    'cindernative_volumes': {'name': '*'}}
        self.assertIn('backup_name:', objection(
            {**document, 'backup_name': '{resource_id}' * 8}))
        self.assertIn('cindernative_new_volume_name:', objection(action_of(
            action='restore', cindernative_new_volume=True,
            cindernative_new_volume_name='{backup_id}' * 8)))

    def test_marks(self):
        self.assertEqual('n-2026-06-01-000000Z',
                         read(backup_name='n-{date}-{time}').name)
        for key, marks in (
                ('backup_name', ('mode', 'date', 'time', 'resource_id')),
                ('cindernative_backup_container', ('volume_id',)),
                ('cindernative_new_volume_name', ('backup_id',))):
            action = ('restore' if key == 'cindernative_new_volume_name'
                      else 'backup')
            for mark in marks:
                self.assertIsNone(objection(action_of(
                    action=action, **{key: f'x-{{{mark}}}{{{{'})))
            for text in ('{day}', '{', '}', '{date:%Y}', '{mode!r}', '{}',
                         '{0.__class__}', '{mode.__class__}', '{mode[0]}'):
                found = objection(action_of(action=action, **{key: text}))
                self.assertTrue(found.startswith(f'{key}: '), f'{found}')
                self.assertIn(f'{{{marks[-1]}}}', found)
                # A stored one is taken as it stands.
                if key == 'backup_name':
                    self.assertEqual(text, read(backup_name=text).name)

    def test_the_volumes_of_all_actions(self):
        ids = [f'{number:08}-0000-4000-8000-000000000000'
               for number in range(200)]

        def action(some):
            return {'action': 'backup', 'mode': 'cindernative',
                    'cindernative_volumes': {'ids': some}}

        def check(*documents):
            cinder_action.check_volumes([
                cinder_action.volumes_named(one) for one in documents])

        check(action(ids))
        check(action(ids[:100]), action(ids[:100]), action_of(),
              {'mode': 'fs'}, None)
        error = self.assertRaises(
            cinder_action.Unusable, check,
            action(ids[:100]), action(ids[:101]))
        self.assertIn('201 volumes; 200 is the most', str(error))
        error = self.assertRaises(
            cinder_action.Unusable, check,
            action(ids[:100]), *[action_of()] * 160)
        self.assertIn('100 volumes; 95 is the most', str(error))
        self.assertIn('200 is the most', objection(
            action([*ids, VOLUME])))


ANY_KEYS = st.sampled_from([*KEYS, 'restore_abs_path', 'cinder_vol_id',
                            'Mode', 'ACTION', 'engine', 'x'])
SELECTIONS = st.fixed_dictionaries({}, optional={
    'ids': st.lists(st.sampled_from([VOLUME, VOLUME.upper(), 'x', 7])),
    'name': st.text(max_size=4) | st.none(),
    'metadata': st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
    'nmae': st.just('x')})
LIKELY = {
    'action': st.sampled_from(['backup', 'restore', 'admin', None, 'exec']),
    'mode': st.sampled_from(['cindernative', 'cindernative', 'fs', None]),
    'cindernative_vol_id': st.sampled_from([VOLUME, VOLUME, 'v', None, '']),
    'cindernative_volumes': st.none() | SELECTIONS,
    'backup_name': st.none() | st.text('{}date:!0x_ ', max_size=30),
}
MADE = st.builds(
    lambda likely, rest: {**likely, **rest},
    st.fixed_dictionaries({}, optional=LIKELY),
    st.dictionaries(ANY_KEYS, ANYTHING | SELECTIONS, max_size=4))


class TestOneReader(testtools.TestCase):
    """Nothing that can be known when a job is stored fails when it runs."""

    @hypothesis.settings(max_examples=300, deadline=None)
    @hypothesis.given(MADE)
    def test_what_the_api_takes_the_scheduler_reads(self, document):
        """And so what the scheduler refuses, the API refuses."""
        if objection(document) is not None:
            return
        try:
            selection = cinder_selection.read(document)
            if selection is None:
                cinder_action.read(document, PROJECT, NOW)
            else:
                for volume_id in selection.ids or (VOLUME,):
                    cinder_action.read(
                        cinder_selection.single(document, volume_id),
                        PROJECT, NOW)
        except cinder_action.Unusable as unusable:
            hypothesis.note(str(unusable))
            # Then it must be one that Cinder is never asked to carry out.
            self.assertNotEqual([], capabilities.unsupported(
                capabilities.CINDER_NATIVE, document), str(unusable))

    def test_a_run_reads_a_job_with_many_unknown_keys(self):
        """The API compares only the first ones of a request."""
        compared = cinder_keys.comparisons()
        cinder_action.check(action_of(**{
            f'own_{number}': 1 for number in range(near_keys.MOST)}),
            PROJECT, NOW, compared=compared)
        document = action_of(fullbackup_rotaton=3)
        self.assertIn('did you mean fullbackup_rotation?',
                      str(objection(document)))
        cinder_action.check(document, PROJECT, NOW, compared=compared)
        self.assertEqual(
            VOLUME, cinder_action.read(document, PROJECT, NOW).volume_id)

    @hypothesis.given(MADE)
    def test_a_reason_names_a_key(self, document):
        found = objection(document)
        if found is not None:
            name = found.partition(':')[0].partition('.')[0]
            self.assertIn(name, [*KEYS, *document])
