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

"""Trusts in Keystone: made with the user's token, ended by the trust itself.

Impersonation is on, since only then may a token of the trust delete it: the
service can clean up without the user and without being an administrator.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import re
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import plugin
from keystoneclient.v3 import client as ks_client
from oslo_log import log

from freezer_api.domain import redaction
from freezer_api import service_account
from freezer_http import answers

LOG = log.getLogger(__name__)

#: Additional attributes of each trust that this service makes. Keystone keeps
#: them and returns them with the trust. The first holds the id of the row in
#: this database that the trust is made for.
MARK = 'freezer_trust'
REGION = 'freezer_region'


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who asks, as Keystone told of the token.

    ``auth`` logs in with that token; ``delegated`` says why it may not give
    anything away, None when it may.
    """

    user_id: str
    project_id: str | None
    roles: Sequence[str]
    auth: plugin.BaseAuthPlugin | None
    delegated: str | None


class TrustRefused(Exception):
    """Keystone will not make this trust for this user.

    ``code`` is stable and for programs, the text is for the user.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class KeystoneAway(Exception):
    """Keystone did not answer, or not as it should."""


class NotOurs(Exception):
    """Another deployment made a trust; it is not deleted."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """A trust to the service account, as Keystone lists it.

    :ivar mark: the id that its maker put into it, None without one
    :ivar region: the region of its maker, None where none is known
    """

    trust_id: str = dataclasses.field(repr=False)
    project_id: str | None
    trustor_user_id: str
    impersonation: bool
    expires_at: str | None = None
    mark: str | None = None
    region: str | None = None


class Trusts:
    """Makes and deletes the trusts to the service account."""

    def __init__(self, account: service_account.ServiceAccount,
                 roles: Sequence[str]) -> None:
        redaction.hide_trusts()
        self._account = account
        self.roles = tuple(sorted(roles))

    def trustee_user_id(self) -> str:
        """Return the user whom all trusts are for.

        :raises KeystoneAway: when the service account cannot log in
        """
        try:
            return self._account.user_id()
        except ks_exceptions.ClientException as error:
            raise KeystoneAway('The service account cannot log in to '
                               'Keystone') from error

    def check(self, caller: Caller, project_id: str) -> None:
        """Refuse what Keystone would refuse, with words for the user.

        :raises TrustRefused: when the caller cannot delegate in the project
        """
        if caller.delegated is not None:
            raise TrustRefused(
                'delegation_needs_own_token',
                'A job of a central scheduler runs with a trust, and '
                'Keystone makes none for a token that comes from '
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
        """Make a trust from the caller to the service account.

        :param mark: an id that nothing else has; the trust bears it
        :param expires_at: when Keystone ends it, in epoch seconds
        :returns: its id, a secret
        :raises TrustRefused: when Keystone refuses
        :raises KeystoneAway: when Keystone cannot be asked
        """
        self.check(caller, project_id)
        try:
            with answers.answered('Keystone'):
                trust = self._client(caller.auth).trusts.create(
                    trustee_user=self.trustee_user_id(),
                    trustor_user=caller.user_id, project=project_id,
                    role_names=list(self.roles), impersonation=True,
                    allow_redelegation=False, expires_at=None
                    if expires_at is None
                    else datetime.datetime.fromtimestamp(
                        expires_at, datetime.UTC), **self._marks(mark))
                trust_id = _listed(trust).trust_id
        except ks_exceptions.NotFound as error:
            raise TrustRefused(
                'delegation_missing_roles',
                f'Failed to find roles {list(self.roles)} for a trust. '
                'Roles that come from an identity provider only cannot be '
                'delegated: have an administrator assign them to you in the '
                'project.') from error
        except (ks_exceptions.Forbidden,
                ks_exceptions.Unauthorized) as error:
            raise TrustRefused(
                'delegation_refused',
                'Keystone refuses to make a trust with this token.'
                ) from error
        except ks_exceptions.ClientException as error:
            raise KeystoneAway('Keystone made no trust') from error
        return trust_id

    def _marks(self, mark: str) -> dict[str, str]:
        region = self._account.region_name
        return {MARK: mark, **({REGION: region} if region else {})}

    def listed(self) -> Iterator[Listed]:
        """Yield all trusts to the service account, whoever made them.

        Keystone has no pages of trusts and heeds one filter only, so this is
        one request with a large answer: not for a request of a user.

        :raises KeystoneAway: when Keystone cannot be asked
        """
        try:
            with answers.answered('Keystone'):
                found = [_listed(trust) for trust
                         in self._client(None).trusts.list(
                             trustee_user=self.trustee_user_id())]
        except ks_exceptions.ClientException as error:
            raise KeystoneAway('Keystone lists no trusts') from error
        yield from found

    def delete_made(self, trust_id: str, mark: str) -> None:
        """Delete a trust that this service has made.

        :param mark: the id that it was made with
        :raises NotOurs: when it bears the mark of another maker
        :raises KeystoneAway: see :meth:`delete`
        """
        try:
            with answers.answered('Keystone'):
                trust = _listed(self._client(None).trusts.get(trust_id))
                if trust.trust_id != trust_id:
                    raise ValueError('it is another trust')
        except ks_exceptions.NotFound:
            return
        except ks_exceptions.ClientException as error:
            raise KeystoneAway('The service account cannot look at a '
                               'trust') from error
        region = self._account.region_name
        # Releases before this one put nothing into their trusts.
        if trust.mark not in (None, mark):
            raise NotOurs('it bears the mark of another deployment')
        if region and trust.region not in (None, region):
            raise NotOurs(f'it was made in region {trust.region}')
        self.delete(trust_id)

    def delete(self, trust_id: str) -> None:
        """Delete a trust; one that is gone already is fine.

        :raises KeystoneAway: when it could not be deleted now: Keystone is
            away, or refuses the trust until the trustor is enabled and has
            the delegated roles again
        """
        try:
            session = self._account.by_trust(trust_id)
            with answers.answered('Keystone'):
                ks_client.Client(
                    session=session,
                    endpoint_override=self._account.identity_url()
                    ).trusts.delete(trust_id)
        except ks_exceptions.NotFound:
            return
        except ks_exceptions.Unauthorized as error:
            # Of a trust that is gone, of one in a project that is disabled,
            # and of a wrong password of ours.
            self._check_gone(trust_id, error)
        except ks_exceptions.ClientException as error:
            raise KeystoneAway('Keystone did not delete a trust') from error

    def _check_gone(self, trust_id: str, cause: Exception) -> None:
        try:
            with answers.answered('Keystone'):
                self._client(None).trusts.get(trust_id)
        except ks_exceptions.NotFound:
            return
        except ks_exceptions.ClientException:
            raise KeystoneAway('The service account cannot look at a '
                               'trust') from cause
        raise KeystoneAway('The project of a trust is disabled') from cause

    def _client(self, auth: plugin.BaseAuthPlugin | None) -> Any:
        return ks_client.Client(
            session=self._account.session(auth),
            endpoint_override=self._account.identity_url())


def _listed(trust: Any) -> Listed:
    """Read a trust of Keystone's; what is no text is no mark."""
    # Not by attribute: for one that is missing it would be asked for again.
    found = trust.to_dict()
    # It becomes a part of URLs.
    if not re.fullmatch(r'[\w-]{1,255}', found['id'], re.ASCII):
        raise ValueError('the id of a trust is none')

    def text(name: str) -> str | None:
        value = found.get(name)
        return value if isinstance(value, str) else None

    return Listed(
        trust_id=found['id'], project_id=text('project_id'),
        trustor_user_id=text('trustor_user_id') or '',
        impersonation=found.get('impersonation') is True,
        expires_at=text('expires_at'), mark=text(MARK), region=text(REGION))
