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

"""The Freezer API, as the scheduler uses it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import re
from typing import NoReturn
from typing import TypeVar
import urllib.parse

from keystoneauth1 import access as ks_access
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import identity
from keystoneauth1 import session as ks_session
import requests

from freezer_api.domain import capabilities as domain_capabilities
from freezer_api.domain import regions
from freezer_http import adapter
from freezer_http import responses
from freezer_scheduler.freezer import maintenance
from freezer_scheduler.freezer import messages
from freezer_scheduler.telemetry import http_metrics

_SERVICE_TYPE = 'backup'
_CINDER = 'block-storage'
_LONGEST = 300

# What to check after an answer of a proxy, or of another service at a URL
# that is configured wrongly: a redirect, a page for people, other JSON.
_CHECK_KEYSTONE = 'check [service_auth] os_auth_url'
_CHECK_FREEZER = (
    'check the endpoint of type backup in Keystone\'s catalogue, or '
    '[service_auth] os_backup_url where it is set')

Answer = TypeVar('Answer')


class ApiError(Exception):
    """A request to the API failed."""


class ApiUnreachable(ApiError):
    """There is no usable answer; another try may help."""


class LoginRefused(ApiUnreachable):
    """Keystone refuses the scheduler's account."""

    def __init__(self) -> None:
        super().__init__(
            'Keystone refuses the login of [service_auth]: correct '
            'os_username, os_password and os_user_domain_name')


class NoRoleInProject(LoginRefused):
    """Keystone accepts the account, but not in the project."""

    def __str__(self) -> str:
        return ('[service_auth] os_project_name: the account has no role in '
                'this project, or there is no such project: correct '
                'os_project_name and os_project_domain_name, or run '
                'openstack role add --user USER --project PROJECT service')


class ApiRefused(ApiError):
    """The API refused the request; another try cannot help."""

    def __init__(self, status: int, text: str, code: str | None) -> None:
        super().__init__(f'{status}: {text}')
        self.status = status
        self.code = code


class NoServiceRole(ApiRefused):
    """The account of a central scheduler has no role that makes it one."""

    text = ('the account of [service_auth] os_username has not the role '
            'service in the project of os_project_name, which a central '
            'scheduler needs: run openstack role add --user USER --project '
            'PROJECT service')

    def __init__(self, refused: ApiRefused) -> None:
        super().__init__(refused.status,
                         f'{self.text} (the API says {refused})',
                         refused.code)


class StaleFence(ApiRefused):
    """The run belongs to another scheduler, or has ended."""


class CatalogueRefused(ApiError):
    """The options name no endpoint of the catalogue, or several."""


class NoClaims(ApiError):
    """The API is too old to hand out runs."""


