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

"""Check that the service can work: at its start, and for freezer-status.

The API does not start with an option that cannot work. The start also checks
Keystone; if Keystone is unavailable, the check is repeated later. A problem in
Keystone prevents the start only if an option causes it, because other problems
can be solved while the API runs.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import NamedTuple
from typing import TypeVar

from keystoneauth1 import exceptions as ks_exceptions
from oslo_config import cfg
from oslo_log import log

from freezer_api import conf as configuration
from freezer_api.conf import quota
from freezer_api.db import schema_version
from freezer_api.domain import regions
from freezer_api.keystone import crypt
from freezer_api.keystone import service_account
from freezer_api import option_requirements
from freezer_api.policies import enforcer as policy_enforcer
from freezer_config import packages

LOG = log.getLogger(__name__)

Answer = TypeVar('Answer')

# Seconds for one request to Keystone during the start.
_TIMEOUT = 5
_SERVICE_TYPE = 'backup'
_IDENTITY = 'identity'
_ROLES = ('service', 'admin')


class Refused(Exception):
    """The configuration cannot work; the text names the options."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__('; '.join(problems))
        self.problems = problems


class Unavailable(Exception):
    """Keystone cannot be reached now; the text is for the operator."""


class Finding(NamedTuple):
    """A problem that the operator must solve.

    :ivar option: whether an option causes it
    """

    text: str
    option: bool = False


