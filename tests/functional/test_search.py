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

"""Searches find what a plain reading of the documents finds."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
from hypothesis import strategies as st
import sqlalchemy as sa

from freezer_api.domain import search
from tests.functional import base
from tests.functional import plain_search

WORDS = ('a', 'A', 'a ', 'nightly', '100%', 'b_c', '2', '')
VALUES = st.one_of(
    st.sampled_from(WORDS), st.sampled_from((None, True, False, 0, 1, 2)))


KEYS = st.sampled_from((
    'client_id', 'description', 'status', 'result', 'event', 'session_id',
    'session_tag', 'job_id', 'user_id', 'schedule_interval', 'backup_name',
    'container', 'mode', 'mandatory', 'max_retries', 'missing'))
PAIRS = st.dictionaries(KEYS, VALUES, max_size=2)
ASKED = st.fixed_dictionaries({}, optional={
    'match': st.lists(PAIRS, max_size=2),
    'match_not': st.lists(PAIRS, max_size=2)})


class SearchTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        for client in ('one', 'One', 'two'):
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': client, 'hostname': f'host-{client}',
                'claims': True}, 201)
        for number, word in enumerate(WORDS):
            self.create_job(
                client=('one', 'two', 'One')[number % 3], description=word,
                action={**base.BACKUP, 'backup_name': word or None,
                        'container': word},
                session_tag=number % 3,
                schedule=[{'schedule_interval': '1 days'}, {}][number % 2])
        self.clock.now += 30
        for run in self.claim(limit=2, client='two',
                              persona=base.MEMBER)['runs']:
            self.report(run, 'success', client='two', persona=base.MEMBER)
        self.everything = self.search({})

    def search(self, asked: Any, what: str = 'jobs',
               query: str = '?limit=1000') -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call(
            base.MEMBER, 'GET', f'{what}{query}', asked, 200)[what]
        return found

    def test_like_a_plain_reading(self) -> None:
        known = [job['job_id'] for job in self.everything]

        @hypothesis.settings(max_examples=150, deadline=None)
        @hypothesis.given(asked=ASKED, job_id=st.sampled_from(known))
        def check(asked: dict[str, Any], job_id: str) -> None:
            for one in (*asked.get('match', ()), *asked.get('match_not', ())):
                if 'job_id' in one:
                    one['job_id'] = job_id
            self.assertEqual(plain_search.found(self.everything, asked),
                             self.search(asked))

        check()

    def test_pages_of_what_is_found(self) -> None:
        for asked in ({'match': [{'client_id': 'one'}]},
                      {'match': [{'mode': 'cindernative'}]}):
            whole = self.search(asked)
            self.assertGreater(len(whole), 2)
            self.assertEqual(whole, [
                job for offset in range(len(whole)) for job in self.search(
                    asked, query=f'?limit=1&offset={offset}')])

    def test_a_marker_keeps_pages_apart_while_others_insert(self) -> None:
        for asked in ({}, {'match': [{'mode': 'cindernative'}]}):
            known = [job['job_id'] for job in self.search(asked)]
            seen: list[str] = []
            query = '?limit=3'
            while page := self.search(asked, query=query):
                seen += [job['job_id'] for job in page]
                query = f'?limit=3&marker={seen[-1]}'
                if len(seen) < 2 * len(known):
                    self.create_job(client='one')
                    self.call(base.MEMBER, 'DELETE', f'jobs/{seen[0]}',
                              status=204)
            self.assertEqual(len(seen), len(set(seen)))
            self.assertLessEqual(set(known), set(seen))

    def test_an_unknown_marker_is_named(self) -> None:
        self.call(base.STRANGER, 'POST', 'clients',
                  {'client_id': 's', 'hostname': 's'}, 201)
        theirs = self.create_job(persona=base.STRANGER, client='s')
        for marker in ('nope', theirs):
            answer = self.call(base.MEMBER, 'GET', f'jobs?marker={marker}',
                               status=400)
            self.assertIn('"marker"', answer['description'])

    def test_limit_offset_and_marker_are_checked(self) -> None:
        for what in ('jobs', 'clients', 'actions', 'backups', 'sessions'):
            for name, value in (
                    ('limit', 'abc'), ('limit', '-1'), ('limit', '1.5'),
                    ('limit', str(10 ** 30)),
                    ('limit', '0x10'), ('offset', '-1'), ('offset', 'abc'),
                    ('offset', str(10 ** 30)), ('offset', str(2 ** 31)),
                    ('marker', 'nope'), ('marker', '%00'),
                    ('marker', '%F0%9F%98%80')):
                answer = self.call(base.MEMBER, 'GET',
                                   f'{what}?{name}={value}', status=400)
                self.assertEqual('invalid_parameter', answer['code'])
                self.assertIn(name, answer['description'])

    def test_what_is_blank_is_as_good_as_absent(self) -> None:
        self.assertEqual(self.search({}, query=''), self.search(
            {}, query='?limit=&offset=&marker='))

    def test_the_last_of_several_counts(self) -> None:
        first, second = self.everything[:2]
        self.assertEqual(self.everything[2:4], self.search({}, query=(
            f'?limit=9&limit=2&marker={first["job_id"]}'
            f'&marker={second["job_id"]}')))

    def test_an_operator_can_lower_the_limit(self) -> None:
        for maximum in (1, 3):
            self.conf.set_override('max_limit', maximum, 'api')
            for asked in ({}, {'match': [{'mode': 'cindernative'}]}):
                self.assertEqual(
                    self.everything[:maximum], self.search(asked))

    def test_a_stock_schedulers_poll(self) -> None:
        found = self.search({'match_not': [{'status': 'completed'}],
                             'match': [{'client_id': 'two'}]})
        self.assertEqual(plain_search.found(self.everything, {
            'match_not': [{'status': 'completed'}],
            'match': [{'client_id': 'two'}]}), found)

    def test_a_text_that_no_database_holds_is_nowhere(self) -> None:
        """PostgreSQL would refuse it, and say so in the log each time."""
        for text in ('a\0b', '\ud800'):
            for noun in ('clients', 'jobs', 'sessions', 'actions', 'backups'):
                found = self.client.simulate_get(
                    f'/v2/p1/{noun}', extras=base.MEMBER.environ(),
                    body=json.dumps({'match': [{'_all': text}]}))
                self.assertEqual([], found.json.get(noun), found.text)

    def test_a_list_in_all_takes_the_place_of_the_search(self) -> None:
        self.assertEqual(
            self.search({'match': [{'client_id': 'one'}]}),
            self.search({'match': [
                {'_all': json.dumps([{'client_id': 'one'}])},
                {'client_id': 'two'}], 'match_not': [{'missing': None}]}))

    def test_a_text_is_looked_for_in_what_people_know(self) -> None:
        """Upstream ignores it, and the panel then takes any client."""

        def clients(text: str) -> list[str]:
            return [one['client']['client_id'] for one in self.search(
                {'match': [{'_all': text}]}, 'clients')]

        uuid = self.call(base.MEMBER, 'GET', 'clients/two',
                         status=200)['client']['uuid']
        self.assertEqual(['two'], clients(uuid))
        self.assertEqual(['two'], clients('HOST-TWO'))
        self.assertEqual([], clients('nosuch'))
        self.assertEqual([], clients('%'))
        self.assertEqual(3, len(clients('host')))

        def descriptions(*match: dict[str, Any]) -> list[str]:
            return [job['description'] for job in self.search(
                {'match': list(match)})]

        self.assertEqual(['100%'], descriptions({'_all': '0%'}))
        self.assertEqual(['b_c'], descriptions({'_all': 'b_'}))
        self.assertEqual(['nightly'], descriptions({'_all': 'NIGHT'}))
        self.assertEqual([], descriptions(
            {'_all': 'nightly'}, {'client_id': 'two'}))

    def test_backups(self) -> None:
        ids = [self.call(base.MEMBER, 'POST', 'backups', {
            'backup_name': f'b{n}', 'container': 'c', 'hostname': 'web',
            'size': n}, 201)['backup_id'] for n in range(3)]
        for asked, wanted in (
                ({'match': [{'backup_id': ids[1]}]}, [ids[1]]),
                ({'match': [{'size': 2}]}, [ids[2]]),
                ({'match': [{'size': '2'}]}, []),
                ({'match': [{'_all': 'WEB'}]}, ids),
                ({'match': [{'_all': ids[0]}]}, [ids[0]])):
            self.assertEqual(sorted(wanted), sorted(
                one['backup_id']
                for one in self.search(asked, 'backups')), asked)

    def test_a_search_that_asks_nothing_is_refused(self) -> None:
        """Upstream answers 500."""
        bodies: tuple[Any, ...] = (
            [], 'x', 7, {'match': {}}, {'match': [1]}, {'match': 'x'},
            {'match_not': [None]}, {'match': [{'_all': 1}]},
            {'match': [{'_all': '[1]'}]})
        for body in bodies:
            for what in ('jobs', 'clients', 'actions', 'backups'):
                self.call(base.MEMBER, 'GET', what, body, 400)

    def test_parsing_raises_nothing_else(self) -> None:
        documents = st.recursive(
            st.one_of(VALUES, st.text(max_size=5)),
            lambda below: st.one_of(
                st.lists(below, max_size=3),
                st.dictionaries(st.sampled_from(
                    ('match', 'match_not', '_all', 'x')), below)))

        @hypothesis.given(document=documents)
        def check(document: Any) -> None:
            try:
                search.parse(document)
            except search.SearchError as error:
                self.assertTrue(str(error))

        check()


class SearchTestsOnMySQL(base.MySQL, SearchTests):
    pass


class OldCharacterSetTests(base.MySQL, base.ApiTestCase):
    """Tables as old deployments have them, of three-byte characters."""

    def url(self) -> str:
        url = super().url()
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text(
                f'ALTER DATABASE `{engine.url.database}` '
                'CHARACTER SET utf8mb3'))
        engine.dispose()
        return url

    def test_a_character_that_no_cell_can_hold(self) -> None:
        for asked in ({'match': [{'description': '\U0001f600'}]},
                      {'match': [{'_all': '\U0001f600'}]}):
            for what in ('jobs', 'clients', 'actions', 'backups',
                         'sessions'):
                answer = self.call(base.MEMBER, 'GET', what, asked)
                self.assertIn(answer.get('code', 'found'),
                              ('found', 'invalid_value'), (what, asked))


class SearchTestsOnPostgreSQL(base.PostgreSQL, SearchTests):
    pass
