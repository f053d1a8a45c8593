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

from oslo_config import cfg
from oslo_log import log

from freezer_scheduler.conf import capabilities
from freezer_scheduler.conf import coordination
from freezer_scheduler.conf import metrics
from freezer_scheduler.conf import scheduler
from freezer_scheduler.conf import service_auth
from freezer_scheduler.telemetry import run_context

PROJECT = 'freezer'
PROGRAM = 'scheduler'

_GROUPS = (scheduler, capabilities, service_auth, coordination, metrics)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs, for oslo-config-generator."""
    return [(group.GROUP.name, list(group.OPTS)) for group in _GROUPS]


def new() -> cfg.ConfigOpts:
    """Return a ConfigOpts with every option, before anything is parsed."""
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf.set_default('logging_context_format_string', run_context.FORMAT)
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


def parse(conf: cfg.ConfigOpts, argv: list[str], version: str) -> None:
    """Parse the command line and the configuration files.

    The files are those that freezer-scheduler always read, such as
    ``~/.freezer/scheduler.conf`` and ``/etc/freezer/scheduler.conf``.

    :raises oslo_config.cfg.Error: for files and values that cannot be read
    :raises SystemExit: from the argument parser; status 2 for wrong usage
    """
    conf(argv, project=PROJECT, prog='freezer-scheduler', version=version,
         default_config_files=cfg.find_config_files(PROJECT, PROGRAM),
         default_config_dirs=cfg.find_config_dirs(PROJECT, PROGRAM))
