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

"""Jobs over HTTP: shapes, changes, isolation."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import job_actions
from freezer_api.db import jobs
from freezer_api.db import search_index
from freezer_api.services import job_views
from tests.functional import base


class JobTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'own', 'claims': True}, 201)
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'stock', 'hostname': 'stock'}, 201)

    def test_shape(self) -> None:
        job_id = self.create_job(client='own', description='d')
        self.assertEqual(32, len(job_id))
        shown = self.job(job_id)
        [entry] = shown.pop('job_actions')
        self.assertEqual({
            'job_id': job_id, 'project_id': 'p1', 'user_id': 'alice',
            'client_id': 'own', 'session_id': '', 'session_tag': 0,
            'description': 'd', 'next_run_at': '2027-01-16T08:00:00Z',
            'job_schedule': {
                'schedule_interval': '1 days', 'time_created': base.T0,
                'time_started': -1, 'time_ended': -1}}, shown)
        self.assertEqual({
            'project_id': 'p1', 'user_id': 'alice', 'max_retries': 5,
            'max_retries_interval': 6, 'mandatory': False,
            'action_id': entry['action_id'],
            'freezer_action': {
                **base.BACKUP, 'container': None, 'timeout': None,
                'priority': None, 'path_to_backup': None,
                'log_file': None}}, entry)
        self.assertEqual(
            {'jobs': [{**shown, 'job_actions': [entry]}]},
            self.call(base.MEMBER, 'GET', 'jobs', status=200))

    def test_a_new_job_looks_untouched_and_then_scheduled(self) -> None:
        job_id = self.create_job()
        self.clock.now += 5
        self.assertNotIn('status', self.job(job_id)['job_schedule'])
        self.clock.now += 1
        self.assertEqual('scheduled',
                         self.job(job_id)['job_schedule']['status'])

    def test_all_projects(self) -> None:
        mine = self.create_job()
        self.clock.now += 1
        theirs = self.create_job(persona=base.STRANGER)

        def listed(persona: base.Persona, query: str) -> list[str]:
            found = self.call(persona, 'GET', f'jobs{query}', status=200)
            return [job['job_id'] for job in found['jobs']]

        for persona in (base.SERVICE, base.ADMIN):
            for value in ('True', 'true'):
                self.assertEqual({mine, theirs}, set(listed(
                    persona, f'?all_projects={value}')))
            # Upstream shows every project's whatever is asked for.
            self.assertEqual([], listed(persona, ''))
            self.assertEqual([], listed(persona, '?all_projects=False'))
        for persona in (base.MEMBER, base.READER):
            self.assertEqual([mine], listed(persona, ''))
            self.assertEqual([mine], listed(persona, '?all_projects=False'))
            self.call(persona, 'GET', 'jobs?all_projects=True', status=403)
        answer = self.call(
            base.SERVICE, 'GET', 'jobs?all_projects=maybe', status=400)
        self.assertIn('"all_projects"', answer['description'])

    def test_a_project_reaches_its_own_only(self) -> None:
        """Invariant 7, by every verb."""
        job_id = self.create_job()
        action_id = self.job(job_id)['job_actions'][0]['action_id']
        self.call(base.STRANGER, 'GET', f'/v2/p1/jobs/{job_id}', status=403)
        self.call(base.STRANGER, 'GET', f'jobs/{job_id}', status=404)
        self.call(base.STRANGER, 'GET', f'jobs/{job_id}/runs', status=404)
        self.call(base.STRANGER, 'PATCH', f'jobs/{job_id}',
                  {'description': 'x'}, 404)
        self.call(base.STRANGER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 404)
        self.call(base.STRANGER, 'POST', f'jobs/{job_id}', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 409)
        self.call(base.STRANGER, 'DELETE', f'jobs/{job_id}', status=204)
        self.call(base.STRANGER, 'DELETE', f'actions/{action_id}',
                  status=204)
        self.call(base.STRANGER, 'PATCH', f'actions/{action_id}',
                  {'freezer_action': {'mode': 'fs'}}, 404)
        self.call(base.STRANGER, 'POST', 'jobs', {
            'client_id': 'central',
            'job_actions': [{'action_id': action_id}]}, 422)
        shown = self.job(job_id)
        self.assertEqual([action_id], [
            entry['action_id'] for entry in shown['job_actions']])
        self.assertEqual('', shown['description'])
        self.assertIn('next_run_at', shown)

    def test_patching_the_description_leaves_the_schedule(self) -> None:
        """Upstream erases it, and its scheduler's poll then dies."""
        job_id = self.create_job()
        before = self.job(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'description': 'new'}, 200)
        self.assertEqual({**before, 'description': 'new'},
                         self.job(job_id))

    def test_a_description_is_set_without_reading_the_job(self) -> None:
        """What others do to the job meanwhile is none of its business."""
        job_id = self.create_job()
        sent: list[str] = []

        def note(connection: Any, cursor: Any, statement: str,
                 parameters: Any, context: Any, many: bool) -> None:
            sent.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'description': 'new'}, 200)
        _, change = [one for one in sent if not one.startswith('BEGIN')]
        self.assertRegex(
            change,
            'UPDATE jobs SET description=[^=]*, updated_at=[^=]* WHERE')
        self.call(base.STRANGER, 'PATCH', f'jobs/{job_id}',
                  {'description': 'x'}, 404)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'description': None}, 200)
        self.assertEqual('', self.job(job_id)['description'])

    def test_an_empty_patch_changes_nothing(self) -> None:
        job_id = self.create_job()
        before = self.job(job_id)
        self.assertEqual(
            {'job_id': job_id, 'version': 0},
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {}, 200))
        self.assertEqual(before, self.job(job_id))

    def test_a_patch_cannot_move_a_job_to_another_project(self) -> None:
        job_id = self.create_job()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'project_id': 'p2', 'user_id': 'eve'}, 200)
        shown = self.job(job_id)
        self.assertEqual(('p1', 'alice'),
                         (shown['project_id'], shown['user_id']))

    def test_the_creator_stays_the_owner(self) -> None:
        job_id = self.create_job()
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}',
                  {'description': 'x'}, 200)
        self.start(job_id, base.MATE)
        self.report(self.one_run(), 'success')
        self.assertEqual('alice', self.job(job_id)['user_id'])

    def test_a_new_schedule_moves_the_next_run(self) -> None:
        job_id = self.create_job()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'job_schedule': {'schedule_hour': '3'}}, 200)
        shown = self.job(job_id)
        self.assertEqual('2027-01-16T03:00:00Z', shown['next_run_at'])
        self.assertNotIn('schedule_interval', shown['job_schedule'])
        self.assertEqual(base.T0, shown['job_schedule']['time_created'])

    def test_a_whole_document_can_be_sent_back(self) -> None:
        """As the panel does to edit and to clone a job."""
        job_id = self.create_job()
        document = self.job(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', document, 200)
        self.assertEqual(document, self.job(job_id))
        del document['job_id']
        clone = self.call(base.MEMBER, 'POST', 'jobs', document, 201)
        self.assertEqual(1, self.trusts.made)
        self.assertNotEqual(job_id, clone['job_id'])

    def test_a_stopped_job_stays_stopped_when_edited(self) -> None:
        job_id = self.create_job()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'job_schedule': {'schedule_interval': '1 hours'}}, 200)
        self.assertNotIn('next_run_at', self.job(job_id))

    def test_start_of_a_stopped_job_resumes_its_schedule(self) -> None:
        """As with 19.0.0. A second start runs the job."""
        for event in ('stop', 'abort'):
            job_id = self.create_job(schedule={
                'schedule_interval': '1 hours'})
            self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                      {event: None}, 202)
            self.start(job_id)
            self.assertEqual([], self.claim()['runs'])
            shown = self.job(job_id)
            self.assertEqual(
                ('', 'scheduled', '2027-01-15T09:00:00Z'),
                (shown['job_schedule']['event'],
                 shown['job_schedule']['status'], shown['next_run_at']))
            self.start(job_id)
            self.report(self.one_run(), 'success')
            self.assertEqual('2027-01-15T09:00:00Z',
                             self.job(job_id)['next_run_at'])

    def test_start_of_a_job_that_was_stopped_in_its_run(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)
        self.report(run, 'success')
        self.assertEqual('completed',
                         self.job(job_id)['job_schedule']['status'])
        self.start(job_id)
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('scheduled',
                         self.job(job_id)['job_schedule']['status'])

    def test_start_of_a_job_with_nothing_ahead_runs_it(self) -> None:
        for schedule in ({}, {'schedule_date': '2020-01-01T00:00:00'}):
            job_id = self.create_job(schedule=schedule)
            for event in (None, 'stop'):
                if event:
                    self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                              {event: None}, 202)
                self.start(job_id)
                run = self.one_run()
                self.assertEqual(job_id, run['job_id'])
                self.report(run, 'success')
                self.clock.now += 1

    def test_replace(self) -> None:
        job_id = self.create_job(description='old')
        self.call(base.MATE, 'POST', f'jobs/{job_id}', {
            'client_id': 'own', 'job_schedule': {'schedule_hour': '4'},
            'job_actions': [{'freezer_action': base.BACKUP}]}, 201)
        shown = self.job(job_id)
        self.assertEqual(('own', '', 'alice', '2027-01-16T04:00:00Z'), (
            shown['client_id'], shown['description'], shown['user_id'],
            shown['next_run_at']))

    def test_ids_are_never_used_again(self) -> None:
        job_id = self.create_job(job_id='mine')
        self.assertEqual('mine', job_id)
        document = {'client_id': 'own', 'job_id': 'mine', 'job_actions': [
            {'freezer_action': base.BACKUP}]}
        self.call(base.MEMBER, 'POST', 'jobs', document, 409)
        self.call(base.MEMBER, 'DELETE', 'jobs/mine', status=204)
        self.call(base.MEMBER, 'GET', 'jobs/mine', status=404)
        self.call(base.MEMBER, 'DELETE', 'jobs/mine', status=204)
        self.call(base.MEMBER, 'POST', 'jobs', document, 409)

    def test_actions_of_a_job(self) -> None:
        action_id = self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': base.BACKUP, 'max_retries': 2}, 201)[
                'action_id']
        job_id = self.create_job(action=base.BACKUP)
        entries: list[dict[str, Any]] = [
            {'action_id': action_id},
            {'action_id': action_id,
             'freezer_action': {**base.BACKUP, 'container': None}},
            {'freezer_action': base.BACKUP, 'mandatory': True,
             'max_retries': 0}]
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'job_actions': entries}, 200)
        shown = self.job(job_id)['job_actions']
        self.assertEqual([action_id, action_id],
                         [entry['action_id'] for entry in shown[:2]])
        self.assertEqual([2, 2, 0],
                         [entry['max_retries'] for entry in shown])
        self.assertEqual([False, False, True],
                         [entry['mandatory'] for entry in shown])
        answer = self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_actions': [{'action_id': action_id, 'freezer_action': {
                **base.BACKUP, 'backup_name': 'other'}}]}, 422)
        self.assertIn('different definition', answer['description'])
        self.assertEqual(shown, self.job(job_id)['job_actions'])

    def test_action_defaults(self) -> None:
        job_id = self.create_job(
            action={'action': 'backup', 'container': None},
            action_defaults={'mode': 'cindernative', 'container': 'c',
                             'cindernative_vol_id': base.VOLUME})
        shown = self.job(job_id)['job_actions'][0]['freezer_action']
        self.assertEqual(('cindernative', 'c', base.VOLUME), (
            shown['mode'], shown['container'], shown['cindernative_vol_id']))

    def test_pages_are_stable_and_bounded(self) -> None:
        ids = {self.create_job(client='own') for _ in range(25)}
        seen: list[str] = []
        for offset in range(0, 30, 10):
            page = self.call(base.MEMBER, 'GET',
                             f'jobs/?limit=10&offset={offset}', status=200)
            seen += [job['job_id'] for job in page['jobs']]
        self.assertEqual(25, len(seen))
        self.assertEqual(ids, set(seen))
        for query in ('limit=-1', 'offset=-1', 'limit=abc', 'offset=1.5',
                      'limit=99999999999'):
            answer = self.call(
                base.MEMBER, 'GET', f'jobs?{query}', status=400)
            self.assertIn(query.split('=')[0], answer['description'])
        self.assertEqual(10, len(self.call(
            base.MEMBER, 'GET', 'jobs?limit=0', status=200)['jobs']))

    def _jobs_with_actions(self) -> dict[str, list[str]]:
        """Jobs of the same second with several actions each, or none."""
        made = {}
        for number in range(7):
            names = [f'{number}-{place}' for place in range(number % 3)]
            entries = [{'freezer_action': {**base.BACKUP, 'backup_name': name}}
                       for name in names]
            job_id = self.create_job(client='own')
            if entries:
                self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                          {'job_actions': entries}, 200)
            else:
                self._take_actions(job_id)
            made[job_id] = names
        return made

    def _take_actions(self, job_id: str) -> None:
        """Leave a job without actions, as earlier releases do."""

        def work(session: orm.Session) -> None:
            job = jobs.find(session, 'p1', job_id, lock=True)
            assert job is not None
            job_actions.unlink(session, job, base.T0)
            search_index.set_actions(session, job, [])

        self.database.write(work)

    def test_a_page_shows_each_jobs_own_actions(self) -> None:
        made = self._jobs_with_actions()
        for many in (job_views._AT_A_TIME, 3):
            with mock.patch.object(job_views, '_AT_A_TIME', many):
                page = self.call(base.MEMBER, 'GET', 'jobs', status=200)
            self.assertEqual(made, {
                job['job_id']: [entry['freezer_action']['backup_name']
                                for entry in job['job_actions']]
                for job in page['jobs']})

    def test_a_page_that_is_given_up_leaves_nothing_behind(self) -> None:
        made = self._jobs_with_actions()
        with self.database.read() as session:
            next(actions.by_job(session, made.keys()))
        page = self.call(base.MEMBER, 'GET', 'jobs', status=200)
        self.assertEqual(made.keys(), {job['job_id'] for job in page['jobs']})

    def test_events_are_answered_as_stock_clients_know(self) -> None:
        job_id = self.create_job(client='stock')
        # Only what runs can be aborted.
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {'job_schedule': {
            'status': 'running', 'current_pid': 77}}, 200)
        for event in ('abort', 'start', 'stop'):
            for result in ('success', f'{event} already requested'):
                self.assertEqual({'result': result}, self.call(
                    base.MEMBER, 'POST', f'jobs/{job_id}/event',
                    {event: None}, 202))
            self.assertEqual(
                event, self.job(job_id)['job_schedule']['event'])
        bodies: tuple[Any, ...] = (
            {}, {'zzz': None}, [], None, 'start')
        for body in bodies:
            self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event', body, 400)
        self.call(base.MEMBER, 'POST', 'jobs/nope/event',
                  {'start': None}, 404)
        self.call(base.READER, 'POST', f'jobs/{job_id}/event',
                  {'start': None}, 403)

    def test_a_stock_schedulers_patch_is_kept(self) -> None:
        job_id = self.create_job(client='stock')
        self.start(job_id)
        written = {**self.job(job_id)['job_schedule'], 'event': '',
                   'status': 'running', 'result': '', 'time_started': 5,
                   'current_pid': 77}
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': written, 'session_id': '', 'session_tag': 0},
            200)
        self.assertEqual(written, self.job(job_id)['job_schedule'])
        self.assertNotIn('next_run_at', self.job(job_id))

    def test_what_looks_like_one_is_a_users_where_runs_are_claimed(
            self) -> None:
        job_id = self.create_job(client='own')
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {
                'schedule_interval': '2 days', 'time_created': base.T0,
                'event': '', 'status': 'scheduled'},
            'session_id': '', 'session_tag': 0}, 200)
        shown = self.job(job_id)
        self.assertEqual('2 days',
                         shown['job_schedule']['schedule_interval'])
        self.assertEqual('2027-01-17T08:00:00Z', shown['next_run_at'])

    def test_who_sees_the_process_of_a_job(self) -> None:
        """Its number is that of a process on the host of the client."""
        self.register_central('polls', claims=False)
        ids = {client: self.create_job(client=client)
               for client in ('polls', 'stock')}
        for job_id in ids.values():
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                'job_schedule': {'status': 'running', 'current_pid': 77}},
                200)

        def seen(persona: base.Persona) -> set[str]:
            """Of which clients' jobs it is seen, however it is asked for."""
            def ask(path: str, search: Any = None) -> Any:
                return self.call(
                    persona, 'GET', f'/v2/p1/{path}', search, 200)

            alone, listed = ({
                job['client_id'] for job in jobs
                if 'current_pid' in job['job_schedule']} for jobs in (
                    [ask(f'jobs/{job_id}') for job_id in ids.values()],
                    ask('jobs')['jobs']))
            self.assertEqual(alone, listed)
            self.assertEqual(alone, {job['client_id'] for job in ask(
                'jobs', {'match': [{'current_pid': 77}]})['jobs']})
            return alone

        for persona in (base.MEMBER, base.READER):
            self.assertEqual({'stock'}, seen(persona))
        self.assertEqual({'polls', 'stock'}, seen(base.ADMIN))
        self.call(base.MEMBER, 'DELETE', 'clients/stock', status=204)
        self.assertEqual(set(), seen(base.MEMBER))

    def test_bad_documents_change_nothing(self) -> None:
        good: dict[str, Any] = {
            'client_id': 'own',
            'job_actions': [{'freezer_action': base.BACKUP}]}
        cases: tuple[tuple[str, Any], ...] = (
            ('client_id', 'bad id!'), ('client_id', None),
            ('job_actions', None), ('job_actions', {}),
            ('job_actions', 'x'), ('job_actions', [1]),
            ('description', 'x' * 256), ('description', 'a\0b'),
            ('job_schedule', {'schedule_interval': 'every day'}),
            ('job_schedule', {'bogus': 1}), ('job_schedule', []),
            ('job_schedule', {'schedule_date': '2026-13-45T00:00:00'}),
            ('session_tag', 'x'), ('session_tag', 2 ** 40),
            ('job_id', 'a/b'), ('job_id', 'x' * 37), ('bogus', 1))
        for name, value in cases:
            answer = self.call(base.MEMBER, 'POST', 'jobs',
                               {**good, name: value}, 400)
            self.assertIn(name, answer['description'], (name, value))
        bodies: tuple[Any, ...] = (None, [], 'x', 7)
        for body in bodies:
            self.call(base.MEMBER, 'POST', 'jobs', body, 400)
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs'])
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'actions', status=200)['actions'])

    def test_an_unknown_client_is_named(self) -> None:
        answer = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'unknown',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 422)
        self.assertEqual(
            ('client_not_registered', 'Client not found with ID unknown'),
            (answer['code'], answer['description']))


