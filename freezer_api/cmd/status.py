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

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_upgradecheck import common_checks
from oslo_upgradecheck import upgradecheck

from freezer_api import conf as configuration
from freezer_api import crypt
from freezer_api.db import engine
from freezer_api.db import migration


class Checks(upgradecheck.UpgradeCommands):
    """What an operator has to set right before the API can be (re)started."""

    def _database(self) -> upgradecheck.Result:
        """The schema is that of this release."""
        try:
            current = migration.current(engine.Database(self._conf).engine)
        except (db_exception.DBError, cfg.Error) as error:
            return upgradecheck.Result(
                upgradecheck.Code.FAILURE,
                f'The database cannot be read: {type(error).__name__}')
        if current == migration.head():
            return upgradecheck.Result(upgradecheck.Code.SUCCESS)
        return upgradecheck.Result(
            upgradecheck.Code.FAILURE,
            'The database is not up to date: run freezer-manage db sync')

    def _keys(self) -> upgradecheck.Result:
        """Trusts can be kept."""
        try:
            box = crypt.Crypt(self._conf.user_credentials['keys'])
        except crypt.CryptError as error:
            return upgradecheck.Result(
                upgradecheck.Code.FAILURE, str(error))
        if box.usable or not self._conf.service_mode.enabled:
            return upgradecheck.Result(upgradecheck.Code.SUCCESS)
        return upgradecheck.Result(
            upgradecheck.Code.FAILURE,
            '[user_credentials] keys is not set, so no job for a central '
            'client can be created: run freezer-manage credential '
            'generate-key')

    def _policy(self) -> upgradecheck.Result:
        """The policy file is no JSON."""
        result: upgradecheck.Result = common_checks.check_policy_json(
            self, self._conf)
        return result

    _upgrade_checks = (('Database schema', _database),
                       ('Keys for trusts', _keys),
                       ('Policy file', _policy))

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks.

    :returns: 0 when all is well, else the code of the worst result
    """
    conf = configuration.new()
    return int(upgradecheck.main(
        conf, project='freezer', upgrade_command=Checks(conf),
        argv=list(sys.argv[1:] if argv is None else argv),
        default_config_files=cfg.find_config_files(
            'freezer', 'freezer-api')))
