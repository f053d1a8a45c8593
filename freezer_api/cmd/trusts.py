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

"""``freezer-manage trusts``: trusts in Keystone, from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import time

from oslo_config import cfg

from freezer_api.cmd import command
from freezer_api.cmd import database as database_commands
from freezer_api import crypt
from freezer_api.db import disown as disowning
from freezer_api import orphans
from freezer_api import service_account
from freezer_api import trusts

_MOST = 1000


@contextlib.contextmanager
def _orphans(conf: cfg.ConfigOpts) -> Iterator[orphans.Orphans]:
    with database_commands.opened(conf) as database:
        keystone = trusts.Trusts(
            service_account.ServiceAccount(
                conf, conf.service_mode.auth_section),
            conf.service_mode.trusts_delegated_roles)
        try:
            yield orphans.Orphans(database, keystone, crypt.Crypt(
                conf.user_credentials['keys']))
        except (trusts.KeystoneAway, orphans.NoOrphan) as error:
            raise command.CommandError(str(error)) from error


def _limit(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _orphans_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--limit', type=_limit, default=_MOST, metavar='NUMBER',
        help=f'print no more than NUMBER trusts (default: {_MOST})')


def list_orphans(conf: cfg.ConfigOpts) -> None:
    """Print the trusts to the service account that this database lacks.

    They belong to another region or service, or were left over when an answer
    of Keystone was lost. Each is named by a reference, because its id is a
    secret. Lost answers of which nothing is left are no longer counted in the
    metric trusts_unproven.
    """
    limit = conf.category.limit
    total = 0
    with _orphans(conf) as found:
        for total, orphan in enumerate(found.find(), start=1):
            if total <= limit:
                print(f'{orphan.reference} project {orphan.project_id} '
                      f'trustor {orphan.trustor_user_id} '
                      f'expires {orphan.expires_at or "never"} '
                      f'made by {orphan.maker} '
                      f'region {orphan.region or "not known"}')
        settled = found.settle()
    if total > limit:
        print(f'... and {total - limit} more')
    print(f'orphans: {total}; no longer counted: {settled}')


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'references', nargs='+', metavar='REFERENCE',
        help='what freezer-manage trusts orphans prints first')


def delete(conf: cfg.ConfigOpts) -> None:
    """Delete orphans in Keystone.

    Check first that no other region and no other service uses them: this
    command does not. A trust that this database knows is refused.
    """
    with _orphans(conf) as found:
        for name in conf.category.references:
            found.delete(name)
            print(f'deleted: {name}')
        found.settle()


def dismiss(conf: cfg.ConfigOpts) -> None:
    """Stop counting what may have been left over.

    For an operator who has looked at freezer-manage trusts orphans and has
    found that other deployments use what is there. Nothing is deleted.
    """
    with _orphans(conf) as found:
        print(f'no longer counted: {found.dismiss()}')


def _disown_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--yes', action='store_true', required=True,
        help='this database is a copy, and its API is not running')


def disown(conf: cfg.ConfigOpts) -> None:
    """Forget all trusts of a database that is a copy.

    Run it on a copy of another deployment's database before an API or a
    scheduler uses the copy. They would run the jobs of that deployment a
    second time, and delete its trusts. Keystone is not asked. The jobs stay
    and do not run until a member of the project delegates them again.
    """
    with database_commands.opened(conf) as database:
        done = disowning.disown(database, int(time.time()))
    print(f'forgotten: {done.trusts} trusts of {done.jobs} jobs')


COMMANDS: dict[str, command.Command] = {
    'orphans': command.Command(list_orphans, _orphans_arguments),
    'delete': command.Command(delete, _delete_arguments),
    'dismiss': command.Command(dismiss),
    'disown': command.Command(disown, _disown_arguments),
}
