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

"""What came out of an upgrade, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import json

from benchmarks import machine
from benchmarks.upgrade import measure
from benchmarks.upgrade import released
from benchmarks.upgrade import waits


def json_text(filled: released.Filled, result: measure.Result) -> str:
    return json.dumps({
        'machine': machine.described(), 'jobs': filled.jobs,
        'released': filled.released, **dataclasses.asdict(result)},
        indent=1) + '\n'


def text(filled: released.Filled, result: measure.Result) -> str:
    return '\n'.join((
        *(f'{name}: {value}' for name, value in machine.described().items()),
        *_what(filled, result), '', *_steps(result), '', *_after(result)))


def _what(filled: released.Filled, result: measure.Result) -> Iterator[str]:
    yield (f'freezer-api {released.RELEASE} on MariaDB: {filled.jobs:,} '
           f'jobs; it made {filled.released:,} in {filled.seconds:.0f} s, the '
           'others are copies of these')
    for title, rows in (('before', result.rows),
                        ('after', result.after_rows)):
        yield f'{title}: ' + ', '.join(
            f'{count:,} {name}' for name, count in rows.items() if count)


def _steps(result: measure.Result) -> Iterator[str]:
    yield (f'{"":14}{"":>9}{"CPU seconds":>16}{"":>12}'
           '   longest wait of who changes a row, in s')
    yield (f'{"revision":14}{"seconds":>9}{"upgrade":>8}{"server":>8}'
           f'{"statements":>12}' + ''.join(
               f'{table:>10}' for table in waits.TABLES))
    steps = [*result.steps, _all(result.steps)]
    yield from map(_step, steps)
    yield ''
    yield (f'{"":14}   longest wait of who adds a row, and of any who reads '
           'one, in s')
    yield f'{"revision":14}' + ''.join(
        f'{name:>10}' for name in (*waits.TABLES, 'reader'))
    yield from map(_others, steps)


def _all(steps: Sequence[measure.Step]) -> measure.Step:
    return measure.Step(
        'all', sum(step.seconds for step in steps),
        (sum(step.cpu[0] for step in steps),
         sum(step.cpu[1] for step in steps)),
        sum(step.statements for step in steps),
        {table: {kind: waits.Wait(
            max(step.waits[table][kind].seconds for step in steps),
            sum(step.waits[table][kind].refused for step in steps))
            for kind in waits.KINDS} for table in waits.TABLES})


def _step(step: measure.Step) -> str:
    own, server = step.cpu
    return (f'{step.name:14}{step.seconds:9.1f}{own:8.1f}{server:8.1f}'
            f'{step.statements:12,}' + _seconds(
                step.waits[table]['write'] for table in waits.TABLES))


def _others(step: measure.Step) -> str:
    readers = [step.waits[table]['read'] for table in waits.TABLES]
    refused = sum(wait.refused for waited in step.waits.values()
                  for wait in waited.values())
    return (f'{step.name:14}' + _seconds((
        *(step.waits[table]['insert'] for table in waits.TABLES),
        max(readers, key=lambda wait: wait.seconds)))
        + (f'   {refused} refused, of all' if refused else ''))


def _seconds(found: Iterable[waits.Wait]) -> str:
    return ''.join(f'{wait.seconds:10.2f}' for wait in found)


def _after(result: measure.Result) -> Iterator[str]:
    yield (f'db check took {result.check:.1f} s and said '
           f'{result.estimate:.0f} CPU seconds')
    for what, seconds in result.after.items():
        yield f'{what}: {seconds:.1f} s'
    if result.wrong:
        yield from (f'WRONG: {one}' for one in result.wrong)
    else:
        yield (f'{result.compared:,} documents read as {released.RELEASE} '
               'read them, each field, but for what is meant:')
        yield from (f'    {one}' for one in result.permitted)
