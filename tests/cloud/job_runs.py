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

"""Jobs that run when a test wants it, and what they make in Cinder."""

from __future__ import annotations

from typing import Any

from tests.cloud import service_mode
from tests.cloud import waiting


class JobRunsCase(service_mode.ServiceModeCase):
    """A cloud of its own for tests that go run by run."""

    def job_of(self, volume_id: str, **keys: Any) -> str:
        """Make a job without a schedule; return its id."""
        retries = {name: keys.pop(name) for name in (
            'max_retries', 'max_retries_interval') if name in keys}
        job_id: str = self.api('POST', 'jobs', {
            'client_id': 'central', 'job_schedule': {},
            'job_actions': [{
                'freezer_action': {
                    'action': 'backup', 'mode': 'cindernative',
                    'cindernative_vol_id': volume_id, **keys},
                'max_retries': 2, 'max_retries_interval': 1, **retries}],
        })['job_id']
        return job_id

    def run_of(self, job_id: str) -> dict[str, Any]:
        """Let a job run; return its run when it has ended.

        A job that has never run does so by itself.
        """
        before = {run['run_id'] for run in self.runs(job_id)}
        if before:
            self.api('POST', f'jobs/{job_id}/event', {'start': None})
        return self.ended(job_id, before)

    def ended(self, job_id: str, before: set[str]) -> dict[str, Any]:
        """Wait for the end of a run that is none of those before."""
        def ended() -> dict[str, Any] | None:
            for run in self.runs(job_id):
                if run['run_id'] not in before and run['state'] in (
                        'success', 'fail', 'aborted'):
                    return run
            return None

        run: dict[str, Any] = waiting.eventually(ended)
        return run

    def good(self, job_id: str) -> dict[str, Any]:
        """Let a job run and succeed; return Cinder's backup."""
        run = self.run_of(job_id)
        self.assertEqual('success', run['state'], run)
        return self.backup(self.cinder_id(run))

    def failed(self, job_id: str) -> str:
        """Let a job run and fail; return the reason."""
        run = self.run_of(job_id)
        self.assertEqual('fail', run['state'], run)
        reason: str = run['reason']
        return reason

    @staticmethod
    def cinder_id(run: dict[str, Any]) -> str:
        [step] = run['actions']
        backup_id: str = step['cinder_backup_id']
        return backup_id

    def backup(self, backup_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.cinder(
            'GET', f'/backups/{backup_id}')['backup']
        return shown

    def assert_backups(self, volume_id: str, *kinds: str) -> None:
        """Check the backups of a volume, oldest first.

        :param kinds: full, incremental, or a status that is not available
        """
        self.assertEqual(list(kinds), [
            backup['status'] if backup['status'] != 'available'
            else 'incremental' if backup['is_incremental'] else 'full'
            for backup in self.backups(volume_id)])

    def restored(self, volume_id: str, **keys: Any) -> str:
        """Restore into a new volume by a job; return its id."""
        run = self.run_of(self.restore_job(
            volume_id, cindernative_new_volume=True, **keys))
        self.assertEqual('success', run['state'], run)
        [step] = run['actions']
        new_id: str = step['volume_id']
        return new_id

    def restore_job(self, volume_id: str, **keys: Any) -> str:
        return self.job_of(volume_id, action='restore', max_retries=0, **keys)
