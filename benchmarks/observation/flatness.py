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

"""Whether a series of values is flat.

A process needs more in the beginning: caches fill, modules are loaded. So the
first half of a series is not judged. In the second half the slope is the
median of the slopes between any two points (Theil and Sen), which outliers do
not bend. What it adds in that half must not be more than a share of the
median, or an amount for small values. What has a limit, such as connections
that are kept open, may grow below that.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools
import statistics


@dataclasses.dataclass(frozen=True)
class Allowed:
    """What a series may grow by, in its second half.

    :ivar part: of its median
    :ivar least: where that is less, in the unit of the series
    :ivar limit: up to which it may grow in any case
    """

    part: float
    least: float
    limit: float = 0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a series.

    :ivar first: the first value of all
    :ivar middle: the median of the second half
    :ivar most: of all values
    :ivar growth: what the slope adds in the second half
    :ivar allowed: the most that it may be
    :ivar limit: see :class:`Allowed`
    """

    first: float
    middle: float
    most: float
    growth: float
    allowed: float
    limit: float = 0

    @property
    def flat(self) -> bool:
        return self.growth <= self.allowed or self.most <= self.limit


def judge(series: Sequence[tuple[float, float]], allowed: Allowed) -> Verdict:
    """Judge a series of (seconds, value), in the order of time.

    :raises ValueError: when there is too little to tell by
    """
    begin, end = series[0][0], series[-1][0]
    late = [point for point in series if point[0] >= (begin + end) / 2]
    if len(late) < 5:
        raise ValueError('too few points')
    middle = statistics.median(value for _, value in late)
    slope = statistics.median(
        (value - earlier) / (at - before)
        for (before, earlier), (at, value) in itertools.combinations(late, 2)
        if at > before)
    return Verdict(
        first=series[0][1], middle=middle,
        most=max(value for _, value in series),
        growth=slope * (late[-1][0] - late[0][0]),
        allowed=max(allowed.part * middle, allowed.least),
        limit=allowed.limit)