class Api:
    """One project's view of the API: that of the service account.

    Methods raise ApiUnreachable if the API or Keystone gives no usable answer,
    and ApiRefused if the API refuses the request.

    :ivar gathers: whether the API takes the reports of many runs at once
    """

    def __init__(self, session: ks_session.Session, scheduler_id: str,
                 interface: str, region_name: str | None,
                 override: str | None) -> None:
        self._session = session
        self._scheduler_id = scheduler_id
        self._interface = interface
        self._region_name = region_name
        self._override = override
        self.gathers = False

    def project_id(self) -> str:
        """Return the id of the scheduler's own project."""
        project_id = self._ask_keystone(self._session.get_project_id)
        if not project_id:
            raise ApiUnreachable('the scheduler\'s token has no project')
        return str(project_id)

    def roles(self) -> frozenset[str]:
        """Return the scheduler's roles in its own project."""
        access = self._access()
        return frozenset(role.lower() for role in (
            access.role_names if access else None) or ())

    def log_in_anew(self, renew: Callable[[], None]) -> None:
        """Renew the scheduler's own token.

        :param renew: does so, and raises the errors of keystoneauth
        """
        self._ask_keystone(renew)

    def check_catalogue(self) -> None:
        """Check that the options name endpoints, and those of one region.

        :raises CatalogueRefused: naming the options that do not
        """
        access = self._access()
        if access is None:
            return
        needed = [_CINDER] if self._override else [_CINDER, _SERVICE_TYPE]
        found: list[regions.Endpoint] = []
        # Each service also by its official type, whatever the catalogue
        # calls it.
        for kind in (None, *needed):
            data = access.service_catalog.get_endpoints_data(service_type=kind)
            found += [regions.Endpoint(kind or own_kind, str(one.interface),
                                       one.region_name)
                      for own_kind, listed in data.items() for one in listed]
        problems = regions.problems(found, needed, regions.Choice(
            self._region_name, '[service_auth] os_region_name',
            self._interface, '[service_auth] os_endpoint_type'))
        if problems:
            raise CatalogueRefused('; '.join(problems))

    def check_claims(self) -> None:
        """Check that the API can hand out runs.

        :raises NoClaims: if it cannot
        """
        home = re.sub(r'(/v2)/.*$', r'\1', self._base())
        resources = self._request(
            'GET', home, 200, headers={
                'Accept': 'application/json-home, application/json'},
        ).get('resources')
        # Every release has jobs.
        if not isinstance(resources, dict) or not (
                {'rel/jobs', 'rel/claims'} & resources.keys()):
            raise _unusable(f'GET {home}')
        if 'rel/claims' not in resources:
            raise NoClaims(
                f'the Freezer API at {home} knows no claims: it is older '
                f'than this scheduler')
        self.gathers = 'rel/reports' in resources

    def register(self, client_id: str, hostname: str,
                 offered: domain_capabilities.Capabilities,
                 central: bool) -> None:
        """Register this client, or update what it offers.

        :param central: whether every project may use it
        """
        self._request('POST', f'{self._base()}/clients', 201, {
            'client_id': client_id, 'hostname': hostname,
            'is_central': central,
            'supported_actions': list(offered.actions),
            'supported_modes': list(offered.modes),
            'supported_storages': list(offered.storages),
            'supported_engines': list(offered.engines), 'claims': True},
            client_id=client_id)

    def claim(self, client_id: str, limit: int, lease_seconds: int,
              held: Sequence[tuple[str, int]],
              per_project: int) -> messages.ClaimResponse:
        """Renew the leases of held runs and ask for up to limit new ones.

        :param held: (run id, fence) pairs
        :param per_project: no new run of a project that has this many going
            on, at whichever scheduler of the client
        """
        answer = self._request(
            'POST', f'{self._base()}/clients/{client_id}/claims', 200,
            {'scheduler_id': self._scheduler_id, 'limit': limit,
             'lease_seconds': lease_seconds, 'per_project': per_project,
             'held': [{'run_id': run_id, 'fence': fence}
                      for run_id, fence in held]})
        try:
            return messages.ClaimResponse.from_document(answer)
        except messages.Malformed as error:
            raise ApiUnreachable(f'unusable answer to a claim: {error}'
                                 ) from None

    def report(self, client_id: str, run_id: str, fence: int,
               report: messages.Report) -> messages.Event | None:
        """Store how far a run has come.

        :returns: what the user wants of the run
        :raises StaleFence: when the run is not ours any more
        """
        # The run is over for us with this answer, so it has to be one.
        answer = self._request(
            'PATCH', f'{self._base()}/clients/{client_id}/runs/{run_id}', 200,
            report.to_document(self._scheduler_id, fence), run_id=run_id)
        return messages.event(answer.get('event'))

    def report_all(self, client_id: str, said: Sequence[Mapping[str, object]],
                   ) -> dict[str, messages.Event | None]:
        """Store how far several runs have come: all of that, or nothing.

        :param said: reports as documents, with their runs' ids
        :returns: what users want of the runs; those that are not ours any
            more are not in there
        """
        url = f'{self._base()}/clients/{client_id}/reports'
        answer = self._request(
            'POST', url, 200,
            {'scheduler_id': self._scheduler_id, 'reports': said})
        taken = answer.get('reports')
        # A run that is not in there counts as lost.
        if not isinstance(taken, list):
            raise _unusable(f'POST {url}')
        try:
            return {one['run_id']: messages.event(one['event'])
                    for one in taken}
        except (KeyError, TypeError):
            raise _unusable(f'POST {url}') from None

    def gone_jobs(self, client_id: str, run_id: str, fence: int,
                  job_ids: Collection[str]) -> frozenset[str]:
        """Return those of the ids that are no job of a run's project.

        :param job_ids: 100 at most
        :raises StaleFence: when the run is not ours any more
        """
        url = f'{self._base()}/clients/{client_id}/runs/{run_id}/jobs'
        # Backups are deleted by this answer, so it has to be one to this
        # question, and to all of it.
        answer = self._request('POST', url, 200, {
            'scheduler_id': self._scheduler_id, 'fence': fence,
            'job_ids': list(job_ids)}, run_id=run_id)
        living, gone = answer.get('living'), answer.get('gone')
        if (not isinstance(living, list) or not isinstance(gone, list)
                or sorted(map(str, living + gone)) != sorted(job_ids)):
            raise _unusable(f'POST {url}')
        return frozenset(map(str, gone))

    def maintenance(self) -> maintenance.Maintenance:
        """Have the API try pending deletions of trusts again.

        :returns: what it says is in trouble
        """
        return maintenance.Maintenance.from_document(self._request(
            'POST', self._base() + '/maintenance', 200, {}))

    def _base(self) -> str:
        """Return the URL under which the project's resources are."""
        url = self._override
        if not url:
            url = self._ask_keystone(lambda: self._session.get_endpoint(
                service_type=_SERVICE_TYPE, interface=self._interface,
                region_name=self._region_name, skip_discovery=True))
        if not url:
            raise ApiUnreachable(
                f'Keystone\'s catalogue has no {self._interface} endpoint of '
                f'type {_SERVICE_TYPE} in region '
                f'{self._region_name or "(any)"}')
        url = str(url).rstrip('/')
        if not responses.is_url(url):
            raise ApiUnreachable(f'{messages.shortened(url, _LONGEST)} is no '
                                 f'URL; {_CHECK_FREEZER}')
        if not re.search(r'/v2(/|$)', url):
            url += '/v2'
        if url.endswith('/v2'):
            url += '/' + self.project_id()
        return url

    def _request(self, method: str, url: str, expected: int,
                 body: object = None,
                 headers: dict[str, str] | None = None,
                 **repeated: str) -> Mapping[str, object]:
        """Send one request and return the JSON object of the answer.

        :param repeated: values of the request that the answer repeats
        """
        try:
            answer = self._session.request(
                url, method, json=body, headers=headers,
                raise_exc=False, redirect=False, connect_retries=0,
                # Answers hold the ids of trusts.
                status_code_retries=0, log=False)
        except ks_exceptions.ClientException as error:
            raise _not_asked(error) from None
        request = f'{method} {url}'
        if answer.status_code != expected:
            _refuse(answer, request)
        try:
            document = responses.document(answer)
        except ValueError:
            raise _unusable(request, _content(answer)) from None
        if (not isinstance(document, dict)
                or not repeated.items() <= document.items()):
            raise _unusable(request)
        return document

    def _access(self) -> ks_access.AccessInfo | None:
        """Return the scheduler's token; None without Keystone."""
        auth = self._session.auth
        if not isinstance(auth, identity.BaseIdentityPlugin):
            return None
        return self._ask_keystone(lambda: auth.get_access(self._session))

    def _ask_keystone(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except ks_exceptions.ClientException as error:
            raise _not_asked(error) from None


def _not_asked(error: ks_exceptions.ClientException) -> ApiUnreachable:
    """Return why there is no answer, or none of Keystone to the login."""
    if (isinstance(error, ks_exceptions.Unauthorized)
            and responses.login_refused(error)):
        return LoginRefused()
    return ApiUnreachable(_explained(error))


def _unusable(request: str, content: str = 'JSON that is of no use',
              ) -> ApiUnreachable:
    return ApiUnreachable(f'{request} answered {content}; '
                          f'{_CHECK_FREEZER}')


def _refuse(answer: requests.Response, request: str) -> NoReturn:
    document, status = responses.json_object(answer), answer.status_code
    title, code = document.get('title'), document.get('code')
    said = isinstance(title, str)
    text = (str(document.get('description') or title) if said
            else responses.fault(answer))
    # Otherwise a proxy, or another service, answered.
    advice = '' if said or text else f'; {_CHECK_FREEZER}'
    # By the request id the log of the API is searched.
    text = (messages.shortened(text, _LONGEST)
            or messages.shortened(answer.reason, _LONGEST) or 'no reason'
            ) + http_metrics.request_id(answer) + advice
    if said and status == 409 and code == 'run_fence_stale':
        raise StaleFence(status, text, code)
    # The API names what it refuses; without a name it was not asked. 401: it
    # cannot check our token now. 408, 429: later.
    if (not said or status >= 500 or status < 400
            or status in (401, 408, 429)):
        raise ApiUnreachable(f'{request}: {status} {text}')
    raise ApiRefused(status, text, code if isinstance(code, str) else None)


def _explained(error: ks_exceptions.ClientException) -> str:
    """Return one line about a request that had no useful answer.

    :param error: of a request to Keystone or to the Freezer API
    """
    original = getattr(error, 'original', None)
    response: requests.Response | None
    if isinstance(original, adapter.Redirected | adapter.TooLarge):
        response = original.response
        if response is not None:
            return _line(response, str(original))
    response = getattr(error, 'response', None)
    if response is not None:
        message = responses.fault(response)
        return _line(response, f'answered {response.status_code}' + (
            f': {message}' if message else f' with {_content(response)}'))
    # What the HTTP library says after that repeats it at length.
    text = str(error).partition(': HTTP')[0]
    return (f'{type(error).__name__}: '
            f'{messages.shortened(text, _LONGEST)}')


def _content(response: requests.Response) -> str:
    """Return what an answer holds, in words."""
    if not response.content:
        return 'no content'
    kind = response.headers.get('Content-Type', '').partition(';')[0]
    return f'{kind or "content of no type"} that is of no use'


def _line(response: requests.Response, what: str) -> str:
    request = response.request
    url = urllib.parse.urlsplit(request.url or '')
    login = url.path.endswith('/auth/tokens')
    # Without a user name or a query, which may be secret.
    server = url.netloc.rpartition('@')[2]
    text = f'{request.method} {url.scheme}://{server}{url.path} {what}'
    return (f'{messages.shortened(text, _LONGEST)}; '
            f'{_CHECK_KEYSTONE if login else _CHECK_FREEZER}')
