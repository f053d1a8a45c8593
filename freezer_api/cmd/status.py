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

from collections.abc import Callable
from collections.abc import Sequence
import sys

from keystoneauth1 import exceptions as ks_exceptions
from oslo_config import cfg
from oslo_upgradecheck import common_checks
from oslo_upgradecheck import upgradecheck
import sqlalchemy as sa

from freezer_api.cmd import manage
from freezer_api import conf as configuration
from freezer_api.conf import quota
from freezer_api.db import migration
from freezer_api import policy
from freezer_api import self_test
from freezer_api import unified_limits


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)


class Checks(upgradecheck.UpgradeCommands):
    """What an operator has to set right before the API can be (re)started."""

    _away: bool

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

    def _options(self) -> upgradecheck.Result:
        """The API would start."""
        problems = [problem for problem in self_test.of_options(self._conf)
                    if not problem.startswith('[database]')]
        if problems:
            return _failure('; '.join(problems))
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def _keys(self) -> upgradecheck.Result:
        """Trusts can be kept."""
        if (self._conf.user_credentials['keys']
                or not self._conf.service_mode.enabled):
            return upgradecheck.Result(upgradecheck.Code.SUCCESS)
        return _failure(
            '[user_credentials] keys is not set, so no job for a central '
            'client can be created: run freezer-manage credential '
            'generate-key')

    def _account(self) -> upgradecheck.Result:
        """The service can log in to Keystone."""
        return self._keystone(lambda test: test.login())

    def _region(self) -> upgradecheck.Result:
        """... and finds the endpoints of one region."""
        return self._keystone(lambda test: test.region())

    def _service_role(self) -> upgradecheck.Result:
        """... and may do there what it has to."""
        return self._keystone(lambda test: test.service_role())

    def _trustee(self) -> upgradecheck.Result:
        """Trusts can be given to it."""
        return self._keystone(lambda test: test.trustee())

    def _catalogue(self) -> upgradecheck.Result:
        """Schedulers and clients find the API."""
        return self._keystone(lambda test: test.catalogue())

    def _roles(self) -> upgradecheck.Result:
        """Keystone knows the roles that trusts delegate."""
        return self._keystone(lambda test: test.delegated_roles())

    def _limits(self) -> upgradecheck.Result:
        """Keystone has the limits, where it is to have them."""
        if (not quota.is_unified(self._conf)
                or quota.unified_problems(self._conf)):
            return upgradecheck.Result(upgradecheck.Code.SUCCESS)
        try:
            missing = unified_limits.missing(
                unified_limits.Reader(self._conf).defaults())
        except unified_limits.Unavailable as error:
            return _failure(str(error))
        if missing:
            return _failure(
                'Keystone has no registered limit for ' + ', '.join(missing)
                + ' at the endpoint that [oslo_limit] names, which counts as '
                'a limit of 0: openstack registered limit create')
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def _keystone(self, question: Callable[
            [self_test.KeystoneTest], self_test.Finding | None],
            ) -> upgradecheck.Result:
        if self._away:
            return upgradecheck.Result(upgradecheck.Code.WARNING,
                                       'not checked: Keystone is away')
        # Cannot be asked: an option is to blame, and a check before says so.
        if not self_test.of_account(self._conf):
            try:
                finding = question(self_test.KeystoneTest(self._conf))
            except self_test.Away as error:
                self._away = True
                return _failure(str(error))
            except ks_exceptions.Unauthorized:
                # Likewise: that is the check of the login.
                finding = None
            if finding is not None:
                return _failure(finding.text)
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def _policy(self) -> upgradecheck.Result:
        """The policy file is no JSON, and keeps projects apart."""
        result: upgradecheck.Result = common_checks.check_policy_json(
            self, self._conf)
        try:
            enforcer = policy.Enforcer(self._conf)
        except policy.UNREADABLE as error:
            return _failure('[oslo_policy] policy_file cannot be read: '
                            + ' '.join(str(error).split()))
        if enforcer.problems:
            return _failure('; '.join(enforcer.problems))
        if enforcer.warnings:
            return upgradecheck.Result(
                upgradecheck.Code.WARNING, '; '.join(enforcer.warnings))
        return result

    _upgrade_checks = (('Database schema', _database),
                       ('Options', _options),
                       ('Keys for trusts', _keys),
                       ('Service account', _account),
                       ('Region of the endpoints', _region),
                       ('Role of the account', _service_role),
                       ('Trustee of the trusts', _trustee),
                       ('Endpoint in the catalogue', _catalogue),
                       ('Delegated roles', _roles),
                       ('Limits in Keystone', _limits),
                       ('Policy file', _policy))

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._away = False


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
