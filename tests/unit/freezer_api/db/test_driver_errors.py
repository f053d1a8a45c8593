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

"""Errors as drivers, SQLAlchemy and oslo.db raise them, without a server."""

from __future__ import annotations

from oslo_db import exception as db_exception
from sqlalchemy import exc
import testtools

from freezer_api.db import deadlines
from freezer_api.db import driver_errors

Problem = driver_errors.Problem


class DriverError(Exception):
    """What a driver raises; PostgreSQL's has a state."""

    def __init__(self, *args: object, **attributes: object) -> None:
        super().__init__(*args)
        self.__dict__.update(attributes)


def operational(*args: object, **attributes: object) -> exc.OperationalError:
    return exc.OperationalError(
        'SELECT 1', {}, DriverError(*args, **attributes))


class TestProblems(testtools.TestCase):

    def test_problems(self) -> None:
        for problem, error in (
                (Problem.CHARACTER, operational(
                    1267, 'Illegal mix of collations (latin1,COERCIBLE)')),
                (Problem.CHARACTER, operational(
                    1366, "Incorrect string value: '\\xF0'")),
                (Problem.CHARACTER, db_exception.DBError(
                    operational('no', sqlstate='22P05'))),
                (Problem.CHARACTER, db_exception.DBInvalidUnicodeParameter()),
                (Problem.OTHER, operational(
                    1366, "Incorrect integer value: 'a'")),
                (Problem.DEADLINE, operational(
                    1205, 'Lock wait timeout exceeded')),
                (Problem.DEADLINE, db_exception.DBError(
                    operational('canceled', sqlstate='57014'))),
                (Problem.DEADLINE, deadlines.DeadlineExceeded('late')),
                (Problem.UNAVAILABLE, db_exception.DBConnectionError()),
                (Problem.UNAVAILABLE, operational('no', sqlstate=None)),
                (Problem.UNAVAILABLE, operational('no', sqlstate='57P01')),
                (Problem.BUSY, db_exception.DBDeadlock()),
                (Problem.OTHER, operational('no', sqlstate='42P01')),
                (Problem.OTHER, operational('database is locked')),
                (Problem.OTHER, db_exception.DBError(ValueError()))):
            with self.subTest(problem=problem, error=error):
                self.assertIs(problem, driver_errors.problem(error))

    def test_refused_values(self) -> None:
        refused = exc.DataError('INSERT', {}, DriverError('out of range'))
        for expected, error in (
                (True, db_exception.DBInvalidUnicodeParameter()),
                (True, db_exception.DBError(refused)),
                (True, db_exception.DBError(OverflowError())),
                (True, db_exception.DBError(
                    exc.StatementError('no', 'INSERT', {}, ValueError()))),
                (False, db_exception.DBError(operational(1205, 'wait'))),
                (False, db_exception.DBDeadlock()),
                (False, operational('database is locked')),
                (False, deadlines.DeadlineExceeded('late'))):
            with self.subTest(error=error):
                self.assertIs(expected, driver_errors.refuses_value(error))
