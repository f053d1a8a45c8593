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

"""A Cinder that does as it is told, held to the real one.

``cinder_behaviour`` says what both do. This one knows nothing of HTTP: it is
served by requests_mock in unit tests, and by a server in the benchmarks.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
import dataclasses
import datetime
import typing
import uuid

VOLUME = '11111111-1111-4111-8111-111111111111'

_DELETABLE_VOLUME = ('available', 'error', 'error_restoring',
                     'error_deleting', 'in-use')
_LONGEST = 255


class Refusal(Exception):
    """Cinder says no."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.document = {
            {400: 'badRequest', 404: 'itemNotFound', 413: 'overLimit',
             405: 'badMethod'}[status]: {'code': status, 'message': text}}


@dataclasses.dataclass
class Request:
    """What Cinder is asked; the path begins behind the project."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, typing.Any] | None


class FakeCinder:
    """One project's backups and volumes.

    :ivar volumes: status of each volume by its id
    :ivar described: names, metadata, types and sizes of volumes that have
        some
    :ivar volumes_page: of how many volumes Cinder shows a page
    :ivar backups: documents by id, oldest first
    :ivar posts: bodies of the requests for a backup, in order
    :ivar backup_quota: how many backups there may be; None for any number
    :ivar gigabyte_quota: how many GiB they may have; None for any number
    :ivar default_container: where backups are put that name no container;
        None for a container for each, as with Cinder's posix driver
    :ivar undeletable: ids of backups whose backup service is gone
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Make an empty Cinder but for VOLUME.

        :param now: gives the time, in epoch seconds
        """
        self._now = now
        self.volumes = {VOLUME: 'available'}
        self.described: dict[str, dict[str, typing.Any]] = {}
        self.volumes_page = 1000
        self.backups: dict[str, dict[str, typing.Any]] = {}
        self.posts: list[dict[str, typing.Any]] = []
        self.backup_quota: int | None = None
        self.gigabyte_quota: int | None = None
        self.default_container: str | None = None
        self.undeletable: set[str] = set()
        self._before: dict[str, str] = {}
        self._into: dict[str, str] = {}

    # -- by hand --

    def add_backup(self, status='available', volume_id=VOLUME, **keys):
        """Put a backup into Cinder that somebody made before."""
        backup = {
            'id': str(uuid.uuid4()), 'status': status, 'name': None,
            'description': None,
            'volume_id': volume_id, 'fail_reason': None,
            'is_incremental': False, 'size': 1, 'object_count': 1,
            'snapshot_id': None, 'container': self.default_container,
            'availability_zone': 'nova', 'metadata': {},
            'has_dependent_backups': False, 'created_at': self.time(),
            **keys}
        if backup['container'] is None:
            backup['container'] = '/'.join((
                backup['id'][:2], backup['id'][2:4], backup['id']))
        self.backups[backup['id']] = backup
        return backup

    def finish_backup(self, backup_id: str) -> None:
        """Let Cinder end one backup."""
        backup = self.backups[backup_id]
        backup['status'] = 'available'
        self.volumes[backup['volume_id']] = self._before.pop(
            backup['volume_id'], 'available')

    def finish(self, status: str = 'available',
               fail_reason: str | None = None) -> None:
        """Let Cinder end what it works on."""
        for backup in list(self.backups.values()):
            if backup['status'] == 'deleting':
                del self.backups[backup['id']]
            elif backup['status'] == 'creating':
                backup.update(status=status, fail_reason=fail_reason)
                self.check_size(backup)
            elif backup['status'] == 'restoring':
                backup['status'] = 'available'
        for volume_id, state in list(self.volumes.items()):
            if state == 'deleting':
                del self.volumes[volume_id]
            elif state == 'backing-up':
                self.volumes[volume_id] = self._before.pop(
                    volume_id, 'available')
            elif state == 'creating':
                self.volumes[volume_id] = 'available'
            elif state == 'restoring-backup':
                self.volumes[volume_id] = 'available'
                self._restored(volume_id)

    def check_size(self, backup):
        """Fail an increment of a volume that is larger than its base."""
        base = self.backups.get(backup.get('parent') or '')
        if base is not None and backup['size'] > base['size']:
            backup.update(status='error', fail_reason=(
                'Invalid backup: Volume size increased since the last '
                'backup. Do a full backup.'))

    def _restored(self, volume_id):
        """Have a volume's metadata replaced, as a restore does."""
        backup = self.backups.get(self._into.pop(volume_id, ''))
        if backup is None or backup['volume_id'] == volume_id:
            return
        source = self.described.get(backup['volume_id'], {})
        self.described.setdefault(volume_id, {})['metadata'] = {
            **source.get('metadata', {}), 'src_backup_id': backup['id']}

    def time(self):
        return datetime.datetime.fromtimestamp(
            self._now(), datetime.UTC).replace(tzinfo=None).isoformat(
                timespec='microseconds')

    # -- by HTTP --

    def work(self, request: Request) -> tuple[int, typing.Any]:
        """Return (status, document) or (status, None)."""
        try:
            return self._work(request)
        except Refusal as refusal:
            return refusal.status, refusal.document

    def _work(self, request):
        match request.method, request.path.strip('/').split('/'):
            case 'POST', ['backups']:
                return self._create(request.body['backup'])
            case 'POST', ['backups', backup_id, 'restore']:
                return self._restore(request.body['restore'], backup_id)
            case 'GET', ['backups', 'detail']:
                return self._list(request.query)
            case 'GET', ['backups', backup_id]:
                return 200, {'backup': self._shown(self._backup(backup_id))}
            case 'PUT', ['backups', backup_id]:
                return self._update(self._backup(backup_id),
                                    request.body['backup'])
            case 'DELETE', ['backups', backup_id]:
                return self._delete(self._backup(backup_id))
            case 'GET', ['volumes', 'detail']:
                return self._list_volumes(request.query)
            case 'POST', ['volumes']:
                return self._create_volume(request.body['volume'])
            case 'POST', ['volumes', volume_id, 'action']:
                return self._extend(volume_id, request.body['os-extend'])
            case 'GET', ['volumes', volume_id]:
                self._volume(volume_id)
                return 200, {'volume': self._described(volume_id)}
            case 'DELETE', ['volumes', volume_id]:
                return self._delete_volume(volume_id)
        raise AssertionError(f'{request.method} {request.path}')

    def _backup(self, backup_id):
        if backup_id not in self.backups:
            raise Refusal(404, f'Backup {backup_id} could not be found.')
        return self.backups[backup_id]

    def _volume(self, volume_id):
        if volume_id not in self.volumes:
            raise Refusal(404, f'Volume {volume_id} could not be found.')
        return self.volumes[volume_id]

    def _shown(self, backup):
        return {**backup, 'has_dependent_backups':
                backup['has_dependent_backups']
                or bool(self._built_on(backup))}

    def _built_on(self, backup):
        return [other for other in self.backups.values()
                if other.get('parent') == backup['id']]

    def _create(self, body):
        self.posts.append(body)
        _check_texts(body, 'name', 'container', 'description')
        _check_metadata(body)
        status = self._volume(body['volume_id'])
        if status not in ('available', 'in-use'):
            raise Refusal(400, 'Invalid volume: Volume to be backed up must '
                          'be available or in-use, but the current status is '
                          f'"{status}".')
        if status == 'in-use' and not body.get('force'):
            raise Refusal(400, 'Invalid volume: Backing up an in-use volume '
                          'must use the force flag.')
        if (self.backup_quota is not None
                and len(self.backups) >= self.backup_quota):
            raise Refusal(413, 'Maximum number of backups allowed '
                          f'({self.backup_quota}) exceeded')
        self._check_gigabytes(body['volume_id'])
        base = [backup for backup in self.backups.values()
                if backup['volume_id'] == body['volume_id']
                and backup['status'] == 'available']
        if body.get('incremental') and not base:
            raise Refusal(400, 'Invalid backup: No backups available to do '
                          'an incremental backup.')
        self._before[body['volume_id']] = status
        self.volumes[body['volume_id']] = 'backing-up'
        shown = self._described(body['volume_id'])
        backup = self.add_backup(
            'creating', body['volume_id'], name=body.get('name'),
            description=body.get('description'),
            container=body.get('container') or self.default_container,
            metadata=body.get('metadata') or {}, size=shown['size'],
            availability_zone=(body.get('availability_zone')
                               or shown['availability_zone']),
            is_incremental=bool(body.get('incremental')),
            parent=(max(base, key=_data_at)['id']
                    if body.get('incremental') else None))
        return 202, {'backup': {'id': backup['id'], 'name': backup['name']}}

    def _check_gigabytes(self, volume_id):
        size = self._described(volume_id)['size']
        used = sum(backup['size'] for backup in self.backups.values())
        if (self.gigabyte_quota is not None
                and used + size > self.gigabyte_quota):
            raise Refusal(413, 'Requested backup exceeds allowed Backup '
                          f'gigabytes quota. Requested {size}G, quota is '
                          f'{self.gigabyte_quota}G and {used}G has been '
                          'consumed.')

    def _extend(self, volume_id, body):
        self._volume(volume_id)
        self.described.setdefault(volume_id, {})['size'] = body['new_size']
        return 202, None

    def _restore(self, body, backup_id):
        backup = self._backup(backup_id)
        if backup['status'] != 'available':
            raise Refusal(
                400, 'Invalid backup: Backup status must be available')
        volume_id = body['volume_id']
        if self._volume(volume_id) != 'available':
            raise Refusal(400, 'Invalid volume: Volume to be restored to '
                          'must be available')
        self.volumes[volume_id] = 'restoring-backup'
        backup['status'] = 'restoring'
        self._into[volume_id] = backup_id
        return 202, {'restore': {'backup_id': backup_id,
                                 'volume_id': volume_id,
                                 'volume_name': None}}

    def _list(self, query):
        found = [backup for backup in reversed(self.backups.values())
                 if query.get('volume_id', backup['volume_id'])
                 == backup['volume_id']
                 and query.get('status', backup['status'])
                 == backup['status']]
        if query.get('sort') == 'created_at:asc':
            found.reverse()
        page = self._page('backups', found, query, self._shown, 1000)
        if query.get('with_count') == 'true':
            page['count'] = len(found)
        return 200, page

    def _list_volumes(self, query):
        found = [self._described(volume_id) for volume_id in self.volumes]
        wanted = ast.literal_eval(query.get('metadata', '{}')).items()
        return 200, self._page(
            'volumes', [volume for volume in found
                        if wanted <= volume['metadata'].items()],
            query, dict, self.volumes_page)

    @staticmethod
    def _page(noun, found, query, shown, most):
        size = min(int(query.get('limit', most)), most)
        found = found[int(query.get('offset', 0)):]
        if 'marker' in query:
            ids = [one['id'] for one in found]
            if query['marker'] not in ids:
                raise Refusal(404, f'{query["marker"]} could not be found.')
            found = found[ids.index(query['marker']) + 1:]
        page = [shown(one) for one in found[:size]]
        links = {f'{noun}_links': [{'rel': 'next', 'href': '...'}]}
        return {noun: page, **(links if len(page) == size else {})}

    def _update(self, backup, body):
        _check_texts(body, 'name', 'description')
        _check_metadata(body)
        backup.update({key: body[key] for key in (
            'name', 'description', 'metadata') if key in body})
        return 200, {'backup': {'id': backup['id'], 'name': backup['name']}}

    def _delete(self, backup):
        if backup['id'] in self.undeletable:
            raise Refusal(404, 'Service cinder-backup could not be found.')
        if backup['status'] not in ('available', 'error'):
            raise Refusal(400, 'Invalid backup: Backup status must be '
                          'available or error')
        if self._built_on(backup):
            raise Refusal(400, 'Invalid backup: Incremental backups exist '
                          'for this backup.')
        backup['status'] = 'deleting'
        return 202, None

    def _described(self, volume_id):
        return {'id': volume_id, 'status': self.volumes[volume_id],
                'name': None, 'metadata': {}, 'size': 1,
                'availability_zone': 'nova',
                'volume_type': '__DEFAULT__',
                **self.described.get(volume_id, {})}

    def _create_volume(self, body):
        _check_texts(body, 'name')
        _check_metadata(body)
        volume_id = str(uuid.uuid4())
        self.volumes[volume_id] = 'creating'
        self.described[volume_id] = {
            key: body[key] for key in ('name', 'size', 'metadata',
                                       'volume_type') if key in body}
        return 202, {'volume': self._described(volume_id)}

    def _delete_volume(self, volume_id):
        if self._volume(volume_id) not in _DELETABLE_VOLUME:
            raise Refusal(400, 'Invalid volume: Volume status must be '
                          'available or error or error_restoring')
        self.volumes[volume_id] = 'deleting'
        return 202, None


def _data_at(backup):
    return backup.get('data_timestamp') or backup['created_at']


def _check_texts(body, *keys):
    for key in keys:
        if len(body.get(key) or '') > _LONGEST:
            raise Refusal(400, f'Invalid input for field/attribute {key}.')


def _check_metadata(body):
    if any(len(text) > _LONGEST
           for pair in (body.get('metadata') or {}).items()
           for text in pair):
        raise Refusal(400, 'Invalid input for field/attribute metadata.')
