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

"""A small deployment: rows that any published release may hold.

``fill`` leaves out what the tables at hand have no column for, so it works at
each revision.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from tests.migrations import base

PROJECT = 'a' * 32
USER = 'u' * 36

DEFINITION = {'action': 'backup', 'mode': 'cindernative',
              'cindernative_vol_id': 'v1', 'backup_name': 'n1'}
# As the API of then wrote it, retries included.
ENTRY = {'action_id': 'action-1', 'freezer_action': DEFINITION,
         'max_retries': 2, 'max_retries_interval': 7,
         'user_id': USER, 'project_id': PROJECT}


def action(test: base.DatabaseTest, action_id: str,
           definition: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {
        'id': action_id, 'project_id': PROJECT, 'user_id': USER,
        'action': definition['action'], 'actionmode': definition.get('mode'),
        'backup_name': definition.get('backup_name'),
        'src_file': definition.get('path_to_backup'),
        'path_to_backup': definition.get('path_to_backup'),
        'timeout': definition.get('timeout'), 'max_retries': 2,
        'max_retries_interval': 7, 'mandatory': False,
        'backup_metadata': test.cell(definition), **columns}


def job(test: base.DatabaseTest, job_id: str, actions: Any,
        **columns: Any) -> dict[str, Any]:
    schedule = {'schedule_interval': '5 days', 'time_created': 1795334582,
                'time_started': -1, 'time_ended': -1, 'status': 'scheduled',
                'event': ''}
    return {
        'id': job_id, 'project_id': PROJECT, 'user_id': USER,
        'client_id': 'host-1', 'session_id': '', 'session_tag': 0,
        'description': 'nightly', 'schedule': test.cell(schedule),
        'job_actions': test.cell(actions), **columns}


def fill(test: base.DatabaseTest) -> None:
    """Insert a few rows into each table that is there."""
    present = test.tables()
    test.insert('clients', {
        'id': 'c' * 32, 'uuid': 'c' * 32, 'project_id': PROJECT,
        'user_id': USER, 'client_id': 'host-1', 'hostname': 'host',
        'description': ''})
    test.insert('actions', action(test, 'action-1', DEFINITION),
                action(test, 'action-2', {'action': 'info'}, deleted=True))
    test.insert('action_reports', {
        'id': 'action-1', 'project_id': PROJECT, 'user_id': USER})
    test.insert('sessions', {
        'id': 'session-1', 'project_id': PROJECT, 'user_id': USER,
        'session_tag': 1, 'schedule': test.cell({}), 'status': 'active'})
    test.insert('jobs', job(test, 'job-1', [ENTRY]),
                job(test, 'job-2', [ENTRY, ENTRY], deleted=True))
    test.insert('backups', {
        'id': 'backup-1', 'job_id': 'job-1', 'project_id': PROJECT,
        'user_id': USER, 'user_name': 'Zoë',
        'backup_metadata': test.cell({'backup_name': 'n1'})})
    if 'user_credentials' in present:
        test.insert('user_credentials', {
            'id': 'cred-1', 'trust_id': 't1', 'trustor_user_id': USER,
            'job_id': 'job-1'})
    if 'job_actions' in present:
        test.insert('job_actions', *({
            'id': f'link-{position}-{job_id}', 'job_id': job_id,
            'action_id': 'action-1', 'position': position}
            for job_id, position in (('job-1', 0), ('job-2', 0),
                                     ('job-2', 1))))


def contents(engine: sa.Engine) -> dict[str, Any]:
    """The rows of a database, but for ids that were drawn."""
    with orm.Session(engine) as session:
        links = session.execute(
            sa.select(models.JobAction.job_id, models.JobAction.position,
                      models.Action)
            .join(models.Action,
                  models.Action.id == models.JobAction.action_id)
            .order_by(models.JobAction.job_id, models.JobAction.position))
        return {
            'jobs': [(job.id, job.user_id, job.schedule, job.status,
                      job.event, job.result, job.time_created,
                      job.time_started, job.current_pid, job.next_run_at,
                      job.deleted, job.description)
                     for job in session.scalars(
                         sa.select(models.Job).order_by(models.Job.id))],
            'links': [(job_id, position, action.action, action.actionmode,
                       action.backup_name, action.max_retries,
                       action.max_retries_interval, action.backup_metadata)
                      for job_id, position, action in links],
            'clients': [(client.id, client.client_id, client.is_central,
                         client.supports_claims, client.supported_modes)
                        for client in session.scalars(
                            sa.select(models.Client))],
            'actions': session.scalar(
                sa.select(sa.func.count()).select_from(models.Action)),
            'sessions': [(row.id, row.schedule, row.status, row.user_id)
                         for row in session.scalars(
                             sa.select(models.Session))],
            'backups': [(row.id, row.job_id, row.status, row.backup_metadata)
                        for row in session.scalars(
                            sa.select(models.Backup))],
            'credentials': [(row.id, row.job_id, row.trust_id,
                             row.decrypt_method, row.delegation_id)
                            for row in session.scalars(
                                sa.select(models.UserCredential))],
            'reports': session.scalar(
                sa.select(sa.func.count()).select_from(models.ActionReport)),
        }
