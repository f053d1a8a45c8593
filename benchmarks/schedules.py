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

"""What the worst schedule costs, in CPU time of this machine.

hypothesis searches the document that costs most lines of Python, as the unit
tests do; what it comes to on its way is measured. Run it with::

    python -m benchmarks.schedules
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
import contextlib
import datetime
import json
import time
from typing import Any

import hypothesis

from freezer_api.domain import schedule
from tests.unit.freezer_api.domain import test_schedule_cost as cost

_REPEAT = 20


def measured(document: Mapping[str, Any], moment: datetime.datetime,
             cold: bool) -> float:
    """Return the CPU seconds of one firing, the median of some tries.

    :param cold: whether the document is read for the first time
    """
    taken = []
    for _ in range(_REPEAT):
        if cold:
            cost.forget()
        began = time.process_time()
        schedule.next_firing(schedule.parse(document), moment, moment)
        taken.append(time.process_time() - began)
    return sorted(taken)[_REPEAT // 2]


def search(examples: int) -> list[tuple[int, Mapping[str, Any],
                                        datetime.datetime]]:
    """Return the documents that cost most lines, the worst first."""
    found: list[tuple[int, Mapping[str, Any], datetime.datetime]] = []

    @hypothesis.settings(deadline=None, database=None, max_examples=examples)
    @hypothesis.given(cost.documents, cost.moments)
    @hypothesis.example(cost.ATTACK, cost.moment(2026))
    def look(document: dict[str, str], moment: datetime.datetime) -> None:
        first, _ = cost.cost(document, moment, moment)
        hypothesis.target(float(first))
        with contextlib.suppress(schedule.ScheduleError):
            schedule.parse(document)
            found.append((first, document, moment))

    look()
    return sorted(found, key=lambda one: -one[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--examples', type=int, default=2000)
    worst = search(parser.parse_args().examples)[:50]
    for title, cold in (('read and searched', True), ('searched again',
                                                      False)):
        taken, document = max(
            ((measured(document, moment, cold), document)
             for _, document, moment in worst), key=lambda one: one[0])
        print(f'{title}: {taken * 1000:.3f} ms of CPU at most\n'
              f'    {json.dumps(document)[:400]}')
    taken = measured(cost.ATTACK, cost.moment(2026), True)
    print(f'the document of the attack: {taken * 1000:.3f} ms')


if __name__ == '__main__':
    main()
