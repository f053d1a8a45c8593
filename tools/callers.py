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

"""The permissions of each kind of token: the tables behind tests and a page.

One table has the kinds of tokens; ``tests/cloud/caller_kinds.py`` tests each
of them on a real Keystone. The other has the requests, at least one for each
route that writes, and the token that it needs.
``tests/functional/test_authority.py`` sends every request with every kind of
token. ``python -m tools.callers`` writes the page of the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum
import pathlib
import textwrap

PAGE = (pathlib.Path(__file__).resolve().parents[1]
        / 'doc/source/user/authentication.rst')

#: The requests, in this order, and their names on the page.
REQUESTS: Mapping[str, str] = {
    'create': 'create a job of a central client',
    'take over': "change what another member's central job does",
    'own': 'create a job of a client of the project',
    'list': 'list jobs',
    'delete': 'delete the last job of a trust',
}

NEEDS_OWN_TOKEN = 'delegation_needs_own_token'
MISSING_ROLES = 'delegation_missing_roles'
WRONG_PROJECT = 'delegation_wrong_project'
NO_PROJECT = 'token_without_project'
FORBIDDEN = 'forbidden'


@dataclasses.dataclass(frozen=True)
class Answer:
    """A status, and the error code if it is an error."""

    status: int
    code: str | None = None


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of token, of a member of the project if it has a project.

    :ivar name: short name, for the test
    :ivar what: name on the page
    :ivar answers: the answer to each of REQUESTS
    :ivar advice: what to do; empty if all requests work
    """

    name: str
    what: str
    answers: Mapping[str, Answer]
    advice: str = ''

    @property
    def delegates(self) -> bool:
        return self.answers['create'].status < 300


