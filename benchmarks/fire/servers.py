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

"""A database server of a trial's own, which may be killed and shut down."""

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

from tools.cloud import errors
from tools.cloud import ports

_PATIENCE = 120
_POSTGRESQL = pathlib.Path('/usr/lib/postgresql')


class Server:
    """One server on a free port.

    :ivar url: of it, as its administrator
    """

    def __init__(self, home: pathlib.Path, command: Sequence[str], url: str,
                 stop: signal.Signals, user: str | None) -> None:
        self.url = url
        self._home = home
        self._command = command
        self._stop = stop
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._engine = sa.create_engine(url, poolclass=pool.NullPool)

    def start(self) -> None:
        """Start it, and wait until it can be asked.

        :raises tools.cloud.errors.QuickstartError: it cannot
        """
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > end:
                raise errors.QuickstartError('a database does not start',
                                             self._home / 'log')
            # What was killed may hold on to something for a moment.
            if self._process is None or self._process.poll() is not None:
                with (self._home / 'log').open('ab') as log:
                    self._process = subprocess.Popen(
                        self._command, stdin=subprocess.DEVNULL, stdout=log,
                        stderr=log, cwd=self._home, user=self._user)
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

    def _answers(self) -> bool:
        with contextlib.suppress(sa.exc.OperationalError):
            self._engine.connect().close()
            return True
        return False


@contextlib.contextmanager
def made(engine: str) -> Iterator[Server]:
    """A server for a while, with what it keeps in a folder of its own.

    :param engine: ``mariadb`` or ``postgresql``
    :raises tools.cloud.errors.QuickstartError: it is not installed
    """
    home = pathlib.Path(tempfile.mkdtemp(prefix=f'fire-{engine}-'))
    try:
        server = (_mariadb if engine == 'mariadb' else _postgresql)(home)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _mariadb(home: pathlib.Path) -> Server:
    [port] = ports.find_free(1)
    common = ['--no-defaults', f'--datadir={home / "data"}',
              f'--user={getpass.getuser()}']
    _run(['mariadb-install-db', *common, '--skip-test-db',
          '--auth-root-authentication-method=normal'], home, None)
    return Server(
        home, ['mariadbd', *common, f'--port={port}',
               '--bind-address=127.0.0.1', f'--socket={home / "socket"}',
               f'--pid-file={home / "pid"}'],
        f'mysql+pymysql://root@127.0.0.1:{port}/?charset=utf8mb4',
        signal.SIGTERM, None)


def _postgresql(home: pathlib.Path) -> Server:
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
    return Server(
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
            f'a database server cannot be made: {error}') from None
