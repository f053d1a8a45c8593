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

"""What holds on a Galera cluster that is written to through two nodes.

Starts a cluster of two MariaDB servers on this machine, and on it:

* two upgrades at once, through one node each;
* upgrades that are killed, and gone on with through the same node and
  through the other;
* schedulers that claim due jobs and expired leases through both nodes while
  users edit the jobs.

The command ends with status 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import collections
from concurrent import futures
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.galera import cluster
from benchmarks.galera import rows
from freezer_api.api import services as api_services
from freezer_api.db import migration
from tests.functional import base

# Starts only when both are loaded, so that they meet.
_UPGRADE = """
import sys
from freezer_api.db import migration
print('ready', flush=True)
sys.stdin.readline()
migration.sync(sys.argv[1])
"""
_CLAIMERS = 3
_DAY = 86_400


class Broken(Exception):
    """A promise was."""


def expect(wanted: Any, found: Any, what: str) -> None:
    """
    :raises Broken: they differ
    """
    if wanted != found:
        raise Broken(f'{what}: {found} instead of {wanted}')


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


def _fill(nodes: cluster.Cluster, jobs: int) -> None:
    nodes.empty()
    migration.sync(nodes.urls[0], rows.FROM)
    rows.fill(sa.create_engine(nodes.urls[0]), jobs)


def _upgraded(nodes: cluster.Cluster, jobs: int) -> None:
    for url in nodes.urls:
        expect(migration.head(), migration.current(url), 'the revision')
    with sa.create_engine(nodes.urls[1]).connect() as connection:
        expect((jobs, jobs), tuple(connection.execute(sa.text(
            'SELECT (SELECT COUNT(*) FROM job_actions), '
            '(SELECT COUNT(*) FROM actions)')).one()),
            'links and actions')


def upgrades_at_once(nodes: cluster.Cluster, jobs: int) -> None:
    """Two at a time: both end well, and one has found nothing to do."""
    for _ in range(3):
        _fill(nodes, jobs)
        processes = [_begin(url) for url in nodes.urls]
        for process in processes:
            _go(process)
        for process in processes:
            _, errors = process.communicate()
            expect((0, ''), (process.returncode, errors), 'an upgrade')
        _upgraded(nodes, jobs)
    nodes.note('two upgrades at once, 3 times: both end well')


def upgrades_killed(nodes: cluster.Cluster, jobs: int) -> None:
    """Killed while it converts rows, it is gone on with."""
    for number in range(2):
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
        # How long it waits, without the work that is left.
        with migration.exclusive(nodes.urls[number]):
            waited = time.monotonic() - start
        migration.sync(nodes.urls[number])
        _upgraded(nodes, jobs)
        nodes.note(
            'an upgrade was killed: through '
            f'{"the other" if number else "its"} node the next waits '
            f'{waited:.1f} s')


class _Node(base.ApiTestCase):
    """The API on one node, in this process."""

    # Otherwise a node shows a moment later what was written through another.
    settings = {'database': {'mysql_wsrep_sync_wait': 1}}

    def __init__(self, url: str, like: _Node | None = None) -> None:
        super().__init__()
        self._url = url
        self._like = like

    def runTest(self) -> None:
        """Not a test."""

    def url(self) -> str:
        return self._url

    def make_tables(self) -> None:
        if self._like is None:
            super().make_tables()

    def _services(self) -> api_services.Services:
        if self._like is not None:
            self.clock, self.trusts = self._like.clock, self._like.trusts
        return super()._services()


class _Trial:
    """Schedulers and users at work through both nodes."""

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
        """Every job runs once, and so do all that were left lying."""
        self._given.clear()
        end = threading.Event()
        with futures.ThreadPoolExecutor(2 * _CLAIMERS + 2) as pool:
            try:
                editors = [pool.submit(self._edit, number, end)
                           for number in range(2)]
                claims = list(pool.map(self._claim, range(2 * _CLAIMERS)))
                # All of them are given up, and taken over.
                self._nodes[0].pass_lease()
                taken = list(pool.map(self._claim, range(2 * _CLAIMERS)))
            finally:
                end.set()
            versions = [editor.result() for editor in editors]
        runs = [run for mine in claims for run in mine]
        expect(len({run['job_id'] for run in runs}), len(runs),
               'jobs that were given out')
        expect(len(runs), sum(map(len, taken)), 'runs that were taken over')
        expect([], [run for run, times in self._given.items() if times > 1],
               'runs given to two')
        self._end(runs, taken)
        for job_id in self._edited:
            job = self._nodes[1].job(job_id)
            expect((f'{versions[0] + 1} days', str(versions[1])),
                   (job['job_schedule']['schedule_interval'],
                    job['description']), 'the edits of a job')

    def _end(self, claimed: list[dict[str, Any]],
             taken: list[list[dict[str, Any]]]) -> None:
        """Report all, with the fences of then and of now."""
        for run in claimed:
            self._nodes[1].report(run, 'success', status=409)
        for number, mine in enumerate(taken):
            for run in mine:
                self._nodes[(number + 1) % 2].report(
                    run, 'success', scheduler=f's{number}')


def claims(nodes: cluster.Cluster, jobs: int, rounds: int) -> None:
    """Whatever several schedulers claim, each run is given to one."""
    nodes.empty()
    first = _Node(nodes.urls[0])
    first.setUp()
    second = _Node(nodes.urls[1], first)
    second.setUp()
    before = nodes.counted()
    try:
        first.register_central()
        trial = _Trial((first, second), jobs)
        for _ in range(rounds):
            first.clock.now += _DAY
            trial.round()
        with sa.create_engine(nodes.urls[0]).connect() as connection:
            total, firings = connection.execute(sa.text(
                'SELECT COUNT(*), COUNT(DISTINCT job_id, nominal_at) '
                'FROM job_runs')).one()
        expect(total, firings, 'firings that were run')
    finally:
        second.doCleanups()
        first.doCleanups()
    met = {name: count - before[name]
           for name, count in nodes.counted().items()}
    nodes.note(
        f'{total} runs of {jobs} jobs, claimed through both nodes: each '
        f'was given to one, before and after its lease expired; '
        + ', '.join(f'{name} {count}' for name, count in
                    sorted({**met, **trial.answers}.items())))
    expect({'edits answered 200'}, set(trial.answers), 'the answers')


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='benchmarks/galera/run', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=int, default=200)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--output', type=pathlib.Path,
                        help='file for the report, too')
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='galera-') as folder:
        with cluster.Cluster(pathlib.Path(folder)) as nodes:
            try:
                upgrades_at_once(nodes, chosen.jobs)
                upgrades_killed(nodes, 10 * chosen.jobs)
                claims(nodes, chosen.jobs, chosen.rounds)
            except Broken as error:
                nodes.note(f'broken: {error}')
                return 1
            finally:
                if chosen.output is not None:
                    chosen.output.write_text('\n'.join(nodes.notes) + '\n')
    return 0
