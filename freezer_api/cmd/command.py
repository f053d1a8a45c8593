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

"""What every command of freezer-manage has."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import dataclasses

from oslo_config import cfg


class CommandError(Exception):
    """A command failed; the text is for the operator."""


def _nothing(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A verb.

    :ivar run: returns the exit status, None for 0; its docstring is the
        verb's help
    :ivar arguments: adds the arguments that the verb takes, which are then
        attributes of ``conf.category``
    """

    run: Callable[[cfg.ConfigOpts], int | None]
    arguments: Callable[[argparse.ArgumentParser], None] = _nothing


def connection(conf: cfg.ConfigOpts) -> str:
    """Return the URL of the database.

    :raises CommandError: when there is none
    """
    url = conf.database.connection
    if not url:
        raise CommandError('[database] connection is not set')
    return str(url)
