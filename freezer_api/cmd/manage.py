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

"""freezer-manage: commands for database, keys and trusts.

Exit status: 0 success, 1 failure (one line on stderr gives the reason), 2
wrong usage.
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
from freezer_api.db.admin import upgrade
from freezer_api.db import schema_version
from freezer_api.keystone import crypt
from freezer_api.services import key_rotation
from freezer_config import errors
from freezer_config import logging_setup
from freezer_config import packages

LOG = log.getLogger(__name__)

# User and password of a URL, with any characters in them.
_CREDENTIALS = re.compile(r'://\S*@')


def credential_generate_key(conf: cfg.ConfigOpts) -> None:
    """Print a new key for [user_credentials] keys."""
    print(fernet.Fernet.generate_key().decode())


@contextlib.contextmanager
def _key_rotation(
        conf: cfg.ConfigOpts) -> Iterator[key_rotation.KeyRotation]:
    with database_commands.opened(conf, upgraded=False) as database:
        yield key_rotation.KeyRotation(
            database, crypt.Crypt(conf.user_credentials['keys']))


def credential_rotate(conf: cfg.ConfigOpts) -> None:
    """Encrypt all trusts with the first of [user_credentials] keys again."""
    with _key_rotation(conf) as rotation:
        print(f're-encrypted: {rotation.rotate()}')
    credential_check(conf)


def credential_check(conf: cfg.ConfigOpts) -> None:
    """Print the keys that the trusts need; fail if one is not the first."""
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
            listed = {} if entry.hidden else {'help': text.splitlines()[0]}
            verb_parser = verbs.add_parser(
                verb, description=text, **listed,
                formatter_class=argparse.RawDescriptionHelpFormatter)
            verb_parser.set_defaults(run=entry.run)
            entry.arguments(verb_parser)
    # Many services have this name.
    sync = COMMANDS['db']['sync']
    alias = categories.add_parser('db_sync', help='the same as "db sync"')
    alias.set_defaults(run=sync.run, verb='sync')


def describe(error: Exception) -> str:
    """Return an error as one line, without statements or credentials."""
    if isinstance(error, sa.exc.StatementError) and error.orig is not None:
        # Without the statement and its parameters. The arguments of drivers
        # are a number and a text, or only a text.
        text = str(error.orig.args[-1] if error.orig.args else error.orig)
    else:
        text = errors.describe(error)
    line = ' '.join(text.split()) or type(error).__name__
    return _CREDENTIALS.sub('://***@', line)


def _database_problem(conf: cfg.ConfigOpts,
                      error: sa.exc.DBAPIError | db_exception.DBError) -> str:
    """Return the problem of the database as one line, with the option."""
    inner = (error.inner_exception if isinstance(error, db_exception.DBError)
             else error)
    line = describe(inner or error)
    if isinstance(inner, sa.exc.DBAPIError) and schema_version.is_refusal(
            inner):
        return str(schema_version.LoginRefused(line))
    if isinstance(error, db_exception.DBConnectionError):
        return f'[database] connection: the database cannot be used: {line}'
    try:
        # A table or a column may be missing.
        if text := schema_version.read(command.connection(conf)).text:
            return text
    except (schema_version.LoginRefused, schema_version.NotAsked):
        return f'[database] connection: the database cannot be used: {line}'
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    command.unblock_signals()
    conf = freezer_conf.new()
    conf.register_cli_opt(cfg.SubCommandOpt(
        'category', title='commands', handler=_add_parsers))
    try:
        if found := packages.conflicts():
            raise command.CommandError('; '.join(found))
        freezer_conf.parse(conf, sys.argv[1:] if argv is None else argv,
                           'freezer-manage')
        logging_setup.setup(conf, 'freezer-manage')
        for line in freezer_conf.unread(conf):
            LOG.warning('%s', line)
        return int(conf.category.run(conf) or 0)
    except (db_exception.DBError, sa.exc.DBAPIError) as error:
        problem = _database_problem(conf, error)
    except (command.CommandError, crypt.CryptError, upgrade.MigrationError,
            cfg.Error, logging_setup.LogRefused, sa.exc.SQLAlchemyError,
            OSError) as error:
        problem = describe(error)
    print(f'freezer-manage: {problem}', file=sys.stderr)
    return 1
