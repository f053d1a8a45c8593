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

"""``freezer-manage db``: the database, from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import datetime

from oslo_config import cfg

from freezer_api.cmd import command
from freezer_api.cmd import database_text
from freezer_api import conf as configuration
from freezer_api import crypt
from freezer_api.db import copying
from freezer_api.db import engine
from freezer_api.db import inspection
from freezer_api.db import migration
from freezer_api.db import purge
from freezer_api.db import report
from freezer_api.db import way_back


@contextlib.contextmanager
def opened(conf: cfg.ConfigOpts) -> Iterator[engine.Database]:
    """The database as the API uses it, which needs this release's schema.

    :raises CommandError: when it has another
    """
    _upgraded(conf)
    database = engine.Database(conf, bounded=False)
    try:
        yield database
    finally:
        database.engine.dispose()


def _upgraded(conf: cfg.ConfigOpts) -> str:
    """Return the URL of a database that has this release's schema.

    :raises CommandError: when it has another
    """
    url = command.connection(conf)
    if migration.current(url) != migration.head():
        raise command.CommandError(
            'the database is not at the revision of this release: see '
            'freezer-manage db check')
    return url


def sync(conf: cfg.ConfigOpts) -> None:
    """Create the tables, or upgrade them to this release."""
    migration.sync(command.connection(conf))


def refresh(conf: cfg.ConfigOpts) -> None:
    """Mend what an API of an older release has left behind.

    After a rolling upgrade, when the last of those is gone: what it has
    changed is found by its old content until then, and jobs that it has given
    their next firing wait.
    """
    found = migration.refresh(_upgraded(conf))
    print(f'jobs lined up: {found.jobs}')
    print(f'rows with other terms: {found.terms}')
    print(f'projects with another usage: {found.projects}')


def version(conf: cfg.ConfigOpts) -> None:
    """Print the revision that the database is at."""
    revision = migration.current(command.connection(conf))
    if revision is None:
        print('none')
    elif revision == migration.head():
        print(f'{revision} (head)')
    else:
        print(revision)


def show(conf: cfg.ConfigOpts) -> None:
    """Print the names of the tables."""
    for name in migration.tables(command.connection(conf)):
        print(name)


def _age(text: str) -> int:
    """Read a number of days."""
    if not text.isdecimal() or int(text) > 36_500:
        raise argparse.ArgumentTypeError(f'{text!r} is no number of days')
    return int(text)


def _time(text: str) -> datetime.datetime:
    """Read a date or time of the past; one without a zone is in UTC."""
    try:
        given = datetime.datetime.fromisoformat(text)
        if given.tzinfo is None:
            given = given.replace(tzinfo=datetime.UTC)
        given = given.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time such as 2026-01-31') from None
    if given > datetime.datetime.now(datetime.UTC):
        raise argparse.ArgumentTypeError(f'{text} is in the future')
    return given.replace(tzinfo=None)


def _purge_arguments(parser: argparse.ArgumentParser) -> None:
    age = parser.add_mutually_exclusive_group(required=True)
    age.add_argument(
        '--older-than', metavar='DAYS', type=_age,
        help='rows that were deleted more than DAYS days ago')
    age.add_argument(
        '--before', metavar='TIME', type=_time,
        help='rows that were deleted before TIME: 2026-01-31, or '
             '2026-01-31T12:00:00, in UTC unless it names a zone')
    parser.add_argument(
        '--dry-run', action='store_true',
        help='only tell how many there are')


def purge_deleted(conf: cfg.ConfigOpts) -> None:
    """Remove rows for good that were deleted long ago.

    The API only marks what is deleted. This removes it, with what belongs to
    it alone, in short transactions while the API goes on. What something that
    is left refers to stays. It cannot be undone.
    """
    arguments = conf.category
    before = arguments.before
    if before is None:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        before = now - datetime.timedelta(days=arguments.older_than)
    with opened(conf) as database:
        work = purge.Purge(database, before)
        found = work.counts() if arguments.dry_run else work.run()
    for name, count in sorted(found.items()):
        print(f'{name}: {count}')
    total = sum(found.values())
    print(f'{"to purge" if arguments.dry_run else "purged"}: {total} rows '
          f'deleted before {before:%Y-%m-%d %H:%M:%S} UTC')


def check(conf: cfg.ConfigOpts) -> int:
    """Tell what db sync would do, and what stands in its way.

    Nothing is changed. Exit status: 0 the database is up to date, or can be
    upgraded; 1 something stands in the way, or the database cannot be read.
    """
    found = inspection.inspect(command.connection(conf))
    if not conf.user_credentials['keys']:
        found.notes.append(
            '[user_credentials] keys is not set: an upgrade needs no key, '
            'but jobs for a central client cannot be created without one')
    for line in database_text.finding(found):
        print(line)
    return 1 if found.obstacles else 0


def tell(conf: cfg.ConfigOpts) -> None:
    """Tell what an upgrade kept aside, and which jobs do not run.

    Values and trusts are not shown, only where they are.
    """
    with opened(conf) as database:
        found = report.make(database)
    for line in database_text.report(found):
        print(line)


def _downgrade_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--to', required=True, choices=[way_back.RELEASE],
                        help='the release of freezer-api to go back to')


def downgrade(conf: cfg.ConfigOpts) -> None:
    """Bring the database back to a release of freezer-api.

    Stop the API and all schedulers first, and back the database up. The
    trusts of jobs become plain text again.
    """
    url = command.connection(conf)
    box = crypt.Crypt(conf.user_credentials['keys'])
    try:
        done = way_back.go(url, box)
    except way_back.Obstacle as error:
        raise command.CommandError(str(error)) from None
    print(f'jobs: {done.jobs}')
    print(f'trusts: {done.trusts}')
    print(f'The database is one of freezer-api {way_back.RELEASE} now.')


def _copy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--to-config-file', required=True, metavar='FILE',
        help='a configuration file whose [database] connection names the '
             'empty database to copy to')


def copy(conf: cfg.ConfigOpts) -> None:
    """Copy the database to an empty one, on PostgreSQL for instance.

    Stop the API first. The database that is copied stays as it is.
    """
    other = configuration.new()
    other(['--config-file', conf.category.to_config_file],
          project='freezer', default_config_files=[],
          default_config_dirs=[])
    try:
        done = copying.copy(command.connection(conf),
                            command.connection(other))
    except copying.Refused as error:
        raise command.CommandError(str(error)) from None
    for name, count in done.items():
        print(f'{name}: {count}')
    print(f'copied: {sum(done.values())} rows')


# db update and db show are upstream's words.
COMMANDS = {
    'sync': command.Command(sync),
    'update': command.Command(sync),
    'refresh': command.Command(refresh),
    'version': command.Command(version),
    'show': command.Command(show),
    'check': command.Command(check),
    'report': command.Command(tell),
    'copy': command.Command(copy, _copy_arguments),
    'downgrade': command.Command(downgrade, _downgrade_arguments),
    'purge': command.Command(purge_deleted, _purge_arguments),
}
