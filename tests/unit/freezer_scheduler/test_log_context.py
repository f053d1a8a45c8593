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

"""Lines of a run bear its ids, and no others do."""

from __future__ import annotations

import io
import logging
import threading

from oslo_context import fixture as context_fixture
from oslo_log import formatters
import testtools

from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler.freezer import messages
from freezer_scheduler import log_context
from tests.unit.freezer_scheduler import fakes

RUN = '0123456789abcdef0123456789abcdef'
REQUEST = 'req-01234567-89ab-cdef-0123-456789abcdef'


class TestRunContext(testtools.TestCase):

    def setUp(self):
        super().setUp()
        # Other tests of this process leave theirs to the thread.
        self.useFixture(context_fixture.ClearRequestContext())
        conf = scheduler_conf.new()
        conf(['start'], default_config_files=[], default_config_dirs=[])
        self.written = io.StringIO()
        handler = logging.StreamHandler(self.written)
        handler.setFormatter(formatters.ContextFormatter(config=conf))
        self.logger = logging.getLogger(self.id())
        self.logger.addHandler(handler)
        self.logger.propagate = False
        self.made = messages.Run.from_document(fakes.run_document(RUN))

    def line(self):
        before = len(self.written.getvalue())
        self.logger.warning('something')
        return self.written.getvalue()[before:]

    def test_each_line_bears_job_run_project_and_request(self):
        with log_context.of(self.made):
            line = self.line()
        self.assertIn(f'[{REQUEST} job job-1 run {RUN} project '
                      f'{fakes.PROJECT}] something', line)

    def test_lines_outside_bear_nothing(self):
        before = self.line()
        with log_context.of(self.made):
            pass
        for line in (before, self.line()):
            self.assertIn('[-] something', line)
            self.assertNotIn(RUN, line)
        self.assertIsNone(log_context.current())

    def test_each_thread_has_its_own(self):
        lines = []
        with log_context.of(self.made):
            thread = threading.Thread(
                target=lambda: lines.append(self.line()))
            thread.start()
            thread.join()
        self.assertNotIn(RUN, lines[0])

    def test_another_scheduler_uses_the_same_request_id(self):
        for run_id in (RUN, 'a name of a file'):
            run = messages.Run.from_document(fakes.run_document(run_id))
            ids = set()
            for _scheduler in range(2):
                with log_context.of(run):
                    context = log_context.current()
                    assert context is not None
                    ids.add(context.request_id)
            [request_id] = ids
            self.assertRegex(request_id, '^req-[0-9a-f-]{36}$')
