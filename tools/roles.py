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

"""The permissions of each role: the table behind a test and a page.

Each row is a request, with the answer that each persona gets in the project
of its token and in another one. The functional tests send all of them.
``python -m tools.roles`` writes the page of the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import pathlib
import textwrap

PAGE = (pathlib.Path(__file__).resolve().parents[1]
        / 'doc/source/admin/roles.rst')

#: The roles that a token of each persona has, implied ones included.
PERSONAS: Mapping[str, tuple[str, ...]] = {
    'reader': ('reader',),
    'member': ('member', 'reader'),
    'manager': ('manager', 'member', 'reader'),
    'admin': ('admin', 'manager', 'member', 'reader'),
    'service': ('service',),
    'service+member': ('service', 'member', 'reader'),
}

#: Roles of tokens of a project to which no policy rule applies.
POWERLESS: tuple[tuple[str, ...], ...] = (
    (), ('heat_stack_owner',), ('manager',))

NEVER = (403, 403)


def _who(ok: int, own: str = '', anywhere: str = '',
         ) -> dict[str, tuple[int, int]]:
    return {persona: (ok, ok) if persona in anywhere.split()
            else (ok, 403) if persona in own.split() else NEVER
            for persona in PERSONAS}


def _read(ok: int = 200) -> dict[str, tuple[int, int]]:
    return _who(ok, 'reader member manager', 'admin service service+member')


def _write(ok: int) -> dict[str, tuple[int, int]]:
    return _who(ok, 'member manager service+member', 'admin')


def _record(ok: int) -> dict[str, tuple[int, int]]:
    return _who(ok, 'member manager', 'admin service service+member')


def _service(ok: int) -> dict[str, tuple[int, int]]:
    return _who(ok, '', 'admin service service+member')


def _own_service(ok: int) -> dict[str, tuple[int, int]]:
    return _who(ok, 'service service+member', 'admin')


def _trustee(ok: int) -> dict[str, tuple[int, int]]:
    return _who(ok, 'service service+member')


_HELD = _own_service(404) | dict.fromkeys(('member', 'manager'), (404, 403))

_ALL_JOBS = {persona: (200, 200) if persona in (
    'admin', 'service', 'service+member') else (404, 403)
    for persona in PERSONAS}


@dataclasses.dataclass(frozen=True)
class Row:
    """A request, and the answer to each persona.

    :ivar path: below /v2/{project_id}
    :ivar rule: the policy that decides
    :ivar upstream: the base rule of upstream 19.0.0 for the request; empty
        if it has no such route
    :ivar answers: the status in the own project and in another one
    :ivar case: the special case that the request is; may be empty
    :ivar why: the reason of a difference from upstream; empty without one
    """

    method: str
    path: str
    rule: str
    upstream: str
    answers: Mapping[str, tuple[int, int]]
    case: str = ''
    why: str = ''

    @property
    def noun(self) -> str:
        return self.rule.partition(':')[0]


_AO = 'admin_or_owner'
_AOS = 'admin_or_owner_or_service'
_ARS = 'admin_or_reader_or_service'
_AS = 'admin_or_service'
_BOTH = 'admin_or_owner and admin_or_service'

_CLIENT = '/clients/{client_id}'
_JOB = '/jobs/{job_id}'
_ACTION = '/actions/{action_id}'
_SESSION = '/sessions/{session_id}'
_BACKUP = '/backups/{backup_id}'

CENTRAL = 'of a central client'
ABSENT = 'of a client that the project does not have'
AGAIN = 'of a central client again, without is_central'
OWN_CENTRAL = 'a central client of the project'

ROWS = (
    Row('GET', '/clients', 'clients:get_all', _ARS, _read()),
    Row('POST', '/clients', 'clients:create', _AO, _write(201)),
    Row('POST', '/clients', 'clients:create_central', _BOTH,
        _own_service(201), 'as a central client',
        'The role service is enough, so that the account of the central '
        'scheduler needs no role member. The role counts only in the project '
        'of the token, so that no other service can register in its place.'),
    Row('POST', '/clients', 'clients:create_central', _AO,
        _own_service(201), AGAIN,
        'The API checks the jobs of every project against the lists of a '
        'central client. So only a user who may register a central client '
        'may change one, with or without is_central in the request.'),
    Row('GET', _CLIENT, 'clients:get', _ARS, _read()),
    Row('DELETE', _CLIENT, 'clients:delete', _AO, _write(204)),
    Row('DELETE', _CLIENT, 'clients:create_central', _AO,
        _own_service(204), OWN_CENTRAL,
        'For the same reason.'),
    Row('DELETE', _CLIENT, 'clients:delete', '', _who(403),
        "another project's central client"),
    Row('POST', f'{_CLIENT}/claims', 'clients:claim', '', _write(200)),
    Row('POST', f'{_CLIENT}/claims', 'clients:claim_central', '',
        _trustee(200), CENTRAL),
    Row('POST', f'{_CLIENT}/claims', 'clients:claim', '', _HELD, ABSENT),
    Row('GET', '/jobs', 'jobs:get_all', _ARS, _read()),
    Row('GET', '/jobs', 'jobs:get_all_projects', _ARS, _service(200),
        'with all_projects=True',
        'A user who may not see every project gets an error, instead of the '
        'jobs of one project.'),
    Row('POST', '/jobs', 'jobs:create', _AO, _write(201)),
    Row('POST', '/jobs', 'jobs:create', _AO,
        _who(201, 'member manager admin service+member'),
        'for a central client',
        'The job runs with a trust, and a token can make trusts in its own '
        'project only. Upstream answers an administrator of another project '
        'with 500.'),
    Row('GET', _JOB, 'jobs:get', _ARS, _read()),
    Row('GET', _JOB, 'jobs:get_all_projects', _ARS, _ALL_JOBS,
        "another project's job"),
    Row('PATCH', _JOB, 'jobs:update', _AO, _write(200)),
    Row('POST', _JOB, 'jobs:create', _AO, _write(201)),
    Row('DELETE', _JOB, 'jobs:delete', _AO, _write(204)),
    Row('POST', f'{_JOB}/event', 'jobs:event:create', _AO, _write(202)),
    Row('GET', f'{_JOB}/runs', 'runs:get_all', '', _read()),
    Row('PATCH', f'{_CLIENT}/runs/{{run_id}}', 'runs:update', '',
        _write(200)),
    Row('PATCH', f'{_CLIENT}/runs/{{run_id}}', 'runs:update_central', '',
        _trustee(200), CENTRAL),
    Row('PATCH', f'{_CLIENT}/runs/{{run_id}}', 'runs:update', '', _HELD,
        ABSENT),
    Row('POST', f'{_CLIENT}/reports', 'runs:update', '', _write(200)),
    Row('POST', f'{_CLIENT}/reports', 'runs:update_central', '',
        _trustee(200), CENTRAL),
    Row('POST', f'{_CLIENT}/reports', 'runs:update', '', _HELD, ABSENT),
    Row('POST', f'{_CLIENT}/runs/{{run_id}}/jobs', 'runs:update', '',
        _write(200)),
    Row('POST', f'{_CLIENT}/runs/{{run_id}}/jobs', 'runs:update_central', '',
        _trustee(200), CENTRAL),
    Row('POST', f'{_CLIENT}/runs/{{run_id}}/jobs', 'runs:update', '', _HELD,
        ABSENT),
    Row('GET', '/actions', 'actions:get_all', _ARS, _read()),
    Row('POST', '/actions', 'actions:create', _AO, _write(201)),
    Row('GET', _ACTION, 'actions:get', _ARS, _read()),
    Row('PATCH', _ACTION, 'actions:update', _AO, _write(200)),
    Row('POST', _ACTION, 'actions:replace', _AO, _write(201)),
    Row('DELETE', _ACTION, 'actions:delete', _AO, _write(204)),
    Row('GET', '/sessions', 'sessions:get_all', _ARS, _read()),
    Row('POST', '/sessions', 'sessions:create', _AO, _write(201)),
    Row('GET', _SESSION, 'sessions:get', _ARS, _read()),
    Row('PATCH', _SESSION, 'sessions:update', _AO, _write(200)),
    Row('POST', _SESSION, 'sessions:replace', _AO, _write(201)),
    Row('DELETE', _SESSION, 'sessions:delete', _AO, _write(204)),
    Row('POST', f'{_SESSION}/action', 'sessions:action:create', _AO,
        _write(202)),
    Row('PUT', f'{_SESSION}/jobs/{{job_id}}', 'sessions:job:add', _AO,
        _write(204)),
    Row('DELETE', f'{_SESSION}/jobs/{{job_id}}', 'sessions:job:remove', _AO,
        _write(204)),
    Row('GET', '/backups', 'backups:get_all', _ARS, _read()),
    Row('POST', '/backups', 'backups:create', _AOS, _record(201)),
    Row('GET', _BACKUP, 'backups:get', _ARS, _read()),
    Row('PATCH', _BACKUP, 'backups:update', _AOS, _record(200)),
    Row('DELETE', _BACKUP, 'backups:delete', _AOS, _record(204)),
    Row('GET', '/limits', 'limits:get', _ARS, _read()),
    Row('POST', '/maintenance', 'maintenance:run', '', _service(200)),
)

#: Requests that need no role: the whole path, and the answers without a token
#: and with one of any kind.
OPEN = (('GET', '/', 300, 300), ('GET', '/v2', 401, 200),
        ('GET', '/v2/openapi.json', 200, 200))

_TITLES = {'clients': 'Clients', 'jobs': 'Jobs', 'runs': 'Runs',
           'actions': 'Actions', 'sessions': 'Sessions',
           'backups': 'Backup records', 'limits': 'Limits',
           'maintenance': 'Maintenance'}

_INTRODUCTION = """\
.. Written by python -m tools.roles; a test compares the two.

