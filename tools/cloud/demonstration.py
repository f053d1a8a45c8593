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

"""The demonstration: a backup of a volume for the user of each project.

The users run only the stock ``freezer`` command. The result is then compared
with Cinder's own.
"""

import ast
import contextlib
import dataclasses
import datetime
import functools
import json
import os
import pathlib
import shutil
import tempfile
import time
import typing

from tools.cloud import backup
from tools.cloud import cloud
from tools.cloud import errors
from tools.cloud import isolation
from tools.cloud import progress
from tools.cloud import rest

#: Maximum seconds from job-start to the result of the job.
_PATIENCE = 120

#: Number of demonstrations whose directories are kept.
_KEEP = 5


class Demonstration:
    """The actions of the users in a running cloud.

    :param made: the cloud
    :param tell: shows progress
    """

    def __init__(self, made: cloud.Cloud, tell: progress.Progress) -> None:
        self._cloud = made
        self._tell = tell

    def run(self, names: list[str]) -> list[backup.Backup]:
        """Back up a volume in each project.

        :param names: the projects, at least two
        :raises errors.QuickstartError: if a result is not as expected
        """
        done: dict[str, backup.Backup] = {}

        def back_up(name: str) -> None:
            done[name] = self._back_up(name)

        with self._tell.step('backing up a volume in each project'):
            self._cloud.run.together(
                *(functools.partial(back_up, name) for name in names))
        return [done[name] for name in names]

    def _back_up(self, name: str) -> backup.Backup:
        clients = self._rows(name, 'client-list')
        if 'central' not in [row['Client ID'] for row in clients]:
            raise errors.QuickstartError(
                f'{name}: client-list does not show central: {clients}')
        volume_id = self._cloud.volumes(name)[0]['id']
        job_id = self._create_job(name, volume_id)
        self._tell.say(f'{name}: job {job_id}')
        began = time.monotonic()
        self._freezer(name, 'job-start', job_id)
        self._await(name, job_id)
        seconds = time.monotonic() - began
        self._tell.say(f'{name}: success after {seconds:.1f} s')
        # The client cannot print its column of times as JSON.
        rows = self._freezer(name, 'backup-list', '-f', 'value',
                             '-c', 'Backup ID', '-c', 'Status').split()
        if rows[1:] != ['available']:
            raise errors.QuickstartError(
                f'{name}: backup-list does not show exactly one available '
                f'backup: {rows}', self._scheduler_log)
        backup_id = rows[0]
        told = self._metadata(name, backup_id).get('cinder_backup_id')
        real = self._cloud.backups(name)
        if [one['id'] for one in real] != [told]:
            raise errors.QuickstartError(
                f"{name}: the backup record has {told} but Cinder has "
                f"{[one['id'] for one in real]}", self._scheduler_log)
        if real[0]['status'] != 'available':
            raise errors.QuickstartError(
                f"{name}: the status of Cinder backup {told} is "
                f"{real[0]['status']}", self._scheduler_log)
        if real[0]['volume_id'] != volume_id:
            raise errors.QuickstartError(
                f"{name}: backup {told} is of volume "
                f"{real[0]['volume_id']}", self._scheduler_log)
        return backup.Backup(name, job_id, volume_id, backup_id,
                             real[0]['id'], real[0]['status'], seconds)

    def _create_job(self, name: str, volume_id: str) -> str:
        document = {
            'description': f'daily backup in {name}',
            'job_schedule': {'schedule_interval': '1 days'},
            'job_actions': [{
                'freezer_action': {
                    'action': 'backup',
                    'mode': 'cindernative',
                    'cindernative_vol_id': volume_id,
                    'backup_name': f'{name}-daily',
                },
                'max_retries': 1,
                'max_retries_interval': 5,
            }],
        }
        path = self._cloud.layout.state / 'freezer' / f'job-{name}.json'
        path.write_text(json.dumps(document, indent=1) + '\n')
        text = self._freezer(name, 'job-create', '--file', str(path),
                             '--client', 'central', '-f', 'json')
        return str(json.loads(text)['Job ID'])

    def _await(self, name: str, job_id: str) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            row = next(row for row in self._rows(name, 'job-list')
                       if row['Job ID'] == job_id)
            if row['Result'] == 'success':
                return
            if row['Result']:
                raise errors.QuickstartError(
                    f"{name}: job {job_id} ended as {row['Result']}: "
                    f"{self._reason(name, job_id)}", self._scheduler_log)
            self._cloud.run.pause(0.5)
        raise errors.QuickstartError(
            f'{name}: job {job_id} has no result after {_PATIENCE} s: {row}',
            self._scheduler_log)

    def _reason(self, name: str, job_id: str) -> object:
        """Return the reason of the job's last run from the API."""
        session = self._cloud.session(name)
        url = (f'{self._cloud.settings.api_url}/v2/{session.project_id}'
               f'/jobs/{job_id}/runs')
        try:
            return session.call('GET', url)['runs'][0]['reason']
        except (errors.QuickstartError, LookupError):
            return 'the reason is unknown'

    def _metadata(self, name: str, backup_id: str) -> rest.Document:
        text = self._freezer(name, 'backup-show', backup_id, '-f', 'json')
        # The client prints the document as a Python literal.
        found: rest.Document = ast.literal_eval(
            json.loads(text)['Metadata'])
        return found

    def _rows(self, name: str, command: str) -> list[dict[str, typing.Any]]:
        found: list[dict[str, typing.Any]] = json.loads(
            self._freezer(name, command, '-f', 'json'))
        return found

    def _freezer(self, name: str, *arguments: str) -> str:
        done = self._cloud.freezer(name, *arguments)
        if done.returncode:
            raise errors.QuickstartError(
                f"{name}: freezer {' '.join(arguments)} failed with status "
                f"{done.returncode}: {done.stderr.strip()[-1000:]}",
                self._cloud.processes['freezer-api'].log)
        return done.stdout

    @property
    def _scheduler_log(self) -> pathlib.Path:
        return self._cloud.processes['freezer-scheduler'].log


