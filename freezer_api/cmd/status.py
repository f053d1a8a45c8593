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

from freezer_api.cmd import command
from freezer_api.cmd import manage
from freezer_api import conf as configuration
from freezer_api.conf import quota
from freezer_api.db.admin import upgrade
from freezer_api.db import database_clock
from freezer_api.db import schema_version
from freezer_api.db import search_index
from freezer_api.keystone import preflight
from freezer_api.keystone import unified_limits
from freezer_api import option_requirements
from freezer_config import errors
from freezer_config import packages

_OFF = 'not checked: [service_mode] enabled is false'
_OPTIONS_FIRST = 'not checked: options are wrong, see the check of the options'
_NO_LOGIN = ('not checked: Keystone refuses the login, see the check of the '
             'service account')

Question = Callable[[preflight.KeystoneTest], preflight.Finding | None]


def _result(problems: Sequence[str], warnings: Sequence[str] = (),
            details: str | None = None) -> upgradecheck.Result:
    """Return a failure if there are problems, a warning, or a success."""
    for code, lines in ((upgradecheck.Code.FAILURE, problems),
                        (upgradecheck.Code.WARNING, warnings)):
        if lines:
            return upgradecheck.Result(code, '; '.join(lines))
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, details)


def _is_empty(path: str) -> bool:
    """Return whether a policy file has no rules, in any format."""
    try:
        with open(path, encoding='utf-8') as file:
            return not json.load(file)
    except (OSError, ValueError):
        return False


class Checks(upgradecheck.UpgradeCommands):
    """Checks of everything that the start of the API requires.

    :param conf: all options of the API; its files may be read later
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        # Why no further question to Keystone is of use.
        self._not_asked = ''

    def _environment(self) -> upgradecheck.Result:
        """Check that no other package has modules of the same names."""
        return _result(packages.conflicts())

    def _database(self) -> upgradecheck.Result:
        """Check that schema and data have the form of this release."""
        url = self._conf.database.connection
        if problems := option_requirements.of_database(url):
            return _result(problems)
        try:
            text = schema_version.read(url).text
            if not text:
                with upgrade.reading(url) as connection:
                    if search_index.missing(connection):
                        text = ('The database is not up to date: run '
                                'freezer-manage db sync')
        except schema_version.LoginRefused as error:
            text = str(error)
        except (schema_version.NotAsked, sa.exc.SQLAlchemyError,
                upgrade.MigrationError) as error:
            text = ('[database] connection: the database cannot be read: '
                    f'{manage.describe(error)}')
        return _result([text] if text else [])

    def _clock(self) -> upgradecheck.Result:
        """Compare the clock of the host with that of the database."""
        try:
            engine = sa.create_engine(self._conf.database.connection or '')
        except (sa.exc.SQLAlchemyError, ImportError):
            return _result((), ['not checked: the database is not available'])
        try:
            clock = database_clock.DatabaseClock(
                engine, self._conf.scheduling.clock_tolerance)
            clock()
        finally:
            engine.dispose()
        warnings = []
        if not clock.known:
            warnings = ['not checked: the database does not return its time']
        elif clock.ahead:
            warnings = [
                f'The clock of this host is {abs(clock.ahead)} seconds '
                f'{"ahead of" if clock.ahead > 0 else "behind"} that of the '
                'database, which determines when jobs are due: correct it']
        return _result((), warnings)

    def _options(self) -> upgradecheck.Result:
        """Check that the options allow the API to start."""
        return _result([problem for problem
                        in preflight.of_options(self._conf)
                        if not problem.startswith('[database]')])

    def _unread(self) -> upgradecheck.Result:
        """Check that the files contain no unknown option."""
        return _result((), configuration.unread(self._conf))

    def _keys(self) -> upgradecheck.Result:
        """Check that there is a key to encrypt trusts with."""
        if not self._conf.service_mode.enabled:
            return _result((), details=_OFF)
        return _result([] if self._conf.user_credentials['keys'] else [
            '[user_credentials] keys is not set, so no job for a central '
            'client can be created: run freezer-manage credential '
            'generate-key'])

    def _keystone(self, question: Question) -> upgradecheck.Result:
        """Check one thing that the service needs in Keystone."""
        if not self._conf.service_mode.enabled:
            return _result((), details=_OFF)
        if self._not_asked:
            return _result((), [self._not_asked])
        if preflight.of_account(self._conf):
            return _result((), [_OPTIONS_FIRST])
        test = preflight.KeystoneTest(self._conf)
        try:
            finding = question(test)
        except preflight.Unavailable as error:
            self._not_asked = 'not checked: Keystone does not answer'
            return _result([str(error)])
        except ks_exceptions.Unauthorized:
            return _result((), [_NO_LOGIN])
        if finding is not None:
            if question is preflight.KeystoneTest.login:
                self._not_asked = _NO_LOGIN
            return _result([finding.text])
        return _result((), details=(
            'not checked: Keystone does not show this account whether role '
            f'{", ".join(test.untold)} exists') if test.untold else None)

    def _limits(self) -> upgradecheck.Result:
        """Check that Keystone has registered limits, if they are used."""
        if not quota.is_unified(self._conf):
            return _result((), details=(
                'not checked: the limits are those of [quota], because '
                '[oslo_limit] is not configured'))
        if quota.unified_problems(self._conf):
            return _result((), [_OPTIONS_FIRST])
        try:
            missing = unified_limits.missing(
                unified_limits.Reader(self._conf).defaults())
        except unified_limits.Unavailable as error:
            return _result([str(error)])
        return _result([
            'Keystone has no registered limit for ' + ', '.join(missing)
            + ' at the endpoint of [oslo_limit], which counts as a limit '
            'of 0: run openstack registered limit create'] if missing else [])

    def _policy(self) -> upgradecheck.Result:
        """Check that the policy file is not JSON, and separates projects."""
        problems, warnings = preflight.policy_findings(self._conf)
        name = self._conf.oslo_policy.policy_file
        path = self._conf.find_file(name)
        if problems or warnings:
            return _result(problems, warnings)
        if path is None:
            return _result((), details=f'not checked: there is no file {name},'
                                       ' so the defaults apply')
        # A file without rules is valid JSON and YAML.
        return _result(()) if _is_empty(path) else (
            common_checks.check_policy_json(self, self._conf))

    _upgrade_checks = (
        ('Environment', _environment),
        ('Database schema', _database),
        ('Clock', _clock),
        ('Options', _options),
        ('Unknown options', _unread),
        ('Keys for trusts', _keys),
        ('Service account', (
            _keystone, {'question': preflight.KeystoneTest.login})),
        ('Region of the endpoints', (
            _keystone, {'question': preflight.KeystoneTest.region})),
        ('Role of the account', (
            _keystone, {'question': preflight.KeystoneTest.service_role})),
        ('Trustee of the trusts', (
            _keystone, {'question': preflight.KeystoneTest.trustee})),
        ('Endpoint in the catalogue', (
            _keystone, {'question': preflight.KeystoneTest.catalogue})),
        ('Delegated roles', (
            _keystone, {'question': preflight.KeystoneTest.delegated_roles})),
        ('Limits in Keystone', _limits),
        ('Policy file', _policy))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks.

    :returns: 0 if all checks succeed, else the code of the worst result
    """
    command.unblock_signals()
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
