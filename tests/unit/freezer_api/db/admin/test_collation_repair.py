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

"""How statements come to know the collations of their columns."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm
import testtools

from freezer_api.db.admin import collation_repair
from freezer_api.db import collation
from freezer_api.db import models

MIXED = {
    ('jobs', 'id'): collation_repair.Collation('utf8mb4', 'utf8mb4_polish_ci'),
    ('job_actions', 'job_id'): collation_repair.Collation(
        'utf8mb4', 'utf8mb4_danish_ci')}
ALIKE = dict.fromkeys(MIXED, MIXED['jobs', 'id'])

_OTHERS = sa.select(
    collation.comparable(models.JobAction.job_id, models.Job.id))
STATEMENTS: dict[str, Any] = {
    'join': sa.select(models.Job).join(models.JobAction, collation.same(
        models.Job.id, models.JobAction.job_id)),
    'columns': sa.select(models.Job.id).where(models.Job.id.in_(_OTHERS)),
    'aliased': sa.select(orm.aliased(models.Job)).where(
        sa.exists(_OTHERS.where(models.JobAction.position == 1))),
    'update': sa.update(models.Job).where(
        models.Job.id.in_(_OTHERS)).values(description='d'),
    'delete': sa.delete(models.Job).where(models.Job.id.in_(_OTHERS)),
    'insert': sa.insert(models.Job).from_select(['id'], _OTHERS)}


class _Sent(Exception):
    """The statement that would have been sent."""


def _sent(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
    raise _Sent(statement)


class KnowTests(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        # No server is asked: what would be sent is raised.
        self.engine = sa.create_engine(
            'mysql+pymysql://nowhere/db', creator=mock.MagicMock(),
            _initialize=False)
        sa.event.listen(self.engine, 'before_cursor_execute', _sent)

    def know(self, found: collation_repair.Collations) -> None:
        with (mock.patch.object(collation_repair, 'read', autospec=True,
                                return_value=found),
              self.engine.connect() as connection):
            collation_repair.refresh(connection)

    def converts(self) -> set[bool]:
        """Return whether statements convert, by a session and without one."""
        found = set()
        derived = self.engine.execution_options(freezer_test=True)
        for statement in STATEMENTS.values():
            for bind in (self.engine, derived):
                makers: list[Any] = [bind.connect(), orm.Session(bind)]
                for made in makers:
                    with contextlib.closing(made):
                        sent = str(self.assertRaises(
                            _Sent, made.execute, statement))
                        found.add('CONVERT(job_actions.job_id USING utf8mb4) '
                                  'COLLATE utf8mb4_polish_ci' in sent)
        return found

    def test_statements_follow_what_is_known(self) -> None:
        collation_repair.listen(self.engine)
        self.assertEqual({False}, self.converts())
        for known, converts in ((MIXED, True), (ALIKE, False), (MIXED, True),
                                ({}, False)):
            self.know(known)
            self.assertEqual({converts}, self.converts())

    def test_each_engine_knows_its_own(self) -> None:
        collation_repair.listen(self.engine)
        self.know(MIXED)
        other = sa.create_engine(
            'mysql+pymysql://nowhere/db', creator=mock.MagicMock(),
            _initialize=False)
        sa.event.listen(other, 'before_cursor_execute', _sent)
        collation_repair.listen(other)
        first, self.engine = self.engine, other
        self.assertEqual({False}, self.converts())
        self.engine = first
        self.assertEqual({True}, self.converts())

    def test_statements_stay_as_they_are(self) -> None:
        """They are made once, for all engines."""
        collation_repair.listen(self.engine)
        self.know(MIXED)
        self.converts()
        for statement in STATEMENTS.values():
            self.assertNotIn(
                collation_repair.OPTION, statement.get_execution_options())

    def test_nothing_of_sqlalchemy_is_marked(self) -> None:
        """What the dialect and the pool hold is theirs alone."""
        parts = (self.engine.dialect, self.engine.pool)
        before = [set(vars(one)) for one in parts]
        collation_repair.listen(self.engine)
        self.know(MIXED)
        self.converts()
        for one, names in zip(parts, before, strict=True):
            self.assertEqual([], [
                name for name in set(vars(one)) - names
                if 'freezer' in name])

    def test_an_engine_that_nobody_listens_to_is_left_alone(self) -> None:
        self.know(MIXED)
        self.assertEqual({False}, self.converts())
