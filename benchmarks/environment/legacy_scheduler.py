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

"""The scheduler of Freezer 19.0.0.

It is configured as its documentation says; several of one client coordinate
over Redis. A script that records each start and its volume replaces
freezer-agent, unless :func:`use_real_agent` is called. Nothing else is
replaced.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import pathlib
import subprocess
import time

from benchmarks.environment import scheduler
from benchmarks.environment import virtualenvs
from tools.cloud import cloud
from tools.cloud import config
from tools.cloud import credentials
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import ports

_PATIENCE = 20
_AGENT = '''#!/bin/sh
# freezer-agent --metadata-out - --config FILE
volume=$(sed -n 's/^ *cindernative_vol_id *= *//p' "$4")
echo "$(date +%s.%N) $volume" >> '{record}'
exec sleep 1
'''


class LegacyScheduler(scheduler.Scheduler):
    """One scheduler of 19.0.0."""

    def _own(self, options: Mapping[str, Mapping[str, object]],
             ) -> config.Options:
        jobs = self._home / 'jobs'
        jobs.mkdir()
        return {'DEFAULT': {'log_file': self.log},
                'scheduler': {**options['scheduler'], 'jobs_dir': jobs}}

    @property
    def _program(self) -> list[str]:
        return [self._env.script('freezer-scheduler')]

    @property
    def _variables(self) -> dict[str, str]:
        return {'OS_IDENTITY_API_VERSION': '3',
                'FREEZER_SCHEDULER_CONF_D': str(self._home / 'jobs'),
                'PATH': f'{self._home.parent / "agent"}:/usr/bin:/bin'}


def options(made: cloud.Cloud, client_id: str,
            redis: int | None) -> config.Options:
    """Return what all schedulers are configured with.

    :param redis: port; None for a single scheduler
    """
    variables = credentials.variables(made.account('service'),
                                      made.settings.auth_url)
    return {
        'scheduler': {
            'client_id': client_id, 'centralized_scheduler': True,
            'interval': 5, 'no_daemon': True, 'concurrent_jobs': 50},
        'capabilities': {
            'supported_actions': 'backup', 'supported_storages': 'swift',
            'supported_modes': 'cindernative', 'supported_engines': 'tar'},
        **({} if redis is None else {'coordination': {
            'backend_url': f'redis://127.0.0.1:{redis}?timeout=12'}}),
        'service_auth': {
            name.lower(): value for name, value in variables.items()
            if name != 'OS_IDENTITY_API_VERSION'}}


def use_recording_agent(home: pathlib.Path) -> None:
    """Replace freezer-agent, for schedulers in folders of ``home``."""
    home.joinpath('agent').mkdir()
    layout.write_private(
        home / 'agent' / 'freezer-agent',
        _AGENT.format(record=record(home)), mode=0o700)


def use_real_agent(home: pathlib.Path) -> None:
    """Use the real freezer-agent again."""
    program = virtualenvs.upstream().script('freezer-agent')
    layout.write_private(home / 'agent' / 'freezer-agent',
                         f'#!/bin/sh\nexec {program} "$@"\n', mode=0o700)


def record(home: pathlib.Path) -> pathlib.Path:
    """Return the file that the agents write."""
    return home / 'agent' / 'record'


def starts(home: pathlib.Path) -> dict[str, list[float]]:
    """Return when an agent was started, in epoch seconds, by volume."""
    found = collections.defaultdict(list)
    if record(home).exists():
        for line in record(home).read_text().splitlines():
            moment, _, volume = line.partition(' ')
            found[volume].append(float(moment))
    return found


@contextlib.contextmanager
def redis(home: pathlib.Path) -> Iterator[int]:
    """Redis on a free port, which is yielded.

    :raises tools.cloud.errors.QuickstartError: it is not installed
    """
    [port] = ports.find_free(1)
    try:
        process = subprocess.Popen(
            ['redis-server', '--bind', '127.0.0.1', '--port', str(port),
             '--save', '', '--appendonly', 'no', '--dir', str(home)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise errors.QuickstartError(
            'redis-server is not installed, which 19.0.0 coordinates its '
            'schedulers with') from None
    try:
        end = time.monotonic() + _PATIENCE
        while ports.is_free(port) and time.monotonic() < end:
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()
