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

"""A program: release 19.0.0 of freezer-api at work on a database.

Runs inside the release's environment. Its argument is the URL. It synchronizes
the database, notes what it reads, itself and through its REST API, and then
writes as its API does. JSON on standard output says what it read, and which
ids it made.
"""

import json
import pathlib
import sys
import tempfile

import deployment
from freezer_api.db.sqlalchemy import api

PROJECT = 'p1'
USER = 'alice'


def main(url):
    with tempfile.TemporaryDirectory() as folder:
        release = deployment.Deployment(url, pathlib.Path(folder))
        release.driver.db_sync()
        release.open()
        seen = {'served': release.do((USER, PROJECT), 'GET', 'jobs')['jobs'],
                'before': read(api)}
        made = write(api, {job['description']: job['job_id']
                           for job in seen['before']['jobs']})
        json.dump({**seen, 'made': made, 'after': read(api)}, sys.stdout)


def read(api):
    jobs = api.search_job(project_id=PROJECT, search={})
    return {
        'jobs': jobs,
        'one': [api.get_job(job['job_id'], project_id=PROJECT)
                for job in jobs],
        'clients': api.get_client(project_id='svc'),
        'actions': api.search_action(project_id=PROJECT, search={}),
        'sessions': api.search_session(project_id=PROJECT, search={}),
        'backups': api.search_backup(project_id=PROJECT, search={}),
    }


def write(api, jobs):
    """Change, delete and make one of each.

    :param jobs: ids by description
    """
    change = {
        'description': 'of 19.0.0',
        'job_schedule': {'schedule_interval': '2 days', 'event': '',
                         'status': 'scheduled', 'time_started': 7}}
    api.update_job(USER, jobs['to be changed'], change, project_id=PROJECT)
    api.delete_job(USER, jobs['to be deleted'], project_id=PROJECT)
    job = api.add_job(USER, {
        'client_id': 'central', 'description': 'made by 19.0.0',
        'job_schedule': {'schedule_interval': '1 days'},
        'user_credentials': {'trust_id': 'trust-of-19',
                             'trustor_user_id': USER},
        'job_actions': [{'freezer_action': {
            'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': 'd9a9bd4e-66f1-4c5e-9d35-4b1f7e2f3a01',
            'backup_name': 'b'}}]},
        project_id=PROJECT)
    action = api.add_action(USER, {
        'freezer_action': {'action': 'info', 'backup_name': 'n'}},
        project_id=PROJECT)
    session = api.add_session(USER, {
        'description': 's', 'schedule': {}}, project_id=PROJECT)
    client = api.add_client('freezer', {
        'client_id': 'host-19', 'hostname': 'h', 'description': 'd'},
        project_id='svc')
    backup = api.add_backup(USER, {
        'backup_id': 'backup-of-19', 'hostname': 'h', 'container': 'c',
        'time_stamp': 1, 'curr_backup_level': 0, 'backup_name': 'b',
        'job_id': job}, project_id=PROJECT)
    api.delete_action(USER, action, project_id=PROJECT)
    return {'job': job, 'session': session, 'client': client,
            'backup': backup}


if __name__ == '__main__':
    main(*sys.argv[1:])
