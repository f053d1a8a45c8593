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

"""A job is gone only if the API clearly says so."""

from __future__ import annotations

from collections.abc import Collection
import pathlib
from typing import Any

import requests
import requests_mock
import testtools

from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.keystone import sessions
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import directory
from freezer_scheduler.sources import other_jobs
from tests.unit.freezer_scheduler import fakes

URL = (f'{fakes.FREEZER}/v2/{fakes.SERVICE_PROJECT}/clients/central/runs/r1'
       '/jobs')


class Source:
    """The API, for a client that is registered already."""

    def __init__(self, api: freezer_client.Api) -> None:
        self._api = api
        self.asked: list[list[str]] = []

    def gone_jobs(self, run_id: str, fence: int,
                  job_ids: Collection[str]) -> frozenset[str]:
        self.asked.append(list(job_ids))
        return self._api.gone_jobs('central', run_id, fence, job_ids)


class TestOtherJobs(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.mocker = requests_mock.Mocker()
        self.mocker.start()
        self.addCleanup(self.mocker.stop)
        fakes.FakeCloud(self.mocker, fakes.FakeClock())
        self.source = Source(freezer_client.Api(
            sessions.Identity(fakes.settings()).service(), 'host:1:a',
            'public', None, None))

    def gone(self, *marks: str, status: int = 200,
             **answer: Any) -> list[str]:
        self.mocker.post(URL, status_code=status, json=answer)
        return sorted(other_jobs.gone(
            self.source.gone_jobs, 'r1', 7, frozenset(marks)))

    def test_what_is_asked_and_answered(self) -> None:
        self.assertEqual(['b'], self.gone(
            'b', 'a', run_id='r1', living=['a'], gone=['b']))
        request = self.mocker.last_request
        assert request is not None
        self.assertEqual(
            {'scheduler_id': 'host:1:a', 'fence': 7, 'job_ids': ['a', 'b']},
            request.json())

    def test_a_senseless_answer_makes_no_job_gone(self) -> None:
        """A job counts as living until the API has said that it is gone."""
        for answer in (
                {}, {'run_id': 'r1'}, {'run_id': 'r1', 'gone': ['a', 'b']},
                {'run_id': 'r2', 'living': [], 'gone': ['a', 'b']},
                {'run_id': 'r1', 'living': [], 'gone': ['a']},
                {'run_id': 'r1', 'living': ['a'], 'gone': ['a', 'b']},
                {'run_id': 'r1', 'living': [], 'gone': ['a', 'b', 'c']},
                {'run_id': 'r1', 'living': [], 'gone': ['a', 'a', 'b']},
                {'run_id': 'r1', 'living': {}, 'gone': ['a', 'b']},
                {'run_id': 'r1', 'living': [], 'gone': 'ab'},
                {'run_id': 'r1', 'living': None, 'gone': ['a', 'b']},
                {'run_id': 'r1', 'living': [['a']], 'gone': [['b']]}):
            self.assertEqual([], self.gone('a', 'b', **answer), str(answer))

    def test_an_error_or_a_lost_answer_makes_no_job_gone(self) -> None:
        for status in (400, 401, 403, 404, 405, 409, 429, 500, 503, 302):
            self.assertEqual([], self.gone(
                'a', status=status, title='no', run_id='r1', living=[],
                gone=['a'], code='run_fence_stale'))
        self.mocker.post(URL, exc=requests.exceptions.ReadTimeout)
        self.assertEqual(frozenset(), other_jobs.gone(
            self.source.gone_jobs, 'r1', 7, ['a']))

    def test_marks_that_are_no_ids_are_not_asked_about(self) -> None:
        self.assertEqual(['a'], self.gone(
            'a', '', 'x' * 37, 'a b', '../jobs', 'ä', 'a\n', run_id='r1',
            living=[], gone=['a']))
        self.assertEqual([['a']], self.source.asked)

    def test_many_marks_are_asked_about_in_batches(self) -> None:
        """... and only a bounded number of them."""
        def answer(request: Any, _context: Any) -> Any:
            return {'run_id': 'r1', 'living': [],
                    'gone': request.json()['job_ids']}

        self.mocker.post(URL, json=answer)
        marks = [f'{number:032x}' for number in range(730)]
        self.assertEqual(500, len(other_jobs.gone(
            self.source.gone_jobs, 'r1', 7, marks)))
        self.assertEqual([100] * 5, [
            len(batch) for batch in self.source.asked])

    def test_files_know_of_no_job_that_is_gone(self) -> None:
        """Other hosts may have other files."""
        source = directory.DirectorySource(
            pathlib.Path('nowhere'),
            run_table.RunTable(fakes.FakeClock(),
                               lambda: run_table.Limits(1, 1)),
            fakes.FakeClock())
        self.assertEqual(frozenset(), other_jobs.gone(
            source.gone_jobs, 'r1', 1, ['a']))
