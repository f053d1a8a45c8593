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

"""A token of each kind that a real Keystone issues.

Keystone believes the web server in front of it who a federated user is. The
test stands for that web server, and says so in a header of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
import hashlib
import hmac
import secrets
import time
from typing import Any
from urllib import parse
import uuid

from keystoneclient.contrib.ec2 import utils as ec2_utils

from tools.cloud import rest

_USER_HEADER = 'X_Freezer_Test_User'


class TokenSession(rest.Session):
    """A user's authority by a token that is there already."""

    def __init__(self, token: str, project_id: str) -> None:
        self._token = token
        self.project_id = project_id


class CallerKinds:
    """Makes tokens of members of a project.

    :param admin: an administrator's session
    :param url: of Keystone
    :param role: id of the role that members have
    """

    def __init__(self, admin: rest.Session, url: str, role: str) -> None:
        self._admin = admin
        self._url = url
        self._role = role
        self._provider: str | None = None
        self._last = ''

    def owner(self, project_id: str) -> rest.Session:
        """Return a session of the member whose authority the last token has.

        It is by password.
        """
        return TokenSession(self._login(self._last, _project(project_id)),
                            project_id)

    def token(self, kind: str, project_id: str) -> rest.Session:
        """Return a session of a new member of a project.

        :param kind: name of a kind of :mod:`tools.callers`
        """
        makers: dict[str, Callable[[str], str]] = {
            'password': self._password,
            'token': self._token,
            'restricted': lambda project: self._credential(project, False),
            'unrestricted': lambda project: self._credential(project, True),
            'trust': lambda project: self._trust(project, False),
            'impersonating': lambda project: self._trust(
                project, True, 600),
            'oauth1': self._oauth1,
            'ec2': self._ec2,
            'federated': lambda project: self._federated(project, None, 0),
            'lasting group': lambda project: self._federated(
                project, self._group(project), 60),
            'group': lambda project: self._federated(
                project, self._group(project), 0),
            'admin': lambda _project: self._admin._token,
            'reader': self._reader,
            'system': self._system,
            'domain': self._domain,
            'unscoped': lambda _project: self._login(self._user(), None),
        }
        return TokenSession(makers[kind](project_id), project_id)

    def _call(self, method: str, path: str, body: Any = None,
              token: str | None = None) -> Any:
        session = self._admin if token is None else TokenSession(token, '')
        return session.call(method, self._url + path, body)

    def _issue(self, identity: dict[str, Any], scope: Any,
               **headers: str) -> str:
        auth = {'identity': identity} | ({'scope': scope} if scope else {})
        _, answer = rest.request('POST', f'{self._url}/auth/tokens',
                                 {'auth': auth}, headers)
        return str(answer['X-Subject-Token'])

    def _user(self) -> str:
        """Make a user with a password that is the name."""
        name = uuid.uuid4().hex
        self._call('POST', '/users', {'user': {
            'name': name, 'password': name, 'domain_id': 'default'}})
        return name

    def _id(self, user: str) -> str:
        return str(self._call('GET', f'/users?name={user}')['users'][0]['id'])

    def _assign(self, where: str, who: str, role: str | None = None) -> None:
        self._call('PUT', f'/{where}/{who}/roles/{role or self._role}')

    def _login(self, user: str, scope: Any) -> str:
        return self._issue({'methods': ['password'], 'password': {'user': {
            'name': user, 'password': user,
            'domain': {'id': 'default'}}}}, scope)

    def _member(self, project_id: str) -> str:
        user = self._user()
        self._assign(f'projects/{project_id}', f'users/{self._id(user)}')
        self._last = user
        return user

    def _password(self, project_id: str) -> str:
        return self._login(self._member(project_id), _project(project_id))

    def _token(self, project_id: str) -> str:
        return self._rescope(self._password(project_id), project_id)

    def _rescope(self, token: str, project_id: str) -> str:
        return self._issue({'methods': ['token'], 'token': {'id': token}},
                           _project(project_id))

    def _reader(self, project_id: str) -> str:
        user = self._user()
        [reader] = self._call('GET', '/roles?name=reader')['roles']
        self._assign(f'projects/{project_id}', f'users/{self._id(user)}',
                     reader['id'])
        return self._login(user, _project(project_id))

    def _system(self, _project_id: str) -> str:
        user = self._user()
        self._assign('system', f'users/{self._id(user)}')
        return self._login(user, {'system': {'all': True}})

    def _domain(self, _project_id: str) -> str:
        user = self._user()
        self._assign('domains/default', f'users/{self._id(user)}')
        return self._login(user, {'domain': {'id': 'default'}})

    def _credential(self, project_id: str, unrestricted: bool) -> str:
        user = self._member(project_id)
        made = self._call(
            'POST', f'/users/{self._id(user)}/application_credentials',
            {'application_credential': {
                'name': user, 'unrestricted': unrestricted}},
            self._login(user, _project(project_id)))
        return self._issue({
            'methods': ['application_credential'],
            'application_credential': {
                name: made['application_credential'][name]
                for name in ('id', 'secret')}}, None)

    def _trust(self, project_id: str, impersonation: bool,
               seconds: int | None = None) -> str:
        ends = seconds and time.strftime(
            '%Y-%m-%dT%H:%M:%S.000000Z', time.gmtime(time.time() + seconds))
        giver, caller = self._member(project_id), self._user()
        trust = self._call('POST', '/OS-TRUST/trusts', {'trust': {
            'trustor_user_id': self._id(giver),
            'trustee_user_id': self._id(caller), 'project_id': project_id,
            'impersonation': impersonation, 'expires_at': ends,
            'roles': [{'id': self._role}]}},
            self._login(giver, _project(project_id)))['trust']
        return self._login(caller, {'OS-TRUST:trust': {'id': trust['id']}})

    # -- single sign-on --

    def _group(self, project_id: str) -> str:
        """Make a group whose members are members of the project."""
        group = self._call('POST', '/groups', {'group': {
            'name': uuid.uuid4().hex, 'domain_id': 'default'}})['group']['id']
        self._assign(f'projects/{project_id}', f'groups/{group}')
        return str(group)

    def _federated(self, project_id: str, group: str | None,
                   minutes: int) -> str:
        """Log in by an identity provider, as a user it alone knows.

        :param group: what the provider says the user belongs to
        :param minutes: for which Keystone remembers that
        """
        provider, name = uuid.uuid4().hex, uuid.uuid4().hex
        self._call('PUT', f'/OS-FEDERATION/identity_providers/{provider}', {
            'identity_provider': {'enabled': True} | (
                {'authorization_ttl': minutes} if minutes else {})})
        told: list[dict[str, Any]] = [{'user': {'name': '{0}'}}]
        remote = [{'type': f'HTTP_{_USER_HEADER.upper()}'}]
        if group:
            told.append({'group': {'id': group}})
        self._call('PUT', f'/OS-FEDERATION/mappings/{provider}', {
            'mapping': {'rules': [{'local': told, 'remote': remote}]}})
        login = (f'/OS-FEDERATION/identity_providers/{provider}/protocols'
                 f'/mapped')
        self._call('PUT', login, {'protocol': {'mapping_id': provider}})
        answer, headers = rest.request(
            'GET', f'{self._url}{login}/auth', None,
            {_USER_HEADER.replace('_', '-'): name})
        if not group:
            self._assign(f'projects/{project_id}',
                         f'users/{answer["token"]["user"]["id"]}')
        return self._rescope(headers['X-Subject-Token'], project_id)

    # -- keys --

    def _ec2(self, project_id: str) -> str:
        user = self._member(project_id)
        key = self._call(
            'POST', f'/users/{self._id(user)}/credentials/OS-EC2',
            {'tenant_id': project_id},
            self._login(user, _project(project_id)))['credential']
        asked: dict[str, Any] = {
            'access': key['access'], 'host': 'ec2.example.com', 'verb': 'GET',
            'path': '/', 'params': {
                'AWSAccessKeyId': key['access'], 'SignatureVersion': '2',
                'SignatureMethod': 'HmacSHA256',
                'Timestamp': time.strftime('%Y-%m-%dT%H:%M:%SZ',
                                           time.gmtime())}}
        asked['signature'] = ec2_utils.Ec2Signer(
            key['secret']).generate(asked)
        _, answer = rest.request(
            'POST', f'{self._url}/ec2tokens', {'credentials': asked},
            {'X-Auth-Token': self._admin._token})
        return str(answer['X-Subject-Token'])

    # -- OAuth1 --

    def _oauth1(self, project_id: str) -> str:
        user = self._member(project_id)
        # Only an administrator may authorize, and be it himself.
        [admin] = self._call('GET', '/roles?name=admin')['roles']
        self._assign(f'projects/{project_id}', f'users/{self._id(user)}',
                     admin['id'])
        own = self._login(user, _project(project_id))
        consumer = self._call('POST', '/OS-OAUTH1/consumers', {
            'consumer': {'description': user}})['consumer']
        who = consumer['id'], consumer['secret']
        key, secret = self._grant('/OS-OAUTH1/request_token', who, '', '',
                                  Requested_Project_Id=project_id,
                                  oauth_callback='oob')
        verifier = self._call('PUT', f'/OS-OAUTH1/authorize/{key}', {
            'roles': [{'id': self._role}]}, own)['token']['oauth_verifier']
        key, secret = self._grant('/OS-OAUTH1/access_token', who, key, secret,
                                  oauth_verifier=verifier)
        return self._issue(
            {'methods': ['oauth1'], 'oauth1': {}}, None,
            Authorization=self._signed('/auth/tokens', who, key, secret, {}))

    def _grant(self, path: str, consumer: tuple[str, str], key: str,
               secret: str, Requested_Project_Id: str = '',
               **more: str) -> tuple[str, str]:
        headers = {'Authorization': self._signed(
            path, consumer, key, secret, more)}
        if Requested_Project_Id:
            headers['Requested-Project-Id'] = Requested_Project_Id
        answer, _ = rest.send('POST', self._url + path, None, headers)
        given = dict(parse.parse_qsl(answer.decode()))
        return given['oauth_token'], given['oauth_token_secret']

    def _signed(self, path: str, consumer: tuple[str, str], key: str,
                secret: str, more: dict[str, str]) -> str:
        """Return the header that signs a POST, as RFC 5849 has it."""
        said = {'oauth_consumer_key': consumer[0],
                'oauth_signature_method': 'HMAC-SHA1',
                'oauth_timestamp': str(int(time.time())),
                'oauth_nonce': secrets.token_hex(8), 'oauth_version': '1.0',
                **({'oauth_token': key} if key else {}), **more}
        text = '&'.join(map(_quoted, (
            'POST', self._url + path, '&'.join(
                f'{_quoted(name)}={_quoted(value)}'
                for name, value in sorted(said.items())))))
        said['oauth_signature'] = base64.b64encode(hmac.digest(
            f'{_quoted(consumer[1])}&{_quoted(secret)}'.encode(),
            text.encode(), hashlib.sha1)).decode()
        return 'OAuth ' + ', '.join(
            f'{name}="{_quoted(value)}"' for name, value in said.items())


def _quoted(text: str) -> str:
    return parse.quote(text, safe='~')


def _project(project_id: str) -> dict[str, Any]:
    return {'project': {'id': project_id}}
