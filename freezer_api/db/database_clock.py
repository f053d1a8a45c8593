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

"""The time by the clock of the database.

Several hosts compute when jobs are due, and their clocks differ. All hosts
share the database, so its clock is authoritative. The clock is queried at
intervals. Between two queries the monotonic clock of the host measures the
time that has passed. SQLite has no clock, so the clock of the host is used
there in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import threading
import time

from oslo_db import exception as db_exception
from oslo_log import log
import sqlalchemy as sa
from sqlalchemy import exc

LOG = log.getLogger(__name__)

# Seconds between two queries of the database.
INTERVAL = 10.0

# Seconds by which an answer may differ from the time that the monotonic clock
# predicts. Part of the difference is the latency of the query.
SLACK = 2.0

# None of these depends on the time zone of the session.
_STATEMENTS = {
    'mysql': 'SELECT UNIX_TIMESTAMP() + MICROSECOND(NOW(6)) / 1000000',
    'postgresql': 'SELECT EXTRACT(EPOCH FROM clock_timestamp())'}


@dataclasses.dataclass(frozen=True)
class _Reading:
    """A time of the database, and of the monotonic clock at that moment."""

    time: float
    at: float
    asked_at: float


class DatabaseClock:
    """A callable that returns the current time in epoch seconds.

    If the database does not answer, the clock continues from the last
    answer. Before the first answer it returns the time of the host.

    :param engine: engine of the database
    :param tolerance: seconds by which the clock of the host may differ
        before a warning is logged
    :param wall: clock of the host, in epoch seconds
    :param steady: monotonic clock, in seconds
    """

    def __init__(self, engine: sa.Engine, tolerance: int,
                 wall: Callable[[], float] = time.time,
                 steady: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        dialect = engine.dialect.name
        self._statement = _STATEMENTS.get(
            'mysql' if dialect == 'mariadb' else dialect)
        self._tolerance = tolerance
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._reading: _Reading | None = None
        self._ahead = 0
        self._set_back = 0, 0

    def __call__(self) -> int:
        now = self._steady()
        reading = self._reading
        if reading is None or now - reading.asked_at >= INTERVAL:
            self._ask(wait=reading is None)
            now, reading = self._steady(), self._reading
        if reading is None:
            return int(self._wall())
        return int(reading.time + now - reading.at)

    @property
    def ahead(self) -> int:
        """Seconds by which the host's clock is ahead of the database's.

        Negative if it is behind, 0 within the tolerance.
        """
        return self._ahead

    @property
    def set_back(self) -> tuple[int, int]:
        """How often the database's clock was set back, and its last step.

        The step is in seconds. Steps within the tolerance do not count.
        """
        return self._set_back

    @property
    def known(self) -> bool:
        """Whether the database has answered at least once."""
        return self._reading is not None

    def _ask(self, wait: bool) -> None:
        """Query the database unless another thread is doing so.

        :param wait: whether to wait for the other thread
        """
        if not self._lock.acquire(blocking=wait):
            return
        try:
            self._read()
        finally:
            self._lock.release()

    def _read(self) -> None:
        reading = self._reading
        begun = self._steady()
        if reading is not None and begun - reading.asked_at < INTERVAL:
            return  # Another thread has queried it meanwhile.
        try:
            answer = self._query()
        except (exc.SQLAlchemyError, db_exception.DBError) as error:
            LOG.warning('Cannot read the clock of the database: %s',
                        type(error).__name__)
            if reading is not None:
                self._reading = dataclasses.replace(reading, asked_at=begun)
            return
        ended = self._steady()
        at = (begun + ended) / 2
        self._compare(answer)
        if reading is not None:
            jump = answer - reading.time - (at - reading.at)
            if abs(jump) <= SLACK + (ended - begun):
                self._reading = dataclasses.replace(reading, asked_at=ended)
                return
            LOG.warning(
                'The clock of the database was set %s by %d seconds.',
                'forward' if jump > 0 else 'back', abs(jump))
            if jump < -self._tolerance:
                self._set_back = self._set_back[0] + 1, round(-jump)
        self._reading = _Reading(answer, at, ended)

    def _query(self) -> float:
        if self._statement is None:
            return self._wall()
        with self._engine.connect() as connection:
            return float(connection.scalar(sa.text(self._statement)) or 0)

    def _compare(self, answer: float) -> None:
        """Log when the host's clock becomes wrong, and when it is correct."""
        ahead = round(self._wall() - answer)
        if abs(ahead) <= self._tolerance:
            ahead = 0
        if bool(ahead) != bool(self._ahead):
            if ahead:
                LOG.warning(
                    'The clock of this host is %d seconds %s that of the '
                    'database, which is authoritative for all jobs. Correct '
                    'the clock: tokens and logs depend on it.', abs(ahead),
                    'ahead of' if ahead > 0 else 'behind')
            else:
                LOG.info('The clock of this host agrees with that of the '
                         'database again.')
        self._ahead = ahead
