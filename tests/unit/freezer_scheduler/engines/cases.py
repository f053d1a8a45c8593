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

"""The base of the tests of the cinder-native engine.

The engine sends HTTP requests to a fake Keystone and a fake Cinder.
``Case.go`` acts as the scheduler: it calls the engine, stores the answer, lets
time pass, and calls again.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging

import fixtures
import requests_mock
import testtools

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import engine as cinder
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import messages
from freezer_scheduler.keystone import sessions
from tests.unit.freezer_scheduler import fakes

LIMITS = operation.Limits(
    backup_timeout=3600, busy_timeout=600, poll_interval=10,
    request_timeout=30, lease_needed=35)
MOST_CALLS = 200


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        # Only the mocker logs this, not the scheduler.
        self.useFixture(fixtures.FakeLogger('requests_mock'))
        self.addCleanup(self.no_secrets)
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.clock = fakes.FakeClock()
        self.cloud = fakes.FakeCloud(mocker, self.clock)
        self.lease = 60.0
        self.stored = []
        self.gone_jobs = set()
        self.asked_jobs = []
        self.old_backups = []
        self.engine = self.process()

    def no_secrets(self):
        for text in (self.log.output, *(
                str(progress.step.reason) for progress in self.stored)):
            self.assertNotIn(fakes.TRUST, text)
            self.assertNotIn('token-', text)

    def process(self):
        """Return the engine of a new process."""
        known = sessions.Identity(fakes.settings())
        return cinder.CinderEngine(operation.Dependencies(
            clients=lambda trust_id: cinder_client.CinderClient(
                known, trust_id, 'public', None),
            clock=self.clock, limits=lambda: LIMITS, hostname='here',
            gone_jobs=self.are_gone, old_backup=self.old_backups.append))

    def are_gone(self, run_id, fence, marks):
        self.asked_jobs.append((run_id, fence, sorted(marks)))
        return frozenset(marks) & self.gone_jobs

    def context(self, step=None, engine_state=None, trust=fakes.TRUST, **keys):
        due_at = keys.pop('due_at', None)
        step = step or messages.Step('action-1', 0, tries=1)
        if not step.action:
            # The executor does so before it calls.
            step = dataclasses.replace(step, engine=registry.NATIVE,
                                       action=keys.get('action', 'backup'))
        return base.ActionContext(
            run_id='run-1', job_id='job-1', project_id=fakes.PROJECT,
            trust_id=trust, freezer_action=fakes.action(**keys), step=step,
            engine_state=engine_state, lease_left=lambda: self.lease,
            due_at=due_at, fence=3)

    def call(self, context, aborting=False):
        if aborting:
            progress = self.engine.abort(context)
        elif (context.engine_state is None
                and context.step.state is messages.StepState.PENDING):
            progress = self.engine.start(context)
        else:
            progress = self.engine.poll(context)
        self.stored.append(progress)
        return progress, dataclasses.replace(
            context, step=progress.step, engine_state=progress.engine_state)

    def go(self, context, until='final', aborting=False, finish='available'):
        """Call until the step's state is there.

        Cinder ends what it has in work after five calls.
        """
        for number in range(MOST_CALLS):
            progress, context = self.call(context, aborting)
            state = progress.step.state
            if state.final or state == until:
                return progress, context
            self.clock.sleep(progress.after)
            if number >= 5 and finish:
                self.cloud.finish(finish, 'disk full')
        self.fail(f'does not come to {until}: {progress}')

    def records(self):
        return [backup for progress in self.stored
                for backup in progress.backups]


def backup(backup_id, status='available', age=0):
    """Return a backup as the client shows it, so many seconds old."""
    return views.Backup(
        id=backup_id, status=status, volume_id=fakes.VOLUME,
        fail_reason=None, is_incremental=False, size=1,
        created_at=datetime.datetime.fromtimestamp(10_000 - age,
                                                   datetime.UTC),
        container=None, availability_zone=None, metadata={})
