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

"""How long an upgrade from 18.0.0 takes, and how long it keeps others waiting.

    python -m benchmarks.upgrade --url mysql+pymysql://root@127.0.0.1/ --jobs N

Makes a database on that server and drops it in the end. Beside each revision,
one connection reads a job and another writes one, time and again; the longest
wait of each is what the upgrade locks for. In the end a scheduler that claims
takes the jobs over.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import dataclasses
import json
import threading
import time
from typing import Any
from unittest import mock
import uuid

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import migration
from freezer_api.db import models
from freezer_api.db import takeover
from freezer_api.db import terms
from freezer_api.domain import plans

FROM = '23c8ad2655a6'
_CHUNK = 2000


def fill(engine: sa.Engine, jobs: int) -> None:
    """Fill a database of 18.0.0: of each job an action and two backups."""
    entry = {'action': 'backup', 'mode': 'cindernative',
             'cindernative_vol_id': 'v' * 36, 'backup_name': 'nightly',
             'storage': 'swift', 'container': 'freezer'}
    schedule = {'schedule_interval': '1 days', 'time_created': 1795334582,
                'time_started': 1795334600, 'time_ended': 1795334700,
                'status': 'scheduled', 'event': '', 'result': 'success'}
    metadata = {'hostname': 'h', 'backup_name': 'nightly', 'container': 'c',
                'time_stamp': 1795334582, 'curr_backup_level': 0,
                'job_id': ''}
    for start in range(0, jobs, _CHUNK):
        rows: dict[str, list[dict[str, Any]]] = {
            'actions': [], 'jobs': [], 'backups': []}
        for n in range(start, min(start + _CHUNK, jobs)):
            job_id, action_id = uuid.uuid4().hex, uuid.uuid4().hex
            common = {'project_id': f'{n % 500:032}', 'user_id': 'u' * 32,
                      'deleted': False, 'created_at': '2026-01-01 00:00:00'}
            rows['actions'].append({
                **common, 'id': action_id, 'action': 'backup',
                'actionmode': 'cindernative', 'backup_name': 'nightly',
                'container': 'freezer', 'max_retries': 5,
                'max_retries_interval': 6, 'mandatory': False,
                'backup_metadata': json.dumps(entry)})
            rows['jobs'].append({
                **common, 'id': job_id, 'client_id': 'central',
                'session_id': '', 'session_tag': 0, 'description': f'job {n}',
                'schedule': json.dumps(schedule),
                'job_actions': json.dumps([{
                    'action_id': action_id, 'freezer_action': entry,
                    'max_retries': 5, 'max_retries_interval': 6,
                    'mandatory': False}])})
            rows['backups'].extend({
                **common, 'id': uuid.uuid4().hex, 'job_id': job_id,
                'user_name': 'alice',
                'backup_metadata': json.dumps({**metadata, 'job_id': job_id})}
                for _ in range(2))
        with engine.begin() as connection:
            for name, values in rows.items():
                connection.execute(sa.table(
                    name, *map(sa.column, values[0])).insert(), values)


@dataclasses.dataclass
class Waits:
    """The longest that a reader and a writer had to wait, in seconds."""

    read: float = 0.0
    write: float = 0.0


@contextlib.contextmanager
def probed(engine: sa.Engine) -> Iterator[Waits]:
    """Let a reader and a writer work beside, and note their waits."""
    waits = Waits()
    end = threading.Event()

    def work(name: str, statement: str) -> None:
        with engine.connect() as connection:
            while not end.is_set():
                start = time.monotonic()
                connection.execute(sa.text(statement))
                connection.commit()
                taken = time.monotonic() - start
                setattr(waits, name, max(getattr(waits, name), taken))
                end.wait(0.02)

    with engine.connect() as connection:
        job_id = connection.execute(sa.text(
            'SELECT MAX(id) FROM jobs')).scalar_one()
    threads = [threading.Thread(target=work, args=args) for args in (
        ('read', f"SELECT description FROM jobs WHERE id = '{job_id}'"),
        ('write', "UPDATE jobs SET session_tag = session_tag + 1 "
                  f"WHERE id = '{job_id}'"))]
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        end.set()
        for thread in threads:
            thread.join()


def measure(url: str, jobs: int) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    migration.sync(url, FROM)
    fill(engine, jobs)
    revisions = migration.revisions()
    print(f'{"revision":14}{"seconds":>9}{"read":>9}{"write":>9}')
    total = 0.0
    for revision in revisions[revisions.index(FROM) + 1:]:
        with probed(engine) as waits:
            start = time.monotonic()
            with mock.patch.object(terms, 'fill', autospec=True):
                migration.sync(url, revision)
            taken = time.monotonic() - start
        total += taken
        print(f'{revision:14}{taken:9.1f}{waits.read:9.2f}'
              f'{waits.write:9.2f}', flush=True)
    with probed(engine) as waits:
        start = time.monotonic()
        migration.sync(url)
        taken = time.monotonic() - start
    total += taken
    print(f'{"search terms":14}{taken:9.1f}{waits.read:9.2f}'
          f'{waits.write:9.2f}')
    print(f'{"all":14}{total:9.1f}', flush=True)
    take_over(engine, jobs)


def take_over(engine: sa.Engine, jobs: int) -> None:
    """Let a scheduler that claims take all the jobs over, and look at them.

    :raises RuntimeError: a job is due at another second than it was
    """
    now = int(time.time())
    with orm.Session(engine) as session, session.begin():
        session.add(models.Client(
            id='c' * 32, uuid='c' * 32, client_id='central', user_id='u',
            project_id='p', is_central=True, claims=True,
            take_over_after=''))
    longest, more, start = 0.0, True, time.monotonic()
    with probed(engine) as waits:
        while more:
            begun = time.monotonic()
            with orm.Session(engine) as session, session.begin():
                more = takeover.take_over(
                    session, 'c' * 32, plans.Rules(), now)
            longest = max(longest, time.monotonic() - begun)
    print(f'{"take over":14}{time.monotonic() - start:9.1f}'
          f'{waits.read:9.2f}{waits.write:9.2f}'
          f'   longest transaction {longest:.2f} s')
    job = models.Job
    with orm.Session(engine) as session:
        armed = session.scalar(sa.select(sa.func.count()).where(
            job.next_run_at >= now - 3600,
            (job.next_run_at - job.time_created) % 86_400 == 0))
    if armed != jobs:
        raise RuntimeError(f'{armed} of {jobs} jobs are due as they were')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--url', required=True)
    parser.add_argument('--jobs', type=int, default=100_000)
    arguments = parser.parse_args()
    server = sa.create_engine(arguments.url, isolation_level='AUTOCOMMIT')
    name = f'freezer_upgrade_{uuid.uuid4().hex[:8]}'
    with server.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE {name}'))
        try:
            measure(server.url.set(database=name).render_as_string(
                hide_password=False), arguments.jobs)
        finally:
            connection.execute(sa.text(f'DROP DATABASE {name}'))


if __name__ == '__main__':
    main()
