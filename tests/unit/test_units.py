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

"""The units of systemd: what they share, and what they cannot do."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import unittest

UNITS = sorted(pathlib.Path(__file__).resolve().parents[2].joinpath(
    'etc/systemd').glob('*.service'))

# Of 10, where 0 is best; in tenths as systemd-analyze takes it.
EXPOSURE = 20

WITHOUT = ('NoNewPrivileges=true', 'CapabilityBoundingSet=',
           'ProtectSystem=strict', 'ProtectHome=true', 'PrivateTmp=true',
           'PrivateDevices=true', 'ProtectKernelTunables=true',
           'ProtectKernelModules=true', 'ProtectControlGroups=true',
           'RestrictNamespaces=true', 'RestrictSUIDSGID=true',
           'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
           'SystemCallFilter=@system-service')


class UnitTests(unittest.TestCase):

    def test_there_are_two(self) -> None:
        self.assertEqual(
            ['freezer-api.service', 'freezer-scheduler.service'],
            [unit.name for unit in UNITS])

    def test_run_freezer_survives_the_stop_of_either(self) -> None:
        shared = []
        for unit in UNITS:
            text = unit.read_text()
            self.assertIn('\nRuntimeDirectoryPreserve=yes\n', text)
            shared.append(re.findall(
                r'^(?:User|RuntimeDirectory\w*|StateDirectory\w*|'
                r'LogsDirectory\w*)=.*$', text, re.MULTILINE))
            self.assertIn('RuntimeDirectory=freezer', shared[-1])
        self.assertEqual(*shared)

    def test_what_they_need_not_they_cannot(self) -> None:
        for unit in UNITS:
            lines = unit.read_text().splitlines()
            self.assertEqual([], [line for line in WITHOUT
                                  if line not in lines], unit)

    def test_systemd_finds_them_little_exposed(self) -> None:
        """Where systemd is there; otherwise the test above has to do."""
        program = shutil.which('systemd-analyze')
        for unit in UNITS if program else ():
            done = subprocess.run(
                [program or '', 'security', '--no-pager', '--offline=true',
                 f'--threshold={EXPOSURE}', str(unit)],
                capture_output=True, text=True, check=False)
            self.assertEqual(0, done.returncode, done.stdout[-300:])

    def test_each_directive_is_one_of_systemd(self) -> None:
        """A misspelt one would protect from nothing, in silence."""
        program = shutil.which('systemd-analyze')
        for unit in UNITS if program else ():
            done = subprocess.run(
                [program or '', 'verify', str(unit)], capture_output=True,
                text=True, check=False)
            self.assertNotIn('Unknown', done.stderr)
            self.assertNotIn('Failed to parse', done.stderr)
