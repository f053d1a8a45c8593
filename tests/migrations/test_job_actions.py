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

"""What the conversion of ``jobs.job_actions`` keeps."""

from __future__ import annotations

import datetime
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
import testscenarios

from freezer_api.db.admin import upgrade
from freezer_api.db.migrations import job_entries
from freezer_api.db import models
from tests.migrations import base
from tests.migrations import documents


class TestJobEntries(testscenarios.WithScenarios, base.DatabaseTest):
    """No release that had the column could use PostgreSQL."""

    scenarios = base.ENGINES[:2]

    def setUp(self) -> None:
        super().setUp()
        self.begin_at('23c8ad2655a6')

    def links(self, job_id: str) -> list[tuple[int, models.Action]]:
        with orm.Session(self.engine, expire_on_commit=False) as session:
            return [(position, action) for position, action
                    in session.execute(
                        sa.select(models.JobAction.position, models.Action)
                        .join(models.Action, models.Action.id
                              == models.JobAction.action_id)
                        .where(models.JobAction.job_id == job_id)
                        .options(orm.undefer(models.Action.created_at))
                        .order_by(models.JobAction.position))]

    def convert(self, *entries: Any) -> list[tuple[int, models.Action]]:
        self.insert('jobs', documents.job(self, 'job', list(entries)))
        upgrade.sync(self.url)
        return self.links('job')

    def kept(self) -> dict[str, Any]:
        if 'kept_values' not in self.tables():
            return {}
        return {row_id: json.loads(bytes(value)) for row_id, value
                in self.rows('SELECT row_id, value FROM kept_values')}

    def test_an_equal_entry_is_a_link(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', documents.DEFINITION))
        # Horizon sends nulls back, which say nothing.
        entry = {**documents.ENTRY, 'freezer_action': {
            **documents.DEFINITION, 'container': None, 'x': None}}
        ((position, action),) = self.convert(entry)
        self.assertEqual((0, 'action-1'), (position, action.id))
        self.assertEqual({}, self.kept())

    def test_absent_retries_keep_their_meaning(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', documents.DEFINITION, max_retries=5,
            max_retries_interval=6))
        ((_, action),) = self.convert({
            'action_id': 'action-1', 'freezer_action': documents.DEFINITION})
        self.assertNotEqual('action-1', action.id)
        self.assertEqual((0, 60),
                         (action.max_retries, action.max_retries_interval))
        self.assertEqual(documents.DEFINITION, action.backup_metadata)

    def test_a_changed_action_does_not_change_the_job(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', {**documents.DEFINITION, 'backup_name': 'n2'}))
        ((_, action),) = self.convert(documents.ENTRY)
        self.assertNotEqual('action-1', action.id)
        self.assertEqual('n1', action.backup_name)
        self.assertEqual((2, 7, False), (
            action.max_retries, action.max_retries_interval,
            action.mandatory))
        self.assertEqual(documents.PROJECT, action.project_id)

    def test_types_are_told_apart(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', {**documents.DEFINITION, 'x': 1}))
        ((_, action),) = self.convert({
            **documents.ENTRY,
            'freezer_action': {**documents.DEFINITION, 'x': True}})
        self.assertNotEqual('action-1', action.id)
        self.assertEqual(True, (action.backup_metadata or {})['x'])

    def test_a_deleted_action_is_not_lost_to_the_job(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', documents.DEFINITION, deleted=True))
        ((_, action),) = self.convert(documents.ENTRY)
        self.assertNotEqual('action-1', action.id)
        self.assertIs(False, action.deleted)

    def test_an_action_of_another_project_is_not_shared(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', documents.DEFINITION, project_id='b' * 32))
        ((_, action),) = self.convert(documents.ENTRY)
        self.assertNotEqual('action-1', action.id)
        self.assertEqual(documents.PROJECT, action.project_id)

    def test_an_unknown_action_is_made_under_its_id(self) -> None:
        ((_, action),) = self.convert({
            **documents.ENTRY, 'mandatory': True})
        self.assertEqual('action-1', action.id)
        self.assertIs(True, action.mandatory)
        self.assertEqual('cindernative', action.actionmode)
        self.assertEqual(datetime.datetime.fromisoformat(
            '2025-01-02 03:04:05'), action.created_at)
        self.assertEqual({}, self.kept())

    def test_an_id_that_differs_by_case_is_taken(self) -> None:
        self.insert('actions', documents.action(
            self, 'ACTION-1', {'action': 'info'}))
        ((_, action),) = self.convert(documents.ENTRY)
        self.assertEqual('backup', action.action)

    def test_one_id_in_two_definitions(self) -> None:
        (_, first), (_, second) = self.convert(
            documents.ENTRY,
            {**documents.ENTRY, 'freezer_action': {'action': 'info'}})
        self.assertEqual('action-1', first.id)
        self.assertEqual('info', second.action)

    def test_what_is_no_row_leaves_a_gap_and_is_kept(self) -> None:
        entries = [
            'text', {'freezer_action': {'mode': 'fs'}},
            {'freezer_action': 'backup'}, {'action_id': 'gone'},
            documents.ENTRY]
        ((position, action),) = self.convert(*entries)
        self.assertEqual((4, 'action-1'), (position, action.id))
        self.assertEqual({'job': entries}, self.kept())

    def test_values_that_do_not_fit_stay_in_the_document(self) -> None:
        definition = {'action': 'backup', 'timeout': 'abc', 'mode': 5,
                      'container': 'x' * 256, 'priority': 2 ** 40}
        entry = {'freezer_action': definition, 'max_retries': 'many',
                 'action_id': 'x' * 40, 'mandatory': 'yes',
                 'user_id': 'u' * 65}
        ((_, action),) = self.convert(entry)
        self.assertEqual(
            (None, None, None, None),
            (action.timeout, action.actionmode, action.container,
             action.priority))
        self.assertEqual(definition, action.backup_metadata)
        self.assertEqual(documents.USER, action.user_id)
        self.assertEqual({'job': [entry]}, self.kept())

    def test_texts_where_schedulers_looked_for_truth(self) -> None:
        """They count as they did, and are reported."""
        for beside, inside, expected, reason in (
                ('yes', None, True, 'mandatory is not a boolean'),
                ('', None, False, 'mandatory is not a boolean'),
                (None, 'yes', False,
                 'mandatory of a freezer_action is not a boolean'),
                (False, True, False, None), (None, True, True, None)):
            definition = {'action': 'info', 'mandatory': inside}
            found = job_entries.parse(json.dumps(
                [{'freezer_action': definition, 'mandatory': beside}]))
            [entry] = found.entries
            self.assertIs(expected, entry.mandatory)
            self.assertEqual([] if reason is None else [reason],
                             found.reasons)

    def test_users_of_entries_are_kept_aside(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', documents.DEFINITION))
        entries = [{**documents.ENTRY, 'user_id': 'another'}]
        ((_, action),) = self.convert(*entries)
        self.assertEqual('action-1', action.id)
        self.assertEqual({'job': entries}, self.kept())

    def test_cells_that_are_no_list(self) -> None:
        texts = {
            'repr': "[{'action_id': 'a'}]",
            'object': '{"freezer_action": {"action": "backup"}}',
            'cut': '[{"freezer_action": {"action": "ba',
            'deep': '[' * 5000,
            'empty': '', 'text': '""', 'null': 'null', 'list': '[]',
        }
        for job_id, text in texts.items():
            self.insert('jobs', documents.job(
                self, job_id, None, job_actions=text))
        self.insert('jobs', documents.job(
            self, 'sql-null', None, job_actions=None))
        upgrade.sync(self.url)
        self.assertEqual(
            {name: texts[name] for name in ('repr', 'object', 'cut',
                                            'deep')},
            {row_id: bytes(value).decode() for row_id, value in self.rows(
                'SELECT row_id, value FROM kept_values')})
        self.assertEqual([], self.rows('SELECT * FROM job_actions'))

    def test_actions_of_a_deleted_job_are_not_shown(self) -> None:
        self.insert('jobs', documents.job(
            self, 'job', [documents.ENTRY], deleted=True))
        upgrade.sync(self.url)
        ((_, action),) = self.links('job')
        self.assertIs(True, action.deleted)

    def test_more_jobs_than_a_batch(self) -> None:
        self.insert('actions', documents.action(
            self, 'action-1', documents.DEFINITION))
        self.insert('jobs', *(documents.job(
            self, f'{number:04}', [documents.ENTRY, {
                'freezer_action': {'action': 'exec', 'command': str(number)}
            }]) for number in range(1203)))
        upgrade.sync(self.url)
        found = documents.contents(self.engine)
        self.assertEqual(2406, len(found['links']))
        self.assertEqual(
            [str(number) for number in range(1203)],
            [link[7]['command'] for link in found['links'] if link[1] == 1])
        self.assertEqual({'schedule_interval': '5 days'},
                         found['jobs'][-1][2])
