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

from benchmarks.load import operations

ROOT = pathlib.Path(__file__).resolve().parents[2]


class BenchmarkTests(testtools.TestCase):

    def test_the_api_is_measured_and_no_request_fails(self) -> None:
        """Our side alone: to install the other takes longer than to ask."""
        holder = tempfile.TemporaryDirectory(prefix='benchmark-')
        self.addCleanup(holder.cleanup)
        output = pathlib.Path(holder.name, 'api')
        done = subprocess.run(
            [sys.executable, '-m', 'benchmarks', 'api', '--quick',
             '--ours-only', '--output', str(output)],
            cwd=ROOT, capture_output=True, text=True, check=False)
        self.addDetail('output', content.text_content(
            done.stdout + done.stderr))
        self.assertEqual(0, done.returncode)
        figures = {figure['name']: figure for figure in json.loads(
            output.with_suffix('.json').read_text())['items']}
        for operation in (operations.LIST, operations.IDLE,
                          *operations.SINGLE):
            figure = figures[f'{operation.name}: median']
            self.assertGreater(figure['value'], 0, operation.name)
            # Nothing is noted, such as requests that failed.
            self.assertEqual('', figure['note'], operation.name)
        self.assertEqual(3, figures['processes of the API']['value'])
        self.assertIn('GET job', output.with_suffix('.txt').read_text())