class ScheduleTests(base.ApiTestCase):

    def test_a_schedule_alone_is_changed_as_beside_others(self) -> None:
        """There is a shorter way for it, to the same end."""

        def event(name: str) -> Callable[[str], Any]:
            return lambda job_id: self.call(
                base.MEMBER, 'POST', f'jobs/{job_id}/event', {name: None}, 202)

        def runs(job_id: str) -> None:
            self.start(job_id)
            self.one_run()

        def ran(job_id: str, state: str = 'success') -> None:
            self.start(job_id)
            self.report(self.one_run(), state)

        def waits(job_id: str) -> None:
            self.clock.now += 3 * 86_400

        def is_left_behind(job_id: str) -> None:
            runs(job_id)
            self.register_central('other')
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                      {'client_id': 'other'}, 200)
            self.clock.now += 3600

        def is_anothers(job_id: str) -> None:
            self.call(base.MATE, 'PATCH', f'jobs/{job_id}',
                      {'client_id': 'central'}, 200)

        for prepare in (
                lambda job_id: None, event('start'), event('stop'), runs, ran,
                lambda job_id: ran(job_id, 'fail'), waits, is_anothers,
                is_left_behind,
                lambda job_id: self.call(
                    base.MEMBER, 'PATCH', f'jobs/{job_id}',
                    {'user_credentials': {}}, 200)):
            for schedule in (
                    {}, {'schedule_interval': '2   hours', 'event': 'stop'},
                    {'schedule_hour': '3', 'schedule_end_date':
                     '2020-01-01T00:00:00'}):
                with self.subTest(prepare=prepare, schedule=schedule):
                    alone, beside = (
                        self._changed(prepare, schedule, others)
                        for others in ({}, {'session_tag': 0}))
                    self.assertEqual(beside, alone)

    def _changed(self, prepare: Callable[[str], Any], schedule: Any,
                 others: dict[str, Any]) -> Any:
        """Return what a new job is like once it has another schedule."""
        self.clock.now = base.T0
        self.register_central()
        job_id = self.create_job()
        prepare(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'job_schedule': schedule, **others}, 200)
        shown = self.job(job_id)
        del shown['job_id'], shown['job_actions'][0]['action_id']
        shown.pop('trust_id', None)
        shown.pop('user_credentials', None)
        with self.database.read() as session:
            job = jobs.find(session, 'p1', job_id)
            assert job is not None
            state = dataclasses.replace(
                jobs.runtime(job), run_id=job.run_id and 'one')
        told = [(run['state'], run['reason']) for run in self.runs(job_id)]
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        return shown, state, told


class DeployedRowTests(base.ApiTestCase):

    terms_follow = False

    def test_half_a_surrogate_pair_can_be_read(self) -> None:
        """No text of UTF-8 holds one, but JSON that upstream stored may."""
        self.register_central()
        job_id = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.text('UPDATE jobs SET schedule = :text'),
                               {'text': '{"odd": "\\ud800"}'})
        [listed] = self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs']
        self.assertEqual('\ud800', listed['job_schedule']['odd'])
        self.assertEqual(listed, self.job(job_id))


class JobTestsOnMySQL(base.MySQL, JobTests):
    pass


class JobTestsOnPostgreSQL(base.PostgreSQL, JobTests):
    pass
