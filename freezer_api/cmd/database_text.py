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

"""Reports about a database, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from freezer_api.db.admin import check
from freezer_api.db.admin import upgrade_report

_CHAPTERS = (
    ('kept', 'Kept aside by an upgrade (table kept_values)'),
    ('orphaned', 'Kept aside (table orphaned_user_credentials)'),
    ('suspended', 'Suspended jobs, by cause'),
    ('unarmed', 'Jobs without a next firing: a polling scheduler runs them, '
                'or none'),
    ('trusts', 'Trusts that'),
    ('containers', 'Cinder-native actions with a container, which Cinder '
                   'receives since 20.0.0'),
    ('invisible', 'Rows that count as deleted because their mark is NULL'),
)


def finding(found: check.Finding) -> Iterator[str]:
    """Yield the lines of ``db check``."""
    yield f'Database of: {found.origin}'
    yield f'Revision:    {found.revision or "none"}'
    if any(found.rows.values()):
        yield 'Rows:        ' + ', '.join(
            f'{name} {count}' for name, count in found.rows.items() if count)
    yield from _work(found)
    for title, lines in (('Notes:', found.notes),
                         ('Obstacles:', found.obstacles)):
        if lines:
            yield ''
            yield title
            for line in lines:
                yield f'  * {line}'
    yield ''
    if found.obstacles:
        yield 'Result: an upgrade is not possible because of the obstacles.'
    elif found.to_do:
        yield 'Result: ready for freezer-manage db sync.'
    else:
        yield 'Result: up to date, nothing to do.'


def _work(found: check.Finding) -> Iterator[str]:
    """Yield the lines about the steps of an upgrade."""
    if not found.to_do:
        return
    yield ''
    yield 'An upgrade runs these revisions:'
    for revision, does in found.steps:
        yield f'  {revision}  {does}'
    if not any(found.rows.values()):
        return
    yield '  afterwards    Rows get the terms for searches'
    if found.kept:
        yield ''
        yield 'It keeps aside:'
        for what, count in sorted(found.kept.items()):
            yield f'  {count:>7}  {what}'
    yield ''
    yield f'It takes {_duration(found.seconds)}.'


def _duration(seconds: float) -> str:
    if seconds < 60:
        return 'a minute or less'
    return f'about {round(seconds / 60)} to {round(seconds / 60 * 2)} minutes'


def report(found: upgrade_report.Report) -> Iterator[str]:
    """Yield the lines of ``db report``."""
    empty = True
    for name, title in _CHAPTERS:
        sorts: list[upgrade_report.Sort] = getattr(found, name)
        if not sorts:
            continue
        if not empty:
            yield ''
        empty = False
        yield f'{title}:'
        for sort in sorts:
            yield f'  {sort.count:>7}  {sort.title}'
            more = ' ...' if sort.count > len(sort.ids) else ''
            yield f'           {" ".join(sort.ids)}{more}'
    if empty:
        yield 'Nothing to report.'
