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

"""Faults, and when they happen: drawn by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import enum
import random


class Kind(enum.StrEnum):
    """A kind of fault."""

    KILL = 'kill'
    ROLL = 'roll'
    SLEEP = 'sleep'
    NAP = 'nap'
    CLOCK = 'clock'
    JOIN = 'join'
    API = 'api'
    DATABASE = 'database'
    CRASH = 'crash'
    SHUTDOWN = 'shutdown'
    CINDER = 'cinder'
    KEYSTONE = 'keystone'


SAID = {
    Kind.KILL: 'kill -9 of a scheduler',
    Kind.ROLL: 'SIGTERM to a scheduler, started again',
    Kind.SLEEP: 'SIGSTOP of a scheduler for longer than a lease',
    Kind.NAP: 'SIGSTOP of a scheduler for less than a lease',
    Kind.CLOCK: 'step of the clock of a scheduler',
    Kind.JOIN: 'one more scheduler joins and leaves',
    Kind.API: 'kill -9 of the API',
    Kind.DATABASE: 'all connections to the database cut',
    Kind.CRASH: 'kill -9 of the database server',
    Kind.SHUTDOWN: 'the database server shut down',
    Kind.CINDER: 'SIGSTOP of Cinder',
    Kind.KEYSTONE: 'SIGSTOP of Keystone',
}

#: Faults of one scheduler; the others can go on with its work.
OF_ONE = frozenset((Kind.KILL, Kind.ROLL, Kind.SLEEP, Kind.NAP, Kind.CLOCK))

#: Faults of the database server, if it is the trial's own.
OF_SERVER = frozenset((Kind.CRASH, Kind.SHUTDOWN))

_WEIGHTS = {Kind.KILL: 4, Kind.ROLL: 3, Kind.SLEEP: 4, Kind.NAP: 2,
            Kind.CLOCK: 2, Kind.JOIN: 2, Kind.API: 3, Kind.DATABASE: 3,
            Kind.CRASH: 2, Kind.SHUTDOWN: 1, Kind.CINDER: 1,
            Kind.KEYSTONE: 1}

_STEPS = (-31536000, -86400, -3600, -60, 60, 3600, 86400, 31536000)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    :ivar at: seconds after the first firing
    :ivar seconds: until it is over
    :ivar target: the scheduler, where it is that of one
    :ivar step: seconds by which a clock is put forward
    """

    at: float
    seconds: float
    kind: Kind
    target: str = ''
    step: int = 0

    @property
    def until(self) -> float:
        return self.at + self.seconds

    def __str__(self) -> str:
        return ', '.join(filter(None, (
            SAID[self.kind], self.target,
            f'{self.step:+} s' if self.step else '',
            f'{self.seconds:.1f} s' if self.seconds else '')))


def draw(seed: int, seconds: float, schedulers: Sequence[str], guest: str,
         lease: float, pause: float,
         only: Sequence[Kind] = tuple(Kind),
         stopped: float | None = None) -> list[Fault]:
    """Return the faults of one trial, in their order.

    At any time one scheduler is healthy, and one of the services that all
    need is unavailable at most. Each kind comes before any comes again, where
    there is time for it.

    :param seconds: after which all faults are over
    :param guest: the scheduler that joins and leaves
    :param lease: of a run, in seconds
    :param pause: seconds between two faults, in the mean
    :param stopped: for how many seconds a scheduler sleeps
    """
    chance = random.Random(seed)  # noqa: S311
    kinds = _kinds(chance, only)
    made: list[Fault] = []
    at = chance.uniform(0.3, 1) * pause
    kind = next(kinds)
    while at < seconds:
        fault = Fault(at, _length(chance, kind, lease), kind)
        if kind is Kind.SLEEP and stopped is not None:
            fault = dataclasses.replace(fault, seconds=stopped)
        if kind is Kind.CLOCK:
            fault = dataclasses.replace(fault, step=chance.choice(_STEPS))
        if kind in OF_ONE or kind is Kind.JOIN:
            names = [guest] if kind is Kind.JOIN else schedulers
            fault = dataclasses.replace(fault, target=chance.choice(names))
        fits = fault.until <= seconds
        if fits and bearable(fault, [one for one in made if one.until > at],
                             schedulers):
            made.append(fault)
            kind = next(kinds)
        elif not fits:
            kind = next(kinds)
        at += chance.expovariate(1 / pause)
    return made


def bearable(fault: Fault, going: Sequence[Fault],
             schedulers: Sequence[str]) -> bool:
    """Whether a scheduler can work while these go on together."""
    hit = {one.target for one in going}
    if fault.target in hit:
        return False
    return (fault.target not in schedulers
            or bool(set(schedulers) - hit - {fault.target}))


def _kinds(chance: random.Random, only: Sequence[Kind]) -> Iterator[Kind]:
    """Yield each kind once, in any order, and then by their weights."""
    first = list(only)
    chance.shuffle(first)
    # It takes longest.
    first.sort(key=lambda kind: kind is not Kind.SLEEP)
    yield from first
    while True:
        yield from chance.choices(only, [_WEIGHTS[kind] for kind in only])


def _length(chance: random.Random, kind: Kind, lease: float) -> float:
    match kind:
        case Kind.DATABASE:
            return 0
        case Kind.KILL:
            return chance.uniform(0.1, 1.5 * lease)
        case Kind.ROLL:
            return chance.uniform(0.1, 3)
        case Kind.SLEEP:
            return lease + chance.uniform(1, 0.5 * lease)
        case Kind.NAP | Kind.CINDER | Kind.KEYSTONE:
            return chance.uniform(0.5, 0.8 * lease)
        case Kind.SHUTDOWN:
            return chance.uniform(1, 2.5 * lease)
        case Kind.API | Kind.CRASH:
            return chance.uniform(0.1, 0.5 * lease)
        case Kind.JOIN | Kind.CLOCK:
            return chance.uniform(0.3, 1.5) * lease
