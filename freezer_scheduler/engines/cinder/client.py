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

"""Cinder's API as far as backups need it, with the authority of a trust.

The client tells apart three results of a request without success: it
certainly did not reach Cinder, Cinder certainly refused it, or the outcome is
unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import TypeVar

from keystoneauth1 import exceptions as ks_exceptions
import requests
import urllib3

from freezer_http import adapter
from freezer_http import responses
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages
from freezer_scheduler.keystone import sessions as keystone_sessions
from freezer_scheduler.keystone import tokens

# Metadata on backups came with 3.43, availability zones with 3.51.
_MICROVERSION = '3.60'
_PAGE = 100
# With all the metadata that users can give them, they fit into the largest
# answer that is read.
_VOLUMES_PAGE = 200
_MOST_PAGES = 5000
_TEXT = 300

Shown = TypeVar('Shown')


class CinderError(Exception):
    """A request to Cinder gave no result; the text is for users."""


class NotSent(CinderError):
    """The request certainly did not reach Cinder."""


class NoEndpoint(NotSent):
    """The catalogue of the trust has no such endpoint of Cinder."""


class Unknown(CinderError):
    """It is unknown whether Cinder did what it was asked."""


class Refused(CinderError):
    """Cinder understood the request and refused it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f'Cinder: {text} ({status})')
        self.status = status


class TrustRefused(CinderError):
    """Keystone or Cinder does not accept the trust."""


