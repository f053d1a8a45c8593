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

"""A senseless answer at each step of a backup, a restore and a removal."""

from __future__ import annotations

from collections.abc import Callable

import fixtures
import requests
import requests_mock

from freezer_http import adapter
from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler.engines.cinder import test_prune
from tests.unit.freezer_scheduler import fakes

PAGE = '<html>all is well</html>'
ERROR = '{"error": {"code": 500, "message": "broken"}}'

_State = messages.StepState


def answer(status: int, text: str = PAGE, **headers: str):
    """Return a fault that answers so."""
    return lambda request: requests_mock.create_response(
        request, status_code=status, text=text, headers=headers)


def redirected(request):
    """Do what the adapter does with a redirect."""
    response = requests.Response()
    response.status_code = 302
    response.headers['Location'] = 'http://elsewhere/'
    response.request = request
    raise adapter.Redirected(response)


def too_large(request):
    """Do what the adapter does with a body that is too large."""
    raise adapter.TooLarge(requests.Response(), 1)


KINDS: dict[str, Callable[..., object]] = {
    'redirect': redirected,
    'redirect that is seen': answer(307, Location='http://elsewhere/'),
    'too large': too_large,
    'lost': fakes.lost_answer,
    **{f'page {status}': answer(status) for status in (
        200, 400, 401, 403, 404, 429)},
    'empty 200': answer(200, ''),
    'empty 404': answer(404, ''),
    'half': answer(200, '{"backup": {"id": '),
    'error document': answer(200, ERROR),
    'null': answer(200, 'null'),
    **{f'parts {value}': answer(200, (
        f'{{"backup": {value}, "backups": {value}, "volume": {value}, '
        f'"volumes": {value}, "restore": {value}, "token": {value}}}'))
       for value in ('7', '{}', '[{}]',
                     '{"id": "other", "status": "available", '
                     '"volume_id": "v", "metadata": {}}')},
}


class Faults(cases.Case):
    """Have each request of an action answered senselessly, once each.

    ``_faulty`` is asked about each request to Keystone and Cinder.
    """

    def setUp(self):
        super().setUp()
        self.count = 0
        self.writes = set()
        self.at = None
        self.kind = None
        self.accept = True
        self.sane = self.cloud._faulty
        self.useFixture(fixtures.MockPatchObject(
            self.cloud, '_faulty', self.faulty))

    def faulty(self, request, work):
        number, self.count = self.count, self.count + 1
        if request.method != 'GET' and '/auth/' not in request.path:
            self.writes.add(number)
        if number != self.at:
            return self.sane(request, work)
        if self.accept:
            work()
        return self.kind(request)

    def fresh(self):
        """Have a new process look at a new Cinder."""
        self.cloud.__dict__.update(fakes.FakeCloud(
            requests_mock.Mocker(), self.clock).__dict__)
        self.count = 0
        self.writes = set()
        self.stored = []
        self.engine = self.process()

    def each(self, carry_out, check, kinds=None):
        """Carry an action out with each fault at each of its requests."""
        self.at = None
        self.fresh()
        carry_out()
        steps, writes = self.count, self.writes
        self.assertGreater(steps, 3)
        for self.at in range(steps):
            for name, kind in (kinds or KINDS).items():
                self.kind = kind
                # What only reads is the same, whether it is done or not.
                for accept in {True, self.at not in writes}:
                    self.accept = accept
                    self.fresh()
                    progress = carry_out()
                    self.assertGreater(self.count, self.at)
                    check(progress, f'{name} at {self.at}, the work '
                                    f'{"done" if self.accept else "not done"}'
                                    f': {progress.step.reason}')


class TestBackupsAndRestores(Faults):

    def backup(self, **keys):
        progress, _context = self.go(self.context(**keys))
        return progress

    def test_backup(self):
        def check(progress, what):
            self.assertEqual(_State.SUCCESS, progress.step.state, what)
            self.assertEqual(
                ['available'], [backup['status'] for backup
                                in self.cloud.backups.values()], what)
            self.assertEqual(1, len(self.cloud.posts), what)
            self.assertEqual(list(self.cloud.backups),
                             [progress.step.cinder_backup_id], what)

        self.each(self.backup, check)

    def test_restore(self):
        """One that was not seen to begin is left to its user, and said so."""
        def carry_out():
            self.cloud.add_backup()
            progress, _context = self.go(self.context(action='restore'))
            return progress

        def check(progress, what):
            if not self.accept and 'is not known' in (
                    progress.step.reason or ''):
                self.assertEqual(_State.FAIL, progress.step.state, what)
            else:
                self.assertEqual(_State.SUCCESS, progress.step.state, what)
            self.assertEqual(['available'], list(self.cloud.volumes.values()))
            self.assertLessEqual(len([1 for method, path in
                                      self.cloud.requests
                                      if path.endswith('/restore')]), 2, what)

        self.each(carry_out, check)

    def test_restore_into_a_new_volume(self):
        def carry_out():
            self.cloud.add_backup()
            progress, _context = self.go(self.context(
                action='restore', cindernative_new_volume='true'))
            return progress

        def check(progress, what):
            self.assertEqual(_State.SUCCESS, progress.step.state, what)
            self.assertEqual(2, len(self.cloud.volumes), what)

        self.each(carry_out, check)


class TestRemoval(Faults, test_prune.PruneCase):

    def made(self, age):
        self.number = age
        return self.old(age)

    def test_after_a_backup(self):
        def carry_out():
            for age in (30, 20):
                self.made(age)
            made, context = self.go(self.context(remove_older_than=7),
                                    'pruning')
            if made.step.state.final:
                return made
            return self.go(context)[0]

        def check(progress, what):
            self.assertEqual(_State.SUCCESS, progress.step.state, what)
            self.assertEqual(1, len(self.cloud.posts), what)
            self.assertEqual([progress.step.cinder_backup_id],
                             list(self.cloud.backups), what)

        self.each(carry_out, check)

    def test_alone(self):
        def carry_out():
            for age in (30, 20, 10):
                self.made(age)
            return self.go(self.admin(remove_older_than=15))[0]

        def check(progress, what):
            self.assertEqual(_State.SUCCESS, progress.step.state, what)
            self.assertEqual(1, len(self.cloud.backups), what)

        self.each(carry_out, check)
