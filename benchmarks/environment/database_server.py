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

"""Database servers that a benchmark starts for itself."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import sqlalchemy as sa
from sqlalchemy import pool

from benchmarks.observation import processes
from tools.cloud import errors
from tools.cloud import ports

_PATIENCE = 120
_POSTGRESQL = pathlib.Path('/usr/lib/postgresql')
_GALERA = ('/usr/lib/galera/libgalera_smm.so',
           '/usr/lib64/galera-4/libgalera_smm.so',
           '/usr/lib/libgalera_smm.so')
_WSREP_READY = "SHOW STATUS LIKE 'wsrep_ready'"


class DatabaseServer:
    """A server on a free port, with its data in a folder of its own.

    :ivar url: of the server, as its administrator
    """

    def __init__(self, home: pathlib.Path, command: Sequence[str], url: str,
                 stop: signal.Signals = signal.SIGTERM,
                 user: str | None = None) -> None:
        self.url = url
        self._home = home
        self._command = command
        self._stop = stop
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self.engine = sa.create_engine(url, isolation_level='AUTOCOMMIT',
                                       poolclass=pool.NullPool)

    def start(self) -> None:
        """Start it, and wait until it answers.

        :raises tools.cloud.errors.QuickstartError: it does not start
        """
        end = time.monotonic() + _PATIENCE
        while not self._is_ready():
            if time.monotonic() > end:
                raise errors.QuickstartError('a database does not start',
                                             self._home / 'log')
            # What was killed may hold on to its files for a moment.
            if self._process is None or self._process.poll() is not None:
                with (self._home / 'log').open('ab') as log:
                    self._process = subprocess.Popen(
                        self._command, stdin=subprocess.DEVNULL, stdout=log,
                        stderr=log, cwd=self._home, user=self._user,
                        start_new_session=True)
            time.sleep(0.2)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(self._stop)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()

    def _is_ready(self) -> bool:
        with contextlib.suppress(sa.exc.OperationalError):
            with self.engine.connect() as connection:
                if not any('wsrep' in one for one in self._command):
                    return True
                [(_, state)] = connection.exec_driver_sql(_WSREP_READY)
                return bool(state == 'ON')
        return False

    def usage(self) -> processes.Usage:
        assert self._process is not None
        return processes.Usage.of(self._process.pid)

    def table_sizes(self, name: str) -> dict[str, float]:
        """Return the MiB of the file of each table of a MariaDB database."""
        return {path.stem: path.stat().st_size / 2 ** 20
                for path in (self._home / 'data' / name).glob('*.ibd')}


@contextlib.contextmanager
def running(engine: str, *options: str) -> Iterator[DatabaseServer]:
    """A server for a while.

    :param engine: ``mariadb`` or ``postgresql``
    :param options: further ones of mariadbd
    :raises tools.cloud.errors.QuickstartError: it is not installed
    """
    home = pathlib.Path(tempfile.mkdtemp(prefix=f'freezer-{engine}-'))
    try:
        server = (_mariadb(home, *options) if engine == 'mariadb'
                  else _postgresql(home))
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def galera() -> Iterator[list[DatabaseServer]]:
    """A Galera cluster of two MariaDB servers.

    :raises tools.cloud.errors.QuickstartError: a node does not start
    """
    provider = next(filter(os.path.exists, _GALERA), None)
    if provider is None:
        raise errors.QuickstartError('Galera is not installed')
    group = ports.find_free(2)
    with contextlib.ExitStack() as stack:
        nodes = []
        for number, port in enumerate(group):
            sst, ist = ports.find_free(2)
            nodes.append(stack.enter_context(running(
                'mariadb', '--binlog-format=ROW',
                '--innodb-autoinc-lock-mode=2', '--wsrep-on=ON',
                '--innodb-flush-log-at-trx-commit=0',
                f'--wsrep-provider={provider}',
                '--wsrep-cluster-name=freezer',
                f'--wsrep-node-name=node-{number}',
                '--wsrep-node-address=127.0.0.1', '--wsrep-sst-method=rsync',
                f'--wsrep-sst-receive-address=127.0.0.1:{sst}',
                '--wsrep-provider-options=gmcast.listen_addr='
                f'tcp://127.0.0.1:{port};ist.recv_addr=127.0.0.1:{ist}',
                *((f'--wsrep-cluster-address=gcomm://127.0.0.1:{group[0]}',)
                  if number else ('--wsrep-new-cluster',
                                  '--wsrep-cluster-address=gcomm://')))))
        yield nodes


def _mariadb(home: pathlib.Path, *options: str) -> DatabaseServer:
    [port] = ports.find_free(1)
    user = getpass.getuser()
    if user == 'root':
        # rsync, with which Galera copies the data, gives up root's rights.
        user = 'mysql'
        shutil.chown(home, user)
    common = ['--no-defaults', f'--datadir={home / "data"}',
              f'--user={user}']
    _run(['mariadb-install-db', *common, '--skip-test-db',
          '--auth-root-authentication-method=normal'], home, None)
    # Root finds it in a folder that is not on the path of others.
    program = shutil.which('mariadbd', path=(
        os.environ.get('PATH', '') + ':/usr/sbin:/usr/libexec'))
    return DatabaseServer(
        home, [program or 'mariadbd', *common, f'--port={port}',
               '--bind-address=127.0.0.1', f'--socket={home / "socket"}',
               f'--pid-file={home / "pid"}',
               '--character-set-server=utf8mb4', *options],
        f'mysql+pymysql://root@127.0.0.1:{port}/?charset=utf8mb4'
        '&ssl_disabled=true')


def _postgresql(home: pathlib.Path) -> DatabaseServer:
    [port] = ports.find_free(1)
    newest = max(_POSTGRESQL.glob('*/bin'), default=_POSTGRESQL,
                 key=lambda path: int(path.parent.name))
    user = None
    if os.getuid() == 0:
        # It refuses to be run by root.
        user = 'postgres'
        shutil.chown(home, user)
    _run([str(newest / 'initdb'), '--pgdata', str(home / 'data'),
          '--auth', 'trust', '--username', 'postgres'], home, user)
    return DatabaseServer(
        home, [str(newest / 'postgres'), '-D', str(home / 'data'),
               '-p', str(port), '-h', '127.0.0.1', '-k', str(home)],
        f'postgresql+psycopg://postgres@127.0.0.1:{port}/postgres',
        signal.SIGINT, user)


def _run(command: Sequence[str], home: pathlib.Path,
         user: str | None) -> None:
    try:
        subprocess.run(command, cwd=home, user=user, check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise errors.QuickstartError(
            f'a database server cannot be created: {error}') from None
