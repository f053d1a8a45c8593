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

"""How an engine executes a statement, and whether that is good enough.

Each engine has its own format. Here a plan is a list of steps: how a table is
read, and what is sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import re
from typing import Any


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a plan.

    :ivar table: that is read; empty for a sort
    :ivar how: ``scan`` for all of a table or of an index, ``index`` for a
        part of one, ``sort``
    :ivar index: the index that is used
    :ivar rows: about how many, None where the engine does not say
    """

    table: str
    how: str
    index: str = ''
    rows: int | None = None

    def __str__(self) -> str:
        rows = '' if self.rows is None else f' ~{self.rows}'
        if self.how == 'sort':
            return f'sort{rows}'
        return f'{self.how} {self.index or self.table}{rows}'


def of_sqlite(lines: Sequence[Sequence[Any]], limited: bool) -> list[Step]:
    """Read what EXPLAIN QUERY PLAN says.

    :param limited: whether the statement ends when it has enough rows, which
        is early where nothing is to be sorted
    """
    found = []
    details = [str(line[-1]) for line in lines]
    early = limited and not any('TEMP B-TREE' in detail
                                for detail in details)
    # What comes of another query is as long as that made it.
    made = {match[1] for detail in details if (match := re.match(
        r'(?:CO-ROUTINE|MATERIALIZE) (\w+)', detail))}
    for detail in details:
        match = re.match(r'(SCAN|SEARCH) (?!CONSTANT ROW)(\w+)', detail)
        if match and match[2] not in made:
            index = re.search(r'INDEX (\w+)|(PRIMARY KEY)', detail)
            whole = match[1] == 'SCAN' and not (early and index)
            found.append(Step(
                match[2], 'scan' if whole else 'index',
                (index[1] or index[2]) if index else ''))
        elif 'TEMP B-TREE' in detail and 'ORDER BY' in detail:
            found.append(Step('', 'sort'))
    return found


def of_mariadb(lines: Sequence[Mapping[str, Any]]) -> list[Step]:
    """Read what EXPLAIN or ANALYZE says, by its columns.

    Rows that were read, where that is known, and else those that are guessed.
    """
    found = []
    for line in lines:
        # What it never came to, it has not read.
        number = line['r_rows'] or 0 if 'r_rows' in line else line['rows']
        rows = None if number is None else round(float(number))
        extra = line.get('Extra') or ''
        if line.get('table') and not line['table'].startswith('<'):
            whole = line.get('type') in ('ALL', 'index')
            found.append(Step(line['table'], 'scan' if whole else 'index',
                              line.get('key') or '', rows))
        if 'filesort' in extra:
            found.append(Step('', 'sort', rows=rows))
    return found


def of_postgresql(plan: Mapping[str, Any]) -> list[Step]:
    """Read the plan that EXPLAIN (FORMAT JSON) says."""
    return list(_postgresql(plan))


def _postgresql(node: Mapping[str, Any]) -> Iterator[Step]:
    kind = node['Node Type']
    rows = round(node.get('Actual Rows', node.get('Plan Rows', 0)))
    if kind == 'Seq Scan':
        # What a filter leaves is less than what is read.
        yield Step(node['Relation Name'], 'scan', rows=round(
            rows + node.get('Rows Removed by Filter', 0)))
    elif 'Index' in kind and 'Index Name' in node:
        whole = 'Index Cond' not in node
        yield Step(node.get('Relation Name', ''),
                   'scan' if whole else 'index', node['Index Name'],
                   round(rows + node.get('Rows Removed by Filter', 0)))
    elif kind == 'Sort':
        below = node['Plans'][0]
        yield Step('', 'sort', rows=round(
            below.get('Actual Rows', below.get('Plan Rows', 0))))
    for below in node.get('Plans', ()):
        yield from _postgresql(below)


def faults(steps: Sequence[Step], small: Sequence[str],
           most: int) -> list[str]:
    """Return what is wrong with a plan.

    No table is to be read as a whole, and nothing to be sorted that is more
    than a request asks for.

    :param small: tables that are, and may be read
    :param most: rows that one request may look at
    """
    found = []
    for step in steps:
        many = step.rows is None or step.rows > most
        if step.how == 'scan' and step.table not in small and many:
            found.append(f'reads all of {step.index or step.table}')
        elif step.how == 'sort' and step.rows is not None and many:
            found.append(f'sorts {step.rows} rows')
        elif step.how == 'index' and step.rows is not None and many:
            found.append(f'reads {step.rows} rows of {step.index}')
    return found
