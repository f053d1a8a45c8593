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

"""Cinder's API as far as backups need it, by the authority of a trust.

The one thing that matters here is to tell apart what certainly did not
happen, what certainly was refused, and what nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
import requests
import urllib3

from freezer_scheduler import documents
from freezer_scheduler import identity as scheduler_identity

# Metadata on backups came with 3.43, availability zones with 3.51.
_MICROVERSION = '3.60'
_PAGE = 100
_VOLUMES_PAGE = 1000
_TEXT = 300
_STATUS = 64


class CinderError(Exception):
    """A request to Cinder gave no result; the text is for users."""


class NotSent(CinderError):
    """The request certainly did not reach Cinder."""


class NoEndpoint(NotSent):
    """The catalogue of the trust has no such endpoint of Cinder."""


class Unknown(CinderError):
    """Nobody knows whether Cinder did what it was asked."""


class Refused(CinderError):
    """Cinder understood and said no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f'Cinder: {text} ({status})')
        self.status = status


class TrustRefused(CinderError):
    """The delegated authority is not accepted, by Keystone or by Cinder."""


@dataclasses.dataclass(frozen=True)
class CinderBackup:
    """A backup as Cinder shows it; ``data_at`` is when its data was so."""

    id: str
    status: str
    volume_id: str
    fail_reason: str | None
    is_incremental: bool
    size: int | None
    created_at: datetime.datetime | None
    container: str | None
    availability_zone: str | None
    metadata: Mapping[str, str]
    has_dependents: bool = False
    of_snapshot: bool = False
    data_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class CinderVolume:
    """A volume as Cinder shows it."""

    id: str
    status: str
    name: str
    metadata: Mapping[str, str]
    volume_type: str | None = None


@dataclasses.dataclass(frozen=True)
class NewVolume:
    """What a new volume is asked for with; its size is in GiB."""

    name: str
    size: int
    volume_type: str | None
    metadata: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class NewBackup:
    """What a new backup is asked for with."""

    volume_id: str
    name: str
    container: str
    availability_zone: str | None
    incremental: bool
    metadata: Mapping[str, str]


