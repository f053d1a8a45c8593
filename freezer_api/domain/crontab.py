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

"""Crontab expressions, compiled to sets of numbers.

The meaning is that of crontab(5): five fields; 0 and 7 are Sunday; if both
day fields are restricted, a day must match only one of them. A day field is
restricted unless it begins with ``*``. Lists and ranges can contain names of
months and weekdays.

The tests compare this module with the library cronsim, which reads the same
language. cronsim itself is not used for three reasons: it searches by day and
hour for up to 50 years, while the cost of a search must not depend on the
expression; it handles clock changes differently from the other cron keys; and
the domain depends only on the standard library.
"""

from __future__ import annotations

import dataclasses
import functools
import re

FIELDS = ('minute', 'hour', 'day of the month', 'month', 'day of the week')

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))

_NAMES = {
    'month': {name: number for number, name in enumerate(
        ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct',
         'nov', 'dec'), 1)},
    'day of the week': {name: number for number, name in enumerate(
        ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'))}}

_ENTRY = re.compile(
    r'(?:\*|([0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?)(?:/([0-9]{1,3}))?')


@dataclasses.dataclass(frozen=True)
class Crontab:
    """A compiled expression, as bit masks.

    :ivar weekdays: 0 is Monday, as in the rest of the domain
    :ivar either: whether a day must match only one of ``days`` and
        ``weekdays``
    """

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    either: bool
    every_hour: bool


@functools.lru_cache(maxsize=256)
def compile_text(text: str) -> Crontab:
    """Compile a crontab expression.

    :raises ValueError: if it is invalid; the text names the field
    """
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise ValueError(
            f'{text!r} has {len(parts)} fields; give five: minute, hour, day '
            'of the month, month, day of the week')
    minutes, hours, days, months, weekdays = (
        _numbers(field, least, most, part.lower())
        for field, (least, most), part in zip(
            FIELDS, _RANGES, parts, strict=True))
    # Convert from 0 and 7 for Sunday to 0 for Monday.
    weekdays = (weekdays >> 1 | weekdays << 6) & 0x7f
    return Crontab(
        minutes, hours, days, months, weekdays,
        not (parts[2].startswith('*') or parts[4].startswith('*')),
        parts[1].startswith('*'))


def _numbers(field: str, least: int, most: int, part: str) -> int:
    """Return the numbers of a list of entries."""
    if not part.isascii():
        raise ValueError(f'the {field} {part!r} cannot be understood')
    numbers = 0
    for entry in dict.fromkeys(part.split(',')):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f'the {field} {entry!r} cannot be understood')
        first, last = least, most
        if match[1] is not None:
            first = _number(field, least, most, match[1])
            last = first if match[3] is None else most
            if match[2] is not None:
                last = _number(field, least, most, match[2])
        step = 1 if match[3] is None else int(match[3])
        if step < 1:
            raise ValueError(f'the step of the {field} {entry!r} is 0')
        if last < first:
            raise ValueError(
                f'the {field} {entry!r} ends before it begins')
        for number in range(first, last + 1, step):
            numbers |= 1 << number
    return numbers


def _number(field: str, least: int, most: int, text: str) -> int:
    names = _NAMES.get(field, {})
    if text in names:
        return names[text]
    if not text.isdigit():
        raise ValueError(
            f'the {field} {text!r} is not one of {", ".join(names)}'
            if names else f'the {field} {text!r} is not a number')
    number = int(text[:9])
    if not least <= number <= most:
        raise ValueError(
            f'the {field} {text!r} is not from {least} to {most}')
    return number
