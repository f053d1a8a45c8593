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

"""Checks that a project has no access to another project's data."""

import collections.abc

from tools.cloud import backup
from tools.cloud import cloud
from tools.cloud import errors
from tools.cloud import rest

Backups = collections.abc.Sequence[backup.Backup]


def prove(made: cloud.Cloud, backups: Backups) -> list[str]:
    """Try to access the second project's data from the first project.

    :param backups: a backup of each project; the first two are used
    :returns: a line for each refused attempt
    :raises errors.QuickstartError: if an attempt succeeds
    """
    mine, other = backups[0], backups[1]
    proofs = []
    for command, column, own in (
            ('job-list', 'Job ID', mine.job_id),
            ('backup-list', 'Backup ID', mine.backup_id)):
        ids = _freezer(made, mine.project, command, '-f', 'value',
                       '-c', column, expect=0).split()
        if ids != [own]:
            raise errors.QuickstartError(
                f'{mine.project}: {command} shows {ids} instead of [{own}]')
        proofs.append(f'{mine.project}: {command} shows only its own')
    for command, id_ in (('job-show', other.job_id),
                         ('backup-show', other.backup_id)):
        text = _freezer(made, mine.project, command, id_, expect=1)
        if 'not found' not in text:
            raise errors.QuickstartError(
                f'{mine.project}: {command} {id_} prints {text}')
        proofs.append(f'{mine.project}: {command} {id_}: not found')
    return proofs + _by_url(made, mine, other)


def _by_url(made: cloud.Cloud, mine: backup.Backup,
            other: backup.Backup) -> list[str]:
    """Send requests that the command line does not allow."""
    session = made.session(mine.project)
    own_id = session.project_id
    other_id = made.session(other.project).project_id
    api, cinder = made.settings.api_url, made.settings.cinder_url
    proofs = []
    for what, url, status in (
            (f'jobs in the URL of {other.project}',
             f'{api}/v2/{other_id}/jobs', 403),
            (f'backups in the URL of {other.project}',
             f'{api}/v2/{other_id}/backups', 403),
            (f'Cinder backup {other.cinder_backup_id}',
             f'{cinder}/v3/{own_id}/backups/{other.cinder_backup_id}', 404)):
        try:
            session.call('GET', url)
        except rest.HttpError as error:
            if error.status != status:
                raise
        else:
            raise errors.QuickstartError(
                f'{mine.project} gets {what}: GET {url}')
        proofs.append(f'{mine.project}: {what}: {status}')
    return proofs


def _freezer(made: cloud.Cloud, name: str, *arguments: str,
             expect: int) -> str:
    """Return output and errors of a command with a known status."""
    done = made.freezer(name, *arguments)
    if done.returncode != expect:
        raise errors.QuickstartError(
            f"{name}: freezer {' '.join(arguments)} ended with status "
            f"{done.returncode} instead of {expect}: {done.stderr[-1000:]}")
    return done.stdout if expect == 0 else done.stdout + done.stderr
