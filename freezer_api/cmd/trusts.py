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

"""``freezer-manage trusts``: commands for trusts in Keystone."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import time

from oslo_config import cfg

from freezer_api.cmd import command
from freezer_api.cmd import database as database_commands
from freezer_api.db.admin import disown_trusts as database_disown
from freezer_api.keystone import crypt
from freezer_api.keystone import preflight
from freezer_api.keystone import trusts
from freezer_api.services import orphan_trusts

_MOST = 1000


@contextlib.contextmanager
def _orphans(conf: cfg.ConfigOpts) -> Iterator[orphan_trusts.Orphans]:
    if problems := preflight.of_account(conf):
        raise command.CommandError('; '.join(problems))
    with database_commands.opened(conf) as database:
        try:
            yield orphan_trusts.Orphans(
                database, trusts.configured(conf),
                crypt.Crypt(conf.user_credentials['keys']))
        except trusts.KeystoneUnavailable as error:
            raise command.CommandError(_explained(conf, error)) from error
        except orphan_trusts.NoOrphan as error:
            raise command.CommandError(str(error)) from error


def _explained(conf: cfg.ConfigOpts, error: trusts.KeystoneUnavailable) -> str:
    """Return the error, or the wrong option that causes it."""
    try:
        finding = preflight.KeystoneTest(conf).login()
    except preflight.Unavailable as away:
        return f'{error}: {away}'
    return finding.text if finding is not None else str(error)


def _limit(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _orphans_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--limit', type=_limit, default=_MOST, metavar='NUMBER',
        help=f'maximum number of trusts to print (default: {_MOST})')


def list_orphans(conf: cfg.ConfigOpts) -> None:
    """Print the trusts to the service account that the database lacks.

    They belong to another region or service, or remain from a lost answer of
    Keystone. Each is shown by a reference, because its ID is a secret. Lost
    answers that left no trust are removed from the metric trusts_unproven.
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
                      f'region {orphan.region or "unknown"}')
        settled = found.settle()
    if total > limit:
        print(f'... and {total - limit} more')
    print(f'orphans: {total}; no longer counted: {settled}')


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'references', nargs='+', metavar='REFERENCE',
        help='the first column of freezer-manage trusts orphans')


def delete(conf: cfg.ConfigOpts) -> None:
    """Delete orphaned trusts in Keystone.

    First make sure that no other region and no other service uses them: this
    command does not check that. It refuses a trust that is in the database.
    """
    with _orphans(conf) as found:
        for name in conf.category.references:
            found.delete(name)
            print(f'deleted: {name}')
        found.settle()


def dismiss(conf: cfg.ConfigOpts) -> None:
    """Stop counting trusts that may remain in Keystone.

    Run it if freezer-manage trusts orphans shows only trusts that other
    deployments use. No trust is deleted.
    """
    with _orphans(conf) as found:
        print(f'no longer counted: {found.dismiss()}')


def _disown_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--yes', action='store_true', required=True,
        help='confirm that the database is a copy and its API does not run')


def disown(conf: cfg.ConfigOpts) -> None:
    """Remove all trusts from a database that is a copy.

    Run it on a copy of another deployment's database before an API or a
    scheduler uses the copy. Otherwise they run the jobs of that deployment a
    second time and delete its trusts. No request is sent to Keystone. The
    jobs stay, and do not run until a member of the project delegates them
    again.
    """
    with database_commands.opened(conf) as database:
        done = database_disown.disown(database, int(time.time()))
    print(f'removed: {done.trusts} trusts of {done.jobs} jobs')


COMMANDS: dict[str, command.Command] = {
    'orphans': command.Command(list_orphans, _orphans_arguments),
    'delete': command.Command(delete, _delete_arguments),
    'dismiss': command.Command(dismiss),
    'disown': command.Command(disown, _disown_arguments),
}
