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

"""The virtual environments of clouds.

``cloud`` contains Keystone and Cinder, ``service`` this project, ``cli`` the
stock clients, ``swift`` Swift for clouds that have one. A constraints file in
this directory pins each of them. All clouds of a checkout share them. A stamp
file in each describes its content, and it is created again only if the content
would differ.
"""

import collections.abc
import dataclasses
import functools
import hashlib
import os
import pathlib
import shutil
import sys

from tools.cloud import commands
from tools.cloud import errors
from tools.cloud import locks
from tools.cloud import progress

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent

#: Variable with the directory of the environments, to share them.
HOME_VARIABLE = 'FREEZER_QUICKSTART_HOME'

#: The sources of the distribution.
_SOURCES = ('freezer_api', 'freezer_config', 'freezer_http',
            'freezer_scheduler', 'etc', 'setup.cfg', 'setup.py',
            'pyproject.toml', 'requirements.txt', 'MANIFEST.in')


def default_home(checkout: pathlib.Path = CHECKOUT) -> pathlib.Path:
    """Return the default directory of environments and unnamed clouds.

    It is ``.quickstart`` in the checkout or, if that is not writable, a
    directory in the user's cache.
    """
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return pathlib.Path(named).expanduser().resolve()
    inside = checkout / '.quickstart'
    if os.access(inside if inside.exists() else checkout, os.W_OK):
        return inside
    cache = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    tag = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]
    return (pathlib.Path(cache).expanduser()
            / f'freezer-quickstart-{tag}').resolve()


def _make_home(home: pathlib.Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / '.gitignore').write_text('*\n')
    except OSError as error:
        raise errors.QuickstartError(
            f'{home} cannot be written ({error.strerror}): choose a directory '
            f'with --home or {HOME_VARIABLE}') from None


@dataclasses.dataclass(frozen=True)
class Environment:
    """A virtual environment.

    :ivar name: such as ``cloud`` or ``service``
    :ivar home: its parent directory
    :ivar packages: arguments of ``pip install``; versions are pinned elsewhere
    :ivar requirements: a file with further packages
    :ivar project: a checkout to install from its sources
    """

    name: str
    home: pathlib.Path
    packages: tuple[str, ...]
    requirements: pathlib.Path | None = None
    project: pathlib.Path | None = None

    @property
    def venv(self) -> pathlib.Path:
        return self.home / f'venv-{self.name}'

    @property
    def python(self) -> str:
        return str(self.venv / 'bin/python')

    def script(self, name: str) -> str:
        """Return the path of a console script."""
        return str(self.venv / 'bin' / name)

    @property
    def log(self) -> pathlib.Path:
        return self.home / f'venv-{self.name}.log'

    @property
    def constraints(self) -> pathlib.Path:
        return HERE / f'constraints-{self.name}.txt'

    @functools.cached_property
    def packages_digest(self) -> str:
        """A hash of everything that determines the installed packages."""
        digest = hashlib.sha256()
        for text in (*self.packages, str(self.venv), str(HERE),
                     f'{sys.version_info[:2]}'):
            digest.update(text.encode() + b'\0')
        for path in (self.constraints, self.requirements):
            if path is not None:
                digest.update(path.read_bytes() + b'\0')
        return digest.hexdigest()

    @functools.cached_property
    def project_digest(self) -> str:
        """A hash of the sources of the project."""
        digest = hashlib.sha256()
        for path in self._sources():
            digest.update(str(path).encode() + b'\0')
            digest.update(path.read_bytes() + b'\0')
        return digest.hexdigest()

    def _sources(self) -> collections.abc.Iterator[pathlib.Path]:
        if self.project is None:
            return
        for source in map(self.project.joinpath, _SOURCES):
            if source.is_file():
                yield source
            yield from sorted(
                path for path in source.rglob('*')
                if path.is_file() and path.suffix != '.pyc')

    @property
    def _stamps(self) -> dict[pathlib.Path, str]:
        return {self.venv / 'packages.stamp': self.packages_digest,
                self.venv / 'project.stamp': self.project_digest}

    def _holds(self, stamp: pathlib.Path) -> bool:
        try:
            return stamp.read_text() == self._stamps[stamp]
        except FileNotFoundError:
            return False

    def is_ready(self) -> bool:
        return (all(map(self._holds, self._stamps))
                and os.access(self.python, os.X_OK))

    def make(self, run: commands.Commands,
             tell: progress.Progress) -> None:
        """Create missing parts; a lock excludes parallel creation.

        :raises errors.QuickstartError: if the directory cannot be written, or
            pip fails
        """
        if self.is_ready():
            return
        _make_home(self.home)
        with locks.held(self.home / f'venv-{self.name}.lock', run, tell):
            if self.is_ready():
                return  # Another process has just created it.
            self.log.unlink(missing_ok=True)
            packages, project = self._stamps
            if not (self._holds(packages) and os.access(self.python,
                                                        os.X_OK)):
                with tell.step(f'installing the {self.name} environment '
                               f'into {self.venv}'):
                    self._install_packages(run)
                packages.write_text(self.packages_digest)
            if self.project is not None:
                with tell.step(f'installing {self.project}'):
                    self._install_project(run, self.project)
            project.write_text(self.project_digest)

    def _install_packages(self, run: commands.Commands) -> None:
        if not self._by_uv(run, 'venv', '--seed', '--clear', str(self.venv)):
            shutil.rmtree(self.venv, ignore_errors=True)
            self._log(run, [sys.executable, '-m', 'venv', str(self.venv)])
        wanted = list(self.packages)
        if self.requirements is not None:
            wanted += ['-r', str(self.requirements)]
        self.install(run, '-c', str(self.constraints), *wanted)

    def install(self, run: commands.Commands, *arguments: str) -> None:
        """Install into the environment, with arguments of both pip and uv.

        :raises errors.QuickstartError: if that fails
        """
        if not self._by_uv(run, 'pip', 'install', '--python', self.python,
                           *arguments):
            self._pip(run, *arguments)

    def _by_uv(self, run: commands.Commands, *arguments: str) -> bool:
        """Run uv, if it is installed: it takes a tenth of pip's time.

        :returns: False if it is not installed or fails: it does not use the
            configuration of pip, such as a mirror
        """
        uv = shutil.which('uv')
        if uv is None:
            return False
        try:
            self._log(run, [uv, '--quiet', *arguments])
        except errors.QuickstartError:
            return False
        return True

    def _install_project(self, run: commands.Commands,
                         checkout: pathlib.Path) -> None:
        """Build and install the project without changes to its checkout."""
        (self.venv / 'project.stamp').unlink(missing_ok=True)
        scratch = self.venv / 'build'
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        extra = scratch / 'setup.cfg'
        extra.write_text(f'[build]\nbuild_base = {scratch}\n'
                         f'[egg_info]\negg_base = {scratch}\n')
        self._pip(
            run, '--no-deps', '--no-build-isolation', '--force-reinstall',
            str(checkout),
            DIST_EXTRA_CONFIG=str(extra), SKIP_GENERATE_AUTHORS='1',
            SKIP_WRITE_GIT_CHANGELOG='1',
            # git reads another user's checkout only with this option.
            GIT_CONFIG_COUNT='1', GIT_CONFIG_KEY_0='safe.directory',
            GIT_CONFIG_VALUE_0=str(checkout))
        shutil.rmtree(scratch)

    def _pip(self, run: commands.Commands, *arguments: str,
             **env: str) -> None:
        self._log(run, [
            self.python, '-m', 'pip', 'install', '--no-input',
            '--progress-bar=off', '--disable-pip-version-check',
            '--root-user-action=ignore', *arguments], **env)

    def _log(self, run: commands.Commands, command: list[str],
             **env: str) -> None:
        run.log(f'the installation of the {self.name} environment', self.log,
                command, commands.clean_environment(**env))