def of_options(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each option that cannot work, without any request."""
    problems = configuration.problems(conf)
    if problems:
        return problems
    problems = option_requirements.problems(conf)
    if unknown := policy_enforcer.unknown_accepted(
            conf.api.accept_open_policies):
        problems.append('[api] accept_open_policies: no operation has the '
                        f'policy rule {", ".join(unknown)}: correct or remove '
                        'the name')
    try:
        crypt.Crypt(conf.user_credentials['keys'])
    except crypt.CryptError as error:
        problems.append(str(error))
    problems += quota.unified_problems(conf)
    if conf.service_mode.enabled:
        problems += _roles(conf) + of_account(conf)
    return problems


def policy_findings(conf: cfg.ConfigOpts) -> tuple[list[str], list[str]]:
    """Return a line for each unusable policy rule, and for each risky one."""
    try:
        enforcer = policy_enforcer.Enforcer(conf)
    except policy_enforcer.UNREADABLE as error:
        return ['[oslo_policy] policy_file cannot be read: '
                + ' '.join(str(error).split()) + '. Write the rules as in '
                'policy.yaml.sample, or remove the file'], []
    return enforcer.problems, enforcer.warnings


def warnings(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each problem that does not prevent the start."""
    found = configuration.unread(conf)
    if conf.service_mode.enabled and not conf.user_credentials['keys']:
        found.append(
            '[user_credentials] keys is not set, so jobs of central clients '
            'can be neither created nor changed: set it to the output of '
            'freezer-manage credential generate-key')
    return found


def _of_schema(conf: cfg.ConfigOpts) -> list[str]:
    """Return the problems of the database, and log those that can wait."""
    try:
        found = schema_version.read(conf.database.connection)
    except schema_version.LoginRefused as error:
        return [str(error)]
    except schema_version.NotAsked as error:
        LOG.warning('[database] connection: the database does not answer now: '
                    '%s. Requests are answered with 503 until it does.', error)
        return []
    if found.text and conf.api.wait_for_schema:
        LOG.warning('Requests are answered with 503, as [api] '
                    'wait_for_schema says: %s', found.text)
        return []
    return [found.text] if found.text else []


def of_account(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each unusable option of the service account."""
    return service_account.ServiceAccount(conf).problems()


def _roles(conf: cfg.ConfigOpts) -> list[str]:
    names = conf.service_mode.trusts_delegated_roles
    option = '[service_mode] trusts_delegated_roles'
    if not names:
        return [f'{option} is empty, so no trust can be made: name a role, '
                'such as member']
    if not all(name.strip() for name in names):
        return [f'{option} holds an empty name: remove a comma']
    return []


class KeystoneTest:
    """Check what the service needs in Keystone.

    Each method returns the problem that it finds, or None.

    :ivar untold: the delegated roles whose existence Keystone does not show
    :raises Unavailable: by each method, if Keystone cannot be reached
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._section = conf.service_mode.auth_section
        self._account = service_account.ServiceAccount(conf, _TIMEOUT)
        self.untold: tuple[str, ...] = ()

    def login(self) -> Finding | None:
        """Check that the service account can log in."""
        try:
            self._ask(self._account.check)
            return None
        except ks_exceptions.Unauthorized:
            section = f'[{self._account.login_section}]'
        # Distinguish wrong user credentials from a wrong project.
        try:
            known = self._ask(self._account.is_known)
        except (Unavailable, ks_exceptions.Unauthorized):
            known = False
        return Finding(
            f'{section} project_name: the account has no role in this '
            'project, or there is no such project: correct project_name and '
            'project_domain_name, or run openstack role add --user USER '
            '--project PROJECT service' if known else
            f'Keystone refuses the user name or the password of {section}: '
            'correct username, password and user_domain_name', option=True)

    def region(self) -> Finding | None:
        """Check that the endpoints belong to one region."""
        found = regions.problems(
            self._ask(lambda: self._account.endpoints(_IDENTITY)),
            (_IDENTITY,), regions.Choice(
                self._account.region_name, f'[{self._section}] region_name',
                self._account.interface, f'[{self._section}] interface'))
        return Finding('; '.join(found), option=True) if found else None

    def service_role(self) -> Finding | None:
        """Check that the account has the role that it needs."""
        held = {role.lower() for role in self._ask(self._account.roles)}
        return None if held.intersection(_ROLES) else Finding(
            f'The account of [{self._section}] does not have the role service '
            f'in its project, so it can neither check tokens nor run a '
            f'central scheduler: run openstack role add --user USER --project '
            f'PROJECT service')

    def trustee(self) -> Finding | None:
        """Check that the account can be a trustee."""
        return None if self._ask(self._account.may_be_trustee) else Finding(
            f'Keystone does not let the account of [{self._section}] list '
            'the trusts of which it is the trustee, so it cannot be a '
            'trustee: change the policy identity:list_trusts_for_trustee of '
            'Keystone')

    def catalogue(self) -> Finding | None:
        """Check that the catalogue has an endpoint of the API."""
        found = self._ask(lambda: self._account.endpoint(_SERVICE_TYPE))
        return None if found else Finding(
            f'Keystone\'s catalogue has no endpoint of type {_SERVICE_TYPE}, '
            'so neither schedulers nor clients find the API: run openstack '
            'endpoint create')

    def delegated_roles(self) -> Finding | None:
        """Check that the delegated roles exist."""
        known = {
            name: self._ask(functools.partial(self._account.has_role, name))
            for name in self._conf.service_mode.trusts_delegated_roles}
        self.untold = tuple(
            name for name, answer in known.items() if answer is None)
        unknown = [name for name, answer in known.items() if answer is False]
        return None if not unknown else Finding(
            '[service_mode] trusts_delegated_roles: Keystone has no role '
            + ', '.join(unknown) + ': correct the option, or run openstack '
            'role create', option=True)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except ks_exceptions.Unauthorized:
            raise
        except ks_exceptions.ClientException as error:
            # The text of the error is long and repeats the HTTP library's.
            raise Unavailable(
                f'Keystone cannot be asked with [{self._section}]: '
                f'{type(error).__name__}') from error


class Preflight:
    """Checks Keystone once, as soon as it can be reached."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._done = not conf.service_mode.enabled

    def start(self) -> None:
        """Check Keystone; log a warning if it cannot be reached.

        :raises Refused: if an option causes a problem
        """
        found = self._test()
        if refused := [finding.text for finding in found if finding.option]:
            raise Refused(refused)
        for finding in found:
            LOG.warning('%s', finding.text)

    def again(self) -> None:
        """Check Keystone unless a check has already been completed."""
        for finding in self._test():
            LOG.error('%s', finding.text)

    def _test(self) -> list[Finding]:
        if self._done:
            return []
        test = KeystoneTest(self._conf)
        try:
            # Without these two no other check is possible.
            first = test.login() or test.region()
            found = [first] if first else [
                finding for question in (
                    test.service_role, test.trustee, test.catalogue,
                    test.delegated_roles)
                if (finding := question()) is not None]
        except Unavailable as error:
            LOG.warning('%s. The check of Keystone is repeated later.', error)
            return []
        self._done = True
        return found


def before_start(conf: cfg.ConfigOpts, schema: bool) -> list[str]:
    """Return what prevents the start of the API, and log what does not.

    :param schema: whether the database must have the schema of this release
    """
    if problems := packages.conflicts() or of_options(conf):
        return problems
    # Log them once, and not in each worker.
    for warning in warnings(conf) if schema else ():
        LOG.warning('%s', warning)
    problems, risks = policy_findings(conf)
    for risk in risks:
        LOG.warning('%s', risk)
    if not problems and schema:
        problems = _of_schema(conf)
    if problems:
        return problems
    try:
        Preflight(conf).start()
    except Refused as error:
        return error.problems
    return []
