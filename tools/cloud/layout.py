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

"""The files of a cloud, and its stored settings."""

import dataclasses
import json
import os
import pathlib
import typing

from tools.cloud import errors

#: Characters that SQLAlchemy, tooz or a search path do not accept.
_IMPOSSIBLE = frozenset('?#%:') | frozenset(map(chr, range(32)))

#: Entries that ``down --purge`` removes.
_ENTRIES = ('bin', 'ceph', 'cinder', 'etc', 'freezer', 'keystone', 'log',
            'run', 'swift', 'clouds.yaml', 'cloud.json', 'openrc-*')


@dataclasses.dataclass(frozen=True)
class Layout:
    """The directory of a cloud.

    :ivar state: its absolute path, free of symbolic links
    """

    state: pathlib.Path

    @classmethod
    def of(cls, state: str | os.PathLike[str]) -> 'Layout':
        """Return the layout of a directory, which may not exist.

        :raises errors.QuickstartError: if configuration files cannot contain
            a character of the path
        """
        path = pathlib.Path(state).expanduser().resolve()
        bad = sorted(_IMPOSSIBLE.intersection(str(path)))
        if bad:
            raise errors.QuickstartError(
                f"{str(path)!r} cannot be the directory of a cloud: "
                f"its path must not contain {' '.join(map(repr, bad))}")
        return cls(path)

    @property
    def etc(self) -> pathlib.Path:
        return self.state / 'etc'

    @property
    def bin(self) -> pathlib.Path:
        return self.state / 'bin'

    @property
    def log(self) -> pathlib.Path:
        return self.state / 'log'

    @property
    def run(self) -> pathlib.Path:
        return self.state / 'run'

    @property
    def settings(self) -> pathlib.Path:
        return self.state / 'cloud.json'

    @property
    def clouds_yaml(self) -> pathlib.Path:
        return self.state / 'clouds.yaml'

    def openrc(self, cloud: str) -> pathlib.Path:
        return self.state / f'openrc-{cloud}'

    def check(self) -> None:
        """Refuse a directory with other content.

        :raises errors.QuickstartError: if it has; the text has the path
        """
        if not self.state.exists() or self.settings.exists():
            return
        if not self.state.is_dir():
            raise errors.QuickstartError(f'{self.state} is not a directory')
        if any(entry.name != 'run' for entry in self.state.iterdir()):
            raise errors.QuickstartError(
                f'{self.state} is not empty and contains no cloud: '
                'choose another directory with --state')

    def make(self) -> None:
        """Create the directories, accessible only by their owner."""
        for folder in ('bin', 'etc', 'freezer', 'log', 'run', 'keystone',
                       'cinder/state', 'cinder/locks', 'cinder/volumes',
                       'cinder/backup'):
            self.state.joinpath(folder).mkdir(parents=True, exist_ok=True)
        for folder in ('', 'etc'):
            self.state.joinpath(folder).chmod(0o700)

    def entries(self, *, keep_logs: bool) -> list[pathlib.Path]:
        """Return the entries of the cloud, which may be removed."""
        return [path for pattern in _ENTRIES
                for path in self.state.glob(pattern)
                if not (keep_logs and pattern == 'log')]


@dataclasses.dataclass
class Settings:
    """The settings of a cloud.

    :ivar keystone_port: port on 127.0.0.1
    :ivar cinder_port: port on 127.0.0.1
    :ivar api_port: port of the Freezer API on 127.0.0.1
    :ivar ceph_port: port on 127.0.0.1 of the monitor of the cloud's Ceph, in
        which Cinder stores volumes and backups; 0 for none
    :ivar swift_ports: ports on 127.0.0.1 of the cloud's Swift, in which Cinder
        stores backups: of the proxy, and of the account, container and object
        servers; empty for none
    :ivar volumes: number of volumes of each project
    :ivar mib_per_gb: MiB of real data for each GB of a volume
    :ivar token_seconds: lifetime of Keystone's tokens
    :ivar seeded: number of created volumes, by project name
    :ivar databases: services whose database has been created
    :ivar catalogue: the ports in Keystone's catalogue
    """

    keystone_port: int = 15000
    cinder_port: int = 15776
    api_port: int = 19090
    ceph_port: int = 0
    swift_ports: list[int] = dataclasses.field(default_factory=list)
    volumes: int = 2
    mib_per_gb: int = 4
    token_seconds: int = 3600
    seeded: dict[str, int] = dataclasses.field(default_factory=dict)
    databases: list[str] = dataclasses.field(default_factory=list)
    catalogue: list[int] = dataclasses.field(default_factory=list)

    @classmethod
    def load(cls, layout: Layout) -> 'Settings':
        """Read the settings of a cloud.

        :raises errors.QuickstartError: if the directory contains no cloud
        """
        try:
            document: dict[str, typing.Any] = json.loads(
                layout.settings.read_text())
        except FileNotFoundError:
            raise errors.QuickstartError(
                f'there is no cloud in {layout.state}') from None
        except OSError as error:
            raise errors.QuickstartError(
                f'{layout.settings}: {error.strerror}') from None
        return cls(**document)

    def save(self, layout: Layout) -> None:
        write_private(layout.settings,
                      json.dumps(dataclasses.asdict(self), indent=1) + '\n')

    @property
    def ports(self) -> list[int]:
        return [self.keystone_port, self.cinder_port, self.api_port]

    @property
    def auth_url(self) -> str:
        return f'http://127.0.0.1:{self.keystone_port}/v3'

    @property
    def cinder_url(self) -> str:
        return f'http://127.0.0.1:{self.cinder_port}'

    @property
    def swift_url(self) -> str:
        return f'http://127.0.0.1:{self.swift_ports[0]}'

    @property
    def api_url(self) -> str:
        return f'http://127.0.0.1:{self.api_port}'

    @property
    def projects(self) -> int:
        return len(self.seeded)


def write_private(path: pathlib.Path, text: str, mode: int = 0o600) -> None:
    """Write a file atomically, readable only by its owner."""
    draft = path.with_name(path.name + '.new')
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode),
              'w') as file:
        file.write(text)
    draft.replace(path)
