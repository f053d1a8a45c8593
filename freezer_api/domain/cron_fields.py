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

"""Cron expressions, compiled to sets of numbers.

Syntax and meaning are those of the cron trigger of APScheduler 3, which
earlier releases use: 0 is Monday, weeks are ISO weeks, ``2nd fri`` and
``last`` are days of the month, ``*/5`` counts from the smallest value of the
field, and a step must fit into its range. Sets are bit masks: bit 5 is set if
the set contains 5. So the cost of a search does not depend on the length of
the expression.
"""

from __future__ import annotations

import dataclasses
import functools
import re

RANGES = {'year': (1970, 9999), 'month': (1, 12), 'day': (1, 31),
          'week': (1, 53), 'day_of_week': (0, 6), 'hour': (0, 23),
          'minute': (0, 59), 'second': (0, 59)}

MAX_ENTRIES = 64
"""Maximum number of list entries in a new field; every minute has 60."""

_MONTHS = ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep',
           'oct', 'nov', 'dec')
_WEEKDAYS = ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')
_POSITIONS = ('1st', '2nd', '3rd', '4th', '5th', 'last')
_NAMES = {'month': _MONTHS, 'day_of_week': _WEEKDAYS}

_SEPARATOR = re.compile(' *, *')
_ALL = re.compile(r'\*(?:/([0-9]+))?')
_RANGE = re.compile('([0-9]+)(?:-([0-9]+))?(?:/([0-9]+))?')
_NAMED = re.compile('([a-z]+)(?:-([a-z]+))?')
_POSITION = re.compile(f'({"|".join(_POSITIONS)}) +([a-z]+)')


@dataclasses.dataclass(frozen=True)
class Values:
    """The values of one field.

    :ivar numbers: a bit mask
    :ivar last: whether the last day of a month is included
    :ivar positions: of weekdays in a month: 0 to 4 for the first to the fifth
        and 5 for the last, and the weekday
    """

    numbers: int = 0
    last: bool = False
    positions: frozenset[tuple[int, int]] = frozenset()


def entries(text: str) -> list[str]:
    """Return the entries of a field's list."""
    return _SEPARATOR.split(text.strip())


@functools.lru_cache(maxsize=1024)
def compile_field(name: str, text: str) -> Values:
    """Return the values of a cron expression.

    :param name: name of the field, such as ``day_of_week``
    :raises ValueError: if the text is not an expression of this field
    """
    if not text.isascii():
        raise ValueError(f'{text!r} is not a cron expression')
    numbers, last, positions = 0, False, set()
    for entry in dict.fromkeys(entries(text.lower())):
        if name == 'day' and entry == 'last':
            last = True
        elif name == 'day' and (match := _POSITION.fullmatch(entry)):
            positions.add((_POSITIONS.index(match[1]),
                           _number(_WEEKDAYS, match[2])))
        elif name in _NAMES and (match := _NAMED.fullmatch(entry)):
            first = _number(_NAMES[name], match[1])
            numbers |= _between(
                first, first if match[2] is None
                else _number(_NAMES[name], match[2]), 1)
        else:
            numbers |= _numbers(name, entry)
    return Values(numbers, last, frozenset(positions))


def everything(name: str) -> Values:
    """Return the values of a field with ``*``."""
    return compile_field(name, '*')


def _number(names: tuple[str, ...], name: str) -> int:
    """Return the number of a month or a weekday."""
    if name not in names:
        raise ValueError(f'{name!r} is not one of {", ".join(names)}')
    return names.index(name) + (names is _MONTHS)


def _numbers(name: str, entry: str) -> int:
    """Return the numbers of ``*``, ``*/5``, ``3``, ``3-9`` or ``3-9/2``."""
    least, most = RANGES[name]
    if match := _ALL.fullmatch(entry):
        step = 1 if match[1] is None else int(match[1])
        _check_step(entry, step, most - least, match[1] is None)
        return _between(least, most, step)
    match = _RANGE.fullmatch(entry)
    if match is None:
        raise ValueError(f'{entry!r} is not a cron expression')
    first = int(match[1])
    last = (int(match[2]) if match[2] is not None
            else first if match[3] is None else most)
    if first < least or last > most:
        raise ValueError(
            f'{entry!r} exceeds the range {least} to {most}')
    step = 1 if match[3] is None else int(match[3])
    # APScheduler treats an end of 0 as no end here.
    _check_step(entry, step, (last or most) - first, match[3] is None)
    return _between(first, last, step)


def _check_step(entry: str, step: int, room: int, implied: bool) -> None:
    if not implied and not 0 < step <= room:
        raise ValueError(
            f'the step of {entry!r} must be from 1 to {max(room, 1)}')


def _between(first: int, last: int, step: int) -> int:
    if first > last:
        raise ValueError('a range must not end before it begins')
    return sum(1 << number for number in range(first, last + 1, step))
