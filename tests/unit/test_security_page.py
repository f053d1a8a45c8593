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

"""The security page: each row names tests, and each of those exists."""

from __future__ import annotations

import ast
import pathlib
import re

import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / 'doc/source/admin/security.rst'
TEST = re.compile(r'``(tests\.[\w.]+)\.(\w+)\.(test_\w+)``')


def rows(text: str) -> list[str]:
    """Return the rows of all tables, without their heads."""
    found = re.split(r'(?m)^   \* - ', text)[1:]
    return [re.split(r'\n(?=\S)', row)[0] for row in found
            if not row.startswith('Can\n')]


class SecurityPageTest(testtools.TestCase):

    def test_each_row_names_its_tests(self) -> None:
        found = rows(PAGE.read_text(encoding='utf-8'))
        self.assertGreater(len(found), 20)
        for row in found:
            self.assertTrue(TEST.findall(row), row)
            self.assertEqual(3, len(re.split(r'(?m)^     - ', row)), row)

    def test_each_test_is_there(self) -> None:
        missing = []
        for module, case, name in TEST.findall(
                PAGE.read_text(encoding='utf-8')):
            path = ROOT.joinpath(*module.split('.')).with_suffix('.py')
            tree = ast.parse(path.read_text(encoding='utf-8')
                             if path.exists() else '')
            if not any(isinstance(node, ast.ClassDef) and node.name == case
                       and any(isinstance(part, ast.FunctionDef)
                               and part.name == name for part in node.body)
                       for node in tree.body):
                missing.append(f'{module}.{case}.{name}')
        self.assertEqual([], missing)

    def test_no_name_of_a_test_is_misspelled(self) -> None:
        text = PAGE.read_text(encoding='utf-8')
        self.assertEqual(len(re.findall(r'``tests\.\w+\.', text)),
                         len(TEST.findall(text)))
