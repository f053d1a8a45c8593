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

"""Keystone: the scheduler's own session and those of the trusts.

One connection pool serves them all. A trust logs in once for each lifetime
of a token, however many backups wait for it: its session is kept, and
keystoneauth lets one thread log in while the others wait.

Keystone answers 401 to the login with a trust that is gone, to one in a
project that is disabled, and to our own password where it is wrong. So the
service asks by its own login which it was: no job may suffer for that.
"""

from __future__ import annotations

import collections
import threading
import typing

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1.identity import v3
from keystoneauth1 import session as ks_session
import requests

from freezer_api.domain import causes
from freezer_api.domain import redaction
from freezer_http import adapter
from freezer_http import answers
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler import version

_TRUSTS_KEPT = 1000


class Identity:
    """Makes sessions; nothing is asked of Keystone before one is used.

    :param http: what sends the requests of them all
    """

    def __init__(self, settings: scheduler_settings.Settings,
                 http: requests.Session | None = None,
                 trusts_kept: int | None = None) -> None:
        self._settings = settings
        self._auth = settings.auth
        # Each run may be of another user. With fewer all would log in anew
        # again and again.
        self._trusts_kept = trusts_kept or max(
            _TRUSTS_KEPT, settings.max_in_flight)
        # Read from a file, so once and not for each trust.
        self._user_agent = f'freezer-scheduler/{version.version_string()}'
        redaction.hide_trusts()
        self._http = adapter.mount(http or requests.Session(),
                                   settings.workers + 4)
        self._trusts: collections.OrderedDict[str, ks_session.Session] = (
            collections.OrderedDict())
        self._lock = threading.Lock()
        self._service: ks_session.Session | None = None

    def service(self) -> ks_session.Session:
        """Return the session of the scheduler's own project."""
        with self._lock:
            if self._service is None:
                self._service = self._own_session()
            return self._service

    def trust(self, trust_id: str) -> ks_session.Session:
        """Return the session that acts by a trust, in its project.

        The least lately used ones are forgotten.

        :param trust_id: empty in classic mode, where the own account acts
        """
        if not trust_id and not self._settings.service_mode:
            return self.service()
        with self._lock:
            session = self._trusts.pop(trust_id, None)
            if session is None:
                session = self._session(answers.Password(
                    trust_id=trust_id, **self._account()))
            self._trusts[trust_id] = session
            while len(self._trusts) > self._trusts_kept:
                self._trusts.popitem(last=False)
            return session

    def forget(self, trust_id: str) -> None:
        """Drop a trust's session, so that the next one logs in anew."""
        with self._lock:
            self._trusts.pop(trust_id, None)

    def check(self, trust_id: str | None) -> causes.Cause | None:
        """Log in with a trust, if any, unless a token of it is at hand.

        :returns: what is the matter with it; None where it works, and where
            nobody can tell now
        """
        if trust_id is None:
            return None
        try:
            self.trust(trust_id).get_token()
        except ks_exceptions.HttpError as error:
            self.forget(trust_id)
            return self.judge(trust_id, error)
        except ks_exceptions.ClientException:
            pass
        return None

    def judge(self, trust_id: str,
              error: ks_exceptions.HttpError) -> causes.Cause | None:
        """Tell why Keystone did not log us in with a trust.

        :returns: what is the matter with the trust; None where it is not to
            blame, or nobody can tell now
        """
        # A job is suspended for what is wrong with its trust. So a proxy's
        # page, of whatever status, says nothing.
        if not answers.login_refused(error):
            return None
        if error.http_status == 403:
            return causes.Cause.REFUSED
        if error.http_status not in (401, 404):
            return None
        try:
            # Not the session of the service: its token may be an old one, of
            # an account that cannot log in any more.
            answer = self._own_session().get(
                f'{identity_url(self._auth.auth_url or "")}/OS-TRUST/trusts'
                f'/{trust_id}', raise_exc=False, log=False)
        except ks_exceptions.ClientException:
            return None
        if answer.status_code == 404:
            return causes.Cause.GONE if answers.fault(answer) else None
        # It is there, and we may see it: then it is the project.
        return (causes.Cause.PROJECT_DISABLED if answer.status_code == 200
                and _trust_shown(answer) == trust_id else None)

    def _own_session(self) -> ks_session.Session:
        auth = self._auth
        if auth.application_credential_id:
            return self._session(answers.ApplicationCredential(
                identity_url(auth.auth_url or ''),
                application_credential_id=auth.application_credential_id,
                application_credential_secret=(
                    auth.application_credential_secret or '')))
        return self._session(answers.Password(
            project_id=auth.project_id,
            project_name=None if auth.project_id else auth.project_name,
            project_domain_id=auth.project_domain_id,
            project_domain_name=auth.project_domain_name,
            **self._account()))

    def _account(self) -> dict[str, typing.Any]:
        auth = self._auth
        return {'auth_url': identity_url(auth.auth_url or ''),
                'username': auth.username, 'password': auth.password,
                'user_domain_id': auth.user_domain_id,
                'user_domain_name': auth.user_domain_name}

    def _session(self, login: v3.Auth) -> ks_session.Session:
        verify: bool | str = self._auth.cacert or True
        # A redirect would carry the password to another server.
        return ks_session.Session(
            auth=login, redirect=False, session=self._http,
            verify=False if self._settings.insecure else verify,
            cert=self._auth.cert, timeout=self._settings.request_timeout,
            user_agent=self._user_agent)


def identity_url(auth_url: str) -> str:
    """Return Keystone's v3 URL for one that may lack the version."""
    url = auth_url.rstrip('/')
    url = url.removesuffix('/v2.0')
    return url if url.endswith('/v3') else url + '/v3'


def _trust_shown(answer: requests.Response) -> object:
    """Return the id of the trust that Keystone shows."""
    try:
        shown = answers.document(answer)
    except ValueError:
        return None
    trust = shown.get('trust') if isinstance(shown, dict) else None
    return trust.get('id') if isinstance(trust, dict) else None
