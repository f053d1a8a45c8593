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
"""Actions that were made for jobs go with them; others stay."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base


class ActionsOfJobsTests(base.ApiTestCase):
    """Invariants of the list of actions."""

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def listed(self) -> set[str]:
        return {action['action_id'] for action in self.call(
            base.MEMBER, 'GET', 'actions?limit=100', status=200)['actions']}

    def of(self, job_id: str) -> list[str]:
        return [entry['action_id']
                for entry in self.job(job_id)['job_actions']]

    def add(self) -> str:
        made: str = self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': base.BACKUP}, 201)['action_id']
        return made

    def delete(self, job_id: str) -> None:
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def entries(self, job_id: str, *entries: dict[str, Any]) -> None:
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'job_actions': list(entries)}, 200)

    def test_they_go_with_the_job(self) -> None:
        job_id, other = self.create_job(), self.create_job()
        [action_id] = self.of(job_id)
        self.delete(job_id)
        self.assertEqual(set(self.of(other)), self.listed())
        for method, path, body, status in (
                ('GET', f'actions/{action_id}', None, 404),
                ('PATCH', f'actions/{action_id}', {'max_retries': 1}, 404),
                ('DELETE', f'actions/{action_id}', None, 204)):
            self.call(base.MEMBER, method, path, body, status)

    def test_what_was_made_by_itself_stays(self) -> None:
        action_id = self.add()
        job_id = self.create_job(job_actions=[{'action_id': action_id}])
        self.delete(job_id)
        self.assertEqual({action_id}, self.listed())
        job_id = self.create_job()
        self.entries(job_id, {'action_id': action_id})
        self.assertEqual({action_id}, self.listed())
        self.delete(job_id)
        self.assertEqual({action_id}, self.listed())

    def test_what_another_job_has_stays_until_that_goes_too(self) -> None:
        first = self.create_job()
        [action_id] = self.of(first)
        second = self.create_job(job_actions=[{'action_id': action_id}] * 2)
        self.delete(first)
        self.assertEqual({action_id}, self.listed())
        self.assertEqual([action_id] * 2, self.of(second))
        self.delete(second)
        self.assertEqual(set(), self.listed())

    def test_what_a_job_gets_others_for_goes(self) -> None:
        job_id = self.create_job()
        [old] = self.of(job_id)
        self.entries(job_id, {'freezer_action': base.BACKUP},
                     {'action_id': old})
        new, again = self.of(job_id)
        self.assertEqual((old, {old, new}), (again, self.listed()))
        self.entries(job_id, {'action_id': new})
        self.assertEqual({new}, self.listed())
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 201)
        self.assertEqual(set(self.of(job_id)), self.listed())
        self.assertNotIn(new, self.listed())

    def test_a_job_can_be_made_again_of_what_was_shown(self) -> None:
        """As users do who keep the answer of job-get in a file."""
        job_id = self.create_job()
        shown = self.job(job_id)
        self.delete(job_id)
        kept = {key: shown[key] for key in (
            'client_id', 'description', 'job_actions')}
        again = self.call(base.MEMBER, 'POST', 'jobs', kept, 201)['job_id']
        self.assertEqual(shown['job_actions'],
                         self.job(again)['job_actions'])
        self.assertEqual(set(self.of(again)), self.listed())

    def test_an_id_alone_is_refused_with_advice(self) -> None:
        job_id = self.create_job()
        [action_id] = self.of(job_id)
        self.delete(job_id)
        for more in ({}, {'freezer_action': {
                **base.BACKUP, 'backup_name': 'another'}}):
            answer = self.call(base.MEMBER, 'POST', 'jobs', {
                'client_id': 'central', 'job_actions': [
                    {'action_id': action_id, **more}]}, 422)
            self.assertIn(f'Action id: {action_id} not found. It was made '
                          'for a job', answer['description'])
        self.assertEqual(set(), self.listed())
        answer = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central',
            'job_actions': [{'action_id': 'nope'}]}, 422)
        self.assertEqual('Action id: nope not found.', answer['description'])
        self.call(base.STRANGER, 'POST', 'jobs', {
            'client_id': 'central', 'job_actions': [
                {'action_id': action_id, 'freezer_action': base.BACKUP}]},
            422)

    def test_what_earlier_releases_made_stays(self) -> None:
        job_id = self.create_job()
        [action_id] = self.of(job_id)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Action).values(
                owned_by_job=None))
        self.delete(job_id)
        self.assertEqual({action_id}, self.listed())

    def test_a_refused_change_deletes_none(self) -> None:
        job_id = self.create_job()
        before = self.listed()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {'job_actions': [
            {'freezer_action': {**base.BACKUP, 'full_every': 0}}]}, 422)
        self.assertEqual((before, sorted(before)),
                         (self.listed(), self.of(job_id)))


class ActionsOfJobsTestsOnMySQL(base.MySQL, ActionsOfJobsTests):
    """The same on MariaDB."""


class ActionsOfJobsTestsOnPostgreSQL(base.PostgreSQL, ActionsOfJobsTests):
    """The same on PostgreSQL."""
