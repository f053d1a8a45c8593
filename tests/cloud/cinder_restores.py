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

"""Restores on a real Cinder, with the data compared."""

from __future__ import annotations

import json
import pathlib
import re
import textwrap
from typing import Any
import uuid

from tests.cloud import faulty_proxy
from tests.cloud import service_mode
from tests.cloud import waiting

_PAGE = (pathlib.Path(__file__).resolve().parents[2]
         / 'doc/source/user/cinder-native.rst')


class Restores(service_mode.FaultyCinderCase):
    """To be mixed into a test that has a cloud."""

    def file(self, volume_id: str) -> pathlib.Path:
        """Return what is behind a volume."""
        return (self.made.layout.state / 'cinder' / 'volumes'
                / f'volume-{volume_id}')

    def write(self, volume_id: str, text: str) -> bytes:
        """Fill the beginning of a volume; return all that it holds."""
        with self.file(volume_id).open('r+b') as file:
            file.write(text.encode() * 100_000)
        return self.file(volume_id).read_bytes()

    def restore_job(self, volume_id: str, **keys: Any) -> str:
        job_id: str = self.api('POST', 'jobs', {
            'client_id': 'central', 'job_actions': [{
                'freezer_action': {
                    'action': 'restore', 'mode': 'cindernative',
                    'cindernative_vol_id': volume_id, **keys},
                'max_retries': 1, 'max_retries_interval': 1}]})['job_id']
        return job_id

    def backed_up(self, volume_id: str) -> str:
        """Back a volume up; return the id of Cinder's backup."""
        job_id = self.job(volume_id)
        self.assertEqual('success', self.result(job_id))
        cinder_id: str = self.step(job_id)['cinder_backup_id']
        return cinder_id

    def step(self, job_id: str) -> dict[str, Any]:
        [run] = self.runs(job_id)
        [step] = run['actions']
        return dict(step)

    def volume_ids(self) -> set[str]:
        return {volume['id'] for volume in self.made.volumes('project-1')}

    def reset(self, volume_id: str, status: str) -> None:
        self.cinder('POST', f'/volumes/{volume_id}/action', {
            'os-reset_status': {'status': status}}, 'admin')

    def test_restore_into_the_volume_itself(self) -> None:
        volume = self.volume()
        data = self.write(volume, 'good')
        self.backed_up(volume)
        self.write(volume, 'lost')
        job_id = self.restore_job(volume)
        self.assertEqual('success', self.result(job_id))
        self.assertEqual(data, self.file(volume).read_bytes())

    def test_the_restores_of_the_documentation(self) -> None:
        text = _PAGE.read_text(encoding='utf-8')
        jobs = [json.loads(textwrap.dedent(block)) for block in re.findall(
            r'::\n\n(    \{\n.*?\n    \}\n)', text, re.DOTALL)]
        jobs = [job for job in jobs if 'restore' in str(job['job_actions'])]
        self.assertEqual(2, len(jobs))
        volume = self.volume()
        data = self.write(volume, 'good')
        self.backed_up(volume)
        for document in jobs:
            [entry] = document['job_actions']
            action = entry['freezer_action']
            action['cindernative_vol_id'] = volume
            if 'restore_from_date' in action:
                action['restore_from_date'] = '2999-01-01T00:00:00'
            job_id = self.api('POST', 'jobs', {
                'client_id': 'central', **document})['job_id']
            self.assertEqual('success', self.result(job_id))
            step = self.step(job_id)
            self.assertEqual(action.get('cindernative_new_volume', False),
                             step['volume_id'] != volume)
            self.assertEqual(data,
                             self.file(step['volume_id']).read_bytes())

    def test_restore_of_the_one_that_is_old_enough(self) -> None:
        volume = self.volume()
        data = self.write(volume, 'first')
        first = self.backed_up(volume)
        [made] = self.backups(volume)
        self.write(volume, 'second')
        self.backed_up(volume)
        end = made['created_at'].split('.')[0] + '.999999'
        job_id = self.restore_job(volume, restore_from_date=end)
        self.assertEqual('success', self.result(job_id))
        self.assertEqual(first, self.step(job_id)['cinder_backup_id'])
        self.assertEqual(data, self.file(volume).read_bytes())
        job_id = self.restore_job(volume,
                                  restore_from_date='2020-01-01T00:00:00')
        self.assertEqual('fail', self.result(job_id))
        self.assertIn('old enough', self.step(job_id)['reason'])
        self.assertEqual(data, self.file(volume).read_bytes())

    def test_restore_into_a_new_volume_whatever_is_lost(self) -> None:
        volume = self.volume()
        data = self.write(volume, 'good')
        backup = self.backed_up(volume)
        self.write(volume, 'lost')
        before = self.volume_ids()
        # The answers that tell of the volume and of the restore.
        rules = [
            self.proxy.fail('POST', '/volumes', 'freezer_restore_' + backup,
                            faulty_proxy.NO_ANSWER),
            self.proxy.fail('POST', '/restore', backup,
                            faulty_proxy.NO_ANSWER)]
        job_id = self.restore_job(volume, cindernative_new_volume=True)
        self.assertEqual('success', self.result(job_id))
        self.assertTrue(all(rule.met.is_set() for rule in rules))
        [made] = self.volume_ids() - before
        step = self.step(job_id)
        self.assertEqual(made, step['volume_id'])
        self.assertIn(made, step['reason'])
        self.assertEqual(data, self.file(made).read_bytes())
        self.assertNotEqual(data, self.file(volume).read_bytes())

    def test_a_restore_that_fails_leaves_no_volume(self) -> None:
        volume = self.volume()
        backup = self.backed_up(volume)
        folder = self.made.layout.state / 'cinder' / 'backup'
        for path in folder.rglob(f'*{backup}*'):
            if path.is_file():
                path.unlink()
        before = self.volume_ids()
        job_id = self.restore_job(volume, cindernative_new_volume=True)
        self.assertEqual('fail', self.result(job_id))
        reason = self.step(job_id)['reason']
        self.assertIn('error', reason)
        self.assertIn('is deleted', reason)
        waiting.eventually(lambda: self.volume_ids() == before)

    def test_a_busy_volume_is_waited_for(self) -> None:
        volume = self.volume()
        self.backed_up(volume)
        self.reset(volume, 'backing-up')
        job_id = self.restore_job(volume)
        waiting.eventually(lambda: self.runs(job_id) and [
            step for step in self.runs(job_id)[0]['actions']
            if 'waits' in (step['reason'] or '')])
        self.reset(volume, 'available')
        self.assertEqual('success', self.result(job_id))

    def test_a_volume_in_use_is_refused(self) -> None:
        volume = self.volume()
        self.backed_up(volume)
        made = self.cinder('POST', '/attachments', {'attachment': {
            'volume_uuid': volume, 'instance_uuid': str(uuid.uuid4()),
            'connector': {'host': 'somewhere'}}})['attachment']
        self.cinder('POST', f'/attachments/{made["id"]}/action',
                    {'os-complete': {}})
        job_id = self.restore_job(volume)
        self.assertEqual('fail', self.result(job_id))
        self.assertIn('the volume is in-use: it must be available',
                      self.step(job_id)['reason'])
        # A backup can be made all the same.
        self.backed_up(volume)
