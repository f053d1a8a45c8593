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

"""Common parts of the commands of this package."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import dataclasses
import signal

from oslo_config import cfg

from freezer_api import option_requirements
from freezer_config import errors


class CommandError(Exception):
    """A command failed; the text is for the operator."""


def _nothing(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of freezer-manage.

    :ivar run: returns the exit status, None for 0; its docstring is the
        help text
    :ivar arguments: adds the arguments of the command, which become
        attributes of ``conf.category``
    :ivar hidden: whether it is an old name that the help does not list
    """

    run: Callable[[cfg.ConfigOpts], int | None]
    arguments: Callable[[argparse.ArgumentParser], None] = _nothing
    hidden: bool = False


def connection(conf: cfg.ConfigOpts) -> str:
    """Return the URL of the database.

    :raises CommandError: if it is missing or not usable
    """
    try:
        url = conf.database.connection
    except cfg.Error as error:
        raise CommandError('[database] connection: '
                           + errors.describe(error)) from None
    if problems := option_requirements.of_database(url):
        raise CommandError(problems[0])
    return str(url)


def unblock_signals() -> None:
    """Unblock the signals that end or reload this process.

    Some process managers start programs with blocked signals.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (
        signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM,
        signal.SIGCHLD))
