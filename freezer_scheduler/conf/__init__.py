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

"""The scheduler's options, one module for each group.

Nothing is global: :func:`new` makes a ConfigOpts that is handed in, and
:mod:`freezer_scheduler.settings` reads it once into checked values.
"""

from __future__ import annotations

import pathlib

from oslo_config import cfg
from oslo_log import log

from freezer_config import errors
from freezer_config import unknown_options
from freezer_scheduler.conf import capabilities
from freezer_scheduler.conf import cinder
from freezer_scheduler.conf import coordination
from freezer_scheduler.conf import metrics
from freezer_scheduler.conf import scheduler
from freezer_scheduler.conf import service_auth
from freezer_scheduler import log_context

PROJECT = 'freezer'
PROGRAM = 'scheduler'

_GROUPS = (scheduler, cinder, capabilities, service_auth, coordination,
           metrics)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs, for oslo-config-generator."""
    return [(group.GROUP.name, list(group.OPTS)) for group in _GROUPS]


def new() -> cfg.ConfigOpts:
    """Return a ConfigOpts with every option, before anything is parsed."""
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf.set_default('logging_context_format_string', log_context.FORMAT)
    conf.register_cli_opt(cfg.StrOpt(
        'action', positional=True,
        help='start, stop, restart, status or reload'))
    conf.register_cli_opt(cfg.StrOpt(
        'format', choices=('text', 'json'), default='text',
        help='How "status" is printed.'))
    for group in _GROUPS:
        # A group keeps the values of its options: each ConfigOpts needs one
        # of its own.
        name = group.GROUP.name
        conf.register_group(cfg.OptGroup(name, title=group.GROUP.title))
        conf.register_cli_opts(group.OPTS, name)
    conf.register_opts(service_auth.plain_opts(), service_auth.GROUP.name)
    return conf


# One file may be the configuration of the API, too.
_OF_THE_API = (
    'api', 'cors', 'database', 'deadlines', 'healthcheck',
    'keystone_authtoken', 'oslo_limit', 'oslo_middleware', 'oslo_policy',
    'quota', 'scheduling', 'server', 'service_mode', 'user_credentials')

_OBSOLETE = {
    '[service_auth] insecure': 'use [scheduler] insecure',
    '[DEFAULT] jobs_dir': 'use [scheduler] jobs_dir',
}


def _in_files() -> list[tuple[str, list[cfg.Opt]]]:
    return [*list_opts(), (service_auth.GROUP.name, service_auth.plain_opts())]


def unread(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line about each option in the files that nothing reads."""
    names = unknown_options.namespaces('oslo.log')
    unknown_options.merge(names, unknown_options.names_of(_in_files()))
    return unknown_options.find(
        unknown_options.files(conf), names, _OBSOLETE, _OF_THE_API)


def problems(conf: cfg.ConfigOpts) -> list[str]:
    """Name the options whose values cannot be read."""
    return errors.unreadable(conf, _in_files())


def parse(conf: cfg.ConfigOpts, argv: list[str], version: str) -> None:
    """Parse the command line and the configuration files.

    The files are those that freezer-scheduler always read, such as
    ``~/.freezer/scheduler.conf`` and ``/etc/freezer/scheduler.conf``.

    :raises oslo_config.cfg.Error: for files and values that cannot be read
    :raises SystemExit: from the argument parser; status 2 for wrong usage
    """
    files = cfg.find_config_files(PROJECT, PROGRAM)
    named = [word.partition('=')[2] or following
             for word, following in zip(argv, [*argv[1:], ''], strict=True)
             if word.partition('=')[0] == '--config-file']
    paths = [pathlib.Path(name) for name in named or files]
    if found := errors.wrong_values(paths, list_opts()):
        raise cfg.ConfigFileValueError('; '.join(found))
    try:
        conf(argv, project=PROJECT, prog='freezer-scheduler', version=version,
             default_config_files=files,
             default_config_dirs=cfg.find_config_dirs(PROJECT, PROGRAM))
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError):
        if found := errors.with_dollar(paths):
            raise cfg.ConfigFileValueError('; '.join(found)) from None
        raise
