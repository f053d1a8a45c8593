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

"""New clouds whose Keystone and Cinder have their databases already.

Making the two takes a processor for longer than starting both services. So
they are made once for each set of packages, kept beside the environments of
``tools/quickstart``, and copied.
"""

from __future__ import annotations

from collections.abc import Collection
import contextlib
import dataclasses
import pathlib
import re
import shutil
import sqlite3
import tempfile

from tests import supervisor
from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import layout
from tools.cloud import locks
from tools.cloud import programs
from tools.cloud import progress

#: All but the scheduler, for tests that start their own.
SERVERS = frozenset(programs.NAMES) - {'freezer-scheduler'}

_NAMES = ('keystone', 'cinder')
# What a copy has of the cloud that made them: the passwords are in Keystone.
_COPIED = ('keystone/keystone.db', 'cinder/cinder.db', 'etc/secrets.json',
           'etc/keystone')


def up(made: cloud.Cloud, options: cloud.Options,
       names: Collection[str] = programs.NAMES) -> None:
    """Bring up a cloud that does not exist yet.

    :param made: the cloud
    :param options: its ports among them
    :param names: of the processes
    :raises tools.cloud.errors.QuickstartError: something failed
    """
    fill(made, options)
    made.up(options, names)


def end(made: cloud.Cloud) -> None:
    """Remove a cloud. What has no children is killed, which takes no time."""
    for name in (*_NAMES, 'freezer-scheduler'):
        made.processes[name].kill()
    made.down(purge=True)


def fill(made: cloud.Cloud, options: cloud.Options) -> None:
    """Give a cloud that does not exist yet its databases.

    :param made: the cloud
    :param options: those with which it will be brought up, ports among them
    :raises tools.cloud.errors.QuickstartError: they cannot be made
    """
    source = _databases(made)
    _copy(source, made.layout.state)
    chosen = {name: value for name, value
              in dataclasses.asdict(options).items()
              if value is not None and name != 'projects'}
    settings = layout.Settings(**chosen, databases=[*_NAMES])
    if not settings.swift_ports:
        # Its account and its endpoints are missing still.
        settings.catalogue = settings.ports
    theirs = layout.Settings.load(layout.Layout(source))
    _move(made.layout.state / 'keystone/keystone.db',
          dict(zip(theirs.ports, settings.ports, strict=True)))
    settings.save(made.layout)


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    for name in _COPIED:
        target.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        if source.joinpath(name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy(source / name, target / name)


def _move(database: pathlib.Path, ports: dict[int, int]) -> None:
    """Put other ports into Keystone's catalogue."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        moved = [(re.sub(r':(\d+)', lambda port: f':{ports[int(port[1])]}',
                         url), row_id)
                 for row_id, url in connection.execute(
                     'SELECT id, url FROM endpoint')]
        connection.executemany('UPDATE endpoint SET url = ? WHERE id = ?',
                               moved)
        connection.commit()


def _databases(made: cloud.Cloud) -> pathlib.Path:
    """Return the folder of the databases, which is made where it is not."""
    envs, run, tell = made.environments, commands.Commands(
        ), progress.Progress(None)
    envs.make(run, tell)
    kept = envs.home / f'databases-{envs.cloud.packages_digest[:16]}'
    with locks.held(envs.home / 'databases.lock', run, tell):
        if not kept.exists():
            _make(envs.home, kept)
    return kept


def _make(home: pathlib.Path, kept: pathlib.Path) -> None:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='databases '))
        stack.callback(supervisor.watch(folder))
        first = cloud.Cloud(folder, home=home)
        first.up(cloud.Options.on_free_ports(projects=0, volumes=0), _NAMES)
        stack.callback(first.down)
        first.down()
        for name in _NAMES:
            _settle(first.layout.state / name / f'{name}.db')
        part = kept.with_suffix('.part')
        shutil.rmtree(part, ignore_errors=True)
        _copy(first.layout.state, part)
        shutil.copy(first.layout.settings, part)
        part.rename(kept)


def _settle(database: pathlib.Path) -> None:
    """Leave all of a database in one file, and none of its services."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        if database.name == 'cinder.db':
            connection.execute('DELETE FROM services')
            connection.commit()
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
