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

"""What the errors of database drivers mean for a request."""

from __future__ import annotations

import enum

from oslo_db import exception as db_exception
from sqlalchemy import exc

from freezer_api.db import deadlines

#: Everything that a transaction raises when the database refuses or fails;
#: what oslo.db has no name for stays as SQLAlchemy raised it.
ERRORS: tuple[type[Exception], ...] = (
    db_exception.DBError, db_exception.DBInvalidUnicodeParameter,
    deadlines.DeadlineExceeded, exc.OperationalError)

# How servers say that the character set of a column lacks a character: codes
# of MySQL, with a part of the text since each has other meanings, and states
# of PostgreSQL.
_NO_SUCH_CHARACTER = ((1267, 'COERCIBLE'), (1366, 'Incorrect string value'))
_NO_SUCH_CHARACTER_STATES = ('22021', '22P05')

# Beginnings of PostgreSQL's states: it ends connections, or has no more.
_NO_CONNECTION = ('08', '53300', '57P')


class Problem(enum.Enum):
    """Why the database did not do what it was asked to do."""

    CHARACTER = 'a column lacks a character'
    DEADLINE = 'a deadline has passed'
    UNAVAILABLE = 'there is no connection'
    BUSY = 'other transactions changed the same rows each time'
    OTHER = 'anything else'


def problem(error: Exception) -> Problem:
    """Return what one of ERRORS means."""
    if _lacks_character(error):
        return Problem.CHARACTER
    if deadlines.reason(error):
        return Problem.DEADLINE
    if isinstance(error, db_exception.DBConnectionError):
        return Problem.UNAVAILABLE
    if isinstance(error, db_exception.DBDeadlock):
        return Problem.BUSY
    if isinstance(error, exc.OperationalError):
        # PostgreSQL's driver has no state for a connection that cannot be
        # made.
        state = getattr(error.orig, 'sqlstate', '')
        if state is None or state.startswith(_NO_CONNECTION):
            return Problem.UNAVAILABLE
    return Problem.OTHER


def refuses_value(error: Exception) -> bool:
    """Return whether a column refuses a value, so that no retry can help.

    :param error: one of ERRORS
    """
    if isinstance(error, db_exception.DBInvalidUnicodeParameter):
        return True
    raised = getattr(error, 'inner_exception', None)
    # SQLite's driver says OverflowError. A statement that was not even sent
    # had a value that its column's type cannot make one of the database of.
    return isinstance(raised, (
        exc.DataError, exc.IntegrityError, OverflowError)) or (
            isinstance(raised, exc.StatementError)
            and not isinstance(raised, exc.DBAPIError))


def _lacks_character(error: Exception) -> bool:
    raised = (error.inner_exception
              if isinstance(error, db_exception.DBError) else error)
    if isinstance(raised, db_exception.DBInvalidUnicodeParameter):
        return True
    original = getattr(raised, 'orig', None)
    code, text = (*getattr(original, 'args', ()), None, None)[:2]
    return (getattr(original, 'sqlstate', None) in _NO_SUCH_CHARACTER_STATES
            or any(code == number and part in str(text)
                   for number, part in _NO_SUCH_CHARACTER))
