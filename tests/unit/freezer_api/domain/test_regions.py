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

"""No endpoint is chosen by chance, and options are named that name none."""

from __future__ import annotations

import unittest

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import regions

NEEDED = ('backup', 'block-storage')
REGIONS = ('one', 'two', 'three')
INTERFACES = ('public', 'internal')

_ENDPOINTS = st.lists(st.builds(
    regions.Endpoint, st.sampled_from((*NEEDED, 'image')),
    st.sampled_from(INTERFACES), st.sampled_from((*REGIONS, None))),
    max_size=8)


def choice(region: str | None, interface: str = 'public') -> regions.Choice:
    return regions.Choice(region, '[a] region', interface, '[a] interface')


class RegionTests(unittest.TestCase):

    @hypothesis.given(_ENDPOINTS, st.sampled_from((*REGIONS, None)),
                      st.sampled_from(INTERFACES))
    def test_what_is_accepted_is_found_in_one_region(
            self, endpoints: list[regions.Endpoint], region: str | None,
            interface: str) -> None:
        found = regions.problems(endpoints, NEEDED, choice(region, interface))
        if found:
            for text in found:
                self.assertRegex(text, r'^\[a\] (region|interface): ')
            return
        for service in NEEDED:
            fits = [one for one in endpoints if one.service == service
                    and one.interface == interface
                    and region in (None, one.region)]
            self.assertLessEqual(
                len({one.region for one in fits if one.region}), 1)
            if any(one.service == service for one in endpoints):
                self.assertTrue(fits)

    def test_with_one_region_nothing_has_to_be_set(self) -> None:
        endpoints = [regions.Endpoint(service, 'public', 'one')
                     for service in NEEDED]
        self.assertEqual([], regions.problems(endpoints, NEEDED,
                                              choice(None)))

    def test_what_is_not_in_the_catalogue_is_no_matter_of_options(
            self) -> None:
        self.assertEqual([], regions.problems([], NEEDED, choice('one')))

    def test_what_there_is_is_named_in_bounds(self) -> None:
        endpoints = [regions.Endpoint('image', 'public', f'r{number:03}')
                     for number in range(500)]
        for region in (None, 'x'):
            [text] = regions.problems(endpoints, NEEDED, choice(region))
            self.assertIn('r000, r001', text)
            self.assertIn('and 480 more', text)

    def test_each_problem_names_its_option_and_the_cure(self) -> None:
        endpoints = [regions.Endpoint('backup', 'internal', 'one'),
                     regions.Endpoint('block-storage', 'public', 'two')]
        self.assertEqual([
            '[a] interface: the catalogue of Keystone has no public endpoint '
            'of type backup; it has internal',
            '[a] region: the catalogue of Keystone has no endpoint of type '
            'block-storage in region one; it has two'],
            regions.problems(endpoints, NEEDED, choice('one')))
