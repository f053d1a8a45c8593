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

"""``freezer-manage db``: commands for the database."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import datetime

from oslo_config import cfg
import sqlalchemy as sa

from freezer_api.cmd import command
from freezer_api import conf as configuration
from freezer_api.db.admin import check as database_check
from freezer_api.db.admin import copy as database_copy
from freezer_api.db.admin import downgrade as database_downgrade
from freezer_api.db.admin import purge
from freezer_api.db.admin import repair as database_repair
from freezer_api.db.admin import upgrade
from freezer_api.db.admin import upgrade_report
from freezer_api.db import engine
from freezer_api.keystone import crypt


_CHAPTERS = (
    ('kept', 'Kept aside by an upgrade (table kept_values)'),
    ('orphaned', 'Kept aside (table orphaned_user_credentials)'),
    ('suspended', 'Suspended jobs, by cause'),
    ('unarmed', 'Jobs without a next firing: a polling scheduler runs them, '
                'or none'),
    ('trusts', 'Trusts that'),
    ('containers', 'Cinder-native actions with a container, which Cinder '
                   'receives since 20.0.0'),
    ('invisible', 'Rows that count as deleted because their mark is NULL'),
)


def _upgraded(conf: cfg.ConfigOpts) -> str:
    """Return the URL of the database.

    :raises CommandError: if it does not have the schema of this release
    """
    url = command.connection(conf)
    if upgrade.current(url) != upgrade.head():
        raise command.CommandError(
            'the database is not at the revision of this release: see '
            'freezer-manage db check')
    return url


@contextlib.contextmanager
def opened(conf: cfg.ConfigOpts,
           upgraded: bool = True) -> Iterator[engine.Database]:
    """Yield the database as the API uses it.

    :param upgraded: whether it must have the schema of this release
    :raises CommandError: if it does not, or its URL cannot be used
    """
    if upgraded:
        _upgraded(conf)
    command.connection(conf)
    database = engine.Database(conf, bounded=False)
    try:
        yield database
    finally:
        database.engine.dispose()


def sync(conf: cfg.ConfigOpts) -> None:
    """Create the tables, or upgrade them to the schema of this release."""
    upgrade.sync(command.connection(conf))


def repair(conf: cfg.ConfigOpts) -> None:
    """Repair data of older releases, and of converted tables.

    Run it after a rolling upgrade, when no API of the older release runs any
    more. Until then, searches find rows that such an API has changed by their
    old content, and jobs that it has scheduled wait. Also run it if db check
    reports text columns with different collations, or invalid dates, and
    restart the API afterwards.
    """
    found = database_repair.repair(_upgraded(conf))
    print(f'tables converted to the common collation: {found.collations}')
    print(f'invalid dates removed: {found.dates}')
    print(f'jobs added to the due queue: {found.jobs}')
    print(f'rows with corrected search terms: {found.terms}')
    print(f'projects with corrected usage: {found.projects}')


def version(conf: cfg.ConfigOpts) -> None:
    """Print the revision of the database."""
    revision = upgrade.current(command.connection(conf))
    print(f'{revision} (head)' if revision == upgrade.head()
          else revision or 'none')


def show(conf: cfg.ConfigOpts) -> None:
    """Print the names of the tables."""
    with upgrade.reading(command.connection(conf)) as connection:
        for name in sorted(sa.inspect(connection).get_table_names()):
            print(name)


def _days_ago(text: str) -> datetime.datetime:
    """Return the time before a number of days, in UTC."""
    if not text.isdecimal() or int(text) > 36_500:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of days')
    return (datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
            - datetime.timedelta(days=int(text)))


def _time(text: str) -> datetime.datetime:
    """Parse a past date or time, in UTC unless it has a zone."""
    try:
        given = datetime.datetime.fromisoformat(text)
        if given.tzinfo is None:
            given = given.replace(tzinfo=datetime.UTC)
        given = given.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a time such as 2026-01-31') from None
    if given > datetime.datetime.now(datetime.UTC):
        raise argparse.ArgumentTypeError(f'{text} is in the future')
    return given.replace(tzinfo=None)


def _purge_arguments(parser: argparse.ArgumentParser) -> None:
    age = parser.add_mutually_exclusive_group(required=True)
    age.add_argument(
        '--older-than', metavar='DAYS', type=_days_ago, dest='before',
        help='rows that were deleted more than DAYS days ago')
    age.add_argument(
        '--before', metavar='TIME', type=_time,
        help='rows that were deleted before TIME: 2026-01-31, or '
             '2026-01-31T12:00:00, in UTC unless it has a zone')
    parser.add_argument(
        '--dry-run', action='store_true',
        help='print the number of rows, and remove none')


def purge_deleted(conf: cfg.ConfigOpts) -> None:
    """Remove rows permanently that were deleted long ago.

    The API only marks rows as deleted. This command removes them together
    with their dependent rows, in short transactions, while the API runs. Rows
    to which a remaining row refers stay. You cannot undo it.
    """
    arguments = conf.category
    with opened(conf) as database:
        work = purge.Purge(database, arguments.before)
        found = work.counts() if arguments.dry_run else work.run()
    for name, count in sorted(found.items()):
        print(f'{name}: {count}')
    total = sum(found.values())
    print(f'{"to purge" if arguments.dry_run else "purged"}: {total} rows '
          f'deleted before {arguments.before:%Y-%m-%d %H:%M:%S} UTC')


def check(conf: cfg.ConfigOpts) -> int:
    """Print the steps of an upgrade, and its obstacles.

    The database is not changed. Exit status: 0 if the database is up to date
    or can be upgraded; 1 if there is an obstacle, or the database cannot be
    read.
    """
    found = database_check.inspect(command.connection(conf))
    if not conf.user_credentials['keys']:
        found.notes.append(
            '[user_credentials] keys is not set: an upgrade needs no key, '
            'but without one no job for a central client can be created')
    for line in _finding_lines(found):
        print(line)
    return 1 if found.obstacles else 0


def _finding_lines(found: database_check.Finding) -> Iterator[str]:
    """Yield the lines of ``db check``."""
    yield f'Database of: {found.origin}'
    yield f'Revision:    {found.revision or "none"}'
    if any(found.rows.values()):
        yield 'Rows:        ' + ', '.join(
            f'{name} {count}' for name, count in found.rows.items() if count)
    yield from _work(found)
    for title, lines in (('Notes:', found.notes),
                         ('Obstacles:', found.obstacles)):
        if lines:
            yield ''
            yield title
            for line in lines:
                yield f'  * {line}'
    yield ''
    if found.obstacles:
        yield 'Result: an upgrade is not possible because of the obstacles.'
    elif found.to_do:
        yield 'Result: ready for freezer-manage db sync.'
    else:
        yield 'Result: up to date, nothing to do.'


def _work(found: database_check.Finding) -> Iterator[str]:
    """Yield the lines about the steps of an upgrade."""
    if not found.to_do:
        return
    yield ''
    yield 'An upgrade runs these revisions:'
    for revision, does in found.steps:
        yield f'  {revision}  {does}'
    if not any(found.rows.values()):
        return
    yield '  afterwards    Rows get the terms for searches'
    if found.kept:
        yield ''
        yield 'It keeps aside:'
        for what, count in sorted(found.kept.items()):
            yield f'  {count:>7}  {what}'
    yield ''
    yield f'It takes {_duration(found.seconds)}.'


def _duration(seconds: float) -> str:
    if seconds < 60:
        return 'a minute or less'
    return f'about {round(seconds / 60)} to {round(seconds / 60 * 2)} minutes'


def report(conf: cfg.ConfigOpts) -> None:
    """Print the data that an upgrade kept aside, and the jobs that do not run.

    The report contains no values and no trusts, only the IDs of rows.
    """
    with opened(conf) as database:
        found = upgrade_report.make(database)
    for line in _report_lines(found):
        print(line)


def _report_lines(found: upgrade_report.Report) -> Iterator[str]:
    """Yield the lines of ``db report``."""
    empty = True
    for name, title in _CHAPTERS:
        sorts: list[upgrade_report.Sort] = getattr(found, name)
        if not sorts:
            continue
        if not empty:
            yield ''
        empty = False
        yield f'{title}:'
        for sort in sorts:
            yield f'  {sort.count:>7}  {sort.title}'
            more = ' ...' if sort.count > len(sort.ids) else ''
            yield f'           {" ".join(sort.ids)}{more}'
    if empty:
        yield 'Nothing to report.'


def _downgrade_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--to', required=True,
                        choices=[database_downgrade.RELEASE],
                        help='the release of freezer-api to return to')


def downgrade(conf: cfg.ConfigOpts) -> None:
    """Convert the database for an earlier release of freezer-api.

    Stop the API and all schedulers first, and make a backup of the database.
    The stored trusts become plain text.
    """
    url = command.connection(conf)
    done = database_downgrade.run(
        url, crypt.Crypt(conf.user_credentials['keys']))
    print(f'jobs: {done.jobs}')
    print(f'trusts: {done.trusts}')
    print(f'The database is ready for freezer-api '
          f'{database_downgrade.RELEASE}.')


def _copy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--to-config-file', required=True, metavar='FILE',
        help='a configuration file with the URL of the empty target '
             'database as [database] connection')


def copy(conf: cfg.ConfigOpts) -> None:
    """Copy the database to an empty one, which can be on another engine.

    Stop the API first. The source database is not changed.
    """
    other = configuration.new()
    other(['--config-file', conf.category.to_config_file],
          project='freezer', default_config_files=[],
          default_config_dirs=[])
    done = database_copy.copy(command.connection(conf),
                              command.connection(other))
    for name, count in done.items():
        print(f'{name}: {count}')
    print(f'copied: {sum(done.values())} rows')


# db update and db show are names that upstream uses.
COMMANDS = {
    'sync': command.Command(sync),
    'update': command.Command(sync),
    'repair': command.Command(repair),
    # The name in earlier releases.
    'refresh': command.Command(repair, hidden=True),
    'version': command.Command(version),
    'show': command.Command(show),
    'check': command.Command(check),
    'report': command.Command(report),
    'copy': command.Command(copy, _copy_arguments),
    'downgrade': command.Command(downgrade, _downgrade_arguments),
    'purge': command.Command(purge_deleted, _purge_arguments),
}
