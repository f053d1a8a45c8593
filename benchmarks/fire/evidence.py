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
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
from typing import NamedTuple
from typing import Protocol

from benchmarks.fire import plan


class Rows(Protocol):
    """A database."""

    def rows(self, query: str) -> Sequence[Any]:
        """Return what a query finds."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job as it stands at the end; times in epoch seconds."""

    id: str
    schedule: Mapping[str, Any]
    created: int
    next_run_at: int | None
    run_id: str | None


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as it stands at the end; times in epoch seconds."""

    id: str
    job_id: str
    nominal_at: int
    state: str
    reason: str | None
    time_started: int | None
    time_ended: int | None
    covers_until: int | None = None


class Change(NamedTuple):
    """One change of a run's row.

    :ivar at: epoch seconds, by the database's clock
    :ivar lease: until when its holder has it, None once it has ended
    :ivar reported: whether more was changed than its holder and lease, 1 or 0
    """

    at: float
    run_id: str
    fence: int
    scheduler_id: str | None
    state: str
    lease: int | None
    reported: int


class Report(NamedTuple):
    """What a scheduler reported of a run, and what the API said.

    :ivar until: when it was answered, None for never
    """

    at: float
    until: float | None
    run_id: str
    scheduler_id: str
    fence: int
    status: int | None


class Window(NamedTuple):
    """From when until when something went wrong, in epoch seconds.

    :ivar target: the scheduler, empty for what all of them need
    """

    since: float
    until: float
    kind: plan.Kind
    target: str


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup that there is in Cinder at the end."""

    id: str
    run_id: str
    action_id: str
    status: str


@dataclasses.dataclass
class Evidence:
    """All of it.

    :ivar taken: run, action and id of each backup that Cinder took on
    :ivar records: job and status of each record of a backup
    :ivar errors: answers of 500 or more, and when
    :ivar lives: (scheduler, process id, first claim, end)
    :ivar complaints: lines of logs that should not be
    """

    jobs: list[Job]
    runs: list[Run]
    changes: list[Change]
    reports: list[Report]
    taken: list[tuple[str, str, str]]
    backups: list[Backup]
    records: list[tuple[str, str]]
    windows: list[Window]
    lives: list[tuple[str, int, float, float]]
    errors: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    complaints: list[str] = dataclasses.field(default_factory=list)
    began: float = 0
    ended: float = 0


def jobs(made: Rows) -> list[Job]:
    return [Job(row[0], json.loads(row[1]), row[2], row[3], row[4])
            for row in made.rows(
                'SELECT id, schedule, time_created, next_run_at, run_id '
                'FROM jobs')]


def runs(made: Rows) -> list[Run]:
    return [Run(*row) for row in made.rows(
        'SELECT id, job_id, nominal_at, state, reason, time_started, '
        'time_ended, covers_until FROM job_runs ORDER BY nominal_at')]


def changes(made: Rows) -> list[Change]:
    return [Change._make(row) for row in made.rows(
        'SELECT at, run_id, fence, scheduler_id, state, lease, reported '
        'FROM fire_history ORDER BY number')]


def records(made: Rows) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in made.rows(
        'SELECT job_id, status FROM backups')]


@dataclasses.dataclass
class Requests:
    """What the API wrote down.

    :ivar claimed: when each process asked for runs first, by process id
    :ivar errors: answers of 500 or more, and when
    """

    reports: list[Report] = dataclasses.field(default_factory=list)
    claimed: dict[int, float] = dataclasses.field(default_factory=dict)
    errors: list[tuple[float, str]] = dataclasses.field(default_factory=list)


def requests(lines: Iterable[str]) -> Requests:
    """Read what the API wrote down."""
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
            found.reports.append(Report(
                said['at'], until, said['run'], said['scheduler_id'],
                said['fence'], status))
    return found


def pid(scheduler_id: str) -> int:
    """Return the process id that is part of a scheduler's name."""
    return int(scheduler_id.split(':')[1])
