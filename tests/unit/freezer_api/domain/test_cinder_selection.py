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


"""Which volumes a selection matches, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import fnmatch

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import cinder_keys
from freezer_api.domain import cinder_selection

SERVERS = tuple(f'{number}' * 8 + '-0000-4000-8000-' + '0' * 12
                for number in range(1, 4))
VOLUMES = tuple(f'a{number}' * 4 + '-0000-4000-8000-' + '0' * 12
                for number in range(1, 7))


@dataclasses.dataclass(frozen=True)
class Volume:
    id: str
    status: str = 'available'
    name: str = ''
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    volume_type: str | None = None
    is_bootable: bool = False
    server_ids: frozenset[str] = frozenset()


NAMES = st.sampled_from(('db-1', 'db-2', 'web', ''))
PATTERNS = st.sampled_from(('db-*', '*', 'web', '?', '[ab]*'))
PAIRS = st.dictionaries(st.sampled_from('ab'), st.sampled_from('xy'),
                        min_size=1)
PROJECTS = st.lists(st.builds(
    Volume, st.sampled_from(VOLUMES),
    st.sampled_from(('available', 'in-use', 'deleting')), NAMES,
    st.just({}) | PAIRS, st.sampled_from((None, 'fast', 'slow')),
    st.booleans(), st.frozensets(st.sampled_from(SERVERS), max_size=2)),
    unique_by=lambda volume: volume.id)
EXCEPTIONS = st.fixed_dictionaries({}, optional={
    'ids': st.lists(st.sampled_from(VOLUMES), min_size=1),
    'name': PATTERNS, 'metadata': PAIRS, 'type': st.sampled_from(('fast',
                                                                  's*')),
    'boot': st.booleans()}).filter(bool)
CONDITIONS = st.just({'all': True}) | st.fixed_dictionaries({}, optional={
    'server': st.sampled_from(SERVERS) | st.lists(
        st.sampled_from(SERVERS), min_size=1),
    'name': PATTERNS, 'metadata': PAIRS}).filter(bool)


def read(selection):
    return cinder_selection.read({
        'action': 'backup', 'mode': 'cindernative',
        'cindernative_volumes': selection})


def refused(selection):
    try:
        read(selection)
    except cinder_keys.Unusable as error:
        return str(error)
    return ''


def has(volume, pairs):
    return all(volume.metadata.get(key) == value
               for key, value in pairs.items())


class SelectionTests(testtools.TestCase):

    @hypothesis.given(PROJECTS, CONDITIONS, st.none() | EXCEPTIONS)
    def test_each_condition_must_be_met_and_any_exception_leaves_out(
            self, volumes, conditions, exceptions):
        servers = conditions.get('server', [])
        servers = [servers] if isinstance(servers, str) else servers
        left = exceptions or {}
        wanted = [
            volume.id for volume in volumes
            if volume.status != 'deleting'
            and ('server' not in conditions
                 or any(one in volume.server_ids for one in servers))
            and fnmatch.fnmatchcase(volume.name, conditions.get('name', '*'))
            and has(volume, conditions.get('metadata', {}))
            and volume.id not in left.get('ids', ())
            and not ('name' in left
                     and fnmatch.fnmatchcase(volume.name, left['name']))
            and not ('type' in left and fnmatch.fnmatchcase(
                volume.volume_type or '', left['type']))
            and not ('metadata' in left and has(volume, left['metadata']))
            and not (left.get('boot') and volume.is_bootable)]
        found = read({**conditions, 'except': exceptions}).among(
            iter(volumes))
        self.assertEqual(wanted, found.volume_ids)
        self.assertEqual(
            [one for one in dict.fromkeys(servers) if not any(
                one in volume.server_ids for volume in volumes
                if volume.status != 'deleting')],
            found.servers_without)

    def test_what_is_contradictory_or_misspelt_is_refused(self):
        for selection, said in (
                ({}, 'must have either ids, or all, or one or more of'),
                ({'except': {'boot': True}}, 'must have either ids'),
                ({'ids': [VOLUMES[0]], 'name': 'x'}, 'must have either'),
                ({'all': True, 'server': SERVERS[0]}, 'must have either'),
                ({'all': False}, '.all: must be true'),
                ({'all': 'true'}, '.all: must be true'),
                ({'ids': [VOLUMES[0]], 'except': {'boot': True}},
                 '.except: cannot be combined with ids'),
                ({'all': True, 'except': {}}, '.except: must have one'),
                ({'all': True, 'except': []}, '.except: must be an object'),
                ({'all': True, 'except': {'server': SERVERS[0]}},
                 '.except.server: unknown; it may have ids, name'),
                ({'all': True, 'except': {'types': 'fast'}},
                 '.except.types: unknown; did you mean type?'),
                ({'all': True, 'except': {'boot': 'yes'}},
                 '.except.boot: must be true or false'),
                ({'all': True, 'except': {'ids': ['v']}},
                 '.except.ids: number 1 is not an id'),
                ({'all': True, 'except': {'metadata': {'a': 1}}},
                 '.except.metadata: must be a text'),
                ({'all': True, 'except': {'name': ''}},
                 '.except.name: must be a text'),
                ({'server': 'web'}, '.server: number 1 is not an id'),
                ({'server': []}, '.server: must be a list of ids'),
                ({'server': {'id': 1}}, '.server: must be a list of ids'),
                ({'server': [f'{number:08}' + SERVERS[0][8:]
                             for number in range(51)]},
                 '.server: 51 servers; 50 is the most'),
                ({'servers': SERVERS[0]}, '.servers: unknown; did you mean '
                 'server?'),
                ({'name': '*', 'exept': {'boot': True}},
                 '.exept: unknown; did you mean except?')):
            self.assertIn(f'cindernative_volumes{said}' if said[0] == '.'
                          else f'cindernative_volumes: {said}',
                          refused(selection), str(selection))

    def test_ids_of_any_spelling_are_those_of_cinder(self):
        found = read({'server': SERVERS[0].replace('-', '').upper(),
                      'except': {'ids': [VOLUMES[0].replace('-', '')]}})
        self.assertEqual(SERVERS[:1], found.servers)
        self.assertEqual(VOLUMES[:1], found.exceptions.ids)
