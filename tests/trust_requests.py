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

"""Each request of ``tools.callers.WRITES``, ready to be sent.

The functional tests and those on a real Keystone send the same ones. What a
request needs is made first, with the token of the user whose job it is.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any
import uuid

from tools import callers

DAILY = {'schedule_interval': '1 days'}
OTHER = {'schedule_interval': '3 days'}

_Call = Callable[[str, str, Any], Any]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A request, and the job that it might change.

    :ivar path: below /v2/{project_id}/
    :ivar job_id: None where there is no such job yet
    """

    method: str
    path: str
    body: Any = None
    job_id: str | None = None


class Requests:
    """Prepares requests.

    :param call: sends a request as the user whose jobs these are: method,
        path below the project, body; returns the document of the answer
    :param action: a freezer_action that the central client supports
    :param own: client_id of a client of the project, whose scheduler claims
    """

    def __init__(self, call: _Call, action: dict[str, Any],
                 own: str = 'own') -> None:
        self._call = call
        self._backup = {**action, 'backup_name': 'one'}
        self._own = own

    def prepare(self, request: callers.Request) -> Prepared:
        """Make what a request needs, and return the request."""
        name = request.path.strip('/').replace('/', '_').replace(
            '{', '').replace('}', '')
        prepared: Prepared = getattr(
            self, f'_{request.method.lower()}_{name}')(request)
        return dataclasses.replace(prepared, method=request.method)

    # -- what requests need --

    def _document(self, central: bool, **more: Any) -> dict[str, Any]:
        return {'client_id': 'central' if central else self._own,
                'job_schedule': DAILY, 'job_actions': [
                    {'freezer_action': self._backup},
                    {'freezer_action': {**self._backup,
                                        'backup_name': 'two'}}], **more}

    def _job(self, central: bool) -> str:
        return str(self._call('POST', 'jobs', self._document(central))[
            'job_id'])

    def _shown(self, job_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self._call('GET', f'jobs/{job_id}', None)
        return shown

    def _action(self, central: bool) -> tuple[str, str]:
        job_id = self._job(central)
        return job_id, self._shown(job_id)['job_actions'][0]['action_id']

    def _session(self) -> str:
        return str(self._call('POST', 'sessions', {
            'schedule': OTHER})['session_id'])

    def _joined(self, central: bool) -> tuple[str, str]:
        job_id, session_id = self._job(central), self._session()
        self._call('PUT', f'sessions/{session_id}/jobs/{job_id}', None)
        return job_id, session_id

    def _new_client(self) -> str:
        name = f'c{uuid.uuid4().hex}'
        self._call('POST', 'clients', {
            'client_id': name, 'hostname': 'h', 'claims': True})
        return name

    def _new_backup(self) -> str:
        return str(self._call('POST', 'backups', {
            'backup_name': 'b', 'container': 'c', 'hostname': 'h'})[
                'backup_id'])

    # -- jobs --

    def _post_jobs(self, request: callers.Request) -> Prepared:
        return Prepared('', 'jobs', self._document(
            'central' in request.case))

    def _patch_jobs_job_id(self, request: callers.Request) -> Prepared:
        case = request.case
        job_id = self._job(case != callers.OTHER
                           and 'to a central one' not in case)
        shown = self._shown(job_id)
        actions = shown['job_actions']
        bodies: dict[str, Callable[[], Any]] = {
            'other job_actions': lambda: {'job_actions': actions[:1]},
            'the same job_actions in another order': lambda: {
                'job_actions': actions[::-1]},
            'another job_schedule': lambda: {'job_schedule': OTHER},
            'an empty job_schedule': lambda: {'job_schedule': {}},
            'another session_id': lambda: {'session_id': self._session()},
            'client_id: from a central client to one of the project':
                lambda: {'client_id': self._own},
            'client_id: from a client of the project to a central one':
                lambda: {'client_id': 'central'},
            'user_credentials {} and another job_schedule': lambda: {
                'user_credentials': {}, 'job_schedule': OTHER},
            'user_credentials {}, which revokes the trust': lambda: {
                'user_credentials': {}},
            'description': lambda: {'description': 'text'},
            'the whole document, unchanged': lambda: {
                key: value for key, value in shown.items() if key in (
                    'client_id', 'job_actions', 'job_schedule', 'session_id',
                    'description')},
            callers.OTHER: lambda: {'job_schedule': OTHER},
        }
        return Prepared('', f'jobs/{job_id}', bodies[case](), job_id)

    def _post_jobs_job_id(self, request: callers.Request) -> Prepared:
        case = request.case
        if case.startswith('a new job'):
            return Prepared('', f'jobs/{uuid.uuid4().hex}',
                            self._document(True))
        job_id = self._job(case not in (
            'replaces a job of a client of the project by a central one',
            'replaces a job of a client of the project'))
        return Prepared('', f'jobs/{job_id}', self._document(
            case in ('replaces a job of a central client',
                     'replaces a job of a client of the project by a '
                     'central one'), job_schedule=OTHER), job_id)

    def _delete_jobs_job_id(self, request: callers.Request) -> Prepared:
        job_id = self._job(True)
        return Prepared('', f'jobs/{job_id}', None, job_id)

    def _post_jobs_job_id_event(self, request: callers.Request) -> Prepared:
        job_id = self._job('of the project' not in request.case)
        return Prepared('', f'jobs/{job_id}/event', {
            request.case.partition(',')[0]: None}, job_id)

    # -- actions --

    def _post_actions(self, request: callers.Request) -> Prepared:
        return Prepared('', 'actions', {'freezer_action': self._backup})

    def _patch_actions_action_id(self, request: callers.Request) -> Prepared:
        job_id, action_id = self._action(callers.CENTRAL in request.case)
        return Prepared(
            '', f'actions/{action_id}', {'max_retries': 3}
            if request.case.endswith('retries') else {
                'freezer_action': {'backup_name': 'other'}}, job_id)

    def _post_actions_action_id(self, request: callers.Request) -> Prepared:
        body = {'freezer_action': {**self._backup, 'backup_name': 'other'}}
        if request.case == 'a new action':
            return Prepared('', f'actions/{uuid.uuid4().hex}', body)
        job_id, action_id = self._action(callers.CENTRAL in request.case)
        return Prepared('', f'actions/{action_id}', body, job_id)

    def _delete_actions_action_id(self,
                                  request: callers.Request) -> Prepared:
        job_id, action_id = self._action(callers.CENTRAL in request.case)
        return Prepared('', f'actions/{action_id}', None, job_id)

    # -- sessions --

    def _post_sessions(self, request: callers.Request) -> Prepared:
        return Prepared('', 'sessions', {'schedule': OTHER})

    def _of_session(self, body: Any) -> Prepared:
        job_id, session_id = self._joined(True)
        return Prepared('', f'sessions/{session_id}', body, job_id)

    def _patch_sessions_session_id(self,
                                   request: callers.Request) -> Prepared:
        return self._of_session({'schedule': DAILY})

    def _post_sessions_session_id(self,
                                  request: callers.Request) -> Prepared:
        return self._of_session({'schedule': DAILY, 'session_tag': 0})

    def _delete_sessions_session_id(self,
                                    request: callers.Request) -> Prepared:
        return self._of_session(None)

    def _post_sessions_session_id_action(
            self, request: callers.Request) -> Prepared:
        made = self._of_session(None)
        said = {'job_id': made.job_id, 'current_tag': 0}
        if request.case == 'end':
            self._call('POST', f'{made.path}/action', {'start': said})
            said['result'] = 'success'
        return dataclasses.replace(
            made, path=f'{made.path}/action', body={request.case: said})

    def _put_sessions_session_id_jobs_job_id(
            self, request: callers.Request) -> Prepared:
        central = request.case != 'a job of a client of the project'
        if 'schedule' in request.case:
            job_id, session_id = self._joined(central)
        else:
            job_id, session_id = self._job(central), self._session()
        path = f'sessions/{session_id}/jobs/{job_id}'
        if 'has the schedule' in request.case:
            self._call('DELETE', path, None)
        return Prepared('', path, None, job_id)

    def _delete_sessions_session_id_jobs_job_id(
            self, request: callers.Request) -> Prepared:
        job_id, session_id = self._joined(True)
        return Prepared(
            '', f'sessions/{session_id}/jobs/{job_id}', None, job_id)

    # -- what is no part of a job --

    def _post_clients(self, request: callers.Request) -> Prepared:
        return Prepared('', 'clients', {
            'client_id': f'c{uuid.uuid4().hex}', 'hostname': 'h'})

    def _delete_clients_client_id(self,
                                  request: callers.Request) -> Prepared:
        return Prepared('', f'clients/{self._new_client()}')

    def _post_clients_client_id_claims(
            self, request: callers.Request) -> Prepared:
        return Prepared('', f'clients/{self._new_client()}/claims', {
            'scheduler_id': 's', 'limit': 0, 'lease_seconds': 60,
            'held': []})

    def _post_clients_client_id_reports(
            self, request: callers.Request) -> Prepared:
        return Prepared('', f'clients/{self._new_client()}/reports', {
            'scheduler_id': 's', 'reports': []})

    def _patch_clients_client_id_runs_run_id(
            self, request: callers.Request) -> Prepared:
        path, held = self._held_run()
        return Prepared('', path, {**held, 'state': 'success'})

    def _post_clients_client_id_runs_run_id_jobs(
            self, request: callers.Request) -> Prepared:
        path, held = self._held_run()
        return Prepared('', f'{path}/jobs', {**held, 'job_ids': ['j']})

    def _held_run(self) -> tuple[str, dict[str, Any]]:
        """Return the path of a run, and what names its holder."""
        client = self._new_client()
        job_id = str(self._call('POST', 'jobs', self._document(
            False, client_id=client))['job_id'])
        self._call('POST', f'jobs/{job_id}/event', {'start': None})
        [run] = self._call('POST', f'clients/{client}/claims', {
            'scheduler_id': 's', 'limit': 1, 'lease_seconds': 60,
            'held': []})['runs']
        return (f'clients/{client}/runs/{run["run_id"]}',
                {'scheduler_id': 's', 'fence': run['fence']})

    def _post_backups(self, request: callers.Request) -> Prepared:
        return Prepared('', 'backups', {
            'backup_name': 'b', 'container': 'c', 'hostname': 'h'})

    def _patch_backups_backup_id(self, request: callers.Request) -> Prepared:
        return Prepared('', f'backups/{self._new_backup()}',
                        {'status': 'error'})

    def _delete_backups_backup_id(self,
                                  request: callers.Request) -> Prepared:
        return Prepared('', f'backups/{self._new_backup()}')

    def _post_maintenance(self, request: callers.Request) -> Prepared:
        return Prepared('', 'maintenance', {})
