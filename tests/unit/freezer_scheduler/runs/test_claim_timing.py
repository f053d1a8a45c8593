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

"""How late runs are, whatever the API sends."""

from __future__ import annotations

import datetime

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_scheduler.freezer import maintenance
from freezer_scheduler.runs import claim_timing

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(('nominal_at', 'fence', 'server_time', 'trust_gone')),
        inner, max_size=3), max_leaves=6)


def iso(epoch):
    return datetime.datetime.fromtimestamp(
        epoch, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


class TestLateness(testtools.TestCase):

    @hypothesis.given(
        st.integers(10**9, 2 * 10**9), st.none() | st.integers(0, 10**6),
        st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 3))),
        st.integers(0, 9))
    def test_it_is_told_by_the_clock_of_the_api(self, now, waits, runs,
                                                missed):
        read = claim_timing.ClaimTiming.from_document({
            'server_time': iso(now), 'missed': missed,
            'due_since': None if waits is None else iso(now - waits),
            'runs': [{'nominal_at': iso(now - late), 'fence': fence}
                     for late, fence in runs]})
        self.assertEqual(waits or 0, read.waiting)
        self.assertEqual(missed, read.missed)
        # A run that was taken over is not late again.
        self.assertEqual(tuple(late for late, fence in runs if fence == 1),
                         read.claimed)

    def test_an_older_api_says_nothing_of_what_waits(self):
        read = claim_timing.ClaimTiming.from_document(
            {'server_time': iso(10**9), 'runs': []})
        self.assertIsNone(read.waiting)

    def test_when_more_is_due(self):
        now = 10**9

        def due_in(**times):
            return claim_timing.ClaimTiming.from_document({
                'server_time': iso(now), 'runs': [], **{
                    name: time and iso(now + time)
                    for name, time in times.items()}}).due_in

        self.assertEqual((), due_in(due_since=None, next_due_at=None))
        self.assertEqual((70,), due_in(due_since=None, next_due_at=70))
        self.assertEqual((-3, 70), due_in(due_since=-3, next_due_at=70))
        # An older API does not tell.
        self.assertEqual((), due_in(due_since=-3))

    @hypothesis.given(st.dictionaries(st.sampled_from((
        'server_time', 'due_since', 'next_due_at', 'missed', 'runs',
        'trusts_pending', 'trusts_unproven', 'jobs_suspended_by_cause')),
        _JSON))
    def test_nonsense_is_not_known(self, document):
        read = claim_timing.ClaimTiming.from_document(document)
        self.assertGreaterEqual(min((0, *read.claimed)), 0)
        maintenance.Maintenance.from_document(document)
