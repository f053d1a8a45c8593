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

"""Rows without a time of creation, which some databases have."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base


class UndatedTests(base.ApiTestCase):

    def test_pages(self) -> None:
        """Each list names each item once, by pages of any size, either way."""
        self.register_central()
        for _ in range(5):
            self.create_job()
        for number in range(5):
            self.call(base.MEMBER, 'POST', 'backups', {
                'backup_name': f'b{number}', 'container': 'c',
                'hostname': 'h'}, 201)
            self.call(base.MEMBER, 'POST', 'sessions', {
                'schedule': {}, 'description': str(number)}, 201)
        for what, key, model in (
                ('jobs', 'job_id', models.Job),
                ('actions', 'action_id', models.Action),
                ('backups', 'backup_id', models.Backup),
                ('sessions', 'session_id', models.Session)):
            for undated in (0, 1, 3, 5):
                self.spoil(model, undated)
                for limit in (1, 2, 3):
                    for sort in ('&sort_dir=asc', '&sort_dir=desc'):
                        found = self.pages(what, key, limit, sort)
                        self.assertEqual((5, 5), (
                            len(found), len(set(found))),
                            f'{what} {undated} {limit} {sort}')

    def spoil(self, model: Any, number: int) -> None:
        with self.database.engine.begin() as connection:
            ids = connection.scalars(
                sa.select(model.id).order_by(model.id).limit(number)).all()
            connection.execute(
                sa.update(model).where(model.id.in_(ids)).values(
                    created_at=None, updated_at=model.updated_at))

    def pages(self, what: str, key: str, limit: int,
              sort: str) -> list[str]:
        found: list[str] = []
        marker = ''
        while len(found) < 20:
            page = self.call(
                base.MEMBER, 'GET', f'{what}?limit={limit}{sort}{marker}',
                status=200)[what]
            if not page:
                break
            found += [item[key] for item in page]
            marker = f'&marker={found[-1]}'
        return found


class UndatedTestsOnMySQL(base.MySQL, UndatedTests):
    pass


class UndatedTestsOnPostgreSQL(base.PostgreSQL, UndatedTests):
    pass