@dataclasses.dataclass(frozen=True)
class Environments:
    """All environments in one directory.

    :ivar home: the directory
    :ivar checkout: this project's sources
    """

    home: pathlib.Path
    checkout: pathlib.Path = CHECKOUT

    @functools.cached_property
    def cloud(self) -> Environment:
        return Environment('cloud', self.home,
                           ('keystone', 'cinder', 'waitress',
                            'python-swiftclient'))

    @functools.cached_property
    def service(self) -> Environment:
        return Environment(
            'service', self.home, ('pbr', 'setuptools'),
            self.checkout / 'requirements.txt', self.checkout)

    @functools.cached_property
    def cli(self) -> Environment:
        return Environment(
            'cli', self.home,
            ('python-freezerclient', 'python-openstackclient',
             'python-cinderclient'))

    @functools.cached_property
    def swift(self) -> Environment:
        """For clouds with a Swift; created with the first of them.

        The wheel of pyeclib contains liberasurecode.
        """
        return Environment('swift', self.home, ('swift[keystone]',))

    @functools.cached_property
    def stock(self) -> Environment:
        """Release 19.0.0 of Freezer, with its scheduler and its agent.

        No cloud needs it; the tests that use it create it.
        """
        return Environment(
            'stock', self.home,
            ('freezer==19.0.0', 'python-freezerclient==6.5.0', 'setuptools'))

    def make(self, run: commands.Commands,
             tell: progress.Progress) -> None:
        """Create the environments that every cloud needs.

        :raises errors.QuickstartError: if the directory cannot be written, or
            an installation fails
        """
        wanted = [env for env in (self.cloud, self.service, self.cli)
                  if not env.is_ready()]
        if not wanted:
            return
        _make_home(self.home)
        # Two installations keep two cores busy.
        run.together(*(functools.partial(env.make, run, tell)
                       for env in wanted), at_once=2)
