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

"""uv makes an environment where it can; pip makes any."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from typing import Any
import unittest
from unittest import mock

from tools.cloud import commands
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import progress


class Recorded(commands.Commands):
    """Runs nothing.

    :param without: words of commands that fail
    """

    def __init__(self, *without: str) -> None:
        super().__init__()
        self._without = set(without)
        self.done: list[str] = []

    def log(self, what: str, log: pathlib.Path, argv: Any, env: Any, *,
            cwd: pathlib.Path | None = None) -> None:
        words = [pathlib.Path(argv[0]).name, *argv[1:]]
        self.done.append(' '.join(words))
        if self._without.intersection(words):
            raise errors.QuickstartError('no')
        pathlib.Path(argv[-1], 'bin').mkdir(parents=True, exist_ok=True)


class EnvironmentTests(unittest.TestCase):

    def made(self, uv: str | None, *without: str) -> list[str]:
        """Return what is run to make an environment, without its paths."""
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        made = environments.Environment(
            'cli', pathlib.Path(holder.name), ('six',))
        run = Recorded(*without)
        with mock.patch.object(shutil, 'which', autospec=True,
                               return_value=uv):
            made.make(run, progress.Progress(None))
        return [' '.join(line.split()[:3]) for line in run.done]

    def test_uv_does_it_all(self) -> None:
        self.assertEqual(['uv --quiet venv', 'uv --quiet pip'],
                         self.made('/bin/uv'))

    def test_pip_does_it_where_there_is_no_uv(self) -> None:
        venv, pip = self.made(None)
        self.assertRegex(venv, '-m venv$')
        self.assertEqual('python -m pip', pip)

    def test_pip_does_what_uv_cannot(self) -> None:
        _, venv, _, pip = self.made('/bin/uv', 'uv')
        self.assertRegex(venv, '-m venv$')
        self.assertEqual('python -m pip', pip)
