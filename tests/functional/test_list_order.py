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

"""Lists begin with the newest: stock clients cut them after 100 items.

``freezer backup-list`` asks for 100 and the panel for 500, both from the
beginning, and neither can ask for more.
"""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

_NOUNS: dict[str, tuple[type[models.Base], str]] = {
    'backups': (models.Backup, 'backup_id'),
    'jobs': (models.Job, 'job_id'),
    'actions': (models.Action, 'action_id'),
    'sessions': (models.Session, 'session_id')}


class OrderTests(base.ApiTestCase):

    usage_follows = False
    terms_follow = False

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def fill(self, number: int) -> None:
        """Make items, two in each second, whose ids say their order."""
        first = datetime.datetime.fromisoformat('2026-01-01')
        extras: dict[str, dict[str, Any]] = {
            'jobs': {'client_id': 'central', 'schedule': {}},
            'actions': {'action': 'backup'},
            'backups': {'backup_metadata': {
                'backup_name': 'b', 'time_stamp': 1}},
            'sessions': {'schedule': {}}}
        with self.database.engine.begin() as connection:
            for noun, (model, _) in _NOUNS.items():
                connection.execute(sa.insert(model), [{
                    'id': f'{place:032}', 'project_id': 'p1',
                    'user_id': 'alice', 'deleted': False,
                    'search_terms': '', **extras[noun],
                    'created_at': first + datetime.timedelta(
                        seconds=place // 2)} for place in range(number)])

    def ids(self, noun: str, query: str) -> list[int]:
        found = self.call(base.MEMBER, 'GET', f'{noun}?{query}', status=200)
        return [int(one[_NOUNS[noun][1]]) for one in found[noun]]

    def test_stock_clients_see_the_newest(self) -> None:
        self.fill(130)
        for noun in _NOUNS:
            self.assertEqual(
                list(range(129, 29, -1)),
                self.ids(noun, 'limit=100&offset=0'), noun)
            self.assertEqual(list(range(10)),
                             self.ids(noun, 'sort_dir=asc'), noun)
            self.assertEqual(self.ids(noun, 'limit=20'),
                             self.ids(noun, 'limit=20&sort_dir=desc'), noun)
        self.call(base.MEMBER, 'GET', 'jobs?sort_dir=up', status=400)

    def test_pages_lose_and_repeat_nothing(self) -> None:
        self.fill(31)
        for noun in _NOUNS:
            for order, wanted in (('desc', list(range(30, -1, -1))),
                                  ('asc', list(range(31)))):
                for size in (1, 2, 3, 7, 31, 32):
                    by_marker: list[int] = []
                    by_offset: list[int] = []
                    while page := self.ids(
                            noun, f'limit={size}&sort_dir={order}' + (
                                f'&marker={by_marker[-1]:032}'
                                if by_marker else '')):
                        by_marker += page
                    while page := self.ids(
                            noun, f'limit={size}&sort_dir={order}'
                            f'&offset={len(by_offset)}'):
                        by_offset += page
                    self.assertEqual(wanted, by_marker, (noun, order, size))
                    self.assertEqual(wanted, by_offset, (noun, order, size))

    def test_clients_come_oldest_first(self) -> None:
        """The panel takes the first that a search finds."""
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.Client), [{
                'id': f'{place:032}', 'uuid': f'{place:032}',
                'client_id': f'c{place}', 'project_id': 'p1',
                'user_id': 'alice', 'deleted': False, 'search_terms': '',
                'created_at': datetime.datetime.fromisoformat(
                    f'2026-01-0{3 - place}')}
                for place in range(3)])
        for order, wanted in (('', ['c2', 'c1', 'c0', 'central']),
                              ('?sort_dir=asc', ['c2', 'c1', 'c0', 'central']),
                              ('?sort_dir=desc', [
                                  'central', 'c0', 'c1', 'c2'])):
            self.assertEqual(wanted, [
                one['client']['client_id'] for one in self.call(
                    base.MEMBER, 'GET', f'clients{order}',
                    status=200)['clients']])


class OrderTestsOnMySQL(base.MySQL, OrderTests):
    pass


class OrderTestsOnPostgreSQL(base.PostgreSQL, OrderTests):
    pass
