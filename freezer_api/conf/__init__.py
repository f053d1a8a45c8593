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

"""The options of the API, one module per group.

Nothing here is global: :func:`load` makes a ``ConfigOpts`` that is handed to
whoever needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log
from oslo_middleware import sizelimit
from oslo_policy import opts as policy_opts

from freezer_api.conf import api
from freezer_api.conf import deadlines
from freezer_api.conf import quota
from freezer_api.conf import scheduling
from freezer_api.conf import server
from freezer_api.conf import service_mode
from freezer_api.conf import user_credentials
from freezer_api import version

_GROUPS = (api, deadlines, quota, scheduling, server, service_mode,
           user_credentials)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options for oslo-config-generator, as (group, options) pairs."""
    return [(module.GROUP.name, list(module.OPTS)) for module in _GROUPS]


def new() -> cfg.ConfigOpts:
    """Return a ConfigOpts that knows each option and has read no file."""
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf.register_opts(db_options.database_opts, 'database')
    policy_opts.set_defaults(conf)
    conf.register_opts(sizelimit.OPTS, 'oslo_middleware')
    for module in _GROUPS:
        # A group of its own: a registered one carries values, and a copy
        # that oslo.config makes shares them.
        conf.register_group(
            cfg.OptGroup(module.GROUP.name, title=module.GROUP.title))
        conf.register_opts(module.OPTS, module.GROUP.name)
    return conf


def problems(conf: cfg.ConfigOpts) -> list[str]:
    """Name the options whose values cannot be read.

    oslo.config looks at a value only when somebody asks for it.
    """
    found = []
    for module in _GROUPS:
        for opt in module.OPTS:
            try:
                conf[module.GROUP.name][opt.dest]
            except (cfg.Error, ValueError) as error:
                found.append(
                    f'[{module.GROUP.name}] {opt.name}: {error}')
    return found


def load(args: Sequence[str] = (),
         files: Sequence[str] | None = None,
         cli_opts: Iterable[cfg.Opt] = ()) -> cfg.ConfigOpts:
    """Read the configuration.

    :param args: command line, without the program's name
    :param files: configuration files instead of the usual freezer-api.conf
    :param cli_opts: more options that the command line may hold
    :raises oslo_config.cfg.Error: on an unusable file, option or value
    """
    conf = new()
    conf.register_cli_opts(list(cli_opts))
    conf(list(args), project='freezer', prog='freezer-api',
         version=version.version_string(),
         default_config_files=None if files is None else list(files))
    return conf
