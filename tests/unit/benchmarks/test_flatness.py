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
"""Whether a soak would see something that grows."""

from __future__ import annotations

import random

import testtools

from benchmarks.observation import flatness

ALLOWED = flatness.Allowed(part=0.03, least=2)


def series(*values: float) -> list[tuple[float, float]]:
    return [(10.0 * number, value) for number, value in enumerate(values)]


class FlatnessTests(testtools.TestCase):

    def judge(self, *values: float) -> flatness.Verdict:
        return flatness.judge(series(*values), ALLOWED)

    def test_what_grows_only_in_the_beginning_is_flat(self) -> None:
        verdict = self.judge(*range(50, 100), *[100] * 60)
        self.assertTrue(verdict.flat)
        self.assertEqual((50, 100, 100), (
            verdict.first, verdict.middle, verdict.most))

    def test_what_grows_all_the_time_is_not(self) -> None:
        # By a tenth in the whole, by half of it in the second half.
        verdict = self.judge(*(100 + number / 10 for number in range(101)))
        self.assertFalse(verdict.flat)
        self.assertAlmostEqual(5, verdict.growth, places=3)

    def test_what_is_small_may_grow_by_what_is_small(self) -> None:
        self.assertTrue(self.judge(*(number / 100
                                     for number in range(101))).flat)

    def test_noise_hides_no_slope(self) -> None:
        chance = random.Random(1)
        values = [100 + number / 10 + chance.uniform(-2, 2)
                  for number in range(180)]
        self.assertFalse(self.judge(*values).flat)

    def test_outliers_bend_nothing(self) -> None:
        values = [100.0] * 60
        values[-1] = values[-2] = 200
        self.assertTrue(self.judge(*values).flat)

    def test_what_shrinks_is_flat(self) -> None:
        self.assertTrue(self.judge(*range(100, 0, -1)).flat)

    def test_what_has_a_limit_may_grow_below_it(self) -> None:
        values = series(*range(50))
        for limit, flat in ((49, True), (48, False)):
            self.assertEqual(flat, flatness.judge(
                values, flatness.Allowed(0, 1, limit)).flat)

    def test_too_little_tells_nothing(self) -> None:
        self.assertRaises(ValueError, self.judge, 1, 2, 3)