=====================
Roles and permissions
=====================

The tables show what the default policies allow each role. You can change each
rule in a policy file; the first column names the rules.

A cell shows the answer in the project of the token and, after the slash, in
another project, whose ID is in the URL: *yes*, *no* (403), or 404. A single
word applies to both.

reader
    Has only the role ``reader``.
member
    Has ``member``, which implies ``reader``. A ``manager`` is a member, too.
    If ``manager`` does not imply ``member`` in your Keystone, the role
    ``manager`` alone allows nothing.
admin
    Has ``admin``, which implies all of the roles above.
service
    The service account, with only the role ``service``: the account in the
    configuration of the API, as which the central scheduler logs in. Another
    account with that role may do the same, except for claiming and reporting
    runs of a central client. These need trusts, which only the account that
    they were made for can use. Other accounts, including administrators, get
    403.
service, member
    The same account with the role ``member`` in addition.

A token of a project with none of these roles is refused for every request. So
is a token that is scoped to a domain or to the system, whatever its roles. The
list of versions (``GET /``), the description of the API
(``GET /v2/openapi.json``) and the health check need no token. The home
document (``GET /v2``) needs a token of any kind.

Trusts are shown to their trustor, to ``admin`` and to ``service``. Process IDs
of agents are shown to the project of the client, to ``admin`` and to
``service``.
"""

_COLUMNS = ('reader', 'member', 'admin', 'service', 'service+member')


def _words(answer: tuple[int, int]) -> str:
    own, other = ('yes' if status < 300 else 'no' if status == 403
                  else str(status) for status in answer)
    return own if own == other else f'{own} / {other}'


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for noun, title in _TITLES.items():
        yield f'{title}\n{"-" * len(title)}\n'
        yield '.. list-table::\n   :header-rows: 1\n   :widths: 40 ' + (
            ' '.join(['12'] * len(_COLUMNS)) + '\n')
        yield '   * - Request and rule'
        for persona in _COLUMNS:
            yield f'     - {persona.replace("+", ", ")}'
        for row in ROWS:
            if row.noun != noun:
                continue
            yield f'   * - ``{row.method} {row.path}``'
            if row.case:
                yield f'       {row.case}'
            yield ''
            yield f'       ``{row.rule}``'
            for persona in _COLUMNS:
                yield f'     - {_words(row.answers[persona])}'
        yield ''
    yield 'Differences from Freezer 19.0.0'
    yield '-' * 31 + '\n'
    for row in ROWS:
        if row.why:
            yield f'``{row.method} {row.path}`` {row.case}'
            yield textwrap.fill(
                row.why, 79, initial_indent='    ', subsequent_indent='    ')
    yield 'Tokens of a domain or of the system'
    yield ('    Freezer 19.0.0 does not check the scope, so an administrator '
           'of one domain\n    is an administrator of the whole service.')


def page() -> str:
    """Return the page as reStructuredText."""
    return '\n'.join(_lines()) + '\n'


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
