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

"""freezer-manage: database, keys and trusts, from the command line.

Exit status: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import inspect
import re
import sys
from typing import Any

from cryptography import fernet
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import log
import sqlalchemy as sa

from freezer_api.cmd import command
from freezer_api.cmd import database as database_commands
from freezer_api.cmd import trusts as trust_commands
from freezer_api import conf as freezer_conf
from freezer_api import crypt
from freezer_api.db import engine
from freezer_api.db import migration
from freezer_api import key_rotation
from freezer_api import version

# User and password of anything that looks like a URL, whatever is in them.
_CREDENTIALS = re.compile(r'://\S*@')


def credential_generate_key(conf: cfg.ConfigOpts) -> None:
    """Print a new key for [user_credentials] keys."""
    print(fernet.Fernet.generate_key().decode())


@contextlib.contextmanager
def _key_rotation(
        conf: cfg.ConfigOpts) -> Iterator[key_rotation.KeyRotation]:
    command.connection(conf)
    database = engine.Database(conf, bounded=False)
    try:
        yield key_rotation.KeyRotation(
            database, crypt.Crypt(conf.user_credentials['keys']))
    finally:
        database.engine.dispose()


def credential_rotate(conf: cfg.ConfigOpts) -> None:
    """Encrypt all trusts with the first of [user_credentials] keys."""
    with _key_rotation(conf) as rotation:
        print(f're-encrypted: {rotation.rotate()}')
    credential_check(conf)


def credential_check(conf: cfg.ConfigOpts) -> None:
    """Print which keys the trusts need; fail unless it is the first only."""
    with _key_rotation(conf) as rotation:
        counts = rotation.counts()
    for name, count in counts.items():
        print(f'{name}: {count}')
    others = sum(counts.values()) - counts[key_rotation.key_name(1)]
    if others:
        raise command.CommandError(
            f'{others} trusts are not encrypted with the first key')


# Category -> verb -> command.
COMMANDS: dict[str, dict[str, command.Command]] = {
    'db': database_commands.COMMANDS,
    'credential': {
        'generate-key': command.Command(credential_generate_key),
        'rotate': command.Command(credential_rotate),
        'check': command.Command(credential_check),
    },
    'trusts': trust_commands.COMMANDS,
}


def _add_parsers(categories: Any) -> None:
    for category, commands in COMMANDS.items():
        parser = categories.add_parser(category)
        verbs = parser.add_subparsers(dest='verb', required=True)
        for verb, entry in commands.items():
            text = inspect.cleandoc(entry.run.__doc__ or '')
            verb_parser = verbs.add_parser(
                verb, help=text.splitlines()[0], description=text,
                formatter_class=argparse.RawDescriptionHelpFormatter)
            verb_parser.set_defaults(run=entry.run)
            entry.arguments(verb_parser)


def _load(args: Sequence[str]) -> cfg.ConfigOpts:
    """Read freezer-api.conf, or what ``--config-file`` names.

    :raises oslo_config.cfg.Error: on an unusable file, option or value
    :raises SystemExit: with status 2, on wrong usage
    """
    conf = freezer_conf.new()
    conf.register_cli_opt(cfg.SubCommandOpt(
        'category', title='commands', handler=_add_parsers))
    conf(list(args), project='freezer', prog='freezer-manage',
         version=version.version_string(),
         default_config_files=cfg.find_config_files('freezer',
                                                    'freezer-api'),
         default_config_dirs=cfg.find_config_dirs('freezer', 'freezer-api'))
    return conf


def describe(error: Exception) -> str:
    """Return one line about an error, without statements or credentials."""
    if isinstance(error, sa.exc.StatementError) and error.orig is not None:
        # Without the statement and its parameters. Drivers give a number
        # and a text, or just a text.
        text = str(error.orig.args[-1] if error.orig.args else error.orig)
    else:
        text = str(error)
    line = ' '.join(text.split()) or type(error).__name__
    return _CREDENTIALS.sub('://***@', line)


def main(argv: Sequence[str] | None = None) -> int:
    try:
        conf = _load(sys.argv[1:] if argv is None else argv)
        log.setup(conf, 'freezer-manage')
        return int(conf.category.run(conf) or 0)
    except (command.CommandError, crypt.CryptError, migration.MigrationError,
            cfg.Error, log.LogConfigError, db_exception.DBError,
            sa.exc.SQLAlchemyError) as error:
        print(f'freezer-manage: {describe(error)}', file=sys.stderr)
        return 1
