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
from typing import Any

import testtools

from freezer_api.domain import job_state
from freezer_api.domain import legacy_scheduler

_EVENTS = (None, '', 'start', 'stop', 'abort', 'remove')
_STATUSES = (None, '', 'scheduled', 'running', 'stop', 'completed', 'removed')
_ENDED = ('stop', 'completed', 'removed')


class TestWithHidden(testtools.TestCase):

    stored = {'schedule_cron': '0 2 * * *', 'schedule_timezone': 'UTC',
              'schedule_end_date': '2028-01-01T00:00:00', 'event': ''}
    hidden = {'schedule_cron': '0 2 * * *', 'schedule_timezone': 'UTC'}

    def test_whose_document_it_is(self) -> None:
        """A blank field of the panel's form is a key that is left out."""
        bounds = {'schedule_start_date': '2027-01-01T00:00:00'}
        zone = {'schedule_timezone': 'UTC'}
        cases: list[tuple[dict[str, Any], dict[str, str] | None]] = [
            ({'description': 'd', '': {}}, self.hidden),
            ({'description': '', '': {}}, self.hidden),
            ({'description': 'd', '': bounds}, {**self.hidden, **bounds}),
            ({'description': 'd', '': {'schedule_interval': '1 days'}},
             {**zone, 'schedule_interval': '1 days'}),
            # No form of the panel sends these.
            ({'': {}}, None),
            ({'description': 'd', 'session_id': '', '': {}}, None),
            ({'description': 'd', 'job_actions': [], '': {}}, None),
            *(({'description': 'd', '': {key: blank}}, None)
              for key in ('schedule_interval', 'schedule_start_date',
                          'schedule_end_date') for blank in ('', None)),
            ({'description': 'd', '': {**bounds, 'schedule_end_date': ''}},
             None),
            ({'description': 'd', '': zone}, None),
            ({'description': 'd', '': {'event': ''}}, None)]
        for field, (sent, wanted) in itertools.product(
                ('job_schedule', 'schedule'), cases):
            document = {key or field: value for key, value in sent.items()}
            self.assertEqual(
                document if wanted is None else {**document, field: wanted},
                legacy_scheduler.with_hidden(document, field, self.stored),
                f'{document}')

    def test_what_has_no_schedule(self) -> None:
        documents: tuple[dict[str, Any], ...] = ({}, {'description': 'd'})
        for document in documents:
            self.assertEqual(document, legacy_scheduler.with_hidden(
                document, 'job_schedule', self.stored))


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
            self.assertFalse(legacy_scheduler.restarts(
                job_state.Runtime(event=event, status=status),
                {'event': then, 'status': what}),
                f'{event} {status} {then} {what}')

    def test_what_has_ended_is_started_by_an_event_only(self) -> None:
        for was, status, event, then in itertools.product(
                _EVENTS, _STATUSES, _EVENTS, _STATUSES):
            said = {key: value for key, value in (
                ('event', event), ('status', then)) if value is not None}
            self.assertEqual(
                was != 'start'
                and (event == 'start' or (status in _ENDED and then is not None
                                          and then not in _ENDED)),
                legacy_scheduler.restarts(
                    job_state.Runtime(event=was, status=status),
                    said), f'{was} {status} {said}')
