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

"""Trusts in Keystone: created with the user's token, deleted by the trust.

Impersonation is on, because only then can a token of the trust delete it: the
service cleans up without the user and without an administrator's rights.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import re
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import plugin
from keystoneclient.v3 import client as ks_client
from oslo_config import cfg
from oslo_log import log

from freezer_api.domain import redaction
from freezer_api import errors
from freezer_api.keystone import service_account
from freezer_http import responses

LOG = log.getLogger(__name__)

#: Additional attributes of each trust that this service creates. Keystone
#: stores them and returns them with the trust. MARK has the ID of the row in
#: this database that the trust is created for.
MARK = 'freezer_trust'
REGION = 'freezer_region'

_UNREADABLE = 'The service account cannot read a trust'


@dataclasses.dataclass(frozen=True)
class Caller:
    """The user of a request, as the token describes it.

    :ivar auth: logs in with that token
    :ivar delegated: why the token cannot create a trust; None if it can
    """

    user_id: str
    project_id: str | None
    roles: Sequence[str]
    auth: plugin.BaseAuthPlugin | None
    delegated: str | None


class TrustRefused(errors.ApiError):
    """Keystone does not create this trust for this user."""


class KeystoneUnavailable(Exception):
    """Keystone did not answer, or not as documented."""


class NotOurs(Exception):
    """A trust of another deployment, which is not deleted."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """A trust to the service account, as Keystone lists it.

    :ivar expires_at: time as Keystone writes it, None for a trust that does
        not expire
    :ivar mark: the ID that its creator put into it, if any
    :ivar region: the region of its creator, if known
    """

    trust_id: str = dataclasses.field(repr=False)
    project_id: str | None
    trustor_user_id: str
    impersonation: bool
    expires_at: str | None = None
    mark: str | None = None
    region: str | None = None


@contextlib.contextmanager
def _asking(failure: str,
            *passed: type[ks_exceptions.ClientException]) -> Iterator[None]:
    """Send requests to Keystone.

    :param failure: the text of the error if they fail
    :param passed: errors of keystoneauth that are raised as they are
    """
    try:
        with responses.answered('Keystone'):
            yield
    except passed:
        raise
    except ks_exceptions.ClientException as error:
        raise KeystoneUnavailable(failure) from error


class Trusts:
    """Creates and deletes the trusts to the service account."""

    def __init__(self, account: service_account.ServiceAccount,
                 roles: Sequence[str]) -> None:
        redaction.hide_trusts()
        self._account = account
        self.roles = tuple(sorted(roles))

    def trustee_user_id(self) -> str:
        """Return the ID of the user who is the trustee of all trusts.

        :raises KeystoneUnavailable: if the service account cannot log in
        """
        with _asking('The service account cannot log in to Keystone'):
            return self._account.user_id()

    def check(self, caller: Caller, project_id: str) -> None:
        """Refuse a trust that Keystone would refuse, with a better text.

        :raises TrustRefused: if the caller cannot delegate in the project
        """
        if caller.delegated is not None:
            raise TrustRefused(
                'delegation_needs_own_token',
                'A job of a central scheduler runs with a trust, and '
                'Keystone creates none for a token that comes from '
                f'{caller.delegated}. Create, change or start the job with '
                'a token of your own: log in with user name and password, '
                'or by single sign-on.')
        if caller.project_id != project_id:
            raise TrustRefused(
                'delegation_wrong_project',
                'A job of a central scheduler runs with the authority of the '
                'user who creates or changes it, in the project that the '
                'token is scoped to. Use a token of project '
                f'{project_id}.')
        held = {role.lower() for role in caller.roles}
        missing = [role for role in self.roles if role.lower() not in held]
        if missing:
            raise TrustRefused(
                'delegation_missing_roles',
                f'Failed to find roles {missing}: they are delegated to the '
                'central scheduler, so the user must hold them in the '
                'project.')

    def create(self, caller: Caller, project_id: str, mark: str,
               expires_at: int | None = None) -> str:
        """Create a trust from the caller to the service account.

        :param mark: a unique ID, stored in the trust
        :param expires_at: expiry time in epoch seconds; None: never
        :returns: the ID of the trust, a secret
        :raises TrustRefused: if Keystone refuses the trust
        :raises KeystoneUnavailable: if Keystone cannot be reached
        """
        self.check(caller, project_id)
        region = self._account.region_name
        try:
            with _asking('Keystone did not create a trust',
                         ks_exceptions.NotFound, ks_exceptions.Forbidden,
                         ks_exceptions.Unauthorized):
                trust = self._client(caller.auth).trusts.create(
                    trustee_user=self.trustee_user_id(),
                    trustor_user=caller.user_id, project=project_id,
                    role_names=list(self.roles), impersonation=True,
                    allow_redelegation=False, expires_at=None
                    if expires_at is None
                    else datetime.datetime.fromtimestamp(
                        expires_at, datetime.UTC),
                    **{MARK: mark, **({REGION: region} if region else {})})
                return _listed(trust).trust_id
        except ks_exceptions.NotFound as error:
            raise TrustRefused(
                'delegation_missing_roles',
                f'Failed to find roles {list(self.roles)} for a trust. '
                'Roles that come only from an identity provider cannot be '
                'delegated: ask an administrator to assign them to you in the '
                'project.') from error
        except (ks_exceptions.Forbidden,
                ks_exceptions.Unauthorized) as error:
            raise TrustRefused(
                'delegation_refused',
                'Keystone refuses to create a trust with this token.'
                ) from error

    def listed(self) -> Iterator[Listed]:
        """Yield all trusts to the service account, from any deployment.

        Keystone has no pages of trusts and only one filter, so this is one
        request with a large answer: do not use it in a request of a user.

        :raises KeystoneUnavailable: if Keystone cannot be reached
        """
        with _asking('Keystone did not list the trusts'):
            found = [_listed(trust) for trust in self._client().trusts.list(
                trustee_user=self.trustee_user_id())]
        yield from found

    def delete_made(self, trust_id: str, mark: str) -> None:
        """Delete a trust that this service created.

        :param mark: the ID that it was created with
        :raises NotOurs: if the trust has the mark of another deployment
        :raises KeystoneUnavailable: see :meth:`delete`
        """
        try:
            with _asking(_UNREADABLE, ks_exceptions.NotFound):
                trust = _listed(self._client().trusts.get(trust_id))
                if trust.trust_id != trust_id:
                    raise ValueError('the answer is another trust')
        except ks_exceptions.NotFound:
            return
        region = self._account.region_name
        # Earlier releases put no mark into their trusts.
        if trust.mark not in (None, mark):
            raise NotOurs('it has the mark of another deployment')
        if region and trust.region not in (None, region):
            raise NotOurs(f'it was created in region {trust.region}')
        self.delete(trust_id)

    def delete(self, trust_id: str) -> None:
        """Delete a trust; a deleted trust is no error.

        :raises KeystoneUnavailable: if it could not be deleted now: Keystone
            is unavailable, or refuses the trust until the trustor is enabled
            and has the delegated roles again
        """
        try:
            session = self._account.by_trust(trust_id)
            with responses.answered('Keystone'):
                ks_client.Client(
                    session=session,
                    endpoint_override=self._account.identity_url()
                    ).trusts.delete(trust_id)
        except ks_exceptions.NotFound:
            return
        except ks_exceptions.Unauthorized as error:
            # Keystone answers 401 for a deleted trust, for one in a disabled
            # project, and for a wrong password of the account.
            try:
                with _asking(_UNREADABLE, ks_exceptions.NotFound):
                    self._client().trusts.get(trust_id)
            except ks_exceptions.NotFound:
                return
            raise KeystoneUnavailable(
                'The project of a trust is disabled') from error
        except ks_exceptions.ClientException as error:
            raise KeystoneUnavailable(
                'Keystone did not delete a trust') from error

    def _client(self, auth: plugin.BaseAuthPlugin | None = None) -> Any:
        return ks_client.Client(
            session=self._account.session(auth),
            endpoint_override=self._account.identity_url())


def configured(conf: cfg.ConfigOpts) -> Trusts:
    """Return the trusts to the account of the configuration."""
    return Trusts(service_account.ServiceAccount(conf),
                  conf.service_mode.trusts_delegated_roles)


def _listed(trust: Any) -> Listed:
    """Read a trust of Keystone; a mark that is not text is ignored."""
    # Use the document: keystoneclient requests a missing attribute again.
    found = trust.to_dict()
    # The ID becomes a part of URLs.
    if not re.fullmatch(r'[\w-]{1,255}', found['id'], re.ASCII):
        raise ValueError('the id of a trust is invalid')

    def text(name: str) -> str | None:
        value = found.get(name)
        return value if isinstance(value, str) else None

    return Listed(
        trust_id=found['id'], project_id=text('project_id'),
        trustor_user_id=text('trustor_user_id') or '',
        impersonation=found.get('impersonation') is True,
        expires_at=text('expires_at'), mark=text(MARK), region=text(REGION))
