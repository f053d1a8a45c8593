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

"""Exactly one backup for each firing, whatever happens on the way to Cinder.

The endpoint of Cinder in the catalogue is a proxy that does harm to the
requests which a test names. The tests themselves ask Cinder directly.
"""

from __future__ import annotations

import os
import signal
from typing import ClassVar

from tests.cloud import cinder_failures
from tests.cloud import faulty_proxy
from tests.cloud import service_mode
from tests.cloud import waiting

REQUEST_TIMEOUT = service_mode.REQUEST_TIMEOUT

# What happens to the request for a backup, and what its user is told.
REQUEST_FAULTS = {
    'no answer': faulty_proxy.NO_ANSWER,
    'half an answer': faulty_proxy.CUT_ANSWER,
    'never arrives': faulty_proxy.NEVER_ARRIVES,
    'arrives late': faulty_proxy.Fault(hold=REQUEST_TIMEOUT + 1),
    'is answered late': faulty_proxy.Fault(linger=REQUEST_TIMEOUT + 1),
    'is sent twice': faulty_proxy.TWICE,
    'is done and answered 500': faulty_proxy.FAILS_LATE,
    'is done and answered 408': faulty_proxy.Fault(status=408),
    'is answered with garbage': faulty_proxy.GARBAGE,
    'is answered 500': faulty_proxy.refused(500),
    'is answered 503': faulty_proxy.refused(503),
    'is answered 429': faulty_proxy.refused(429),
}


class FaultyCinderTests(cinder_failures.Failures):

    OPTIONS: ClassVar[dict[str, int]] = {
        'projects': 2, 'volumes': 40, 'mib_per_gb': 4}

    def test_one_backup_whatever_happens_to_the_request(self) -> None:
        work = {}
        for name, fault in REQUEST_FAULTS.items():
            volume = self.volume()
            rule = self.proxy.fail('POST', '/backups', volume, fault)
            work[name] = (rule, volume, self.job(volume))
        for name, (rule, volume, job_id) in work.items():
            with self.subTest(name):
                self.assertEqual('success', self.result(job_id))
                self.assertTrue(rule.met.is_set())
                self.assert_one_good_backup(volume, job_id)

    def test_kill_while_the_request_is_out_ends_in_one(self) -> None:
        """Invariant 1: the answer is lost with the one who waited for it."""
        for fault in (faulty_proxy.HELD, faulty_proxy.Fault(linger=60)):
            with self.subTest(fault=fault):
                self.kill_while_out(fault)

    def kill_while_out(self, fault: faulty_proxy.Fault) -> None:
        volume = self.volume()
        rule = self.proxy.fail('POST', '/backups', volume, fault)
        job_id = self.job(volume)
        self.assertTrue(rule.met.wait(waiting.PATIENCE))
        self.scheduler.kill()
        rule.let_go.set()
        waiting.eventually(lambda: rule.statuses == [202])
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)

    def test_one_backup_where_cinder_is_asked_through_faults(self) -> None:
        """The listings and looks fail too, each in its way."""
        volume = self.volume()
        self.proxy.fail('POST', '/backups', volume, faulty_proxy.NO_ANSWER)
        rules = [self.proxy.fail('GET', path, '', fault)
                 for path in ('/backups/detail', r'/backups/[0-9a-f-]{36}')
                 for fault in (faulty_proxy.NO_ANSWER,
                               faulty_proxy.GARBAGE,
                               faulty_proxy.CUT_ANSWER,
                               faulty_proxy.refused(503),
                               faulty_proxy.Fault(body=b'[]'),
                               faulty_proxy.Fault(body=b'{"backups": [7]}'))]
        job_id = self.job(volume)
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)
        self.assertTrue(all(rule.met.is_set() for rule in rules))

    def test_a_refusal_for_quota_is_the_users_reason(self) -> None:
        volume = self.volume()
        quotas = f'/os-quota-sets/{self.user.project_id}'
        self.cinder('PUT', quotas, {'quota_set': {'backup_gigabytes': 0}},
                    'admin')
        self.addCleanup(self.cinder, 'PUT', quotas, {
            'quota_set': {'backup_gigabytes': -1}}, 'admin')
        job_id = self.job(volume)
        self.assertEqual('fail', self.result(job_id))
        [run] = self.runs(job_id)
        self.assertIn('(413)', run['reason'])
        self.assertIn('exceeds', run['reason'].lower())
        self.assertEqual(3, run['actions'][0]['tries'])
        self.assertEqual([], self.backups(volume))

    def test_a_late_duplicate_is_gone_with_the_next_backup(self) -> None:
        """The request arrives again after its run has ended."""
        volume = self.volume()
        rule = self.proxy.fail('POST', '/backups', volume,
                               faulty_proxy.Fault())
        job_id = self.job(volume)
        self.assertEqual('success', self.result(job_id))
        [kept] = self.backups(volume)
        assert rule.request is not None
        status, _headers, _body = self.proxy.forward(rule.request)
        self.assertEqual(202, status)
        waiting.eventually(lambda: ['available'] * 2 == [
            backup['status'] for backup in self.backups(volume)])
        self.again(job_id)
        self.assertEqual('success', self.result(job_id))
        left = waiting.eventually(
            lambda: len(found := self.backups(volume)) == 2 and found)
        self.assertEqual(kept['id'], left[0]['id'])
        self.assertEqual(
            {run['run_id'] for run in self.runs(job_id)},
            {backup['metadata']['freezer_run_id'] for backup in left})
        self.assertEqual(
            sorted(backup['id'] for backup in left),
            sorted(record['backup_metadata']['cinder_backup_id']
                   for record in self.records(job_id)))

    def test_a_scheduler_that_slept_before_its_request_deletes_its_own(
            self) -> None:
        """Invariant 1: the lease is looked at, then comes a long sleep."""
        volume = self.volume()
        # It sleeps in the middle of the request, at the latest moment.
        rule = self.proxy.fail('POST', '/backups', volume, faulty_proxy.HELD)
        job_id = self.job(volume)
        self.assertTrue(rule.met.wait(waiting.PATIENCE))
        # Asleep before anything else: it must not give the request up.
        with self.frozen('freezer-scheduler'), self.second_scheduler():
            self.assertEqual('success', self.result(job_id))
            [kept] = self.backups(volume)
            rule.let_go.set()
            waiting.eventually(lambda: rule.statuses == [202])
            waiting.eventually(lambda: ['available'] * 2 == [
                backup['status'] for backup in self.backups(volume)])
        waiting.eventually(lambda: len(self.backups(volume)) == 1)
        self.assertTrue(self.said('it is a duplicate of', kept['id']))
        self.assert_one_good_backup(volume, job_id)

    def test_a_job_waits_while_cinder_is_away(self) -> None:
        volume = self.volume()
        self.made.kill('cinder')
        job_id = self.job(volume)
        waiting.eventually(lambda: self.said(
            'trying again', self.runs(job_id)[0]['run_id'])
            if self.runs(job_id) else None)
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)

    def test_a_job_waits_while_keystone_is_away(self) -> None:
        volume = self.volume()
        job_id = self.job(volume, start=False)
        keystone = self.made.processes['keystone'].pid
        rule = self.proxy.fail('POST', '/backups', volume,
                               faulty_proxy.HELD)
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        self.assertTrue(rule.met.wait(waiting.PATIENCE))
        assert keystone is not None
        os.kill(keystone, signal.SIGKILL)
        # Cinder cannot have the token looked at.
        rule.let_go.set()
        waiting.eventually(lambda: rule.statuses)
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)
