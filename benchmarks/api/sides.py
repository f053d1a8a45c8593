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

"""The two APIs: how each is configured, given a database, and served."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

from benchmarks import processes
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import ports
from tools.cloud import rest

_INSIDE = pathlib.Path(__file__).resolve().parent / 'inside'
_PATIENCE = 60

#: The same number of processes and threads for both.
PROCESSES = 2
THREADS = 2


@dataclasses.dataclass(frozen=True)
class Memory:
    """What the processes of a server have in memory, in MiB.

    :ivar resident: the sum over the processes, shared pages once for each
    :ivar proportional: with shared pages counted once
    """

    processes: int
    resident: float
    proportional: float


class Side:
    """One API on one database, in a directory of its own.

    :param name: ``ours`` or ``upstream``
    :param env: what it runs from
    :param home: its directory, which is made
    :param url: of its database, which is made
    :param options: what both are configured with, but the database
    :param served: the file with the WSGI application
    :param workers: processes that answer
    """

    def __init__(self, name: str, env: environments.Environment,
                 home: pathlib.Path, url: str,
                 options: Mapping[str, Mapping[str, object]],
                 served: pathlib.Path = _INSIDE / 'served.py',
                 workers: int = PROCESSES) -> None:
        self.name = name
        self.port = ports.find_free(1)[0]
        self._env = env
        self._served = served
        self._workers = workers
        self._home = home
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True)
        self._configuration = home / 'freezer-api.conf'
        layout.write_private(self._configuration, config.render({
            **{group: dict(values) for group, values in options.items()},
            'DEFAULT': {'log_file': home / 'freezer-api.log'},
            'database': {'connection': url},
            'paste_deploy': {
                'config_file': env.venv / 'etc/freezer/freezer-paste.ini'},
        }))

    @property
    def log(self) -> pathlib.Path:
        return self._home / 'freezer-api.log'

    def create(self) -> None:
        """Make the database and its tables.

        :raises tools.cloud.errors.QuickstartError: it did not work
        """
        if not self._url.startswith('sqlite'):
            self._database('create')
        self.sync()

    def sync(self) -> None:
        """Make the tables of a database that is there.

        :raises tools.cloud.errors.QuickstartError: it did not work
        """
        self._check(subprocess.run(
            [self._env.python, self._env.script('freezer-manage'),
             '--config-file', str(self._configuration), 'db', 'sync'],
            env=commands.clean_environment(), cwd=self._home,
            capture_output=True, check=False))

    def drop(self) -> None:
        """Drop the database, if it is one of a server."""
        if not self._url.startswith('sqlite'):
            self._database('drop')

    def fill(self, template_ids: list[str], first: int, last: int,
             per_project: int | None = None) -> dict[str, list[str]]:
        """Copy jobs; see ``inside/database.py``."""
        made: dict[str, list[str]] = self._database(
            'fill', template_ids=template_ids, first=first, last=last,
            per_project=per_project)
        return made

    def arm(self, count: int, at: int, seconds: int) -> None:
        """Have jobs fire; see ``inside/database.py``."""
        self._database('arm', count=count, at=at, seconds=seconds)

    def crowd(self, count: int, projects: int, at: int) -> None:
        """Have a few projects' jobs be due; see ``inside/database.py``."""
        self._database('crowd', count=count, projects=projects, at=at)

    def calm(self, at: int) -> None:
        """Have nothing due before a time; see ``inside/database.py``."""
        self._database('calm', at=at)

    def runs(self, since: int) -> list[list[Any]]:
        """Return runs; see ``inside/database.py``."""
        found: list[list[Any]] = self._database('runs', since=since)
        return found

    def resize(self, workers: int) -> None:
        """Be served by so many processes from now on."""
        self.stop()
        self._workers = workers
        self.start()

    def _database(self, do: str, **arguments: Any) -> Any:
        done = self._check(subprocess.run(
            [self._env.python, str(_INSIDE / 'database.py')],
            input=json.dumps({'do': do, 'url': self._url, **arguments}
                             ).encode(),
            env=commands.clean_environment(), capture_output=True,
            check=False))
        return json.loads(done.stdout)

    def _check(self, done: subprocess.CompletedProcess[bytes],
               ) -> subprocess.CompletedProcess[bytes]:
        if done.returncode:
            raise errors.QuickstartError(
                f'{self.name}: '
                + done.stderr.decode(errors='replace')[-2000:])
        return done

    def start(self) -> None:
        """Serve it.

        :raises tools.cloud.errors.QuickstartError: it does not answer
        """
        with (self._home / 'uwsgi.out').open('ab') as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd=self._home,
                env=commands.clean_environment(
                    PYTHONWARNINGS='ignore',
                    OS_FREEZER_API_CONFIG_FILES=str(self._configuration)))
        url = f'http://127.0.0.1:{self.port}/'
        end = time.monotonic() + _PATIENCE
        while not rest.answers(url):
            if self._process.poll() is not None or time.monotonic() > end:
                raise errors.QuickstartError(
                    f'{self.name} does not answer', self._home / 'uwsgi.out')
            time.sleep(0.1)

    @property
    def _command(self) -> list[str]:
        return [self._env.script('uwsgi'), '--master', '--need-app',
                '--die-on-term', '--disable-logging', '--enable-threads',
                '--processes', str(self._workers), '--threads', str(THREADS),
                '--http-socket', f'127.0.0.1:{self.port}',
                '--buffer-size', '65535', '--listen', '64',
                '--wsgi-file', str(self._served),
                '--pyargv', f'--config-file {self._configuration}']

    def stop(self) -> None:
        """End the server."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """Kill all its processes with SIGKILL."""
        assert self._process is not None
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    @property
    def pids(self) -> list[int]:
        """Its processes, the first of which started the others."""
        assert self._process is not None
        return processes.family(self._process.pid)

    @property
    def statements(self) -> int:
        """SQL statements that it has sent in answering requests."""
        return sum(int(path.read_text() or 0)
                   for path in self._home.glob('statements-*'))

    def memory(self) -> Memory:
        """Measure the memory of its processes."""
        pids = self.pids
        resident = proportional = 0
        for pid in pids:
            rollup = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
            values = {words[0]: int(words[1]) for line in rollup.splitlines()
                      if len(words := line.split()) == 3}
            resident += values['Rss:']
            proportional += values['Pss:']
        return Memory(len(pids), resident / 1024, proportional / 1024)


class ShippedSide(Side):
    """Our API, served by its own command as it is by default."""

    @property
    def _command(self) -> list[str]:
        return [self._env.python, self._env.script('freezer-api'),
                '--config-file', str(self._configuration),
                '--host', '127.0.0.1', '--port', str(self.port)]
