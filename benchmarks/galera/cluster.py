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

"""A Galera cluster of two MariaDB servers on this machine."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

import sqlalchemy as sa

_PROVIDERS = ('/usr/lib/galera/libgalera_smm.so',
              '/usr/lib64/galera-4/libgalera_smm.so',
              '/usr/lib/libgalera_smm.so')


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port: int = listener.getsockname()[1]
        return port


class Cluster:
    """Two nodes, to be used as a context.

    :param folder: for their data; it has to be empty
    :ivar urls: of one database, through each node
    :ivar notes: what was seen of it
    :raises RuntimeError: a node does not start
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._ports = [_free_port() for _ in range(2)]
        self._group = [_free_port() for _ in range(2)]
        self.notes: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        # Of root's servers the account mysql has to reach the folder.
        self._account = (['--user=mysql'] if os.geteuid() == 0 else [])
        self.urls = [f'mysql+pymysql://root@127.0.0.1:{port}/freezer'
                     for port in self._ports]

    def __enter__(self) -> Cluster:
        if self._account:
            self._folder.chmod(0o711)
        with contextlib.ExitStack() as unless_done:
            unless_done.callback(self._stop)
            for number in range(2):
                self._start(number)
            with self.server(0).connect() as connection:
                connection.execute(sa.text('CREATE DATABASE freezer'))
            unless_done.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for process in self._processes[::-1]:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def server(self, number: int) -> sa.Engine:
        """Return an engine of a node that commits each statement."""
        return sa.create_engine(
            sa.make_url(self.urls[number]).set(database=''),
            isolation_level='AUTOCOMMIT', poolclass=sa.pool.NullPool)

    def empty(self) -> None:
        """Make the database anew."""
        with self.server(0).connect() as connection:
            connection.execute(sa.text('DROP DATABASE freezer'))
            connection.execute(sa.text('CREATE DATABASE freezer'))

    def note(self, line: str) -> None:
        """Keep a line of the report, and print it."""
        print(line, flush=True)
        self.notes.append(line)

    def counted(self) -> dict[str, int]:
        """Return what went wrong between the nodes since they started."""
        totals = dict.fromkeys(
            ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts'), 0)
        for number in range(2):
            with self.server(number).connect() as connection:
                for name in totals:
                    totals[name] += int(connection.execute(sa.text(
                        f"SHOW STATUS LIKE '{name}'")).one()[1])
        return totals

    def _start(self, number: int) -> None:
        data = self._folder / f'node-{number}'
        subprocess.run(
            ['mariadb-install-db', '--no-defaults', f'--datadir={data}',
             '--auth-root-authentication-method=normal', *self._account],
            check=True, capture_output=True)
        group = self._group[number]
        provider = next(path for path in _PROVIDERS if os.path.exists(path))
        # Root finds it in a folder that is not on the path of others.
        mariadbd = shutil.which('mariadbd', path=f'{os.environ["PATH"]}'
                                ':/usr/sbin:/usr/libexec')
        with open(self._folder / f'node-{number}.log', 'wb') as log:
            self._processes.append(subprocess.Popen([
                mariadbd or 'mariadbd', '--no-defaults', *self._account,
                f'--datadir={data}', f'--port={self._ports[number]}',
                '--bind-address=127.0.0.1', f'--socket={data}/socket',
                f'--pid-file={data}/pid', '--innodb-buffer-pool-size=128M',
                '--innodb-flush-log-at-trx-commit=0', '--binlog-format=ROW',
                '--innodb-autoinc-lock-mode=2', '--wsrep-on=ON',
                f'--wsrep-provider={provider}',
                '--wsrep-cluster-name=freezer',
                f'--wsrep-node-name=node-{number}',
                '--wsrep-node-address=127.0.0.1', '--wsrep-sst-method=rsync',
                f'--wsrep-sst-receive-address=127.0.0.1:{_free_port()}',
                '--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:'
                f'{group};ist.recv_addr=127.0.0.1:{_free_port()}',
                *(['--wsrep-cluster-address=gcomm://127.0.0.1:'
                   f'{self._group[0]}'] if number else [
                       '--wsrep-new-cluster',
                       '--wsrep-cluster-address=gcomm://'])],
                stdout=log, stderr=log))
        self._wait(number)

    def _wait(self, number: int) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self._processes[number].poll() is not None:
                break
            try:
                with self.server(number).connect() as connection:
                    if connection.execute(sa.text(
                            "SHOW STATUS LIKE 'wsrep_ready'")).one()[
                                1] == 'ON':
                        return
            except sa.exc.OperationalError:
                pass  # It does not listen yet.
            time.sleep(0.5)
        raise RuntimeError(f'node {number} does not start: see '
                           f'{self._folder}/node-{number}.log')
