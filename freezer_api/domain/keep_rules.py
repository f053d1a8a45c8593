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


"""Grandfather-father-son retention: which moments a rule keeps.

The names and the meaning are those of restic (``forget --keep-daily`` …) and
borg (``prune --keep-daily`` …). Each of the rules works alone, and a moment
stays if one of them keeps it. ``keep_daily`` 7 keeps the newest moment of each
of the last seven days that have one; a day without a backup does not count.
Like both programs, a rule that finds fewer periods than it may keep also keeps
the oldest moment of all, so that the history reaches back as far as possible
until the rule is full.

A moment that a rule keeps is kept until newer periods fill the rule. The
removal of others does not change this.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime

_Period = tuple[int, ...]


def _day(local: datetime.datetime) -> _Period:
    return local.year, local.month, local.day


def _week(local: datetime.datetime) -> _Period:
    """Return the ISO week, which begins on Monday."""
    return local.isocalendar()[:2]


def _month(local: datetime.datetime) -> _Period:
    return local.year, local.month


def _year(local: datetime.datetime) -> _Period:
    return local.year,


_PERIODS: Mapping[str, Callable[[datetime.datetime], _Period]] = {
    'daily': _day, 'weekly': _week, 'monthly': _month, 'yearly': _year}

#: The rules, also as the names of the attributes of :class:`KeepRules`.
NAMES = ('last', *_PERIODS)


@dataclasses.dataclass(frozen=True)
class KeepRules:
    """How many moments to keep, and of which periods.

    :ivar last: number of newest moments to keep
    :ivar daily: number of days of which the newest moment is kept; likewise
        ``weekly`` (ISO weeks), ``monthly`` and ``yearly``
    :ivar zone: the time zone in which days and weeks begin
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    zone: datetime.tzinfo = datetime.UTC

    def kept(self, moments: Mapping[str, datetime.datetime],
             ) -> dict[str, tuple[str, ...]]:
        """Return the moments that stay, with the rules that keep them.

        :param moments: aware times by ID; equal times are ordered by ID
        :returns: for each ID that stays the names of the rules, such as
            ``daily``; in the order of the rules
        """
        newest_first = sorted(
            moments, key=lambda one: (moments[one], one), reverse=True)
        reasons: dict[str, list[str]] = {}
        for one in newest_first[:self.last]:
            reasons.setdefault(one, []).append('last')
        local = {one: moments[one].astimezone(self.zone)
                 for one in newest_first}
        for name, period_of in _PERIODS.items():
            left: int = getattr(self, name)
            newest_of: dict[_Period, str] = {}
            for one in newest_first:
                newest_of.setdefault(period_of(local[one]), one)
            chosen = list(newest_of.values())[:left]
            if newest_first and len(chosen) < left:
                chosen.append(newest_first[-1])
            for one in dict.fromkeys(chosen):
                reasons.setdefault(one, []).append(name)
        return {one: tuple(names) for one, names in reasons.items()}
