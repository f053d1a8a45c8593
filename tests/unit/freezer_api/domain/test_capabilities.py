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

from typing import Any

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import capabilities

NATIVE = capabilities.CINDER_NATIVE
EVERYTHING = capabilities.EVERYTHING
VOLUME = {'mode': 'cindernative', 'cindernative_vol_id': 'v'}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (st.lists(inner, max_size=3)
                   | st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=3)
said = st.sampled_from([None, '']) | st.sampled_from(
    capabilities.ACTIONS + capabilities.MODES + capabilities.STORAGES
    + capabilities.ENGINES) | json_values
documents = st.dictionaries(
    st.sampled_from(['action', 'mode', 'storage', 'engine', 'engine_name',
                     'Action', 'MODE', 'engine-name', 'cinder_vol_id',
                     'cindernative_vol_id', 'restore_abs_path', 'other']),
    said, max_size=6)
lists = st.builds(
    capabilities.Capabilities,
    *[st.lists(st.sampled_from(values), unique=True).map(tuple)
      for values in (capabilities.ACTIONS, capabilities.MODES,
                     capabilities.STORAGES, capabilities.ENGINES)])


class TestUnsupported(testtools.TestCase):

    def check(self, expected: list[str], document: Any,
              supported: capabilities.Capabilities = NATIVE) -> None:
        self.assertEqual(
            expected, capabilities.unsupported(supported, document))

    def test_cinder_native_work_is_supported(self) -> None:
        for action in ('backup', 'restore', 'admin'):
            self.check([], {**VOLUME, 'action': action})

    def test_absent_mode_is_no_permission(self) -> None:
        for mode in ({}, {'mode': None}, {'mode': ''}):
            self.check(['mode: fs', 'storage: swift', 'engine: tar'],
                       {'action': 'backup', **mode})

    def test_absent_action_is_a_backup(self) -> None:
        admin = capabilities.Capabilities(
            ('admin',), ('cindernative',), (), ())
        for action in ({}, {'action': None}, {'action': ''}):
            self.check([], {**VOLUME, **action})
            self.check(['action: backup'], {**VOLUME, **action}, admin)

    def test_exec_and_info_need_their_defaults_too(self) -> None:
        scripts = capabilities.Capabilities(('exec', 'info'), (), (), ())
        for action in ('exec', 'info'):
            self.check(['mode: fs', 'storage: swift', 'engine: tar'],
                       {'action': action}, scripts)
            self.check([f'action: {action}'],
                       {**VOLUME, 'action': action})

    def test_storage_and_engine_mean_nothing_cinder_native(self) -> None:
        self.check([], {**VOLUME, 'storage': 's3', 'engine': 'rsync',
                        'engine_name': 'nova'})

    def test_both_spellings_of_engine_count(self) -> None:
        tar = capabilities.Capabilities(
            ('backup',), ('fs',), ('local',), ('tar',))
        local = {'mode': 'fs', 'storage': 'local'}
        self.check(['engine: rsync'], {**local, 'engine': 'rsync'}, tar)
        self.check(['engine: rsync'], {**local, 'engine_name': 'rsync'}, tar)
        self.check(['engine: rsync'], {**local, 'engine': 'tar',
                                       'engine_name': 'rsync'}, tar)
        self.check(['engine: rsync'], {**local, 'engine': 'rsync',
                                       'engine_name': 'tar'}, tar)
        self.check(['engine: rsync'], {**local, 'engine': 'rsync',
                                       'engine_name': 'rsync'}, tar)
        self.check([], {**local, 'engine': 'tar', 'engine_name': ''}, tar)

    def test_wrong_types_are_never_supported(self) -> None:
        for wrong in (['fs'], {'fs': 1}, 0, 1, True, False, 1.5):
            for key in ('action', 'mode', 'storage', 'engine'):
                found = capabilities.unsupported(EVERYTHING, {key: wrong})
                self.assertEqual(1, len(found), f'{key}: {wrong!r}')
                self.assertTrue(found[0].startswith(f'{key}: not a string'))
        no_objects: tuple[Any, ...] = (None, [], 'mode', 7)
        for document in no_objects:
            self.check(['freezer_action: not an object'], document,
                       EVERYTHING)

    def test_another_spelling_of_a_key_hides_nothing(self) -> None:
        self.check(['action: exec'], {**VOLUME, 'Action': 'exec'})
        self.check(['mode: fs', 'storage: swift', 'engine: tar'],
                   {**VOLUME, 'MODE ': 'fs'})
        self.check(['engine: rsync'], {'engine-name': 'rsync'},
                   capabilities.Capabilities(
                       ('backup',), ('fs',), ('swift',), ('tar',)))

    def test_values_are_exact(self) -> None:
        self.check(['mode: CinderNative', 'storage: swift', 'engine: tar'],
                   {'mode': 'CinderNative'})
        self.check([r"mode: 'cindernative\n'", 'storage: swift',
                    'engine: tar'], {'mode': 'cindernative\n'})

    def test_long_values_are_cut(self) -> None:
        found = capabilities.unsupported(EVERYTHING, {'mode': 'x' * 10000})
        self.assertEqual(['mode: ' + 'x' * 61 + '...'], found)

    def test_a_volume_copied_through_the_host_is_mode_cinder(self) -> None:
        for key in ('cinder_vol_id', 'cinder_vol_name', 'cinderbrick_vol_id'):
            self.check(['mode: cinder', 'storage: swift', 'engine: tar'],
                       {**VOLUME, key: 'v'})
            self.check([], {**VOLUME, key: None})
            self.check([], {**VOLUME, key: False})

    def test_a_cinder_native_volume_is_not_files(self) -> None:
        files = capabilities.Capabilities(
            ('backup',), ('fs',), ('swift',), ('tar',))
        self.check([], {'mode': 'fs'}, files)
        self.check(['mode: cindernative'],
                   {'mode': 'fs', 'cindernative_vol_id': 'v'}, files)

    def test_restore_of_files_under_the_name_of_cinder_native(self) -> None:
        document = {'action': 'restore', 'mode': 'cindernative',
                    'restore_abs_path': '/etc'}
        self.check(['mode: fs', 'storage: swift', 'engine: tar'], document)
        self.check([], {**document, 'cindernative_vol_id': 'v'})
        self.check([], {'action': 'restore', 'mode': 'cindernative'})

    def test_several_volumes_are_not_files(self) -> None:
        self.check([], {'action': 'admin', 'mode': 'cindernative',
                        'remove_older_than': 30,
                        'cindernative_volumes': {'name': '*'}})
        self.check(['mode: cindernative'],
                   {'mode': 'fs', 'cindernative_volumes': {'name': '*'}},
                   capabilities.Capabilities(
                       ('backup',), ('fs',), ('swift',), ('tar',)))

    def test_nested_documents_cost_no_recursion(self) -> None:
        deep: list[Any] = []
        for _ in range(100000):
            deep = [deep]
        self.check(['engine: not a string (list)'] * 2,
                   {'engine': deep, 'engine_name': deep}, EVERYTHING)

    def test_vocabulary(self) -> None:
        self.assertEqual((5, 8, 6, 6), tuple(map(len, (
            EVERYTHING.actions, EVERYTHING.modes, EVERYTHING.storages,
            EVERYTHING.engines))))

    @hypothesis.given(documents)
    def test_nothing_supports_nothing(self, document: Any) -> None:
        nothing = capabilities.Capabilities((), (), (), ())
        found = capabilities.unsupported(nothing, document)
        kinds = {text.split(':')[0] for text in found}
        self.assertLessEqual({'action', 'mode'}, kinds)
        self.assertTrue('mode: cindernative' in found
                        or {'storage', 'engine'} <= kinds)

    @hypothesis.given(lists, documents)
    def test_supported_means_every_said_value_is_listed(
            self, supported: capabilities.Capabilities,
            document: Any) -> None:
        if capabilities.unsupported(supported, document):
            return
        for key, values in (('action', supported.actions),
                            ('Action', supported.actions),
                            ('mode', supported.modes),
                            ('MODE', supported.modes)):
            value = document.get(key)
            self.assertTrue(value is None or value == '' or value in values)
        if 'cindernative' not in (document.get('mode'),
                                  document.get('MODE')):
            self.assertTrue(supported.storages and supported.engines)

    @hypothesis.given(lists, lists, documents)
    def test_more_capabilities_never_refuse_more(
            self, one: capabilities.Capabilities,
            two: capabilities.Capabilities, document: Any) -> None:
        both = capabilities.Capabilities(
            one.actions + two.actions, one.modes + two.modes,
            one.storages + two.storages, one.engines + two.engines)
        self.assertLessEqual(
            set(capabilities.unsupported(both, document)),
            set(capabilities.unsupported(one, document)))