def table(backups: list[backup.Backup]) -> str:
    """Return the table of backups that the demonstration prints."""
    rows: list[tuple[str, ...]] = [
        ('project', 'job', 'volume', 'Cinder backup', 'status',
         'seconds')]
    rows += [(one.project, one.job_id, one.volume_id, one.cinder_backup_id,
              one.cinder_status, f'{one.seconds:.1f}') for one in backups]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple('-' * width for width in widths))
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width
                  in zip(row, widths, strict=True)).rstrip()
        for row in rows)


def main(home: pathlib.Path, tell: progress.Progress,
         options: cloud.Options) -> int:
    """Start a cloud, run the demonstration, and remove the cloud.

    :param options: options of the cloud
    :returns: 0
    :raises errors.QuickstartError: if a step fails
    """
    projects = 3 if options.projects is None else options.projects
    if projects < 2:
        raise errors.QuickstartError(
            '--projects: the demonstration needs at least two projects')
    if options.volumes == 0:
        raise errors.QuickstartError(
            '--volumes: the demonstration needs at least one volume')
    free = cloud.Options.on_free_ports(projects)
    chosen = dataclasses.replace(free, **{
        name: value for name, value in dataclasses.asdict(options).items()
        if value is not None})
    names = [f'project-{number}' for number in range(1, projects + 1)]
    made = cloud.Cloud(_state(home), home=home, tell=tell)
    tell.say(f'the directory of this cloud is {made.layout.state}')
    try:
        made.up(chosen)
        demonstration = Demonstration(made, tell)
        backups = demonstration.run(names)
        with tell.step('checking the access from project-1 to project-2'):
            proofs = isolation.prove(made, backups)
    except BaseException:
        if made.layout.settings.exists():
            made.down()
            tell.say(f'logs and data remain in {made.layout.state}')
        raise
    made.down(purge=True, keep_logs=True)
    print(table(backups))
    print()
    for proof in proofs:
        print(proof)
    print("Success: each project has its own backup and sees no other's.")
    tell.say(f'stopped; logs are in {made.layout.log}')
    return 0


def _state(home: pathlib.Path) -> pathlib.Path:
    """Return a new directory; remove the oldest earlier ones."""
    name = f'{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{os.getpid()}'
    runs = home / 'demonstrations'
    try:
        runs.mkdir(parents=True, exist_ok=True)
        if not os.access(runs, os.W_OK):
            raise PermissionError
    except OSError:
        return pathlib.Path(tempfile.mkdtemp(prefix='freezer-quickstart-'))
    for path in sorted(runs.iterdir())[:1 - _KEEP]:
        old = cloud.Cloud(path, home=home)
        with contextlib.suppress(errors.QuickstartError):
            if any(process.running for process in old.processes.values()):
                continue
        shutil.rmtree(path, ignore_errors=True)
    return runs / name
