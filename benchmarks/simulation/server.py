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

"""A MariaDB of its own, so that what it uses can be told."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import subprocess
import time

import sqlalchemy as sa

from benchmarks import processes
from tools.cloud import ports

_PATIENCE = 60
_NAME = 'freezer'


class Server:
    """The server, with one database.

    :ivar url: of the database
    """

    def __init__(self, folder: pathlib.Path, memory: str) -> None:
        """Start it.

        :param memory: of its buffer pool, such as ``2G``
        """
        self._data = folder / 'data'
        user = getpass.getuser()
        with (folder / 'install.out').open('wb') as output:
            subprocess.run(
                ['mariadb-install-db', '--no-defaults',
                 f'--datadir={self._data}', f'--user={user}',
                 '--auth-root-authentication-method=normal',
                 '--skip-test-db'],
                check=True, stdout=output, stderr=output)
        [port] = ports.find_free(1)
        program = shutil.which('mariadbd', path=(
            os.environ.get('PATH', '') + ':/usr/sbin:/usr/libexec'))
        assert program is not None, 'no mariadbd'
        with (folder / 'mariadbd.out').open('wb') as output:
            self._process = subprocess.Popen(
                [program, '--no-defaults', f'--datadir={self._data}',
                 f'--user={user}', f'--port={port}',
                 '--bind-address=127.0.0.1',
                 f'--socket={folder / "socket"}', '--skip-log-bin',
                 '--character-set-server=utf8mb4',
                 f'--innodb-buffer-pool-size={memory}',
                 '--innodb-log-file-size=512M',
                 # The disk is not what is measured.
                 '--innodb-flush-log-at-trx-commit=2'],
                stdout=output, stderr=output, start_new_session=True)
        url = sa.engine.URL.create(
            'mysql+pymysql', 'root', host='127.0.0.1', port=port,
            query={'charset': 'utf8mb4', 'ssl_disabled': 'true'})
        self._create(url)
        self.url = url.set(database=_NAME).render_as_string()

    def _create(self, url: sa.engine.URL) -> None:
        engine = sa.create_engine(url)
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                with engine.begin() as connection:
                    connection.exec_driver_sql(f'CREATE DATABASE {_NAME}')
                break
            except sa.exc.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        engine.dispose()

    def use(self) -> processes.Use:
        return processes.Use.of(self._process.pid)

    def sizes(self) -> dict[str, float]:
        """Return the MiB of each table's file."""
        return {path.stem: path.stat().st_size / 2 ** 20
                for path in (self._data / _NAME).glob('*.ibd')}

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_PATIENCE)


@contextlib.contextmanager
def served(folder: pathlib.Path, memory: str) -> Iterator[Server]:
    """A server for a while."""
    made = Server(folder, memory)
    try:
        yield made
    finally:
        made.end()
