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

"""What is known after a trial: rows, requests, backups, faults, logs."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import json
from typing import Any
from typing import NamedTuple

from benchmarks.environment import database
from benchmarks.observation import firings
from benchmarks.stages.chaos import faults


_INSERT = ('INSERT INTO run_history (at, run_id, fence, scheduler_id, state, '
           'lease, reported) VALUES ({now}, NEW.id, NEW.fence, '
           'NEW.scheduler_id, NEW.state, NEW.lease_expires_at, {reported})')
_SAME = '''NEW.actions {is_} OLD.actions AND NEW.state {is_} OLD.state
AND NEW.reason {is_} OLD.reason AND NEW.time_ended {is_} OLD.time_ended'''
_TABLE = '''CREATE TABLE run_history (
    number {serial} PRIMARY KEY, at DOUBLE PRECISION, run_id VARCHAR(36),
    fence INTEGER, scheduler_id VARCHAR(255), state VARCHAR(16),
    lease BIGINT, reported INTEGER)'''
_TRIGGER = ('CREATE TRIGGER run_{event} AFTER {event} ON job_runs '
            'FOR EACH ROW {body}')
_FUNCTION = ('CREATE FUNCTION run_{event}() RETURNS trigger LANGUAGE plpgsql '
             'AS $$ BEGIN {insert}; RETURN NEW; END $$')


class Change(NamedTuple):
    """One change of a run's row.

    :ivar at: epoch seconds, by the database's clock
    :ivar lease: until when its holder has it, None once it has ended
    :ivar reported: more was changed than its holder and lease, 1 or 0
    """

    at: float
    run_id: str
    fence: int
    scheduler_id: str | None
    state: str
    lease: int | None
    reported: int


class RunReport(NamedTuple):
    """What a scheduler reported of a run, and what the API answered.

    :ivar until: when it was answered, None for never
    """

    at: float
    until: float | None
    run_id: str
    scheduler_id: str
    fence: int
    status: int | None


class Window(NamedTuple):
    """How long a fault lasted, in epoch seconds.

    :ivar target: the scheduler, empty for what all of them need
    """

    since: float
    until: float
    kind: faults.Kind
    target: str


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup that Cinder has at the end."""

    id: str
    run_id: str
    action_id: str
    status: str


@dataclasses.dataclass
class Observations:
    """All of it.

    :ivar taken: run, action and id of each backup that Cinder accepted
    :ivar records: job and status of each record of a backup
    :ivar errors: answers of 500 or more, and when
    :ivar lives: scheduler, process id, first claim and end of each process
    :ivar complaints: lines that logs must not have
    """

    jobs: list[firings.Job]
    runs: list[firings.Run]
    changes: list[Change]
    reports: list[RunReport]
    taken: list[tuple[str, str, str]]
    backups: list[Backup]
    records: list[tuple[str, str]]
    windows: list[Window]
    lives: list[tuple[str, int, float, float]]
    errors: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    complaints: list[str] = dataclasses.field(default_factory=list)
    began: float = 0
    ended: float = 0


def record_changes(base: database.Database) -> None:
    """Record each change of a run in the database from now on.

    Triggers are part of the transaction that changes the run: what is rolled
    back is not recorded.
    """
    mysql = base.backend == 'mysql'
    same = _SAME.format(is_='<=>' if mysql else 'IS NOT DISTINCT FROM')
    now = ('UNIX_TIMESTAMP(SYSDATE(6))' if mysql
           else 'extract(epoch FROM clock_timestamp())')
    statements = [_TABLE.format(
        serial='INTEGER AUTO_INCREMENT' if mysql else 'SERIAL')]
    for event, reported in (
            ('insert', '0'), ('update', f'NOT ({same})' if mysql
                              else f'(NOT ({same}))::integer')):
        insert = _INSERT.format(now=now, reported=reported)
        if not mysql:
            statements.append(_FUNCTION.format(event=event, insert=insert))
            insert = f'EXECUTE FUNCTION run_{event}()'
        statements.append(_TRIGGER.format(event=event, body=insert))
    with base.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def changes(base: database.Database) -> list[Change]:
    return [Change._make(row) for row in base.rows(
        'SELECT at, run_id, fence, scheduler_id, state, lease, reported '
        'FROM run_history ORDER BY number')]


def records(base: firings.Rows) -> list[tuple[str, str]]:
    """Return job and status of each record of a backup."""
    return [(row[0], row[1]) for row in base.rows(
        'SELECT job_id, status FROM backups')]


@dataclasses.dataclass
class Requests:
    """What the API recorded.

    :ivar claimed: when each process asked for runs first, by process id
    :ivar errors: answers of 500 or more, and when
    """

    reports: list[RunReport] = dataclasses.field(default_factory=list)
    claimed: dict[int, float] = dataclasses.field(default_factory=dict)
    errors: list[tuple[float, str]] = dataclasses.field(default_factory=list)


def requests(lines: Iterable[str]) -> Requests:
    """Read what the API recorded."""
    found = Requests()
    asked: dict[str, dict[str, Any]] = {}
    answered: dict[str, tuple[float, int]] = {}
    for line in lines:
        said = json.loads(line)
        if 'request' in said:
            asked[said['request']] = said
            continue
        answered[said['answer']] = (said['at'], said['status'])
        if said['status'] >= 500:
            found.errors.append((said['at'],
                                 f'{said["status"]} {said["path"]}'))
    for number, said in asked.items():
        if said['run'] is None:
            found.claimed.setdefault(pid(said['scheduler_id']), said['at'])
        else:
            until, status = answered.get(number, (None, None))
            found.reports.append(RunReport(
                said['at'], until, said['run'], said['scheduler_id'],
                said['fence'], status))
    return found


def pid(scheduler_id: str) -> int:
    """Return the process id that is part of a scheduler's name."""
    return int(scheduler_id.split(':')[1])
