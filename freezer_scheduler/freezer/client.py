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
from collections.abc import Sequence
import re
from typing import Any
from typing import NoReturn

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import identity
from keystoneauth1 import session as ks_session
import requests

from freezer_api.domain import capabilities as domain_capabilities
from freezer_http import responses
from freezer_scheduler.freezer import maintenance
from freezer_scheduler.freezer import messages
from freezer_scheduler.freezer import useless_responses
from freezer_scheduler.keystone import catalog
from freezer_scheduler.telemetry import http_metrics

_SERVICE_TYPE = 'backup'
_TITLE = 300


class ApiError(Exception):
    """Something between the scheduler and the API went wrong."""


class ApiUnreachable(ApiError):
    """No answer, or none of use: worth trying again later."""


class LoginRefused(ApiUnreachable):
    """Keystone does not know the scheduler's account, or not any more."""

    def __init__(self) -> None:
        super().__init__(
            'Keystone refuses the login of [service_auth]: correct '
            'os_username, os_password and os_user_domain_name')


class NoRoleInProject(LoginRefused):
    """Keystone knows the account, and lets it not into the project."""

    def __str__(self) -> str:
        return ('[service_auth] os_project_name: the account has no role in '
                'this project, or there is no such project: correct '
                'os_project_name and os_project_domain_name, or run '
                'openstack role add --user USER --project PROJECT service')


class ApiRefused(ApiError):
    """The API understood and said no; trying the same again is useless."""

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
    """Options do not say which endpoints of the catalogue are meant."""


class NoClaims(ApiError):
    """The API is one that knows no claims."""


class Api:
    """One project's view of the API: that of the service account.

    Methods raise ApiUnreachable when there is no useful answer, Keystone's
    included, and ApiRefused when the answer is no.

    :ivar gathers: whether it takes the reports of many runs at once
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
        auth = self._session.auth
        if not isinstance(auth, identity.BaseIdentityPlugin):
            return frozenset()
        access = self._ask_keystone(lambda: auth.get_access(self._session))
        return frozenset(role.lower() for role in access.role_names or ())

    def log_in_anew(self, renew: Callable[[], None]) -> None:
        """Have our own token renewed.

        :param renew: does it, and raises what keystoneauth raises
        """
        self._ask_keystone(renew)

    def check_catalogue(self) -> None:
        """Check that the options name endpoints, and those of one region.

        :raises CatalogueRefused: naming the options that do not
        """
        auth = self._session.auth
        if not isinstance(auth, identity.BaseIdentityPlugin):
            return
        access = self._ask_keystone(lambda: auth.get_access(self._session))
        found = catalog.problems(
            access.service_catalog, self._interface, self._region_name,
            () if self._override else (_SERVICE_TYPE,))
        if found:
            raise CatalogueRefused('; '.join(found))

    def check_claims(self) -> None:
        """Look whether the API can hand out runs.

        :raises NoClaims: when it cannot
        """
        base = self._base()
        home = re.sub(r'(/v2)/.*$', r'\1', base)
        document = self._request('GET', home, 200,
                                 headers={'Accept': 'application/json-home, '
                                                    'application/json'})
        resources = (document.get('resources')
                     if isinstance(document, dict) else None)
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
        url = self._base() + '/clients'
        answer = self._request('POST', url, 201, {
            'client_id': client_id, 'hostname': hostname,
            'is_central': central,
            'supported_actions': list(offered.actions),
            'supported_modes': list(offered.modes),
            'supported_storages': list(offered.storages),
            'supported_engines': list(offered.engines), 'claims': True})
        if not isinstance(answer, dict) or (
                answer.get('client_id') != client_id):
            raise _unusable(f'POST {url}')

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
        url = f'{self._base()}/clients/{client_id}/runs/{run_id}'
        answer = self._request(
            'PATCH', url, 200, report.to_document(self._scheduler_id, fence))
        # The run is over for us with this answer, so it has to be one.
        if not isinstance(answer, dict) or answer.get('run_id') != run_id:
            raise _unusable(f'PATCH {url}')
        return messages.event(answer.get('event'))

    def report_all(self, client_id: str, said: Sequence[dict[str, Any]],
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
        taken = answer.get('reports') if isinstance(answer, dict) else None
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
        answer = self._request('POST', url, 200, {
            'scheduler_id': self._scheduler_id, 'fence': fence,
            'job_ids': list(job_ids)})
        # By what is in there backups are deleted: it has to be an answer to
        # this question, and to all of it.
        if not isinstance(answer, dict) or answer.get('run_id') != run_id:
            raise _unusable(f'POST {url}')
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
            raise ApiUnreachable(f'{messages.shortened(url, _TITLE)} is no '
                                 f'URL; {useless_responses.FREEZER}')
        if not re.search(r'/v2(/|$)', url):
            url += '/v2'
        if url.endswith('/v2'):
            url += '/' + self.project_id()
        return url

    def _request(self, method: str, url: str, expected: int,
                 body: object = None,
                 headers: dict[str, str] | None = None) -> Any:
        """Send one request and return the answer's JSON."""
        try:
            answer = self._session.request(
                url, method, json=body, headers=headers,
                raise_exc=False, redirect=False, connect_retries=0,
                # Answers hold the ids of trusts.
                status_code_retries=0, log=False)
        except ks_exceptions.ClientException as error:
            raise _not_asked(error) from None
        if answer.status_code == expected:
            try:
                return responses.document(answer)
            except ValueError:
                raise _unusable(
                    f'{method} {url}',
                    useless_responses.content(answer)) from None
        _refuse(answer, f'{method} {url}')

    def _ask_keystone(self, question: Any) -> Any:
        try:
            return question()
        except ks_exceptions.ClientException as error:
            raise _not_asked(error) from None


def _not_asked(error: ks_exceptions.ClientException) -> ApiUnreachable:
    """Return why there is no answer, or none of Keystone to the login."""
    if (isinstance(error, ks_exceptions.Unauthorized)
            and responses.login_refused(error)):
        return LoginRefused()
    return ApiUnreachable(useless_responses.explained(error))


def _unusable(request: str, content: str = 'JSON that is of no use',
              ) -> ApiUnreachable:
    return ApiUnreachable(f'{request} answered {content}; '
                          f'{useless_responses.FREEZER}')


def _refuse(answer: requests.Response, request: str) -> NoReturn:
    text, code = '', None
    fault = responses.fault(answer)
    try:
        document = responses.document(answer)
    except ValueError:
        document = None
    said = (isinstance(document, dict)
            and isinstance(document.get('title'), str))
    if said:
        text = str(document.get('description') or document['title'])
        code = document.get('code')
    elif fault is not None:
        text = fault
    text = (messages.shortened(text, _TITLE)
            or messages.shortened(answer.reason, _TITLE) or 'no reason')
    # By it the log of the API is searched.
    text += http_metrics.request_id(answer)
    if not said and not fault:
        # A proxy, or another service, said this.
        text += f'; {useless_responses.FREEZER}'
    status = answer.status_code
    if status == 409 and code == 'run_fence_stale':
        raise StaleFence(status, text, code)
    # 401: the API cannot check our token now. 408, 429: later.
    if status >= 500 or status < 400 or status in (401, 408, 429):
        raise ApiUnreachable(f'{request}: {status} {text}')
    if not said:
        # The API names what it refuses, so it was not asked.
        raise ApiUnreachable(f'{request}: {status} {text}')
    raise ApiRefused(status, text, code if isinstance(code, str) else None)
