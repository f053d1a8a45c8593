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

"""The report on the process, as on SIGUSR2."""

from __future__ import annotations

import pathlib
import stat
import threading

import fixtures
import testtools

from freezer_scheduler.telemetry import diagnostics
from tests.unit.freezer_scheduler import fakes


class TestDiagnostics(testtools.TestCase):

    def make(self, *argv):
        conf = fakes.parsed(*fakes.ACCOUNT, '--coordination-backend-url',
                            'redis://user:pa55@host', *argv)
        return diagnostics.Diagnostics(
            conf, lambda: {'runs': [{'run_id': 'run-1', 'odd': 'secret'}]},
            ('secret',), fakes.FakeClock())

    def test_it_has_threads_options_and_runs_and_no_secret(self):
        waits = threading.Event()
        thread = threading.Thread(target=waits.wait, name='worker-77')
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(waits.set)
        text = self.make().text()
        for words in (f'#{thread.ident} worker-77',
                      f'Thread #{thread.ident}', 'max-in-flight = 50',
                      '"run_id": "run-1"', 'password = ***'):
            self.assertIn(words, text)
        for secret in ('secret', 'pa55'):
            self.assertNotIn(secret, text)

    def test_only_its_owner_reads_it_and_none_is_replaced(self):
        log = self.useFixture(fixtures.FakeLogger())
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        made = self.make('--log-file', str(folder / 's.log'))
        made.write()
        [path] = folder.iterdir()
        self.assertEqual(
            'freezer-scheduler_gurumeditation_20270115080000', path.name)
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        path.write_text('kept')
        made.write()
        self.assertEqual('kept', path.read_text())
        self.assertIn('Cannot write the report', log.output)
