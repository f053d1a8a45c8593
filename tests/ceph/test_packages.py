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

"""Why a Ceph cannot be run on a machine is told in words to act on."""

from __future__ import annotations

import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

from tools.cloud import ceph

_THIS = f'cpython-{sys.version_info.major}{sys.version_info.minor}'


class MissingTests(unittest.TestCase):

    def missing(self, programs: set[str], *modules: str) -> str | None:
        """Ask on a machine with these programs and files of modules."""
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        folder = pathlib.Path(holder.name)
        for name in modules:
            (folder / name).touch()
        with mock.patch.object(
                shutil, 'which', autospec=True, side_effect=lambda name:
                f'/usr/bin/{name}' if name in programs else None), \
                mock.patch.object(ceph, '_DIST_PACKAGES', folder):
            return ceph.missing()

    def modules(self, tag: str) -> list[str]:
        return [f'{name}.{tag}-x86_64-linux-gnu.so'
                for name in ('rados', 'rbd')]

    def test_nothing_is_missing(self) -> None:
        self.assertIsNone(self.missing(
            set(ceph._COMMANDS), *self.modules(_THIS)))

    def test_missing_packages_are_named(self) -> None:
        for programs, modules in (
                (set(), []), (set(), self.modules(_THIS)),
                (set(ceph._COMMANDS) - {'ceph-osd'}, self.modules(_THIS)),
                (set(ceph._COMMANDS), [])):
            with self.subTest(programs=programs, modules=modules):
                why = self.missing(programs, *modules) or ''
                for package in ceph.PACKAGES:
                    self.assertIn(package, why)

    def test_modules_for_another_python(self) -> None:
        other = self.modules('cpython-399')
        for modules in (other, [*other, self.modules(_THIS)[0]]):
            with self.subTest(modules=modules):
                why = self.missing(set(ceph._COMMANDS), *modules) or ''
                for words in (other[0], sys.version.split()[0], 'PYTHON'):
                    self.assertIn(words, why)
                self.assertNotIn('apt-get', why)
