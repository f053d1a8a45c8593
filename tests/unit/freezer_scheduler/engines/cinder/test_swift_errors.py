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

"""Backups that failed because Swift refused something."""

from freezer_scheduler.engines.cinder import swift_errors
from freezer_scheduler.runs import steps
from tests.unit.freezer_scheduler.engines.cinder import test_failed_backups
from tests.unit.freezer_scheduler import fakes

_OBJECT = ('http://127.0.0.1:27319/v1/AUTH_9a47388d94024058a0d19c5a323f6967'
           '/volumebackups/volume_1d0085a7-199d-468e-ac6c-7de49a16cea5'
           '/20261130132358/az_nova_backup_'
           '6ebc7906-f186-47f5-8678-bc43cfad1a46-00004')
_CONTAINER = _OBJECT[:_OBJECT.index('/volume_')]

# What Cinder's database keeps.
_KEPT = 255

# Cinder 29.0.0 said these on Swift 2.38.3, the cut one for a longer address.
TOKEN = (f'Object PUT failed: {_OBJECT} 401 Unauthorized  '
         f'[first 60 chars of response] b\'<html><h1>Unauthor')[:_KEPT]
ROLE = (f'Connection to swift failed: Container HEAD failed: {_CONTAINER} '
        f'403 Forbidden (txn: tx4846c3b576de41f78dd8d-006b0d7bbd)')
QUOTA = f'Object PUT failed: {_OBJECT} 413 Request Entity Too Large'
CUT = f'Object PUT failed: {_OBJECT.replace("127", "swift" * 20)}'[:_KEPT]
LOST = f'Object GET failed: {_OBJECT}_sha256file 404 Not Found'

REFUSALS = {TOKEN: '(401)', ROLE: 'operator_roles', QUOTA: 'quota',
            CUT: 'cut off'}


class Case(test_failed_backups.Case):

    def again(self, fail_reason, most):
        """Let an increment fail for a reason, and Freezer try again."""
        self.cloud.backups.clear()
        self.cloud.add_backup(metadata=self.marks(freezer_container=''))
        self.failing = fail_reason
        return self.run_of_job(1, 'error', most=most, incremental=True)

    def go(self, context, until='final', aborting=False, finish='available'):
        if finish == 'error':
            _progress, context = super().go(context, 'submitted')
            self.cloud.finish('error', self.failing)
        return super().go(context, until, aborting)


class TestReason(Case):

    def test_the_cause_and_what_to_do_come_first(self):
        for fail_reason, words in REFUSALS.items():
            with self.subTest(fail_reason):
                reason = self.again(fail_reason, most=0).reason
                self.assertIn(words, reason[:180])
                self.assertLess(len(reason), steps._STEP_REASON)
                self.assertIn(fail_reason, self.log.output)
        self.assertIn('backup_swift_service_auth',
                      self.again(TOKEN, most=0).reason)

    def test_what_is_clear_by_itself_is_told_as_it_is(self):
        for fail_reason in (LOST, 'disk full'):
            with self.subTest(fail_reason):
                self.assertIn(fail_reason,
                              self.again(fail_reason, most=0).reason)


class TestFull(Case):
    """A full backup is made where it may succeed, and nowhere else."""

    def test_the_next_try(self):
        for fail_reason in (*REFUSALS, LOST, 'disk full'):
            with self.subTest(fail_reason):
                self.again(fail_reason, most=1)
                self.assertEqual([True, fail_reason in REFUSALS],
                                 self.increments()[-2:])

    def test_the_next_run(self):
        for fail_reason in (*REFUSALS, LOST, 'disk full'):
            with self.subTest(fail_reason):
                self.again(fail_reason, most=0)
                self.assertEqual('success', self.run_of_job(
                    2, incremental=True).state)
                self.assertEqual([True, fail_reason in REFUSALS],
                                 self.increments()[-2:])

    def test_the_next_run_where_the_failed_one_stayed(self):
        for fail_reason in (*REFUSALS, LOST):
            with self.subTest(fail_reason):
                self.cloud.backups.clear()
                self.cloud.add_backup(
                    metadata=self.marks(freezer_container=''),
                    container='volumebackups')
                self.clock.sleep(60)
                self.cloud.add_backup(
                    'error', metadata=self.marks(freezer_container=''),
                    container='volumebackups', fail_reason=fail_reason,
                    is_incremental=True)
                self.run_of_job(1, incremental=True)
                self.assertEqual(fail_reason in REFUSALS,
                                 self.increments()[-1])


class TestRead(Case):

    def test_what_is_read_of_the_words(self):
        for text, reads, status in (
                (TOKEN, False, 401), (ROLE, False, 403), (QUOTA, False, 413),
                (CUT, False, None), (LOST, True, 404),
                (LOST.replace('404', '401'), True, 401)):
            with self.subTest(text):
                self.assertEqual(swift_errors.SwiftError(reads, status),
                                 swift_errors.read(text))
        for other in (None, '', 'disk full', '401', fakes.VOLUME,
                      'Connection to swift failed: timed out'):
            self.assertIsNone(swift_errors.read(other))
            self.assertTrue(swift_errors.full_may_help(other))

    def test_a_token_that_ends_while_the_base_is_read(self):
        self.assertFalse(swift_errors.full_may_help(
            LOST.replace('404 Not Found', '401 Unauthorized')))
