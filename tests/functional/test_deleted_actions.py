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

"""Deleting an action: no job that goes on is left without any."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import dataclasses
import threading
from typing import Any
import unittest
from unittest import mock

from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.domain import job_state
from freezer_api.domain import trust_errors
from tests.functional import base

DAILY = {'schedule_interval': '1 days'}
LATER = {'schedule_date': '2099-01-01T00:00:00'}
PAST = {'schedule_date': '2001-01-01T00:00:00'}

Prepare = Callable[['DeletedActionsTests', str], Any]


def _run(test: DeletedActionsTests, job_id: str) -> dict[str, Any]:
    test.start(job_id)
    [run] = [run for run in test.claim(limit=100)['runs']
             if run['job_id'] == job_id]
    return dict(run)


def _complete(test: DeletedActionsTests, job_id: str) -> None:
    test.report(_run(test, job_id), 'success')


def _event(name: str) -> Prepare:
    return lambda test, job_id: test.call(
        base.MEMBER, 'POST', f'jobs/{job_id}/event', {name: None}, 202)


def _stop_running(test: DeletedActionsTests, job_id: str) -> None:
    _run(test, job_id)
    _event('stop')(test, job_id)


def _start_again(test: DeletedActionsTests, job_id: str) -> None:
    _event('stop')(test, job_id)
    test.start(job_id)


def _suspend(test: DeletedActionsTests, job_id: str) -> None:
    test.report(_run(test, job_id), 'fail',
                cause=trust_errors.Cause.GONE.value)


def _nothing(test: DeletedActionsTests, job_id: str) -> None:
    pass


# How jobs come to a state in which they go on, and to one in which not.
GOES_ON: dict[str, tuple[dict[str, Any], Prepare]] = {
    'fires daily': (DAILY, _nothing),
    'fires once, later': (LATER, _nothing),
    'without a schedule, due soon': ({}, _nothing),
    'continuous': ({'schedule_interval': 'continuous'}, _nothing),
    'started': (DAILY, lambda test, job_id: test.start(job_id)),
    'runs': ({}, _run),
    'runs and stops afterwards': (DAILY, _stop_running),
    'ran, fires again': (DAILY, _complete),
    'stopped, and started again': (DAILY, _start_again),
    'suspended': (DAILY, _suspend),
    'made with a start': ({'event': 'start'}, _nothing)}
AT_REST: dict[str, tuple[dict[str, Any], Prepare]] = {
    'stopped': (DAILY, _event('stop')),
    'made as stopped': ({**DAILY, 'status': 'stop'}, _nothing),
    'ran once': ({}, _complete),
    'never fires again': (PAST, _complete)}


class DeletedActionsTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def add(self, **more: Any) -> str:
        made: str = self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': {**base.BACKUP, **more}}, 201)['action_id']
        return made

    def made(self, schedule: dict[str, Any], prepare: Prepare,
             *action_ids: str) -> str:
        job_id = self.create_job(schedule=schedule, job_actions=[
            {'action_id': one} for one in action_ids])
        prepare(self, job_id)
        return job_id

    def delete(self, action_id: str, status: int) -> Any:
        return self.call(
            base.MEMBER, 'DELETE', f'actions/{action_id}', status=status)

    def has(self, job_id: str) -> list[str]:
        return [entry['action_id']
                for entry in self.job(job_id)['job_actions']]

    def waits_for_nothing(self, job_id: str) -> None:
        shown = self.job(job_id)
        self.assertNotIn('next_run_at', shown)
        self.assertIn(shown['job_schedule']['status'],
                      ('stop', 'completed'))

    def test_the_only_action_of_a_job_that_goes_on_stays(self) -> None:
        for name, (schedule, prepare) in GOES_ON.items():
            for times in (1, 3):
                with self.subTest(name, times=times):
                    action_id = self.add()
                    job_id = self.made(
                        schedule, prepare, *[action_id] * times)
                    before = self.job(job_id)
                    answer = self.delete(action_id, 409)
                    self.assertEqual('action_in_use', answer['code'])
                    self.assertIn(job_id, answer['description'])
                    self.assertEqual(before, self.job(job_id))
                    self.call(base.MEMBER, 'GET', f'actions/{action_id}',
                              status=200)
                    self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}',
                              status=204)
                    self.delete(action_id, 204)

    def test_a_job_at_rest_loses_it_and_stays_at_rest(self) -> None:
        for name, (schedule, prepare) in AT_REST.items():
            with self.subTest(name):
                action_id = self.add()
                job_id = self.made(schedule, prepare, action_id)
                self.waits_for_nothing(job_id)
                self.delete(action_id, 204)
                self.assertEqual([], self.has(job_id))
                for method, path, body in (
                        ('POST', f'jobs/{job_id}/event', {'start': None}),
                        ('PATCH', f'jobs/{job_id}', {
                            'job_schedule': {'schedule_interval': '2 days'}}),
                        ('PATCH', f'jobs/{job_id}', {'client_id': 'other'})):
                    self.register_central('other')
                    answer = self.call(base.MEMBER, method, path, body, 422)
                    self.assertIn('at least one action',
                                  answer['description'])
                self.waits_for_nothing(job_id)
                # It is of use again with another action.
                self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                    'job_actions': [{'action_id': self.add()}]}, 200)
                self.start(job_id)

    def test_a_job_with_another_action_loses_it(self) -> None:
        for name, (schedule, prepare) in {**GOES_ON, **AT_REST}.items():
            with self.subTest(name):
                action_id, other = self.add(), self.add()
                job_id = self.made(
                    schedule, prepare, action_id, other, action_id)
                self.delete(action_id, 204)
                self.assertEqual([other], self.has(job_id))
                if (schedule, prepare) in GOES_ON.values():
                    self.delete(other, 409)

    def test_each_kind_of_client(self) -> None:
        """Jobs of schedulers that poll are no different."""
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'h'}, 201)
        for schedule, status in (
                ({}, 409), (DAILY, 409),
                ({**DAILY, 'status': 'scheduled'}, 409),
                ({'status': 'completed', 'event': 'start'}, 409),
                ({'status': 'completed', 'event': ''}, 204),
                ({**DAILY, 'status': 'stop'}, 204)):
            with self.subTest(schedule):
                action_id = self.add()
                self.create_job(client='own', schedule=schedule, job_actions=[
                    {'action_id': action_id}])
                self.delete(action_id, status)

    def test_of_many_jobs_some_are_named(self) -> None:
        action_id, other = self.add(), self.add()
        jobs = {self.made(DAILY, _nothing, action_id) for _ in range(13)}
        kept = [self.made(DAILY, _nothing, action_id, other),
                self.made(DAILY, _event('stop'), action_id)]
        answer = self.delete(action_id, 409)
        self.assertEqual(10, sum(
            job_id in answer['description'] for job_id in jobs))
        self.assertIn(' and 3 more', answer['description'])
        for job_id in kept:
            self.assertNotIn(job_id, answer['description'])
            self.assertIn(action_id, self.has(job_id))

    def test_another_project_learns_nothing(self) -> None:
        action_id = self.add()
        self.made(DAILY, _nothing, action_id)
        self.call(base.STRANGER, 'DELETE', f'actions/{action_id}',
                  status=204)
        self.delete(action_id, 409)

    # At the same time.

    def test_a_job_that_gets_it_meanwhile(self) -> None:
        """At each point of the deletion where another can come between."""
        for name in ('find_to_change', 'jobs_with', 'without_others'):
            with self.subTest(name):
                self.assigned_during(name)

    def assigned_during(self, name: str) -> None:
        action_id, other = self.add(), self.add()
        job_id = self.made(DAILY, _nothing, other)
        begun = threading.Event()
        real = getattr(actions, name)

        def assign() -> int:
            begun.wait(30)
            return self.client.simulate_patch(
                f'/v2/p1/jobs/{job_id}',
                json={'job_actions': [{'action_id': action_id}]},
                extras=base.MEMBER.environ()).status_code

        def between(session: orm.Session, *args: Any, **kwargs: Any) -> Any:
            # The other has a moment to overtake, or to wait for us.
            begun.set()
            futures.wait([done], 1)
            return real(session, *args, **kwargs)

        with (futures.ThreadPoolExecutor(1) as threads,
              mock.patch.object(actions, name, side_effect=between,
                                autospec=True)):
            done: futures.Future[int] = threads.submit(assign)
            status = self.client.simulate_delete(
                f'/v2/p1/actions/{action_id}',
                extras=base.MEMBER.environ()).status_code
            assigned = done.result()
        self.assertIn((status, assigned), ((204, 422), (409, 200)))
        self.assertEqual(
            [other] if status == 204 else [action_id], self.has(job_id))

    def test_everything_at_once(self) -> None:
        """Many delete and assign; no job that goes on is left without."""
        ids = [self.add(backup_name=f'n{number}') for number in range(4)]
        jobs = [self.made(DAILY, _nothing, *ids) for _ in range(3)]
        requests = [('DELETE', f'actions/{one}', None) for one in ids] + [
            ('PATCH', f'jobs/{job_id}', {'job_actions': [{'action_id': one}]})
            for job_id, one in zip(jobs * 2, ids + ids[:2], strict=True)]

        def send(request: tuple[str, str, Any]) -> int:
            method, path, body = request
            return self.client.simulate_request(
                method, f'/v2/p1/{path}', json=body,
                extras=base.MEMBER.environ()).status_code

        with futures.ThreadPoolExecutor(len(requests)) as threads:
            statuses = list(threads.map(send, requests))
        self.assertLessEqual(set(statuses), {200, 204, 409, 422})
        for job_id in jobs:
            self.assertNotEqual([], self.has(job_id), statuses)
            self.assertIn('next_run_at', self.job(job_id))


class DeletedActionsTestsOnMySQL(base.MySQL, DeletedActionsTests):
    """The same on MariaDB."""


class DeletedActionsTestsOnPostgreSQL(base.PostgreSQL, DeletedActionsTests):
    """The same on PostgreSQL."""


class AtRestTests(unittest.TestCase):

    def test_what_will_run_is_not_at_rest(self) -> None:
        still = job_state.Runtime(status='completed')
        self.assertTrue(job_state.at_rest(still))
        for more in ({'next_run_at': 1}, {'run_id': 'r'}, {'event': 'start'},
                     {'status': 'scheduled'}, {'status': None},
                     {'status': 'running'}):
            with self.subTest(more):
                self.assertFalse(job_state.at_rest(
                    dataclasses.replace(still, **more)))
