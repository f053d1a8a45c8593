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

"""Searches for keys that are anywhere in a document, on each engine."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import concurrent.futures
import dataclasses
import itertools
import json
from typing import Any

import hypothesis
from hypothesis import strategies as st
import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base
from tests.functional import plain_search

# What a database could take for another, or for its own.
TEXTS = st.sampled_from((
    '', '1', '1.0', 'a', 'A', 'a ', 'b', '%', '_', 'a_', '100%', '*', "'", '"',
    '\\', '\\"', 'null', 'true', 'e\u0301', '\u00e9', '\u00df', 'ss',
    '\U0001f600', '\uffff', ' ', '\n', 'x' * 300, '-0.0'))
SCALARS = st.one_of(TEXTS, st.sampled_from((
    None, True, False, 0, 1, -1, 2, 0.0, -0.0, 1.0, -1.0, 0.1, 1e300, 5e-324,
    2 ** 53, 2.0 ** 53, 2 ** 63 - 1, -2 ** 63)))
KEYS = st.sampled_from((
    '', 'a', 'A', 'a ', 'b', '%', 'a_', "o'k", '"q"', '\\', '$.a', 'a.b',
    'e\u0301', '\u00e9', '\U0001f600', 'x' * 255, 'status', 'result',
    'event', 'job_id', 'client_id', 'description', 'time_started',
    'current_pid', 'trust_id', 'next_run_at', 'job_schedule',
    'freezer_action', 'project_id', 'status_reason', 'timeout', 'jobs'))
VALUES = st.recursive(SCALARS, lambda below: st.one_of(
    st.lists(below, max_size=3), st.dictionaries(KEYS, below, max_size=3)),
    max_leaves=8)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)
# Such keys an action has by rule.
NAMES = st.sampled_from(('a', 'A', 'b', 'status', 'result', 'trust_id',
                         'time_started', 'next_run_at', 'current_pid'))
CONTENTS = st.dictionaries(NAMES, st.one_of(
    st.sampled_from((None, True, 1, 1.0, -0.0, '1', 'a', 'A')),
    st.lists(VALUES, max_size=2), DOCUMENTS), max_size=4)
# What no document can hold, but a search can.
ODD = st.sampled_from((10 ** 40, 2 ** 63, -2 ** 63 - 1, '\0', '\ud800',
                       'a\0', {'\0': '\udfff'}, [10 ** 300], {}, []))
# The trust itself is secret: nobody finds a job by it.
SECRET = ('trust_id', 'user_credentials')


@dataclasses.dataclass
class Drawn:
    """What an example consists of, whatever was there before it."""

    numbers: list[int]
    documents: list[dict[str, Any]]
    contents: list[dict[str, Any]]
    values: list[Any]

    def __post_init__(self) -> None:
        self._numbers = itertools.cycle(self.numbers)
        self._documents = itertools.cycle(self.documents)
        self._contents = itertools.cycle(self.contents)
        self._values = itertools.cycle(self.values)

    def number(self, below: int) -> int:
        return next(self._numbers) % below

    def one_of(self, things: Sequence[Any]) -> Any:
        return things[self.number(len(things))]

    def document(self) -> dict[str, Any]:
        return dict(next(self._documents))

    def content(self) -> dict[str, Any]:
        return dict(next(self._contents))

    def value(self) -> Any:
        return next(self._values)


def some(what: st.SearchStrategy[Any], number: int) -> Any:
    return st.lists(what, min_size=number, max_size=number)


DRAWN = st.builds(
    Drawn, numbers=some(st.integers(0, 2 ** 16), 37),
    documents=some(DOCUMENTS, 4), contents=some(CONTENTS, 5),
    values=some(st.one_of(VALUES, ODD), 5))


class KeyTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'h', 'claims': False}, 201)

    def ask(self, noun: str, asked: Any, query: str = '?limit=1000',
            persona: base.Persona = base.MEMBER) -> list[dict[str, Any]]:
        # Not through call(), whose JSON is no ASCII: it takes half a
        # character for an error of the test's.
        result = self.client.simulate_get(
            f'/v2/{persona.project_id}/{noun}{query}', body=json.dumps(asked),
            extras=persona.environ())
        self.assertEqual(200, result.status_code, result.text)
        found: list[dict[str, Any]] = result.json[noun]
        return found

    def like_a_plain_reading(self, drawn: Drawn, noun: str,
                             searches: int) -> None:
        """Ask for what there is, for what is nearly there, and in pages."""
        everything = self.ask(noun, {})
        there = [pair for document in everything
                 for pair in plain_search.pairs(document)
                 if pair[0] not in SECRET]

        def pairs(number: int) -> dict[str, Any]:
            made = {}
            for _ in range(number if there else 0):
                key, value = drawn.one_of(there)
                made[key] = (
                    drawn.value() if drawn.number(3) == 0 else value)
            return made

        for _ in range(searches):
            asked: dict[str, Any] = {'match': [pairs(1)],
                                     'match_not': [pairs(drawn.number(3))]}
            if drawn.number(3) == 0:
                asked = {'match_not': asked['match']}
            wanted = plain_search.found(everything, asked)
            self.assertEqual(wanted, self.ask(noun, asked), asked)
            if asked.get('match') and asked['match_not'] == [{}]:
                text = json.dumps(asked['match'])
                self.assertEqual(
                    wanted, self.ask(noun, {'match': [{'_all': text}]}))
            if len(wanted) > 1:
                start = drawn.number(len(wanted))
                self.assertEqual(wanted[start:start + 2], self.ask(
                    noun, asked, f'?limit=2&offset={start}'))
                marker = wanted[start][self.id_of[noun]]
                self.assertEqual(wanted[start + 1:][:2], self.ask(
                    noun, asked, f'?limit=2&marker={marker}'))

    id_of = {'backups': 'backup_id', 'actions': 'action_id',
             'jobs': 'job_id', 'sessions': 'session_id'}

    def check(self, change: Callable[[Drawn], None], noun: str,
              examples: int = 6, searches: int = 8) -> None:
        """Change something, search, change something more, and so on."""

        @hypothesis.settings(
            max_examples=examples, deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(drawn=DRAWN)
        def run(drawn: Drawn) -> None:
            for _ in range(5):
                change(drawn)
            self.like_a_plain_reading(drawn, noun, searches)

        run()

    def test_backups(self) -> None:
        ids: list[str] = []

        def change(drawn: Drawn) -> None:
            what = drawn.number(4) if ids else 0
            content = drawn.document()
            content.pop('status', None)
            content.pop('job_id', None)
            if what < 2:
                ids.append(self.call(base.MEMBER, 'POST', 'backups', {
                    'backup_name': 'b', 'container': 'c', 'hostname': 'h',
                    **content}, 201)['backup_id'])
                return
            backup_id = drawn.one_of(ids)
            if what == 2:
                self.call(base.MEMBER, 'PATCH', f'backups/{backup_id}', {
                    'status': 'error', 'backup_metadata': content}, 200)
            else:
                ids.remove(backup_id)
                self.call(base.MEMBER, 'DELETE', f'backups/{backup_id}',
                          status=204)

        self.check(change, 'backups')

    def test_actions_and_jobs(self) -> None:
        """What is done to an action shows in all of its jobs."""
        actions: list[str] = []
        jobs: list[str] = []

        def action(drawn: Drawn) -> dict[str, Any]:
            return {**base.BACKUP, **drawn.content()}

        def entries(drawn: Drawn) -> list[dict[str, Any]]:
            return [
                {'action_id': drawn.one_of(actions)}
                if actions and drawn.number(2)
                else {'freezer_action': action(drawn),
                      'max_retries': drawn.number(3)}
                for _ in range(1 + drawn.number(3))]

        def job(drawn: Drawn) -> dict[str, Any]:
            return {
                'client_id': drawn.one_of(('own', 'central')),
                'description': drawn.one_of(('1', 'a', 'A')),
                'job_schedule': drawn.one_of((
                    {}, {'schedule_interval': '1 days'},
                    {'status': 'running', 'current_pid': 1})),
                'job_actions': entries(drawn)}

        def change(drawn: Drawn) -> None:
            what = drawn.number(10)
            self.clock.now += 5
            if what < 2 or not actions:
                actions.append(self.call(base.MEMBER, 'POST', 'actions', {
                    'freezer_action': action(drawn)}, 201)['action_id'])
            elif what < 5 or not jobs:
                jobs.append(self.call(
                    base.MEMBER, 'POST', 'jobs', job(drawn), 201)['job_id'])
            elif what == 5:
                changed = drawn.one_of(actions)
                self.call(base.MEMBER, 'PATCH', f'actions/{changed}',
                          {'freezer_action': drawn.content()}, 200)
            elif what == 6:
                changed = drawn.one_of(actions)
                self.call(base.MEMBER, 'POST', f'actions/{changed}',
                          {'freezer_action': action(drawn)}, 201)
            elif what == 7:
                gone = drawn.one_of(actions)
                # Refused where it is the only one of a job that goes on.
                deleted = self.client.simulate_delete(
                    f'/v2/p1/actions/{gone}', extras=base.MEMBER.environ())
                self.assertIn(deleted.status_code, (204, 409))
                if deleted.status_code == 204:
                    actions.remove(gone)
            elif what == 8:
                whole = job(drawn)
                key = drawn.one_of(sorted(whole))
                self.call(base.MEMBER, 'PATCH',
                          f'jobs/{drawn.one_of(jobs)}',
                          {key: whole[key]}, 200)
            else:
                self.call(base.MEMBER, 'POST',
                          f'jobs/{drawn.one_of(jobs)}',
                          job(drawn), 201)

        self.check(change, 'jobs', examples=8)
        self.check(change, 'actions', examples=3)

    def test_sessions(self) -> None:
        jobs = [self.create_job(client='own') for _ in range(3)]
        sessions: list[str] = []

        def change(drawn: Drawn) -> None:
            what = drawn.number(6) if sessions else 0
            job = drawn.one_of(jobs)
            self.clock.now += 40
            if what == 0:
                sessions.append(self.call(base.MEMBER, 'POST', 'sessions', {
                    'schedule': {'schedule_interval': '1 days'}}, 201)[
                        'session_id'])
                return
            path = f'sessions/{drawn.one_of(sessions)}'
            if what < 3:
                self.call(base.MEMBER, 'PUT', f'{path}/jobs/{job}',
                          status=204)
            elif what == 3:
                self.call(base.MEMBER, 'DELETE', f'{path}/jobs/{job}')
            elif what == 4:
                self.call(base.MEMBER, 'PATCH', path, {'jobs': {
                    job: drawn.document()}}, 200)
            else:
                self.call(base.MEMBER, 'POST', f'{path}/action', {
                    'start': {'job_id': job, 'current_tag': 0}})

        self.check(change, 'sessions')
        self.check(change, 'jobs', examples=3)

    def test_clients(self) -> None:
        def register(**more: Any) -> None:
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': 'own', 'hostname': 'h', **more}, 201)

        for modes in (['fs'], ['fs', 'nova'], []):
            register(supported_modes=modes, description=str(modes))
            everything = self.ask('clients', {})
            for key, wanted in plain_search.pairs(everything):
                asked = {'match': [{key: wanted}]}
                self.assertEqual(plain_search.found(everything, asked),
                                 self.ask('clients', asked), asked)

    def test_one_type_is_not_another_after_a_change(self) -> None:
        backup = self.call(base.MEMBER, 'POST', 'backups', {
            'backup_name': 'b', 'container': 'c', 'hostname': 'h',
            'size': 1}, 201)['backup_id']
        sizes: tuple[Any, ...] = (1, True, 1.0, '1', [1], [True], {'a': 1})
        for changed in sizes:
            self.call(base.MEMBER, 'PATCH', f'backups/{backup}',
                      {'size': changed}, 200)
            self.assertEqual(
                [changed is size for size in sizes],
                [self.ask('backups', {'match': [{'size': size}]}) != []
                 for size in sizes])

    def test_where_a_job_stands(self) -> None:
        """What is no part of the terms compares as it is shown."""
        for number in range(6):
            self.create_job(
                client=('own', 'central')[number % 2],
                schedule=({'schedule_interval': '1 days'}, {})[number // 4],
                action={**base.BACKUP, 'status': 'x', 'current_pid': 7,
                        'next_run_at': 'y', 'trustor_user_id': 'z'})
        self.clock.now += 90_000
        self.report(self.claim(limit=2)['runs'][0], 'fail', reason='why')
        stock = self.ask('jobs', {'match': [{'client_id': 'own'}]})[0]
        self.call(base.MEMBER, 'PATCH', f'jobs/{stock["job_id"]}', {
            'job_schedule': {**stock['job_schedule'], 'current_pid': 77,
                             'status': 'running'}}, 200)
        for persona, query in (
                (base.MEMBER, ''), (base.READER, ''),
                (base.ADMIN, '&all_projects=True')):
            everything = self.ask('jobs', {}, f'?limit=1000{query}', persona)
            self.assertEqual(6, len(everything))
            asked = [pair for pair in plain_search.pairs(everything)
                     if pair[0] not in SECRET]
            asked += [(key, wanted) for wanted in (
                None, 77, 7, 'x', 'y', 'z', '2027-01-15T08:00:00Z', 'alice',
                0, {}, {'status': None}) for key in (
                    'current_pid', 'next_run_at', 'status', 'job_schedule',
                    'trustor_user_id', 'status_reason')]
            asked += [(key, None) for key in SECRET]
            for key, wanted in {repr(pair): pair for pair in asked}.values():
                one = {'match': [{key: wanted}]}
                self.assertEqual(
                    plain_search.found(everything, one),
                    self.ask('jobs', one, f'?limit=1000{query}', persona),
                    (persona, one))
                if wanted is None or isinstance(wanted, dict):
                    self.assertEqual(
                        plain_search.found(
                            everything, {'match_not': one['match']}),
                        self.ask('jobs', {'match_not': one['match']},
                                 f'?limit=1000{query}', persona))

    def test_a_trust_cannot_be_guessed(self) -> None:
        job_id = self.create_job(client='central')
        shown = self.job(job_id)
        for persona in (base.MEMBER, base.MATE, base.READER):
            for key in SECRET:
                self.assertIsNotNone(shown[key])
                self.assertEqual([], self.ask(
                    'jobs', {'match': [{key: shown[key]}]}, persona=persona))
        for persona, found in ((base.MEMBER, 1), (base.READER, 0)):
            self.assertEqual(found, len(self.ask('jobs', {'match': [
                {'trustor_user_id': 'alice'}]}, persona=persona)))

    def test_a_list_is_few_statements_and_locks_nothing(self) -> None:
        for _ in range(30):
            self.create_job(client='own')
            self.call(base.MEMBER, 'POST', 'backups', {
                'backup_name': 'b', 'container': 'c', 'hostname': 'h'}, 201)
        statements = self.noted()
        with self.database.engine.connect() as writer:
            # Who waits for a lock does so until the test is killed.
            for model in (models.Job, models.Action, models.Backup,
                          models.Client, models.Session):
                writer.execute(sa.update(model).values(user_id='changed'))
            for noun, most in (('jobs', 4), ('actions', 1), ('backups', 1),
                               ('sessions', 1), ('clients', 1)):
                statements.clear()
                self.ask(noun, {
                    'match': [{'mode': 'cindernative'}, {'x': None}],
                    'match_not': [{'current_pid': 1}, {'b': [1]}]},
                    '?limit=20&offset=5')
                asked = [one for one in statements if one != 'BEGIN']
                self.assertLessEqual(len(asked), most, asked)
                for statement in asked:
                    self.assertTrue(statement.startswith('SELECT'))
                    self.assertNotIn('FOR UPDATE', statement)
                    self.assertNotIn(
                        'search_terms', statement.partition('FROM')[0])
            writer.rollback()

    def noted(self) -> list[str]:
        """Return where each statement from now on is added to."""
        statements: list[str] = []

        def note(connection: sa.Connection, cursor: Any, statement: str,
                 *more: Any) -> None:
            statements.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        return statements

    def test_a_change_reads_and_writes_a_job_once(self) -> None:
        job_id = self.create_job(client='central')
        action = {'freezer_action': {**base.BACKUP, 'mine': 'yes'}}
        statements = self.noted()
        for sent, most in (
                ({'job_schedule': {'schedule_interval': '2 days'}}, 4),
                # Two of them are of its project's usage, four of the
                # actions that it had.
                ({'job_actions': [action]}, 15)):
            statements.clear()
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', sent, 200)
            asked = [one for one in statements
                     if not one.startswith('BEGIN')]
            self.assertLessEqual(len(asked), most, asked)
            [_update] = [one for one in asked
                         if one.startswith('UPDATE jobs ')]
        for match in ({'schedule_interval': '2 days'}, {'mine': 'yes'}):
            [found] = self.ask('jobs', {'match': [match]})
            self.assertEqual(job_id, found['job_id'])

    def test_while_actions_and_their_jobs_change(self) -> None:
        """The terms are checked when all is done, as in every test."""
        actions = [self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': base.BACKUP}, 201)['action_id']
            for _ in range(2)]
        used = {'client_id': 'own', 'job_actions': [
            {'action_id': one} for one in actions]}
        jobs = [self.call(base.MEMBER, 'POST', 'jobs', used, 201)['job_id']
                for _ in range(2)]

        def change(number: int) -> None:
            turn, which = divmod(number, 2)
            if turn % 2:
                self.call(base.MEMBER, 'PATCH', f'actions/{actions[which]}',
                          {'freezer_action': {'n': number}}, 200)
            else:
                self.call(base.MEMBER, 'PATCH', f'jobs/{jobs[which]}', {
                    'job_schedule': {'schedule_interval': f'{turn + 1} days'},
                    'job_actions': [{'action_id': one} for one in (
                        actions if turn % 4 else actions[::-1])]}, 200)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(change, range(24)))
        everything = self.ask('jobs', {})
        for key, wanted in plain_search.pairs(everything):
            one = {'match': [{key: wanted}]}
            self.assertEqual(plain_search.found(everything, one),
                             self.ask('jobs', one))


class KeyTestsOnMySQL(base.MySQL, KeyTests):
    pass


class KeyTestsOnPostgreSQL(base.PostgreSQL, KeyTests):
    pass
