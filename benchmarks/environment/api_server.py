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

"""The API of either side, configured and served."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import os
import pathlib
import signal
import subprocess
import time

from benchmarks.environment import database as databases
from benchmarks.observation import processes
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import ports
from tools.cloud import rest

_APPLICATION = pathlib.Path(__file__).resolve().parent / 'inside/api.py'
_PATIENCE = 60
_THREADS = 2


class ApiServer:
    """One API on one database, under uWSGI with two threads a process.

    :param name: ``ours`` or ``upstream``
    :param env: what it runs from
    :param home: its folder, which is created
    :param options: its configuration, without the database
    :param workers: number of processes that answer
    :param recorded: record claims and reports, see ``inside/api.py``
    :param shipped: run the project's own command instead of uWSGI
    :ivar url: where it answers
    """

    def __init__(self, name: str, env: environments.Environment,
                 home: pathlib.Path, database: databases.Database,
                 options: Mapping[str, Mapping[str, object]],
                 workers: int = 2, recorded: bool = False,
                 shipped: bool = False) -> None:
        self.name = name
        self.port = ports.find_free(1)[0]
        self.url = f'http://127.0.0.1:{self.port}'
        self.database = database
        self._env = env
        self._workers = workers
        self._recorded = recorded
        self._shipped = shipped
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True)
        self._configuration = home / 'freezer-api.conf'
        layout.write_private(self._configuration, config.render({
            **{group: dict(values) for group, values in options.items()},
            'DEFAULT': {'log_file': home / 'freezer-api.log'},
            'database': {'connection': database.url},
            'paste_deploy': {
                'config_file': env.venv / 'etc/freezer/freezer-paste.ini'},
        }))

    @property
    def requests(self) -> pathlib.Path:
        """The recorded requests, a JSON document on each line."""
        return self._home / 'requests.jsonl'

    def create_tables(self) -> None:
        """
        :raises tools.cloud.errors.QuickstartError: freezer-manage failed
        """
        done = subprocess.run(
            [self._env.python, self._env.script('freezer-manage'),
             '--config-file', str(self._configuration), 'db', 'sync'],
            env=commands.clean_environment(), cwd=self._home,
            capture_output=True, check=False)
        if done.returncode:
            raise errors.QuickstartError(
                f'{self.name}: '
                + done.stderr.decode(errors='replace')[-2000:])

    def start(self) -> None:
        """Serve it.

        :raises tools.cloud.errors.QuickstartError: it does not answer
        """
        variables = {'BENCHMARK_RECORD': '1'} if self._recorded else {}
        with (self._home / 'server.out').open('ab') as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd=self._home,
                env=commands.clean_environment(
                    PYTHONWARNINGS='ignore',
                    OS_FREEZER_API_CONFIG_FILES=str(self._configuration),
                    **variables))
        end = time.monotonic() + _PATIENCE
        while not rest.answers(f'{self.url}/'):
            if self._process.poll() is not None or time.monotonic() > end:
                raise errors.QuickstartError(
                    f'{self.name} does not answer', self._home / 'server.out')
            time.sleep(0.1)

    @property
    def _command(self) -> list[str]:
        if self._shipped:
            return [self._env.python, self._env.script('freezer-api'),
                    '--config-file', str(self._configuration),
                    '--host', '127.0.0.1', '--port', str(self.port)]
        return [self._env.script('uwsgi'), '--master', '--need-app',
                '--die-on-term', '--disable-logging', '--enable-threads',
                '--processes', str(self._workers),
                '--threads', str(_THREADS),
                '--http-socket', f'127.0.0.1:{self.port}',
                '--buffer-size', '65535', '--listen', '64',
                '--wsgi-file', str(_APPLICATION),
                '--pyargv', f'--config-file {self._configuration}']

    def resize(self, workers: int) -> None:
        """Be served by another number of processes from now on."""
        self.stop()
        self._workers = workers
        self.start()

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
        """Number of SQL statements that it has sent for requests."""
        return sum(int(path.read_text() or 0)
                   for path in self._home.glob('statements-*'))
