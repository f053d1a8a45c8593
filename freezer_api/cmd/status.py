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

"""``freezer-status upgrade check``: whether the service can go to work."""

from __future__ import annotations

from collections.abc import Sequence
import sys

from keystoneauth1 import exceptions as ks_exceptions
from oslo_config import cfg
from oslo_upgradecheck import common_checks
from oslo_upgradecheck import upgradecheck
import sqlalchemy as sa

from freezer_api.cmd import manage
from freezer_api import conf as configuration
from freezer_api import crypt
from freezer_api.db import migration
from freezer_api import service_account


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)


class Checks(upgradecheck.UpgradeCommands):
    """What an operator has to set right before the API can be (re)started."""

    def _database(self) -> upgradecheck.Result:
        """The schema is that of this release, and its data are."""
        url = self._conf.database.connection
        if not url:
            return _failure('[database] connection is not set')
        try:
            ready = (migration.current(url) == migration.head()
                     and not migration.unfilled(url))
        except (sa.exc.SQLAlchemyError, migration.MigrationError) as error:
            return _failure('The database cannot be read: '
                            + manage.describe(error))
        if ready:
            return upgradecheck.Result(upgradecheck.Code.SUCCESS)
        return _failure(
            'The database is not up to date: run freezer-manage db sync')

    def _keys(self) -> upgradecheck.Result:
        """Trusts can be kept."""
        try:
            box = crypt.Crypt(self._conf.user_credentials['keys'])
        except crypt.CryptError as error:
            return _failure(str(error))
        if box.usable or not self._conf.service_mode.enabled:
            return upgradecheck.Result(upgradecheck.Code.SUCCESS)
        return _failure(
            '[user_credentials] keys is not set, so no job for a central '
            'client can be created: run freezer-manage credential '
            'generate-key')

    def _account(self) -> upgradecheck.Result:
        """The service can log in to Keystone."""
        section = self._conf.service_mode.auth_section
        try:
            service_account.ServiceAccount(self._conf, section).check()
        except ks_exceptions.Unauthorized:
            return _failure(f'Keystone refuses the user name or the password '
                            f'of [{section}]')
        except ks_exceptions.ClientException as error:
            return _failure(f'No login with [{section}]: '
                            + manage.describe(error))
        except cfg.Error as error:
            return _failure(str(error))
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def _roles(self) -> upgradecheck.Result:
        """Keystone knows the roles that trusts delegate."""
        names = self._conf.service_mode.trusts_delegated_roles
        if not names:
            return _failure('[service_mode] trusts_delegated_roles is empty, '
                            'so no trust can be made')
        account = service_account.ServiceAccount(
            self._conf, self._conf.service_mode.auth_section)
        try:
            unknown = [name for name in names
                       if account.has_role(name) is False]
        except (ks_exceptions.ClientException, cfg.Error):
            # The check before says what is wrong.
            unknown = []
        if unknown:
            return _failure('[service_mode] trusts_delegated_roles: Keystone '
                            'has no role ' + ', '.join(unknown))
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def _policy(self) -> upgradecheck.Result:
        """The policy file is no JSON."""
        result: upgradecheck.Result = common_checks.check_policy_json(
            self, self._conf)
        return result

    _upgrade_checks = (('Database schema', _database),
                       ('Keys for trusts', _keys),
                       ('Service account', _account),
                       ('Delegated roles', _roles),
                       ('Policy file', _policy))

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks.

    :returns: 0 when all is well, else the code of the worst result
    """
    conf = configuration.new()
    try:
        return int(upgradecheck.main(
            conf, project='freezer', upgrade_command=Checks(conf),
            argv=list(sys.argv[1:] if argv is None else argv),
            default_config_files=cfg.find_config_files(
                'freezer', 'freezer-api')))
    except cfg.Error as error:
        print(f'freezer-status: {error}', file=sys.stderr)
        return 255
