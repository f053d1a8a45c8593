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

"""Whether the service can go to work: at start, and for freezer-status.

An option that cannot work keeps the API from starting. What Keystone has to
have is looked at then too; as long as Keystone is away it is looked at again
later. What is wrong there can be put right while the API runs, so that it
ends the start only where an option is to blame.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import NamedTuple
from typing import TypeVar

from keystoneauth1 import exceptions as ks_exceptions
from oslo_config import cfg
from oslo_log import log
import sqlalchemy as sa

from freezer_api import conf as configuration
from freezer_api.conf import quota
from freezer_api import crypt
from freezer_api.domain import regions
from freezer_api import policy
from freezer_api import service_account

LOG = log.getLogger(__name__)

Answer = TypeVar('Answer')

# The start waits no longer for an answer of Keystone's.
_TIMEOUT = 5
_SERVICE_TYPE = 'backup'
_IDENTITY = 'identity'
_ROLES = ('service', 'admin')


class Refused(Exception):
    """The configuration cannot work; the text names the options."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__('; '.join(problems))
        self.problems = problems


class Away(Exception):
    """Keystone cannot be asked now; the text is for the operator."""


class Finding(NamedTuple):
    """Something that has to be put right.

    :ivar option: whether an option is to blame
    """

    text: str
    option: bool = False


def of_options(conf: cfg.ConfigOpts) -> list[str]:
    """Name the options that cannot work, without asking anybody."""
    problems = configuration.problems(conf)
    if problems:
        return problems
    problems = _database(conf.database.connection)
    if unknown := policy.unknown_accepted(conf.api.accept_open_policies):
        problems.append('[api] accept_open_policies: no operation has the '
                        f'policy rule {", ".join(unknown)}')
    try:
        crypt.Crypt(conf.user_credentials['keys'])
    except crypt.CryptError as error:
        problems.append(str(error))
    problems += quota.unified_problems(conf)
    if conf.service_mode.enabled:
        problems += _roles(conf) + of_account(conf)
    return problems


def of_policies(conf: cfg.ConfigOpts) -> list[str]:
    """Name the policy rules that cannot be used, and log the risky ones."""
    try:
        enforcer = policy.Enforcer(conf)
    except policy.UNREADABLE as error:
        return ['[oslo_policy] policy_file cannot be read: '
                + ' '.join(str(error).split())]
    for warning in enforcer.warnings:
        LOG.warning('%s', warning)
    return enforcer.problems


def of_account(conf: cfg.ConfigOpts) -> list[str]:
    """Name the options of the service account that cannot work."""
    return service_account.ServiceAccount(
        conf, conf.service_mode.auth_section).problems()


def _database(url: str | None) -> list[str]:
    if not url:
        return ['[database] connection is not set']
    try:
        sa.make_url(url).get_dialect().import_dbapi()
    except sa.exc.ArgumentError:
        return ['[database] connection is not the URL of a database']
    except ImportError as error:
        return [f'[database] connection needs the module {error.name}, which '
                'is not installed']
    return []


def _roles(conf: cfg.ConfigOpts) -> list[str]:
    names = conf.service_mode.trusts_delegated_roles
    option = '[service_mode] trusts_delegated_roles'
    if not names:
        return [f'{option} is empty, so no trust can be made']
    if not all(name.strip() for name in names):
        return [f'{option} holds an empty name']
    return []


class KeystoneTest:
    """What the service needs of Keystone.

    Each method returns what is missing, None where nothing is.

    :raises Away: from each, when Keystone cannot be asked
    """

    def __init__(self, conf: cfg.ConfigOpts, timeout: int = _TIMEOUT,
                 ) -> None:
        self._conf = conf
        self._section = conf.service_mode.auth_section
        self._account = service_account.ServiceAccount(
            conf, self._section, timeout)

    @property
    def after_login(self) -> tuple[Callable[[], Finding | None], ...]:
        return (self.service_role, self.trustee, self.catalogue,
                self.delegated_roles)

    def login(self) -> Finding | None:
        try:
            self._ask(self._account.check)
        except ks_exceptions.Unauthorized:
            return Finding(f'Keystone refuses the user name or the password '
                           f'of [{self._section}]', option=True)
        return None

    def region(self) -> Finding | None:
        """Endpoints are those of one region, and not of any."""
        found = regions.problems(
            self._ask(lambda: self._account.endpoints(_IDENTITY)),
            (_IDENTITY,), regions.Choice(
                self._account.region_name, f'[{self._section}] region_name',
                self._account.interface, f'[{self._section}] interface'))
        return Finding('; '.join(found), option=True) if found else None

    def service_role(self) -> Finding | None:
        held = {role.lower() for role in self._ask(self._account.roles)}
        if held.intersection(_ROLES):
            return None
        return Finding(
            f'The account of [{self._section}] has not the role service in '
            f'its project, so it can neither check tokens nor run a central '
            f'scheduler: openstack role add')

    def trustee(self) -> Finding | None:
        if self._ask(self._account.may_be_trustee):
            return None
        return Finding(
            f'Keystone does not let the account of [{self._section}] look at '
            'the trusts that are given to it, so it cannot be a trustee')

    def catalogue(self) -> Finding | None:
        if self._ask(lambda: self._account.endpoint(_SERVICE_TYPE)):
            return None
        return Finding(
            f'Keystone\'s catalogue has no endpoint of type {_SERVICE_TYPE}, '
            'so neither schedulers nor clients find the API: openstack '
            'endpoint create')

    def delegated_roles(self) -> Finding | None:
        unknown = [
            name for name in self._conf.service_mode.trusts_delegated_roles
            if self._ask(functools.partial(
                self._account.has_role, name)) is False]
        if not unknown:
            return None
        return Finding('[service_mode] trusts_delegated_roles: Keystone has '
                       'no role ' + ', '.join(unknown), option=True)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except ks_exceptions.Unauthorized:
            raise
        except ks_exceptions.ClientException as error:
            # Its text repeats what the HTTP library says, at length.
            raise Away(f'Keystone cannot be asked with [{self._section}]: '
                       f'{type(error).__name__}') from error


class SelfTest:
    """The test of Keystone, once it can be asked."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._done = not conf.service_mode.enabled

    def start(self) -> None:
        """Test, and warn where Keystone cannot be asked.

        :raises Refused: when an option is to blame
        """
        if self._done:
            return
        try:
            found = self._test()
        except Away as error:
            LOG.warning('%s. Whether it has what the service needs is looked '
                        'at later.', error)
            return
        refused = [finding.text for finding in found if finding.option]
        if refused:
            raise Refused(refused)
        for finding in found:
            LOG.warning('%s', finding.text)

    def again(self) -> None:
        """Test, if Keystone could not be asked so far."""
        if self._done:
            return
        found = []
        try:
            found = self._test()
        except Away as error:
            LOG.warning('%s', error)
        for finding in found:
            LOG.error('%s', finding.text)

    def _test(self) -> list[Finding]:
        test = KeystoneTest(self._conf)
        # Without them nothing else can be asked.
        first = test.login() or test.region()
        found = [first] if first else [
            finding for question in test.after_login
            if (finding := question()) is not None]
        self._done = True
        return found
