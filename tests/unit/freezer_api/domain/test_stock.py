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

"""What a stock scheduler writes back of a job."""

from __future__ import annotations

import itertools

import testtools

from freezer_api.domain import jobs
from freezer_api.domain import stock

_EVENTS = (None, '', 'start', 'stop', 'abort', 'remove')
_STATUSES = (None, '', 'scheduled', 'running', 'stop', 'completed', 'removed')
_ENDED = ('stop', 'completed', 'removed')


class TestRestarts(testtools.TestCase):

    def test_what_a_scheduler_writes_starts_nothing(self) -> None:
        """Its life of a job, as it stands in the scheduler's contract."""
        for event, status, then, what in (
                ('start', '', '', 'scheduled'), ('start', '', '', 'completed'),
                ('start', 'completed', '', 'scheduled'),
                ('', '', '', 'scheduled'), ('', 'scheduled', '', 'running'),
                ('', 'running', '', 'scheduled'),
                ('', 'running', '', 'completed'),
                ('stop', 'scheduled', '', 'stop'),
                ('stop', 'stop', '', 'stop'),
                ('stop', 'running', 'stop', 'completed'),
                ('abort', 'running', 'abort', 'running'),
                ('remove', 'scheduled', '', 'removed')):
            self.assertFalse(stock.restarts(
                jobs.Runtime(event=event, status=status),
                {'event': then, 'status': what}),
                f'{event} {status} {then} {what}')

    def test_what_has_ended_is_started_by_an_event_only(self) -> None:
        for was, status, event, then in itertools.product(
                _EVENTS, _STATUSES, _EVENTS, _STATUSES):
            said = {key: value for key, value in (
                ('event', event), ('status', then)) if value is not None}
            self.assertEqual(
                was != 'start' and (event == 'start' or (
                    status in _ENDED and then is not None
                    and then not in _ENDED)),
                stock.restarts(jobs.Runtime(event=was, status=status), said),
                f'{was} {status} {said}')
