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

"""The benchmarks still run; what they measure is for quieter machines."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

import testtools
from testtools import content

from benchmarks.api import operations

ROOT = pathlib.Path(__file__).resolve().parents[2]


class BenchmarkTests(testtools.TestCase):

    def test_the_api(self) -> None:
        """Our side alone: to install the other takes longer than to ask."""
        holder = tempfile.TemporaryDirectory(prefix='benchmark-')
        self.addCleanup(holder.cleanup)
        output = pathlib.Path(holder.name, 'api')
        done = subprocess.run(
            [sys.executable, str(ROOT / 'benchmarks/api/run'), '--quick',
             '--ours-only', '--output', str(output)],
            capture_output=True, text=True, check=False)
        self.addDetail('output', content.text_content(
            done.stdout + done.stderr))
        self.assertEqual(0, done.returncode)
        [stage] = json.loads(output.with_suffix('.json').read_text())[
            'stages']
        self.assertEqual(
            {what.name for what in (
                operations.LIST, operations.IDLE, *operations.SINGLE)},
            set(stage['results']))
        for name, result in stage['results'].items():
            self.assertGreater(result['ours']['requests'], 0, name)
            self.assertEqual(0, result['ours']['failed'], name)
        self.assertEqual(3, stage['memory']['ours']['processes'])
        self.assertIn('GET job', output.with_suffix('.txt').read_text())
