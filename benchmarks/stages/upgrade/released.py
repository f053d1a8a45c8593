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

"""A database of a published release, with any number of jobs.

The API of the release creates the first projects. That takes long for each
job, so the others are copies of these, row by row in SQL, with ids of their
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
import dataclasses
import math
import os
import time
from typing import Any

import sqlalchemy as sa

from tests.released import releases

RELEASE = '18.0.0'
JOBS_OF_A_PROJECT = 20

# Ids are hexadecimal. Copies differ from what they are of, and from each
# other, in the fifth to twelfth digit.
_IDS = {
    'clients': ('id', 'uuid'), 'actions': ('id',), 'action_reports': ('id',),
    'sessions': ('id',), 'jobs': ('id', 'session_id'),
    'backups': ('id', 'job_id'),
}
_OF_ALL = ('project_id', 'user_id')
_NAMED = ('("(?:action_id|job_id|project_id|user_id)": "[0-9a-f]{4})'
          '[0-9a-f]{8}', r'\1{}')
_KEYS = ('("[0-9a-f]{4})[0-9a-f]{8}([0-9a-f]{20}": [{])', r'\1{}\2')
_JSON = {
    ('jobs', 'job_actions'): _NAMED,
    ('backups', 'backup_metadata'): _NAMED,
    ('sessions', 'job'): _KEYS,
}


@dataclasses.dataclass(frozen=True)
class Filled:
    """The content of the database.

    :ivar jobs: number of jobs, deleted ones included
    :ivar released: of these, number of jobs that the release created
    :ivar seconds: that it took for these
    :ivar documents: of some projects, as the release reads them
    """

    jobs: int
    released: int
    seconds: float
    documents: dict[str, dict[str, Any]]


def _project(number: int, copy: int = 0) -> str:
    return f'{number:04x}{copy:08x}'.ljust(32, '0')


def fill(url: str, jobs: int, released: int, seconds: float) -> Filled:
    """Fill an empty database on MariaDB.

    :param released: number of jobs that the release creates, if that does
        not take longer than ``seconds``
    :raises RuntimeError: there was no time for any job
    """
    release = releases.Release(RELEASE)
    start = time.time()
    release.run('many.py', stdin={'url': url, 'sync': True})
    numbers = range(math.ceil(min(jobs, released) / JOBS_OF_A_PROJECT))
    parts = [numbers[part::_workers()] for part in range(_workers())]

    def work(part: Sequence[int]) -> int:
        return int(release.run('many.py', stdin={
            'url': url, 'fill': [_project(number) for number in part],
            'jobs': JOBS_OF_A_PROJECT, 'until': start + seconds})['filled'])

    with futures.ThreadPoolExecutor(len(parts)) as pool:
        done = list(pool.map(work, parts))
    made = sum(done) * JOBS_OF_A_PROJECT
    if not made:
        raise RuntimeError('there was no time for any job')
    taken = time.time() - start
    copies = math.ceil(jobs / made)
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    for copy in range(1, copies):
        _copy(engine, copy)
    read = [_project(part[0], copy) for part, count
            in zip(parts, done, strict=True) if count
            for copy in (0, copies - 1)]
    return Filled(made * copies, made, taken, release.run(
        'many.py', stdin={'url': url, 'read': sorted(set(read))})[
            'documents'])


def _workers() -> int:
    return os.cpu_count() or 1


def _copy(engine: sa.Engine, copy: int) -> None:
    digits = f'{copy:08x}'
    inspector = sa.inspect(engine)
    with engine.begin() as connection:
        for table, ids in _IDS.items():
            names = [column['name']
                     for column in inspector.get_columns(table)]
            values = []
            for name in names:
                if name in (*ids, *_OF_ALL):
                    values.append(f"INSERT({name}, 5, 8, '{digits}')")
                elif (table, name) in _JSON:
                    pattern, instead = _JSON[table, name]
                    values.append(
                        f"REGEXP_REPLACE({name}, '{pattern}', '"
                        + instead.format(digits).replace('\\', '\\\\')
                        + "')")
                else:
                    values.append(name)
            connection.exec_driver_sql(
                f'INSERT INTO {table} ({", ".join(names)}) '
                f'SELECT {", ".join(values)} FROM {table} '
                "WHERE SUBSTR(project_id, 5, 8) = '00000000'")
