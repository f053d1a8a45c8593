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

from __future__ import annotations

import itertools
import unittest

from benchmarks.environment import keystone
from benchmarks.stages.hostile_tenant import attack
from benchmarks.stages.hostile_tenant import neighbours

CALLER = keystone.User('project', 'token')


def requests(seed: int, count: int) -> list[tuple[str, bytes]]:
    return [(name, request.encoded()) for name, request in itertools.islice(
        attack.HostileTenant(CALLER, 'central', seed).requests(), count)]


class TestHostileTenant(unittest.TestCase):

    def test_a_seed_names_all_requests(self) -> None:
        self.assertEqual(requests(1, 200), requests(1, 200))
        self.assertNotEqual(requests(1, 200), requests(2, 200))

    def test_every_kind_is_sent_and_only_to_the_own_project(self) -> None:
        made = requests(1, 1000)

        self.assertEqual(13, len({name for name, _ in made}))
        for _, message in made:
            self.assertEqual(b'/v2/project/', message.split()[1][:12])


class TestDelays(unittest.TestCase):

    def job(self, volume: str, first: int) -> neighbours.Job:
        return neighbours.Job(CALLER, f'job-{volume}', volume, first)

    def test_each_firing_counts_once(self) -> None:
        late, missing = neighbours.delays(
            [self.job('v', 100)], {'v': [102.5, 161.0, 223.0]}, 221)

        self.assertEqual([1.0, 2.5, 3.0], late)
        self.assertEqual(0, missing)

    def test_a_firing_without_a_start_is_missing(self) -> None:
        late, missing = neighbours.delays(
            [self.job('v', 100), self.job('w', 130)],
            {'v': [100.0, 220.5]}, 221)

        self.assertEqual([0.0, 0.5], late)
        self.assertEqual(3, missing)