class Needs(enum.Enum):
    """The token that a request needs, and its effect on a job's trust.

    The value is the text on the page.
    """

    TRUSTOR = 'a token that can delegate; the caller becomes the trustor'
    DELEGATING = 'a token that can delegate; the trustor stays'
    ANY = 'any token of the project'
    REDUCES = 'any token of the project: the job does less, or ends'
    SERVICE = 'the service account, or an administrator'


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that writes, and the token that it needs.

    :ivar path: below /v2/{project_id}
    :ivar case: what the request does, if one route does several things
    :ivar takes_trust: whether the job has a trust afterwards
    """

    method: str
    path: str
    case: str
    needs: Needs
    takes_trust: bool = True


_JOB = '/jobs/{job_id}'
_ACTION = '/actions/{action_id}'
_SESSION = '/sessions/{session_id}'
_MEMBER = f'{_SESSION}/jobs/{{job_id}}'
_CLIENT = '/clients/{client_id}'
_BACKUP = '/backups/{backup_id}'

CENTRAL = 'of a job of a central client'
OTHER = 'of a job of a client of the project'

#: A route that writes has a row for each of its effects on a job.
WRITES = (
    Request('POST', '/jobs', 'a job of a central client', Needs.TRUSTOR),
    Request('POST', '/jobs', 'a job of a client of the project', Needs.ANY),
    Request('PATCH', _JOB, 'other job_actions', Needs.TRUSTOR),
    Request('PATCH', _JOB, 'the same job_actions in another order',
            Needs.TRUSTOR),
    Request('PATCH', _JOB, 'another job_schedule', Needs.TRUSTOR),
    Request('PATCH', _JOB, 'an empty job_schedule', Needs.TRUSTOR),
    Request('PATCH', _JOB, 'another session_id', Needs.TRUSTOR),
    Request('PATCH', _JOB, 'client_id: from a central client to one of the '
            'project', Needs.TRUSTOR, takes_trust=False),
    Request('PATCH', _JOB, 'client_id: from a client of the project to a '
            'central one', Needs.TRUSTOR),
    Request('PATCH', _JOB, 'user_credentials {} and another job_schedule',
            Needs.TRUSTOR, takes_trust=False),
    Request('PATCH', _JOB, 'user_credentials {}, which revokes the trust',
            Needs.REDUCES),
    Request('PATCH', _JOB, 'description', Needs.ANY),
    Request('PATCH', _JOB, 'the whole document, unchanged', Needs.ANY),
    Request('PATCH', _JOB, OTHER, Needs.ANY),
    Request('POST', _JOB, 'replaces a job of a central client',
            Needs.TRUSTOR),
    Request('POST', _JOB, 'replaces it by a job of a client of the project',
            Needs.TRUSTOR, takes_trust=False),
    Request('POST', _JOB, 'replaces a job of a client of the project by a '
            'central one', Needs.TRUSTOR),
    Request('POST', _JOB, 'a new job of a central client', Needs.TRUSTOR),
    Request('POST', _JOB, 'replaces a job of a client of the project',
            Needs.ANY),
    Request('DELETE', _JOB, '', Needs.REDUCES),
    Request('POST', f'{_JOB}/event', 'start, of a job of a central client',
            Needs.DELEGATING),
    Request('POST', f'{_JOB}/event', 'start, of a job of a client of the '
            'project', Needs.ANY),
    Request('POST', f'{_JOB}/event', 'stop', Needs.REDUCES),
    Request('POST', f'{_JOB}/event', 'abort', Needs.REDUCES),
    Request('POST', '/actions', '', Needs.ANY),
    Request('PATCH', _ACTION, CENTRAL, Needs.TRUSTOR),
    Request('PATCH', _ACTION, f'{CENTRAL}: its retries', Needs.TRUSTOR),
    Request('PATCH', _ACTION, OTHER, Needs.ANY),
    Request('POST', _ACTION, f'{CENTRAL}, replaced', Needs.TRUSTOR),
    Request('POST', _ACTION, f'{OTHER}, replaced', Needs.ANY),
    Request('POST', _ACTION, 'a new action', Needs.ANY),
    Request('DELETE', _ACTION, CENTRAL, Needs.TRUSTOR),
    Request('DELETE', _ACTION, OTHER, Needs.ANY),
    Request('POST', '/sessions', '', Needs.ANY),
    Request('PATCH', _SESSION, 'the schedule, which jobs get when they are '
            'added to the session', Needs.ANY),
    Request('POST', _SESSION, 'replaces the session; its jobs keep their '
            'schedules', Needs.ANY),
    Request('DELETE', _SESSION, '', Needs.REDUCES),
    Request('POST', f'{_SESSION}/action', 'start', Needs.ANY),
    Request('POST', f'{_SESSION}/action', 'end', Needs.ANY),
    Request('PUT', _MEMBER, 'a job of a central client', Needs.TRUSTOR),
    Request('PUT', _MEMBER, 'a job that is in the session and has its '
            'schedule', Needs.ANY),
    Request('PUT', _MEMBER, 'a job of a central client that has the schedule '
            'of the session', Needs.TRUSTOR),
    Request('PUT', _MEMBER, 'a job of a client of the project', Needs.ANY),
    Request('DELETE', _MEMBER, '', Needs.REDUCES),
    Request('POST', '/clients', 'a client of the project', Needs.ANY),
    Request('DELETE', _CLIENT, 'a client of the project', Needs.ANY),
    Request('POST', f'{_CLIENT}/claims', 'a client of the project',
            Needs.ANY),
    Request('POST', f'{_CLIENT}/reports', 'a client of the project',
            Needs.ANY),
    Request('PATCH', f'{_CLIENT}/runs/{{run_id}}', 'a client of the project',
            Needs.ANY),
    Request('POST', f'{_CLIENT}/runs/{{run_id}}/jobs',
            'a client of the project', Needs.ANY),
    Request('POST', '/backups', '', Needs.ANY),
    Request('PATCH', _BACKUP, '', Needs.ANY),
    Request('DELETE', _BACKUP, '', Needs.ANY),
    Request('POST', '/maintenance', '', Needs.SERVICE),
)


def _answers(trust: Answer | None, rest: Answer | None,
             ) -> dict[str, Answer]:
    """Return the answers to requests that need a trust, and to others.

    None means yes.
    """
    good = {'create': 201, 'take over': 200, 'own': 201, 'list': 200,
            'delete': 204}
    return {name: (trust if name in ('create', 'take over') else rest)
            or Answer(good[name]) for name in REQUESTS}


_ALL = _answers(None, None)
_DELEGATED = _answers(Answer(403, NEEDS_OWN_TOKEN), None)
_NOTHING = _answers(Answer(403, NO_PROJECT), Answer(403, NO_PROJECT))
_LOOKING = {name: Answer(200) if name == 'list' else Answer(403, FORBIDDEN)
            for name in REQUESTS}

_OWN_TOKEN = ('Create, change or start the job with a token of your own: by '
              'user name and password, or by single sign-on. This token can '
              'read, describe, stop, abort and delete the job.')
_SCOPE = 'Ask for a token of the project.'

KINDS = (
    Kind('password', 'user name and password, scoped to the project', _ALL),
    Kind('token', 'a token that was obtained with such a token', _ALL),
    Kind('restricted', 'an application credential', _DELEGATED, _OWN_TOKEN),
    Kind('unrestricted', 'an application credential, unrestricted',
         _DELEGATED, _OWN_TOKEN),
    Kind('trust', 'a trust to the caller, without impersonation',
         _DELEGATED, _OWN_TOKEN),
    Kind('impersonating', 'a trust to the caller, with impersonation',
         _DELEGATED, _OWN_TOKEN),
    Kind('oauth1', 'an OAuth1 access token', _DELEGATED, _OWN_TOKEN),
    Kind('ec2', 'an EC2 credential', _DELEGATED, _OWN_TOKEN),
    Kind('federated', 'single sign-on, with a role that is assigned to the '
         'user in the project', _ALL),
    Kind('lasting group', 'single sign-on, with the role of a mapped group '
         'and an authorization_ttl', _ALL,
         'The trust works until the authorization_ttl of the identity '
         'provider has passed since the last login. '
         'Log in again before, or have the role assigned to your user.'),
    Kind('group', 'single sign-on, with the role of a mapped group only',
         _answers(Answer(422, MISSING_ROLES), None),
         'Have an administrator assign the role to your user in the project, '
         'or set an authorization_ttl for the identity provider.'),
    Kind('admin', 'an administrator, with a token of another project',
         _answers(Answer(403, WRONG_PROJECT), None),
         'Ask for a token of the project in the URL.'),
    Kind('reader', 'a user without the role member in the project',
         _LOOKING,
         'Ask for the role member in the project.'),
    Kind('system', 'a token of the system', _NOTHING, _SCOPE),
    Kind('domain', 'a token of a domain', _NOTHING, _SCOPE),
    Kind('unscoped', 'a token without a scope', _NOTHING, _SCOPE),
)

_INTRODUCTION = """\
.. Written by python -m tools.callers; tests compare the two, and try each
   token on a real Keystone.

