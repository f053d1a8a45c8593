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

"""Packages that options need, and packages that conflict with this one."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata

DISTRIBUTION = 'freezer-service-mode'

# Distributions whose modules and commands have the same names as ours.
_SAME_NAMES = ('freezer-api', 'freezer')


@dataclasses.dataclass(frozen=True)
class Need:
    """A module that an option needs.

    :ivar option: with its group, such as ``[database] connection``
    :ivar module: name of the module
    :ivar package: distribution that contains the module
    :ivar extra: extra of this project that installs the package, if any
    """

    option: str
    module: str
    package: str
    extra: str | None = None

    def problem(self) -> str | None:
        """Return the missing module and its remedy; None if it is there."""
        try:
            importlib.import_module(self.module)
        except ImportError:
            return (f'{self.option} needs the module {self.module}, which is '
                    f'not installed: {self.cure}, or remove the option')
        return None

    @property
    def cure(self) -> str:
        """The command that installs the module."""
        wanted = (self.package if self.extra is None
                  else f'{DISTRIBUTION}[{self.extra}]')
        return f"pip install '{wanted}'"


def conflicts() -> list[str]:
    """Return a line for each installed package with files of our names."""
    found = []
    for name in _SAME_NAMES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(
            f'this environment also contains the package {name} {version}, '
            f'whose modules and commands have the names of {DISTRIBUTION}: '
            f'install {DISTRIBUTION} into an environment of its own. '
            'Install freezer-agent into another one')
    return found
