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

All sessions share one connection pool. The session of a trust is kept, so
there is one login for each lifetime of a token, however many backups need it.
In service mode no session of a trust logs in by itself, because Keystone may
hang for one of them: :mod:`freezer_scheduler.keystone.logins` calls
:meth:`Identity.log_in` in threads of its own. Otherwise keystoneauth logs in
on demand.

Keystone answers 401 to a login with a deleted trust, to one in a disabled
project, and to a wrong password of the service account. A further request with
the account's own login tells them apart: a wrong password must not suspend
jobs.
"""

from __future__ import annotations

import threading
import typing

import cachetools
from keystoneauth1 import access as ks_access
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1.identity import v3
from keystoneauth1 import session as ks_session
import requests

from freezer_api.domain import redaction
from freezer_api.domain import trust_errors
from freezer_http import adapter
from freezer_http import responses
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.keystone import tokens
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler import version

_TRUSTS_KEPT = 1000

# Seconds between two logins that failed: the first ones, most.
_FIRST_RETRY, _LONGEST_RETRY = 2.0, 10.0

# Seconds within which a second token that is refused is the trust's fault.
_REFUSED_AGAIN = 120

# Part of the life of our own token that is left when it is renewed.
_RENEWED_AT = 0.5


class Identity:
    """Makes sessions; the first use of a session sends the first request.

    :param http: sends the requests of all sessions
    :param trusts_kept: number of sessions of trusts to keep
    :param deferred: whether only :meth:`log_in` logs in with trusts
    """

    def __init__(self, settings: scheduler_settings.Settings,
                 http: requests.Session | None = None,
                 trusts_kept: int | None = None, deferred: bool = False,
                 clock: scheduler_clock.Clock | None = None) -> None:
        self._settings = settings
        self._deferred = deferred
        self._clock = clock or scheduler_clock.SystemClock()
        self._auth = settings.auth
        self._url = identity_url(settings.auth.auth_url or '')
        # Each run may be of another user. With fewer sessions each run would
        # log in again.
        kept = trusts_kept or max(_TRUSTS_KEPT, settings.max_in_flight)
        self._trusts: cachetools.LRUCache[str, tokens.TrustToken] = (
            cachetools.LRUCache(kept))
        # Trusts whose tokens were refused before they expired.
        self._refused: cachetools.TTLCache[str, bool] = cachetools.TTLCache(
            kept, _REFUSED_AGAIN, self._clock.monotonic)
        # The version is read from a file: once, not for each trust.
        self._user_agent = f'freezer-scheduler/{version.version_string()}'
        redaction.hide_trusts()
        self._http = adapter.mount(http or requests.Session(),
                                   settings.workers + 4)
        self._lock = threading.Lock()
        self._service = self._own_session()

    def service(self) -> ks_session.Session:
        """Return the session of the scheduler's own project."""
        return self._service

    def trust(self, trust_id: str) -> ks_session.Session:
        """Return the session that acts with a trust, in its project.

        The least recently used sessions are dropped.

        :param trust_id: empty in classic mode, which uses the own account
        """
        if not trust_id and not self._settings.service_mode:
            return self.service()
        return self._known(trust_id).session

    def _known(self, trust_id: str) -> tokens.TrustToken:
        with self._lock:
            known = self._trusts.get(trust_id)
            if known is None:
                kind = (tokens.Deferred if self._deferred
                        else responses.Password)
                login = kind(trust_id=trust_id, **self._account())
                known = tokens.TrustToken(self._session(login), login)
                self._trusts[trust_id] = known
            return known

    def is_known(self) -> bool:
        """Return whether Keystone accepts the account without its project.

        Keystone refuses a login alike for a wrong password and for a project
        in which the account has no role.
        """
        if self._auth.application_credential_id:
            return False
        try:
            return bool(self._session(responses.Password(
                unscoped=True, **self._account())).get_token())
        except ks_exceptions.ClientException:
            return False

    def forget(self, trust_id: str) -> None:
        """Drop the session of a trust, so that the next one logs in again."""
        with self._lock:
            self._trusts.pop(trust_id, None)

    def token(self, trust_id: str, submits: bool = False) -> tokens.Token:
        """Return the state of the token of a trust.

        :param submits: whether Cinder may use the token for hours, so that
            a part of its life must remain
        """
        known, now = self._known(trust_id), self._clock.monotonic()
        part = self._settings.token_part if submits else 0
        if known.left(now) > 0 and known.fresh(now, part):
            return tokens.Token.READY
        return (tokens.Token.FAILED if known.failure is not None
                and now < known.retry_at else tokens.Token.DUE)

    def retry_in(self, trust_id: str) -> float:
        """Return the seconds until a failed login is retried.

        :returns: 0 if the trust has a valid token
        """
        known, now = self._known(trust_id), self._clock.monotonic()
        return (0 if known.failure is None or known.left(now) > 0
                else max(0.0, known.retry_at - now))

    def log_in(self, trust_id: str) -> None:
        """Log in with a trust; this takes up to the time of a request.

        :meth:`token` and the sessions show the result. After any error the
        state is a failed login.
        """
        known, asked = self._known(trust_id), self._clock.monotonic()
        access: ks_access.AccessInfo | None = None
        failure: tokens.LoginFailed | None = tokens.LoginFailed(
            'an error in the scheduler while logging in; its log has the '
            'details')
        try:
            access = known.login.get_auth_ref(known.session)
            failure = None
        except ks_exceptions.HttpError as error:
            failure = tokens.LoginFailed(
                f'Keystone answered {error.http_status}',
                self.judge(trust_id, error))
        except ks_exceptions.ClientException as error:
            failure = tokens.LoginFailed(
                f'Keystone gave no answer of use ({_name(error)})')
        finally:
            self._logged_in(known, asked, access, failure)

    def _logged_in(self, known: tokens.TrustToken, asked: float,
                   access: ks_access.AccessInfo | None,
                   failure: tokens.LoginFailed | None) -> None:
        """Store the result of a login.

        :param asked: when the login began, in monotonic seconds
        """
        now = self._clock.monotonic()
        with self._lock:
            known.failure = failure
            if access is not None:
                known.login.auth_ref = access
                known.asked, known.received = asked, now
                known.life = tokens.life(access, self._clock.wall())
                known.failures = 0
                return
            known.failures += 1
            # A slow login takes at most half of the time.
            known.retry_at = now + max(now - asked, min(
                _FIRST_RETRY * 2 ** min(known.failures, 8), _LONGEST_RETRY))
            if failure is not None and failure.cause is not None:
                known.login.auth_ref = None

    def usable(self, trust_id: str, submits: bool) -> None:
        """Make sure that a trust has a token.

        :param submits: see :meth:`token`
        :raises freezer_scheduler.keystone.tokens.LoginFailed: if it has no
            token, or none that lasts long enough
        :raises keystoneauth1.exceptions.ClientException: if the session logs
            in by itself and fails
        """
        if not self._deferred:
            session = self.trust(trust_id)
            if submits:
                self._renew(session, self._settings.token_part)
            session.get_token()
            return
        state = self.token(trust_id, submits)
        if state is tokens.Token.READY:
            return
        failure = self._known(trust_id).failure
        if state is tokens.Token.FAILED and failure is not None:
            raise tokens.LoginFailed(str(failure), failure.cause)
        raise tokens.LoginFailed('waits for a login at Keystone')

    def refused(self, trust_id: str) -> bool:
        """Forget a token that is refused before its end.

        :returns: whether that is not the first one
        """
        self.forget(trust_id)
        if not self._deferred:
            # The session has already logged in again.
            return True
        with self._lock:
            before = self._refused.get(trust_id, False)
            self._refused[trust_id] = True
        return before

    def renew(self) -> None:
        """Log in again if half of the life of our own token has passed.

        Other threads use the old token meanwhile, so that no renewal of
        leases waits for a login.

        :raises keystoneauth1.exceptions.ClientException: if the login fails
        """
        self._renew(self.service(), _RENEWED_AT)

    def _renew(self, session: ks_session.Session, part: float) -> None:
        """Log in again if less than this part of a token's life remains."""
        login, wall = session.auth, self._clock.wall()
        if not isinstance(login, v3.Auth) or login.auth_ref is None:
            return
        access = login.auth_ref
        if tokens.left(access, wall) < part * tokens.life(access, wall):
            login.auth_ref = login.get_auth_ref(session)

    def check(self, trust_id: str | None) -> trust_errors.Cause | None:
        """Log in with a trust, if any, unless it has a valid token.

        :returns: what is wrong with the trust; None if it works or if that
            is unknown
        """
        if trust_id is None:
            return None
        try:
            self.usable(trust_id, submits=False)
        except tokens.LoginFailed as error:
            return error.cause
        except ks_exceptions.HttpError as error:
            self.forget(trust_id)
            return self.judge(trust_id, error)
        except ks_exceptions.ClientException:
            pass
        return None

    def judge(self, trust_id: str,
              error: ks_exceptions.HttpError) -> trust_errors.Cause | None:
        """Return why Keystone refused a login with a trust.

        :returns: what is wrong with the trust; None if the trust is not the
            reason, or if that is unknown
        """
        # The result can suspend a job. So a page of a proxy, with any status,
        # does not count.
        if not responses.login_refused(error):
            return None
        if error.http_status == 403:
            return trust_errors.Cause.REFUSED
        if error.http_status not in (401, 404):
            return None
        try:
            # Not with the session of the service: its token may be old, and
            # its account no longer able to log in.
            answer = self._own_session().get(
                f'{self._url}/OS-TRUST/trusts/{trust_id}', raise_exc=False,
                log=False)
        except ks_exceptions.ClientException:
            return None
        if answer.status_code == 404:
            return trust_errors.Cause.GONE if responses.fault(answer) else None
        trust = responses.json_object(answer).get('trust')
        # The trust exists and is visible: the project must be the cause.
        return (trust_errors.Cause.PROJECT_DISABLED
                if answer.status_code == 200 and isinstance(trust, dict)
                and trust.get('id') == trust_id else None)

    def _own_session(self) -> ks_session.Session:
        auth = self._auth
        if auth.application_credential_id:
            return self._session(responses.ApplicationCredential(
                self._url,
                application_credential_id=auth.application_credential_id,
                application_credential_secret=(
                    auth.application_credential_secret or '')))
        return self._session(responses.Password(
            project_id=auth.project_id,
            project_name=None if auth.project_id else auth.project_name,
            project_domain_id=auth.project_domain_id,
            project_domain_name=auth.project_domain_name,
            **self._account()))

    def _account(self) -> dict[str, typing.Any]:
        auth = self._auth
        return {'auth_url': self._url,
                'username': auth.username, 'password': auth.password,
                'user_domain_id': auth.user_domain_id,
                'user_domain_name': auth.user_domain_name}

    def _session(self, login: v3.Auth) -> ks_session.Session:
        verify: bool | str = self._auth.cacert or True
        # A redirect would send the password to another server.
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


def _name(error: ks_exceptions.ClientException) -> str:
    """Return the name of the original error, which keystoneauth hides."""
    return type(error.__context__ or error).__name__