class CinderClient:
    """Cinder as one trust sees it.

    Every method raises NotSent, Unknown, Refused or TrustRefused when it has
    no result. Nothing is ever sent twice.
    """

    def __init__(self, identity: scheduler_identity.Identity, trust_id: str,
                 interface: str, region_name: str | None) -> None:
        self._identity = identity
        self._trust_id = trust_id
        self._interface = interface
        self._region_name = region_name

    def login(self) -> None:
        """Make sure that the next request is sent at once."""
        self._endpoint()

    def create(self, new: NewBackup) -> str:
        """Ask for a backup and return its id."""
        body: dict[str, Any] = {
            'volume_id': new.volume_id, 'name': new.name,
            'description':
                f'Backup created by Freezer for volume {new.volume_id}',
            'container': new.container or None,
            # Without force a volume that is in use is refused.
            'force': True, 'incremental': new.incremental,
            'metadata': dict(new.metadata)}
        if new.availability_zone:
            body['availability_zone'] = new.availability_zone
        return self._create('backup', body)

    def create_volume(self, new: NewVolume) -> str:
        """Ask for an empty volume and return its id."""
        body: dict[str, Any] = {
            'name': new.name, 'size': new.size,
            'metadata': dict(new.metadata)}
        if new.volume_type:
            body['volume_type'] = new.volume_type
        return self._create('volume', body)

    def _create(self, noun: str, body: Mapping[str, Any]) -> str:
        answer = self._request('POST', f'/{noun}s', {noun: body},
                               again=False)
        made = answer.get(noun) if isinstance(answer, dict) else None
        if not isinstance(made, dict) or not isinstance(made.get('id'), str):
            raise Unknown('Cinder gave an unusable answer')
        return str(made['id'])

    def backup(self, backup_id: str) -> CinderBackup:
        answer = self._request('GET', f'/backups/{backup_id}')
        return _backup(_part(answer, 'backup'))

    def backups(self, volume_id: str,
                status: str | None = None) -> Iterator[CinderBackup]:
        """Yield the backups of a volume, newest first."""
        marker = None
        while True:
            query: dict[str, str | int] = {
                'volume_id': volume_id, 'limit': _PAGE,
                'sort': 'created_at:desc',
                **({'status': status} if status else {}),
                **({'marker': marker} if marker else {})}
            answer = self._request('GET', '/backups/detail', query=query)
            page = answer.get('backups') if isinstance(answer, dict) else None
            if not isinstance(page, list):
                raise Unknown('Cinder gave an unusable answer')
            for document in page:
                yield _backup(document)
            # Cinder's own limit may be below the one asked for.
            if not page or not answer.get('backups_links'):
                return
            marker = page[-1]['id']

    def delete(self, backup_id: str) -> None:
        self._request('DELETE', f'/backups/{backup_id}')

    def restore(self, backup_id: str, volume_id: str) -> None:
        """Ask for a backup to be written over a volume."""
        self._request('POST', f'/backups/{backup_id}/restore',
                      {'restore': {'volume_id': volume_id}}, again=False)

    def volume_status(self, volume_id: str) -> str:
        return self.volume(volume_id).status

    def volume(self, volume_id: str) -> CinderVolume:
        answer = self._request('GET', f'/volumes/{volume_id}')
        return _volume(_part(answer, 'volume'))

    def delete_volume(self, volume_id: str) -> None:
        self._request('DELETE', f'/volumes/{volume_id}')

    def volumes(self, metadata: Mapping[str, str] | None = None,
                ) -> Iterator[CinderVolume]:
        """Yield the volumes of the trust's project, oldest first.

        :param metadata: only those that have this
        """
        query: dict[str, str | int] = {
            'limit': _VOLUMES_PAGE, 'sort': 'created_at:asc'}
        if metadata:
            query['metadata'] = str(dict(metadata))
        while True:
            answer = self._request('GET', '/volumes/detail', query=query)
            page = answer.get('volumes') if isinstance(answer, dict) else None
            if not isinstance(page, list):
                raise Unknown('Cinder gave an unusable answer')
            for document in page:
                yield _volume(document)
            # Cinder's own limit may be below the one asked for.
            if not page or not answer.get('volumes_links'):
                return
            query['marker'] = page[-1]['id']

    def _request(self, method: str, path: str, body: object = None,
                 query: Mapping[str, str | int] | None = None,
                 again: bool = True) -> Any:
        """Send one request and return the answer's JSON, if it has any.

        :param again: whether to log in anew and send it again when the token
            has ended before its time; what creates something must go out
            now or not at all
        """
        session = self._identity.trust(self._trust_id)
        url = self._endpoint() + path
        try:
            answer = session.request(
                url, method, json=body, params=query, raise_exc=False,
                redirect=False, connect_retries=0, status_code_retries=0,
                microversion=_MICROVERSION,
                microversion_service_type='volume', allow_reauth=again,
                log=False)
        except ks_exceptions.ClientException as error:
            # An answer can only be Keystone's: a login that was due, or
            # that Cinder's 401 made due. Cinder did nothing.
            if isinstance(error, ks_exceptions.HttpError):
                raise self._login_failed(error) from None
            raise _lost(error) from None
        if answer.status_code == 401 and not again:
            self._identity.forget(self._trust_id)
            raise NotSent('Cinder does not accept the token any more')
        return self._judge(answer)

    def _judge(self, answer: requests.Response) -> Any:
        status = answer.status_code
        if 200 <= status < 300:
            if not answer.content:
                return None
            try:
                return answer.json()
            except ValueError:
                raise Unknown('Cinder gave an unusable answer') from None
        if status in (401, 403):
            raise self._trust_refused()
        if 400 <= status < 500 and status != 408:
            raise Refused(status, _text(answer))
        if status == 503:
            # The giver may have lost the role: another login shows that.
            self._identity.forget(self._trust_id)
        raise Unknown(f'Cinder answered {status}')

    def _endpoint(self) -> str:
        """Log in where that is due, and return Cinder's URL."""
        session = self._identity.trust(self._trust_id)
        try:
            url = session.get_endpoint(
                service_type='block-storage', interface=self._interface,
                region_name=self._region_name, skip_discovery=True)
        except ks_exceptions.HttpError as error:
            raise self._login_failed(error) from None
        except ks_exceptions.CatalogException:
            raise NoEndpoint(
                f'the catalogue has no {self._interface} endpoint of Cinder '
                f'in region {self._region_name or "(any)"}') from None
        except ks_exceptions.ClientException as error:
            raise NotSent(
                f'Keystone cannot be reached ({type(error).__name__})'
            ) from None
        return str(url).rstrip('/')

    def _login_failed(self, error: ks_exceptions.HttpError) -> CinderError:
        self._identity.forget(self._trust_id)
        cause = self._identity.judge(self._trust_id, error)
        # Keystone's text may hold the trust's id.
        return (TrustRefused(cause.advice) if cause is not None else
                NotSent(f'Keystone answered {error.http_status}'))

    def _trust_refused(self) -> TrustRefused:
        self._identity.forget(self._trust_id)
        return TrustRefused('Cinder refuses the authority delegated with the '
                            'job: its policy may demand another role')


