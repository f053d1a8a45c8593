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

"""A job is read, or refused with a reason; it never does harm."""

from __future__ import annotations

import datetime
import zoneinfo

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_scheduler.runs import job

KEYS = st.sampled_from(['job_actions', 'action_id', 'freezer_action',
                        'max_retries', 'max_retries_interval', 'mandatory'])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner)
    | st.dictionaries(KEYS | st.text(), inner), max_leaves=20)


def document(**keys):
    return {'job_actions': [
        {'action_id': 'a', 'freezer_action': {'x': 1}, **keys}]}


class TestJob(testtools.TestCase):

    @hypothesis.given(ANYTHING)
    def test_anything(self, value):
        try:
            actions = job.read_actions(value)
        except job.Unusable as unusable:
            self.assertTrue(str(unusable))
        else:
            self.assertTrue(actions)

    @hypothesis.given(ANYTHING)
    def test_any_actions(self, value):
        try:
            job.read_actions({'job_actions': [value]})
        except job.Unusable as unusable:
            self.assertTrue(str(unusable))

    @hypothesis.given(ANYTHING)
    def test_the_zone_of_anything_is_utc(self, value):
        for document in (value, {'job_schedule': value}, {
                'job_schedule': {'schedule_timezone': value}}):
            self.assertEqual(datetime.UTC, job.read_zone(document))

    def test_the_zone_of_the_schedule(self):
        self.assertEqual(
            zoneinfo.ZoneInfo('Europe/Berlin'), job.read_zone({
                'job_schedule': {'schedule_timezone': 'Europe/Berlin'}}))

    def test_null_and_absent_numbers_are_the_defaults(self):
        for keys in ({}, {'max_retries': None, 'max_retries_interval': None}):
            [action] = job.read_actions(document(**keys))
            self.assertEqual((0, 60, False), (
                action.retries.most, action.retries.interval,
                action.mandatory))

    def test_given_numbers(self):
        [action] = job.read_actions(document(
            max_retries=3, max_retries_interval=0, mandatory=True))
        self.assertEqual((3, 0, True), (
            action.retries.most, action.retries.interval, action.mandatory))

    def test_numbers_that_are_none(self):
        for key in ('max_retries', 'max_retries_interval'):
            for value in ('3', True, -1, 1.5, 10 ** 400, ['3']):
                with testtools.ExpectedException(job.Unusable, f'.*{key}.*'):
                    job.read_actions(document(**{key: value}))

    def test_numbers_that_the_api_takes(self):
        [action] = job.read_actions(document(
            max_retries=2 ** 31 - 1, max_retries_interval=2 ** 31 - 1))
        self.assertEqual(1000, action.retries.most)
        self.assertEqual(2 ** 31 - 1, action.retries.interval)
        with testtools.ExpectedException(job.Unusable, '.*max_retries.*'):
            job.read_actions(document(max_retries=2 ** 31))

    def test_as_many_actions_as_the_api_takes(self):
        one = document()['job_actions']
        self.assertEqual(256, len(job.read_actions(
            {'job_actions': one * 256})))
        with testtools.ExpectedException(job.Unusable, '.*257 actions.*'):
            job.read_actions({'job_actions': one * 257})
