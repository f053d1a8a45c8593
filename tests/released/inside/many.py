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

"""A program: many projects of a published freezer-api, made by its own code.

Runs inside the release's environment. Standard input says, as JSON, where the
database is, which projects to fill until when, and which to read; standard
output gets what was filled and read.
"""

import json
import pathlib
import sys
import tempfile
import time

import deployment


def person(project):
    return (f'd{project[1:]}', project)


class Filler(deployment.Filler):
    """Fills projects with what a cloud has of each kind."""

    def project(self, project, jobs):
        who = person(project)
        for name in ('host-1', 'host-2'):
            self._d.do(who, 'POST', 'clients',
                       {'client_id': name, 'hostname': f'{name}.example'})
        made = [self._one(who, number) for number in range(jobs)]
        session_id = self._d.do(who, 'POST', 'sessions', {
            'description': 'nightly', 'schedule': {
                'schedule_interval': '1 days'}})['session_id']
        for job_id in made[:2]:
            self._d.do(who, 'PUT', f'sessions/{session_id}/jobs/{job_id}')

    def _one(self, who, number):
        """Make a job of its number's kind, which ran, and two backups."""
        entry = {'freezer_action': {**deployment.CINDER,
                                    'backup_name': f'backup-{number}'}}
        if number % 3 == 0:
            entry |= {'max_retries': 5, 'max_retries_interval': 6,
                      'mandatory': False}
        entries = [entry]
        if number % 10 == 9:
            entries.append({'freezer_action': deployment.FILES})
        job_id = self.job(f'job {number}', entries, who=who)
        if number % 2:
            now = int(time.time())
            self.report(job_id, who, status='scheduled', event='',
                        result='success', time_started=now, time_ended=now)
        if number % 20 in (3, 4):
            action = self.get(job_id, who)['job_actions'][0]['action_id']
            if number % 20 == 3:
                self._d.do(who, 'PATCH', f'actions/{action}', {
                    'freezer_action': {**deployment.CINDER,
                                       'backup_name': 'changed'}})
            else:
                self._d.do(who, 'DELETE', f'actions/{action}')
        for level in range(2):
            self._d.do(who, 'POST', 'backups', {
                'backup_name': f'backup-{number}', 'container': 'c',
                'hostname': 'host-1', 'time_stamp': int(time.time()),
                'curr_backup_level': level, 'job_id': job_id})
        if number % 20 == 5:
            self._d.do(who, 'DELETE', f'jobs/{job_id}')
        return job_id


def main():
    wanted = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        release = deployment.Deployment(wanted['url'], pathlib.Path(folder))
        if wanted.get('sync'):
            release.driver.db_sync()
        release.open()
        filler = Filler(release)
        filled = 0
        for project in wanted.get('fill', ()):
            if time.time() > wanted['until']:
                break
            filler.project(project, wanted['jobs'])
            filled += 1
        reader = deployment.Reader(
            release, [person(project) for project in wanted.get('read', ())])
        json.dump({'filled': filled, 'documents': reader.read()}, sys.stdout)


if __name__ == '__main__':
    main()