def _lost(error: ks_exceptions.ClientException) -> CinderError:
    """Judge a request without an answer.

    keystoneauth hides what happened; the exception that it handled tells
    whether a connection was there at all.
    """
    cause = error.__context__
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return NotSent('Cinder cannot be reached (timed out)')
    reason = cause.args[0] if cause is not None and cause.args else None
    if isinstance(reason, urllib3.exceptions.MaxRetryError):
        reason = reason.reason
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return NotSent('Cinder cannot be reached')
    return Unknown('Cinder gave no answer')


def _text(answer: requests.Response) -> str:
    """Return what Cinder says about a refusal."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    parts = document.values() if isinstance(document, dict) else ()
    text = next((str(part['message']) for part in parts
                 if isinstance(part, dict) and part.get('message')), None)
    return (documents.shortened(text, _TEXT)
            or documents.shortened(answer.reason, _TEXT) or 'no reason')


def _part(answer: Any, key: str) -> Mapping[str, Any]:
    part = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(part, dict):
        raise Unknown('Cinder gave an unusable answer')
    return part


def _backup(document: Any) -> CinderBackup:
    if not isinstance(document, dict) or not isinstance(
            document.get('id'), str):
        raise Unknown('Cinder gave an unusable answer')
    metadata = document.get('metadata')
    size = document.get('size')
    return CinderBackup(
        id=document['id'],
        status=_status(document),
        volume_id=str(document.get('volume_id')),
        # A driver's words, which may be a whole traceback.
        fail_reason=documents.shortened(
            str(document.get('fail_reason') or ''), _TEXT) or None,
        is_incremental=document.get('is_incremental') is True,
        size=size if isinstance(size, int) else None,
        created_at=_date(document.get('created_at')),
        container=document.get('container'),
        availability_zone=document.get('availability_zone'),
        metadata=metadata if isinstance(metadata, dict) else {},
        has_dependents=document.get('has_dependent_backups') is True,
        of_snapshot=document.get('snapshot_id') is not None,
        data_at=_date(document.get('data_timestamp')))


def _volume(document: Any) -> CinderVolume:
    if not isinstance(document, dict) or not isinstance(
            document.get('id'), str):
        raise Unknown('Cinder gave an unusable answer')
    metadata = document.get('metadata')
    return CinderVolume(
        id=document['id'], status=_status(document),
        name=str(document.get('name') or ''),
        metadata=metadata if isinstance(metadata, dict) else {},
        volume_type=document.get('volume_type'))


def _status(document: Mapping[str, Any]) -> str:
    return documents.shortened(str(document.get('status')), _STATUS) or ''


def _date(value: object) -> datetime.datetime | None:
    if not isinstance(value, str):
        return None
    try:
        date = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    # Cinder means UTC and does not say so.
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
