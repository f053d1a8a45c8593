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

"""An environment that holds freezer-api or freezer is refused by name."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest

from freezer_api.cmd import api
from freezer_api.cmd import manage
from freezer_api.cmd import status
from freezer_config import packages
from freezer_scheduler.cmd import scheduler


class ConflictTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))

    def install(self, name: str) -> None:
        """Leave what pip leaves of an installed package."""
        made = self.folder / f'{name.replace("-", "_")}-19.0.0.dist-info'
        made.mkdir()
        made.joinpath('METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: 19.0.0\n')

    def test_nothing_is_in_the_way(self) -> None:
        self.install('python-freezerclient')
        self.assertEqual([], packages.conflicts())

    def test_each_program_names_the_package(self) -> None:
        programs: tuple[tuple[Callable[[list[str]], int], str], ...] = (
            (api.main, ''), (manage.main, 'db sync'),
            (status.main, 'upgrade check'),
            (scheduler.main, '--no-daemon start'))
        for name in ('freezer-api', 'freezer'):
            self.install(name)
            for program, words in programs:
                with self.subTest(name=name, words=words), \
                        contextlib.redirect_stdout(io.StringIO()) as said, \
                        contextlib.redirect_stderr(said):
                    code = program(['--config-file', os.devnull,
                                    *words.split()])
                text = ' '.join(said.getvalue().replace('|', ' ').split())
                self.assertNotEqual(0, code)
                self.assertIn(f'the package {name} 19.0.0', text)
                self.assertIn('environment of its own', text)
                self.assertNotIn('Traceback', text)
