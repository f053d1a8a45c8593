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

"""What each kind of token may do: the table behind a test and a page.

Each kind is tried on a real Keystone, by ``tests/cloud/caller_kinds.py``.
``python -m tools.callers`` writes the page that the documentation has of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import pathlib
import textwrap

PAGE = (pathlib.Path(__file__).resolve().parents[1]
        / 'doc/source/user/callers.rst')

#: What is asked for, in this order, and what the page calls it.
REQUESTS: Mapping[str, str] = {
    'create': 'create a job of a central client',
    'take over': "change what a team mate's central job does",
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
    """A status, and the code of an error."""

    status: int
    code: str | None = None


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of token, of a member of the project where it has one.

    :ivar name: short, for the test
    :ivar what: for the page
    :ivar answers: to each of REQUESTS
    :ivar advice: what to do; empty where all of it works
    """

    name: str
    what: str
    answers: Mapping[str, Answer]
    advice: str = ''

    @property
    def delegates(self) -> bool:
        return self.answers['create'].status < 300


def _answers(trust: Answer | None, rest: Answer | None,
             ) -> dict[str, Answer]:
    """The answers to what needs a trust, and to the rest; None is yes."""
    good = {'create': 201, 'take over': 200, 'own': 201, 'list': 200,
            'delete': 204}
    return {name: (trust if name in ('create', 'take over') else rest)
            or Answer(good[name]) for name in REQUESTS}


_ALL = _answers(None, None)
_DELEGATED = _answers(Answer(403, NEEDS_OWN_TOKEN), None)
_NOTHING = _answers(Answer(403, NO_PROJECT), Answer(403, NO_PROJECT))
_LOOKING = {name: Answer(200) if name == 'list' else Answer(403, FORBIDDEN)
            for name in REQUESTS}

_OWN_TOKEN = ('Create or change the job with a token of your own: by user '
              'name and password, or by single sign-on. Once the job is '
              'there, this token can start, stop and delete it.')
_SCOPE = 'Ask for a token of the project.'

KINDS = (
    Kind('password', 'user name and password, scoped to the project', _ALL),
    Kind('token', 'a token that was got with such a token', _ALL),
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
         'and an authorization_ttl of the identity provider', _ALL,
         'The trust works until that time has passed since the last login. '
         'Log in again before, or have the role assigned to yourself.'),
    Kind('group', 'single sign-on, with the role of a mapped group only',
         _answers(Answer(422, MISSING_ROLES), None),
         'Have an administrator assign the role to yourself in the project, '
         'or set an authorization_ttl for the identity provider.'),
    Kind('admin', 'an administrator, with a token of another project',
         _answers(Answer(403, WRONG_PROJECT), None),
         'Ask for a token of the project in the URL.'),
    Kind('reader', 'a user without the role member in the project',
         _LOOKING,
         'Have the role member assigned in the project.'),
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

A job of a central client runs with a Keystone *trust*, which the service makes
with the token of whoever creates the job, or changes when or how it does what.
Keystone makes none for a token that is itself delegated. All else can be done
with any token of the project.

A cell says *yes*, or the status and the ``code`` of the error. The
``description`` of the error says what is wrong and what to do.
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
        yield f'   * - {kind.what}'
        for name in REQUESTS:
            yield f'     - {_cell(kind.answers[name])}'
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
        'as Keystone remembers the login, which is not at all unless the '
        'identity provider has an authorization_ttl. A trust needs the role '
        'whenever it is used, so for jobs that run for years the role is '
        'best assigned to the user.', 79)


def page() -> str:
    """Return the page as reStructuredText."""
    return '\n'.join(_lines()) + '\n'


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