class CinderClient:
    """Cinder as one trust sees it.

    Every method raises NotSent, Unknown, Refused or TrustRefused when it has
    no result. No request that creates something is sent twice.
    """

    def __init__(self, identity: keystone_sessions.Identity, trust_id: str,
                 interface: str, region_name: str | None) -> None:
        self._identity = identity
        self._trust_id = trust_id
        self._interface = interface
        self._region_name = region_name

    def login(self) -> None:
        """Make sure that the next request is sent at once.

        Cinder may use the token of that request for hours, so a part of its
        life must remain.
        """
        self._endpoint(submits=True)

    def create_backup(self, volume_id: str, name: str, container: str,
                      availability_zone: str | None, incremental: bool,
                      metadata: Mapping[str, str]) -> str:
        """Ask for a backup and return its id.

        :param container: empty for Cinder's own choice
        """
        return self._create('backup', name, metadata, {
            'volume_id': volume_id, 'incremental': incremental,
            'description': f'Backup created by Freezer for volume {volume_id}',
            # Without force Cinder refuses a volume that is in use.
            'force': True,
            **({'container': container} if container else {}),
            **({'availability_zone': availability_zone}
               if availability_zone else {})})

    def create_volume(self, name: str, size: int, volume_type: str | None,
                      metadata: Mapping[str, str]) -> str:
        """Ask for an empty volume and return its id.

        :param size: in GiB
        """
        return self._create('volume', name, metadata, {
            'size': size,
            **({'volume_type': volume_type} if volume_type else {})})

    def _create(self, noun: str, name: str, metadata: Mapping[str, str],
                body: Mapping[str, object]) -> str:
        answer = self._request('POST', f'/{noun}s', {noun: {
            'name': name, 'metadata': dict(metadata), **body}}, again=False)
        with _reading():
            made = views.part(answer, noun)
            if made.get('name') != name:
                raise views.Malformed(f'it is another {noun}')
            return views.id_of(made)

    def backup(self, backup_id: str) -> views.Backup:
        answer = self._get(f'/backups/{backup_id}')
        with _reading():
            return views.own_backup(
                views.part(answer, 'backup', backup_id))

    def backup_if_there(self, backup_id: str) -> views.Backup | None:
        """Return a backup; None if Cinder says that it does not exist."""
        return _if_there(lambda: self.backup(backup_id))

    def backups(self, volume_id: str,
                status: str | None = None) -> Iterator[views.Backup]:
        """Yield the backups of a volume, newest first."""
        return self._list('backups', {
            'volume_id': volume_id, 'limit': _PAGE, 'sort': 'created_at:desc',
            **({'status': status} if status else {})}, views.backup)

    def count_backups(self) -> int:
        """Return how many backups the trust's project has."""
        answer = self._get('/backups/detail', {
            'limit': 1, 'with_count': 'true'})
        with _reading():
            return views.count(answer)

    def project_backups(self, offset: int) -> Iterator[views.Backup]:
        """Yield the backups of the trust's project, oldest first.

        :param offset: number of backups to leave out
        """
        return self._list('backups', {
            'limit': _PAGE, 'sort': 'created_at:asc', 'offset': offset},
            views.backup)

    def describe(self, backup_id: str, description: str) -> None:
        """Replace the description of a backup, and nothing else of it."""
        self._request('PUT', f'/backups/{backup_id}', {
            'backup': {'description': description}})

    def delete(self, backup_id: str) -> None:
        self._delete(f'/backups/{backup_id}')

    def restore(self, backup_id: str, volume_id: str) -> None:
        """Ask for a backup to be written over a volume."""
        answer = self._request(
            'POST', f'/backups/{backup_id}/restore',
            {'restore': {'volume_id': volume_id}}, again=False)
        with _reading():
            begun = views.id_of(views.part(answer, 'restore'), 'volume_id')
        if not views.same(begun, volume_id):
            raise Unknown('Cinder answered about another volume')

    def volume_status(self, volume_id: str) -> str:
        return self.volume(volume_id).status

    def volume(self, volume_id: str) -> views.Volume:
        answer = self._get(f'/volumes/{volume_id}')
        with _reading():
            return views.volume(views.part(answer, 'volume', volume_id))

    def volume_if_there(self, volume_id: str) -> views.Volume | None:
        """Return a volume; None if Cinder says that it does not exist."""
        return _if_there(lambda: self.volume(volume_id))

    def delete_volume(self, volume_id: str) -> None:
        self._delete(f'/volumes/{volume_id}')

    def volumes(self, metadata: Mapping[str, str] | None = None,
                ) -> Iterator[views.Volume]:
        """Yield the volumes of the trust's project, oldest first.

        :param metadata: limits the list to volumes with this metadata
        """
        return self._list('volumes', {
            'limit': _VOLUMES_PAGE, 'sort': 'created_at:asc',
            **({'metadata': str(dict(metadata))} if metadata else {})},
            views.volume)

    def _list(self, nouns: str, query: dict[str, str | int],
              read: Callable[[Mapping[str, object]], Shown],
              ) -> Iterator[Shown]:
        """Yield the entries of all pages of a list."""
        for _number in range(_MOST_PAGES):
            answer = self._get(f'/{nouns}/detail', query)
            with _reading():
                page, more = views.page(answer, nouns)
                found = [read(document) for document in page]
            yield from found
            # Cinder's own limit may be below the one asked for.
            if not page or not more:
                return
            last = views.id_of(page[-1])
            if last == query.get('marker'):
                raise Unknown('Cinder shows one page of a list for ever')
            query = {**query, 'marker': last}
            query.pop('offset', None)
        raise Unknown('Cinder shows a list without an end')

    def _delete(self, path: str) -> None:
        # Cinder answers 202 without content. A page with 200 may come from
        # a proxy.
        if self._request('DELETE', path, expected=(202, 204)) is not None:
            raise Unknown('Cinder gave an unusable answer')

    def _get(self, path: str,
             query: Mapping[str, str | int] | None = None) -> object:
        """Return what Cinder shows.

        :raises Refused: only if the one thing asked for does not exist
        """
        try:
            return self._request('GET', path, query=query)
        except Refused as error:
            if error.status == 404 and query is None:
                raise
            raise Unknown(str(error)) from None

    def _request(self, method: str, path: str, body: object = None,
                 query: Mapping[str, str | int] | None = None,
                 again: bool = True,
                 expected: Collection[int] = (200, 201, 202)) -> object:
        """Send one request and return the answer's JSON, if it has any.

        :param again: whether to log in and send the request again if the
            token is refused before its end; a request that creates something
            is sent now or not at all
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
            # Such an answer is always Keystone's, to a login that was due or
            # that Cinder's 401 made due. Cinder did nothing.
            if isinstance(error, ks_exceptions.HttpError | tokens.LoginFailed):
                raise self._login_failed(error) from None
            if isinstance(error, responses.UNREADABLE):
                raise NotSent('Keystone gave an unusable answer') from None
            raise _lost(error) from None
        if answer.status_code in expected:
            return _content(answer)
        raise self._judge(answer, again)

    def _judge(self, answer: requests.Response, again: bool) -> CinderError:
        """Return the error that an answer without success means.

        Only Cinder's own answers are certain. A proxy in front of Cinder
        answers with the same statuses, whatever happened to the request.
        """
        status, said = answer.status_code, responses.fault(answer)
        if status == 401 and responses.token_refused(answer):
            if self._identity.refused(self._trust_id) and again:
                return self._trust_refused()
            return NotSent('Cinder does not accept the token any more')
        if status == 503:
            # The trustor may have lost the role; another login shows it.
            self._identity.forget(self._trust_id)
        if said is None:
            return Unknown(f'Cinder answered {status} without a reason')
        if status == 403:
            return self._trust_refused()
        if status == 429:
            return NotSent('Cinder asks to wait')
        text = messages.shortened(said, _TEXT) or 'no reason'
        if 400 <= status < 500 and status != 408:
            return Refused(status, text)
        return Unknown(f'Cinder answered {status}')

    def _endpoint(self, submits: bool = False) -> str:
        """Log in if that is due, and return Cinder's URL."""
        session = self._identity.trust(self._trust_id)
        try:
            self._identity.usable(self._trust_id, submits)
            url = session.get_endpoint(
                service_type='block-storage', interface=self._interface,
                region_name=self._region_name, skip_discovery=True)
        except (ks_exceptions.HttpError, tokens.LoginFailed) as error:
            raise self._login_failed(error) from None
        except ks_exceptions.CatalogException:
            raise NoEndpoint(
                f'the catalogue has no {self._interface} endpoint of Cinder '
                f'in region {self._region_name or "(any)"}') from None
        except ks_exceptions.ClientException as error:
            raise NotSent(
                'Keystone gave no answer of use '
                f'({type(error.__context__ or error).__name__})') from None
        if not url or not responses.is_url(url):
            raise NotSent('the catalogue has no usable URL of Cinder')
        return url.rstrip('/')

    def _login_failed(self, error: ks_exceptions.HttpError
                      | tokens.LoginFailed) -> CinderError:
        if isinstance(error, tokens.LoginFailed):
            cause, text = error.cause, str(error)
        else:
            self._identity.forget(self._trust_id)
            cause = self._identity.judge(self._trust_id, error)
            # Keystone's text may hold the trust's id.
            text = f'Keystone answered {error.http_status}'
        return NotSent(text) if cause is None else TrustRefused(cause.advice)

    def _trust_refused(self) -> TrustRefused:
        self._identity.forget(self._trust_id)
        return TrustRefused('Cinder refuses the authority delegated with the '
                            'job: its policy may demand another role')


def _if_there(show: Callable[[], Shown]) -> Shown | None:
    """Return what Cinder shows; None if it does not exist."""
    try:
        return show()
    except Refused:
        # A 404: see CinderClient._get.
        return None


def _lost(error: ks_exceptions.ClientException) -> CinderError:
    """Return the error of a request that had no answer."""
    # The error of the HTTP library, which keystoneauth hides.
    cause = error.__context__
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return NotSent('Cinder cannot be reached (timed out)')
    if isinstance(cause, adapter.Redirected | adapter.TooLarge):
        return Unknown(f'Cinder {cause}')
    reason = cause.args[0] if cause is not None and cause.args else None
    if isinstance(reason, urllib3.exceptions.MaxRetryError):
        reason = reason.reason
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return NotSent('Cinder cannot be reached')
    return Unknown('Cinder gave no answer')


def _content(answer: requests.Response) -> object:
    """Return the JSON of a success; None if it has no content."""
    if not answer.content:
        return None
    try:
        return responses.document(answer)
    except ValueError:
        raise Unknown('Cinder gave an unusable answer') from None


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Raise Unknown for an answer that cannot be read."""
    try:
        yield
    except views.Malformed as error:
        raise Unknown(f'Cinder gave an unusable answer: {error}') from None
