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

"""``freezer-status upgrade check``: checks before the start of the API."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import json
import sys

from keystoneauth1 import exceptions as ks_exceptions
from oslo_config import cfg
from oslo_upgradecheck import common_checks
from oslo_upgradecheck import upgradecheck
import sqlalchemy as sa

from freezer_api.cmd import manage
from freezer_api import conf as configuration
from freezer_api.conf import quota
from freezer_api.db.admin import upgrade
from freezer_api.db import database_clock
from freezer_api.db import schema_version
from freezer_api.keystone import preflight
from freezer_api.keystone import unified_limits
from freezer_api import option_requirements
from freezer_api.policies import enforcer as policy_enforcer
from freezer_config import errors
from freezer_config import packages


_OFF = 'not checked: [service_mode] enabled is false'
_OPTIONS_FIRST = 'not checked: options are wrong, see the check of the options'
_NO_LOGIN = ('not checked: Keystone refuses the login, see the check of the '
             'service account')


def _success(text: str | None = None) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, text)


def _warning(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.WARNING, text)


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)


def _login(test: preflight.KeystoneTest) -> preflight.Finding | None:
    return test.login()


def _is_empty(path: str) -> bool:
    """Return whether a policy file has no rules, in any format."""
    try:
        with open(path, encoding='utf-8') as file:
            return not json.load(file)
    except (OSError, ValueError):
        return False


class Checks(upgradecheck.UpgradeCommands):
    """Checks of everything that the start of the API requires."""

    _not_asked: str

    def _database(self) -> upgradecheck.Result:
        """Check that schema and data have the form of this release."""
        url = self._conf.database.connection
        if problems := option_requirements.of_database(url):
            return _failure('; '.join(problems))
        try:
            found = schema_version.read(url)
            if found.text:
                return _failure(found.text)
            if upgrade.unfilled(url):
                return _failure('The database is not up to date: run '
                                'freezer-manage db sync')
        except schema_version.LoginRefused as error:
            return _failure(
                f'[database] connection: the database refuses it: {error}. '
                'Correct user, password and name of the database')
        except (schema_version.NotAsked, sa.exc.SQLAlchemyError,
                upgrade.MigrationError) as error:
            return _failure('[database] connection: the database cannot be '
                            f'read: {manage.describe(error)}')
        return _success()

    def _unread(self) -> upgradecheck.Result:
        """Check that the files contain no unknown option."""
        if lines := configuration.unread(self._conf):
            return _warning('; '.join(lines))
        return _success()

    def _environment(self) -> upgradecheck.Result:
        """Check that no other package has modules of the same names."""
        if found := packages.conflicts():
            return _failure('; '.join(found))
        return _success()

    def _clock(self) -> upgradecheck.Result:
        """Compare the clock of the host with that of the database."""
        try:
            engine = sa.create_engine(self._conf.database.connection or '')
        except (sa.exc.SQLAlchemyError, ImportError):
            return _warning('not checked: the database is not available')
        try:
            clock = database_clock.DatabaseClock(
                engine, self._conf.scheduling.clock_tolerance)
            clock()
        finally:
            engine.dispose()
        if not clock.known:
            return _warning(
                'not checked: the database does not return its time')
        if clock.ahead:
            return _warning(
                f'The clock of this host is {abs(clock.ahead)} seconds '
                f'{"ahead of" if clock.ahead > 0 else "behind"} that of the '
                'database, which determines when jobs are due: correct it')
        return _success()

    def _options(self) -> upgradecheck.Result:
        """Check that the options allow the API to start."""
        problems = [problem for problem in preflight.of_options(self._conf)
                    if not problem.startswith('[database]')]
        if problems:
            return _failure('; '.join(problems))
        return _success()

    def _keys(self) -> upgradecheck.Result:
        """Check that there is a key to encrypt trusts with."""
        if not self._conf.service_mode.enabled:
            return _success(_OFF)
        if self._conf.user_credentials['keys']:
            return _success()
        return _failure(
            '[user_credentials] keys is not set, so no job for a central '
            'client can be created: run freezer-manage credential '
            'generate-key')

    def _account(self) -> upgradecheck.Result:
        """Check that the service account can log in to Keystone."""
        return self._keystone(_login)

    def _region(self) -> upgradecheck.Result:
        """Check that the endpoints belong to one region."""
        return self._keystone(lambda test: test.region())

    def _service_role(self) -> upgradecheck.Result:
        """Check that the account has the role that it needs."""
        return self._keystone(lambda test: test.service_role())

    def _trustee(self) -> upgradecheck.Result:
        """Check that the account can be a trustee."""
        return self._keystone(lambda test: test.trustee())

    def _catalogue(self) -> upgradecheck.Result:
        """Check that the catalogue has an endpoint of the API."""
        return self._keystone(lambda test: test.catalogue())

    def _roles(self) -> upgradecheck.Result:
        """Check that the delegated roles exist."""
        return self._keystone(lambda test: test.delegated_roles())

    def _limits(self) -> upgradecheck.Result:
        """Check that Keystone has registered limits, if they are used."""
        if not quota.is_unified(self._conf):
            return _success('not checked: the limits are those of [quota], '
                            'because [oslo_limit] is not configured')
        if quota.unified_problems(self._conf):
            return _warning(_OPTIONS_FIRST)
        try:
            missing = unified_limits.missing(
                unified_limits.Reader(self._conf).defaults())
        except unified_limits.Unavailable as error:
            return _failure(str(error))
        if missing:
            return _failure(
                'Keystone has no registered limit for ' + ', '.join(missing)
                + ' at the endpoint of [oslo_limit], which counts as a limit '
                'of 0: run openstack registered limit create')
        return _success()

    def _keystone(self, question: Callable[
            [preflight.KeystoneTest], preflight.Finding | None],
            ) -> upgradecheck.Result:
        if not self._conf.service_mode.enabled:
            return _success(_OFF)
        if self._not_asked:
            return _warning(self._not_asked)
        if preflight.of_account(self._conf):
            return _warning(_OPTIONS_FIRST)
        test = preflight.KeystoneTest(self._conf)
        try:
            finding = question(test)
        except preflight.Unavailable as error:
            self._not_asked = 'not checked: Keystone does not answer'
            return _failure(str(error))
        except ks_exceptions.Unauthorized:
            return _warning(_NO_LOGIN)
        if finding is not None:
            if question is _login:
                self._not_asked = _NO_LOGIN
            return _failure(finding.text)
        if test.untold:
            return _success('not checked: Keystone does not show this account '
                            f'whether role {", ".join(test.untold)} exists')
        return _success()

    def _policy(self) -> upgradecheck.Result:
        """Check that the policy file is not JSON, and separates projects."""
        name = self._conf.oslo_policy.policy_file
        path = self._conf.find_file(name)
        result: upgradecheck.Result = _success()
        if path is None:
            result = _success(f'not checked: there is no file {name}, so the '
                              'defaults apply')
        elif not _is_empty(path):
            # A file without rules is valid JSON and YAML.
            result = common_checks.check_policy_json(self, self._conf)
        try:
            enforcer = policy_enforcer.Enforcer(self._conf)
        except policy_enforcer.UNREADABLE as error:
            return _failure(policy_enforcer.unreadable(error))
        if enforcer.problems:
            return _failure('; '.join(enforcer.problems))
        if enforcer.warnings:
            return _warning('; '.join(enforcer.warnings))
        return result

    _upgrade_checks = (('Environment', _environment),
                       ('Database schema', _database),
                       ('Clock', _clock),
                       ('Options', _options),
                       ('Unknown options', _unread),
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
        self._not_asked = ''


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks.

    :returns: 0 if all checks succeed, else the code of the worst result
    """
    conf = configuration.new()
    checks = Checks(conf)
    upgradecheck.register_cli_options(conf, checks)
    try:
        configuration.parse(conf, sys.argv[1:] if argv is None else argv,
                            'freezer-status')
        return int(upgradecheck.run(conf))
    except cfg.Error as error:
        print(f'freezer-status: {errors.describe(error)}', file=sys.stderr)
        return 255
