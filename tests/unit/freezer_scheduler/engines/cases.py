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

"""What the tests of the cinder-native engine stand on.

The engine talks to a fake Keystone and Cinder by HTTP. ``Case.go`` does what
the scheduler does: it calls, stores the answer, lets time pass, calls again.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging

import fixtures
import requests_mock
import testtools

from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import engine as cinder
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler import identity
from tests.unit.freezer_scheduler import fakes

LIMITS = cinder_step.Limits(
    backup_timeout=3600, busy_timeout=600, poll_interval=10,
    request_timeout=30, lease_needed=35)
MOST_CALLS = 200


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        # What it logs, no network would.
        self.useFixture(fixtures.FakeLogger('requests_mock'))
        self.addCleanup(self.no_secrets)
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.clock = fakes.FakeClock()
        self.cloud = fakes.FakeCloud(mocker, self.clock)
        self.lease = 60.0
        self.stored = []
        self.engine = self.process()

    def no_secrets(self):
        for text in (self.log.output, *(
                str(progress.step.reason) for progress in self.stored)):
            self.assertNotIn(fakes.TRUST, text)
            self.assertNotIn('token-', text)

    def process(self):
        """Return the engine of a new process."""
        known = identity.Identity(fakes.settings())
        return cinder.CinderEngine(cinder_step.Tools(
            clients=lambda trust_id: cinder_client.CinderClient(
                known, trust_id, 'public', None),
            clock=self.clock, limits=lambda: LIMITS, hostname='here'))

    def order(self, step=None, memory=None, trust=fakes.TRUST, **keys):
        due_at = keys.pop('due_at', None)
        return base.Order(
            run_id='run-1', job_id='job-1', project_id=fakes.PROJECT,
            trust_id=trust, freezer_action=fakes.action(**keys),
            step=step or documents.Step('action-1', 0, tries=1),
            memory=memory, lease_left=lambda: self.lease, due_at=due_at)

    def call(self, order, aborting=False):
        if aborting:
            progress = self.engine.abort(order)
        elif (order.memory is None
                and order.step.state is documents.StepState.PENDING):
            progress = self.engine.start(order)
        else:
            progress = self.engine.poll(order)
        self.stored.append(progress)
        return progress, dataclasses.replace(
            order, step=progress.step, memory=progress.memory)

    def go(self, order, until='final', aborting=False, finish='available'):
        """Call until the step's state is there.

        Cinder ends what it has in work after five calls.
        """
        for number in range(MOST_CALLS):
            progress, order = self.call(order, aborting)
            state = progress.step.state
            if state.final or state == until:
                return progress, order
            self.clock.sleep(progress.after)
            if number >= 5 and finish:
                self.cloud.finish(finish, 'disk full')
        self.fail(f'does not come to {until}: {progress}')

    def records(self):
        return [backup for progress in self.stored
                for backup in progress.backups]


def backup(backup_id, status='available', age=0):
    """Return a backup as the client shows it, so many seconds old."""
    return cinder_client.CinderBackup(
        id=backup_id, status=status, volume_id=fakes.VOLUME,
        fail_reason=None, is_incremental=False, size=1,
        created_at=datetime.datetime.fromtimestamp(10_000 - age,
                                                   datetime.UTC),
        container=None, availability_zone=None, metadata={})