===============
Kinds of tokens
===============

A job of a central client runs with a Keystone *trust* of its *trustor*: the
user who created the job, or who last changed what it does, or when. Keystone
makes no trust for a token that is itself delegated. Such a token can neither
create, change nor start a job of a central client, not even a job of its own
user. It can do everything else that its roles allow.

A cell shows *yes*, or the status and the ``code`` of the error. The
``description`` of the error says what is wrong and what to do.
"""

_REQUESTS = """\
Tokens by request
=================

A token *can delegate* if it is the user's own, is scoped to the project of the
job, and has the roles of ``[service_mode] trusts_delegated_roles``. *Any token
of the project* means a token with the roles that the policy of the request
requires, see :doc:`/admin/roles`. This is also enough for requests that only
read. A refused request changes nothing.

A start changes no document, but needs a token that can delegate: the run uses
the trust, which can have roles that the token lacks, and outlives the token.

A job gets the schedule of a session when you add the job to the session. A
later change of the session's schedule does not change the job.
"""


def _cell(answer: Answer) -> str:
    if answer.status < 300:
        return 'yes'
    return f'{answer.status} ``{answer.code}``'


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield '.. list-table::\n   :header-rows: 1\n   :widths: 30 ' + (
        ' '.join(['14'] * len(REQUESTS)) + '\n')
    yield '   * - Token'
    for what in REQUESTS.values():
        yield f'     - {what}'
    for kind in KINDS:
        yield textwrap.fill(kind.what, 79, initial_indent='   * - ',
                            subsequent_indent='       ')
        for name in REQUESTS:
            yield f'     - {_cell(kind.answers[name])}'
    yield ''
    yield _REQUESTS
    yield '.. list-table::\n   :header-rows: 1\n   :widths: 50 50\n'
    yield '   * - Request\n     - Token'
    for request in WRITES:
        yield f'   * - ``{request.method} {request.path}``'
        if request.case:
            yield f'\n       {request.case}\n'
        yield f'     - {request.needs.value}'
    yield ''
    yield 'What to do'
    yield '==========\n'
    told: dict[str, list[str]] = {}
    for kind in KINDS:
        if kind.advice:
            told.setdefault(kind.advice, []).append(kind.what)
    for advice, kinds in told.items():
        yield textwrap.fill(
            '; '.join(kinds), 79, initial_indent='* ',
            subsequent_indent='  ') + ':'
        yield textwrap.fill(advice, 79, initial_indent='  ',
                            subsequent_indent='  ')
    yield ''
    yield textwrap.fill(
        'A user of single sign-on has a role from a mapped group for as long '
        'as Keystone remembers the login. Keystone remembers it only if the '
        'identity provider has an authorization_ttl. A trust needs the role '
        'whenever it is used. For jobs that run for years, have the role '
        'assigned to the user.', 79)


def page() -> str:
    """Return the page as reStructuredText."""
    return '\n'.join(_lines()) + '\n'


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
