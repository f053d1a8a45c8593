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

"""How much one scheduler needs for many backups that Cinder is busy with.

Keystone, the Freezer API and the scheduler are real; Cinder is the fake of
the unit tests behind HTTP, which is held to the real one by a suite of its
own. It finishes no backup until it is told to.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import dataclasses
import tempfile
import time

from benchmarks.cinder import process
from benchmarks import processes
from benchmarks.scale import counting
from benchmarks.scale import settling
from tools.cloud import cloud
from tools.cloud import rest

_PATIENCE = 900


class Bench:
    """A cloud whose Cinder is the fake one.

    :param made: the cloud; its Cinder is there and is not asked
    :param cinder: the fake one
    """

    def __init__(self, made: cloud.Cloud, cinder: process.FakeCinder,
                 projects: int) -> None:
        self._made = made
        self.cinder = cinder
        self._sessions = [made.session(f'project-{number + 1}')
                          for number in range(projects)]
        self._keystone = counting.Counting(made.settings.keystone_port)

    def prepare(self, options: dict[str, int]) -> None:
        """Point the catalogue and the scheduler where it is counted."""
        self._keystone.start()
        process.stand_in(self._made, self.cinder.url)
        path = self._made.layout.etc / 'scheduler.conf'
        text = path.read_text().replace(
            f':{self._made.settings.keystone_port}/',
            f':{self._keystone.port}/')
        lines = [line for line in text.splitlines()
                 if line.split(' = ')[0] not in options]
        at = lines.index('[scheduler]') + 1
        lines[at:at] = [f'{name} = {value}'
                        for name, value in options.items()]
        path.write_text('\n'.join(lines) + '\n')
        self._made.processes['freezer-scheduler'].stop()
        self._made.up()

    @property
    def logins(self) -> int:
        return self._keystone.seen()[settling.LOGIN]

    def use(self) -> processes.Use:
        pid = self._made.processes['freezer-scheduler'].pid
        assert pid is not None
        return processes.Use.of(pid)

    def begin(self) -> list[tuple[rest.Session, str]]:
        """Make a job for each volume, which runs at once."""
        jobs = []
        for number, volume in enumerate(self.cinder.state()['volumes']):
            session = self._sessions[number % len(self._sessions)]
            job = session.call(
                'POST', f'{self._api(session)}/jobs', {
                    'client_id': 'central', 'job_actions': [{
                        'freezer_action': {
                            'action': 'backup', 'mode': 'cindernative',
                            'cindernative_vol_id': volume}}]})
            jobs.append((session, job['job_id']))
        return jobs

    def ended(self) -> dict[str, int]:
        """Return how many jobs have which result."""
        results: dict[str, int] = {}
        for session in self._sessions:
            for job in session.call(
                    'GET', f'{self._api(session)}/jobs?limit=1000')['jobs']:
                result = job['job_schedule'].get('result') or 'none'
                results[result] = results.get(result, 0) + 1
        return results

    def _api(self, session: rest.Session) -> str:
        return f'{self._made.settings.api_url}/v2/{session.project_id}'


def _until(what: Callable[[], bool], pause: float = 1) -> float:
    """Wait for something; return the seconds it took."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > _PATIENCE:
            raise SystemExit('it takes too long')
        time.sleep(pause)
    return time.monotonic() - began


def measure(bench: Bench, count: int, seconds: float) -> dict[str, str]:
    idle = bench.use()
    began, logins = time.monotonic(), bench.logins
    bench.begin()
    _until(lambda: len(bench.cinder.state()['backups']) >= count)
    asked = time.monotonic() - began
    before, cinder = bench.use(), bench.cinder.state()['requests']
    time.sleep(seconds)
    after, looks = bench.use(), bench.cinder.state()['requests'] - cinder
    bench.cinder.finish()
    _until(lambda: bench.ended().get('success', 0) >= count)
    last = bench.use()
    return {
        'backups in flight': str(count),
        'RSS idle': f'{idle.resident / 1024:.0f} MiB',
        'RSS with all in flight': f'{after.resident / 1024:.0f} MiB',
        'RSS at most': f'{last.most / 1024:.0f} MiB',
        'threads': str(after.threads),
        'CPU while they are in flight':
            f'{100 * (after.cpu - before.cpu) / seconds:.1f} % of a core',
        'looks at Cinder': f'{looks / seconds:.1f} per second',
        'CPU for one backup, all in all':
            f'{1000 * (last.cpu - idle.cpu) / count:.0f} ms',
        'logins': str(bench.logins - logins),
        'from the first job to the last request':
            f'{asked:.0f} s, {count / asked:.1f} backups per second'}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='benchmarks/in_flight/run', description=__doc__)
    parser.add_argument('--backups', type=int, default=500)
    parser.add_argument('--projects', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=60,
                        help='for which all are in flight')
    parser.add_argument('--poll-interval', type=int, default=10)
    chosen = parser.parse_args()
    with (tempfile.TemporaryDirectory(prefix='in-flight ') as folder,
          process.served(chosen.backups) as cinder):
        made = cloud.Cloud(folder)
        made.up(dataclasses.replace(cloud.Options.on_free_ports(
            projects=chosen.projects, volumes=0)))
        try:
            bench = Bench(made, cinder, chosen.projects)
            bench.prepare({
                'max_in_flight': chosen.backups,
                'max_in_flight_per_project': chosen.backups,
                'poll_interval': chosen.poll_interval})
            for name, value in measure(bench, chosen.backups,
                                       chosen.seconds).items():
                print(f'{name:40} {value}', flush=True)
        finally:
            made.down(purge=True)
    return 0
