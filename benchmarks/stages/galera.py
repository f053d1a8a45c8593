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

"""A Galera cluster that is written to through both of its nodes.

Starts a cluster of two MariaDB servers on this machine. Two upgrades run at
once, through one node each; upgrades are killed, and resumed through the same
node and through the other; schedulers claim due jobs and expired leases
through both nodes while users edit the jobs.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator
from concurrent import futures
import json
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any
import uuid

import sqlalchemy as sa

from benchmarks.environment import database_server
from benchmarks.environment import in_process
from benchmarks import report
from freezer_api.db.admin import upgrade
from freezer_api.services import dependencies as api_services
from tests.functional import base
from tools.cloud import progress

# Starts only when both are loaded, so that they meet.
_UPGRADE = """
from freezer_api.db.admin import upgrade
import sys
print('ready', flush=True)
sys.stdin.readline()
upgrade.sync(sys.argv[1])
"""
_CLAIMERS = 3
_DAY = 86_400


#: The revision of 18.0.0.
_FROM = '23c8ad2655a6'
_CHUNK = 2000
_CONFLICTS = ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--jobs', type=int, default=200)
    parser.add_argument('--rounds', type=int, default=5)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    if chosen.quick:
        chosen.jobs, chosen.rounds = 20, 1
    with database_server.galera() as servers:
        nodes = _Nodes(servers)
        with tell.step('two upgrades at once'):
            yield report.Invariant('two upgrades at once end well',
                                   _upgrades_at_once(nodes, chosen.jobs))
        with tell.step('killed upgrades'):
            yield from _upgrades_killed(nodes, 10 * chosen.jobs)
        with tell.step('claims through both nodes'):
            yield from _claims(nodes, chosen.jobs, chosen.rounds)


class _Nodes:
    """One database, through each node.

    :ivar urls: of the database
    """

    def __init__(self, servers: list[database_server.DatabaseServer],
                 ) -> None:
        self._servers = servers
        self.urls = [sa.make_url(one.url).set(database='freezer')
                     .render_as_string(hide_password=False)
                     for one in servers]

    def clear(self) -> None:
        """Create the database anew."""
        with self._servers[0].engine.connect() as connection:
            connection.execute(sa.text('DROP DATABASE IF EXISTS freezer'))
            connection.execute(sa.text('CREATE DATABASE freezer'))

    def conflicts(self) -> collections.Counter[str]:
        """Return the conflicts between the nodes since they started."""
        totals: collections.Counter[str] = collections.Counter()
        for one in self._servers:
            with one.engine.connect() as connection:
                for name in _CONFLICTS:
                    totals[name] += int(connection.execute(sa.text(
                        f"SHOW STATUS LIKE '{name}'")).one()[1])
        return totals


def _differences(*compared: tuple[str, Any, Any]) -> list[str]:
    """Return a line for each name whose two values differ."""
    return [f'{name}: {found} instead of {wanted}'
            for name, wanted, found in compared if wanted != found]


def _begin(url: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, '-c', _UPGRADE, url], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write('\n')
    process.stdin.flush()


def _fill(nodes: _Nodes, jobs: int) -> None:
    """Fill a database of 18.0.0: each job has an action and two backups."""
    nodes.clear()
    upgrade.sync(nodes.urls[0], _FROM)
    entry = {'action': 'backup', 'mode': 'cindernative',
             'cindernative_vol_id': 'v' * 36, 'backup_name': 'nightly',
             'storage': 'swift', 'container': 'freezer'}
    retries = {'max_retries': 5, 'max_retries_interval': 6,
               'mandatory': False}
    schedule = {'schedule_interval': '1 days', 'time_created': 1795334582,
                'time_started': 1795334600, 'time_ended': 1795334700,
                'status': 'scheduled', 'event': '', 'result': 'success'}
    engine = sa.create_engine(nodes.urls[0])
    for start in range(0, jobs, _CHUNK):
        rows: dict[str, list[dict[str, Any]]] = {
            'actions': [], 'jobs': [], 'backups': []}
        for n in range(start, min(start + _CHUNK, jobs)):
            job_id, action_id = uuid.uuid4().hex, uuid.uuid4().hex
            common = {'project_id': f'{n % 500:032}', 'user_id': 'u' * 32,
                      'deleted': False, 'created_at': '2026-01-01 00:00:00'}
            rows['actions'].append({
                **common, **retries, 'id': action_id, 'action': 'backup',
                'actionmode': 'cindernative', 'backup_name': 'nightly',
                'container': 'freezer',
                'backup_metadata': json.dumps(entry)})
            rows['jobs'].append({
                **common, 'id': job_id, 'client_id': 'central',
                'session_id': '', 'session_tag': 0, 'description': f'job {n}',
                'schedule': json.dumps(schedule),
                'job_actions': json.dumps([{
                    'action_id': action_id, 'freezer_action': entry,
                    **retries}])})
            rows['backups'].extend({
                **common, 'id': uuid.uuid4().hex, 'job_id': job_id,
                'user_name': 'alice', 'backup_metadata': json.dumps({
                    'hostname': 'h', 'backup_name': 'nightly',
                    'container': 'c', 'time_stamp': 1795334582,
                    'curr_backup_level': 0, 'job_id': job_id})}
                for _ in range(2))
        with engine.begin() as connection:
            for name, values in rows.items():
                connection.execute(sa.table(
                    name, *map(sa.column, values[0])).insert(), values)
    engine.dispose()


def _upgraded(nodes: _Nodes, jobs: int) -> list[str]:
    """Return what an upgrade has not done."""
    with sa.create_engine(nodes.urls[1],
                          poolclass=sa.pool.NullPool).connect() as connection:
        links, actions = connection.execute(sa.text(
            'SELECT (SELECT COUNT(*) FROM job_actions), '
            '(SELECT COUNT(*) FROM actions)')).one()
    return _differences(
        *(('revision', upgrade.head(), upgrade.current(url))
          for url in nodes.urls),
        ('links', jobs, links), ('actions', jobs, actions))


def _upgrades_at_once(nodes: _Nodes, jobs: int) -> list[str]:
    """Return what is wrong after two upgrades at once, three times."""
    wrong = []
    for _ in range(3):
        _fill(nodes, jobs)
        processes = [_begin(url) for url in nodes.urls]
        for process in processes:
            _go(process)
        for process in processes:
            _, errors = process.communicate()
            wrong += _differences(
                ('an upgrade', (0, ''), (process.returncode, errors)))
        wrong += _upgraded(nodes, jobs)
    return wrong


def _upgrades_killed(nodes: _Nodes, jobs: int) -> Iterator[report.Item]:
    """Kill upgrades that convert rows, and resume them."""
    for number, name in enumerate(('its', 'the other')):
        _fill(nodes, jobs)
        process = _begin(nodes.urls[0])
        _go(process)
        with sa.create_engine(nodes.urls[0]).connect() as connection:
            while not connection.execute(sa.text(
                    "SHOW TABLES LIKE 'job_actions'")).all():
                time.sleep(0.05)
        process.kill()
        process.communicate()
        start = time.monotonic()
        # How long the next one waits, without the work that is left.
        with upgrade.exclusive(nodes.urls[number]):
            yield report.Figure(
                f'wait after a killed upgrade, through {name} node',
                time.monotonic() - start, 's')
        upgrade.sync(nodes.urls[number])
        yield report.Invariant(
            f'a killed upgrade is resumed through {name} node',
            _upgraded(nodes, jobs))


class _Node(base.ApiTestCase):
    """The API on one node, in this process."""

    # Otherwise a node may show an older state than was written to another.
    settings = {'database': {'mysql_wsrep_sync_wait': 1}}

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def runTest(self) -> None:
        """It has no tests."""

    def url(self) -> str:
        return self._url


class _OtherNode(_Node):
    """The API on the other node, with the same clock and trusts."""

    def __init__(self, url: str, first: _Node) -> None:
        super().__init__(url)
        self._first = first

    def make_tables(self) -> None:
        """They are there."""

    def _services(self) -> api_services.Services:
        self.clock, self.trusts = self._first.clock, self._first.trusts
        return super()._services()


class _Trial:
    """Schedulers and users at work through both nodes.

    :ivar wrong: what is wrong
    """

    def __init__(self, nodes: Any, jobs: int) -> None:
        self._nodes = nodes
        self.jobs = [nodes[0].create_job(
            base.MEMBER if number % 3 else base.STRANGER,
            schedule={'schedule_interval': '1 days'})
            for number in range(jobs)]
        self._edited = [self.jobs[number] for number in (1, 2, 4)]
        self._given: collections.Counter[tuple[str, int]] = (
            collections.Counter())
        self._lock = threading.Lock()
        self.answers: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []

    def _claim(self, number: int) -> list[dict[str, Any]]:
        """Claim until there is nothing left; return what was given."""
        node = self._nodes[number % 2]
        mine: list[dict[str, Any]] = []
        while True:
            runs = node.claim(limit=7, scheduler=f's{number}')['runs']
            if not runs:
                return mine
            with self._lock:
                self._given.update(
                    (run['run_id'], run['fence']) for run in runs)
            mine += runs

    def _edit(self, number: int, end: threading.Event) -> int:
        """Change one field of the same jobs, each editor another one."""
        node, version = self._nodes[number % 2], 0
        while not end.is_set():
            version += 1
            for job_id in self._edited:
                body: dict[str, Any] = (
                    {'description': str(version)} if number else
                    {'job_schedule': {'schedule_interval':
                                      f'{version + 1} days'}})
                result = node.client.simulate_request(
                    'PATCH', f'/v2/p1/jobs/{job_id}', json=body,
                    extras=base.MEMBER.environ())
                self.answers[f'edits answered {result.status_code}'] += 1
        return version

    def round(self) -> None:
        """Claim each job once, and each expired lease once."""
        self._given.clear()
        end = threading.Event()
        with futures.ThreadPoolExecutor(2 * _CLAIMERS + 2) as pool:
            try:
                editors = [pool.submit(self._edit, number, end)
                           for number in range(2)]
                claims = list(pool.map(self._claim, range(2 * _CLAIMERS)))
                # All leases expire.
                self._nodes[0].pass_lease()
                taken = list(pool.map(self._claim, range(2 * _CLAIMERS)))
            finally:
                end.set()
            versions = [editor.result() for editor in editors]
        runs = [run for mine in claims for run in mine]
        self.wrong += _differences(
            ('claimed jobs', len({run['job_id'] for run in runs}),
             len(runs)),
            ('reclaimed runs', len(runs), sum(map(len, taken))),
            ('runs given to two', [], [
                run for run, times in self._given.items() if times > 1]))
        self._end(runs, taken)
        for job_id in self._edited:
            job = self._nodes[1].job(job_id)
            self.wrong += _differences((
                'edits of a job', (f'{versions[0] + 1} days',
                                   str(versions[1])),
                (job['job_schedule']['schedule_interval'],
                 job['description'])))

    def _end(self, claimed: list[dict[str, Any]],
             taken: list[list[dict[str, Any]]]) -> None:
        """Report all, with the fences of then and of now."""
        for run in claimed:
            self._nodes[1].report(run, 'success', status=409)
        for number, mine in enumerate(taken):
            for run in mine:
                self._nodes[(number + 1) % 2].report(
                    run, 'success', scheduler=f's{number}')


def _claims(nodes: _Nodes, jobs: int, rounds: int) -> Iterator[report.Item]:
    """Claim through both nodes while users edit the jobs."""
    nodes.clear()
    before = nodes.conflicts()
    with (in_process.running(_Node(nodes.urls[0])) as first,
          in_process.running(_OtherNode(nodes.urls[1], first)) as second):
        first.register_central()
        trial = _Trial((first, second), jobs)
        for _ in range(rounds):
            first.clock.now += _DAY
            trial.round()
        with sa.create_engine(nodes.urls[0]).connect() as connection:
            total, firings = connection.execute(sa.text(
                'SELECT COUNT(*), COUNT(DISTINCT job_id, nominal_at) '
                'FROM job_runs')).one()
    conflicts = nodes.conflicts()
    for name, count in {
            'runs': total,
            **{name: conflicts[name] - before[name] for name in _CONFLICTS},
            **trial.answers}.items():
        yield report.Figure(name, count)
    yield report.Invariant('each run is given to one scheduler', [
        *trial.wrong, *_differences(
            ('runs of firings', total, firings),
            ('answers', {'edits answered 200'}, set(trial.answers)))])
