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

"""The options of the API, one module for each group.

Nothing is global: :func:`load` returns a ``ConfigOpts`` that is passed on.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import os

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log
from oslo_middleware.healthcheck import opts as healthcheck_opts
from oslo_middleware import opts as middleware_opts
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
from freezer_config import errors
from freezer_config import unknown_options

# An operator creates the file to take the process out of the load balancer.
HEALTH_DEFAULTS: dict[str, str | list[str]] = {
    'backends': ['disable_by_file', 'freezer_schema'],
    'disable_by_file_path': '/etc/freezer/healthcheck_disable'}

# Names of files, and of directories, separated as in PATH.
_VARIABLES = ('OS_FREEZER_API_CONFIG_FILES', 'OS_FREEZER_API_CONFIG_DIRS')

# As in etc/oslo-config-generator/freezer-api.conf.
_NAMESPACES = (
    'keystonemiddleware.auth_token', 'oslo.db', 'oslo.limit',
    'oslo.log', 'oslo.middleware', 'oslo.middleware.cors',
    'oslo.middleware.healthcheck', 'oslo.middleware.http_proxy_to_wsgi',
    'oslo.policy')

# Their options belong to the plugin that auth_type names.
_LOGINS = ('keystone_authtoken', 'oslo_limit')

# Groups of the scheduler, which may share a file with the API.
_OF_THE_SCHEDULER = ('scheduler', 'capabilities', 'service_auth',
                     'coordination', 'metrics')

_OBSOLETE = {
    '[paste_deploy]': 'the API does not use paste. [oslo_middleware], [cors] '
                      'and [healthcheck] contain its options',
    '[storage]': 'set the database with [database] connection',
    '[elasticsearch]': 'the API does not use Elasticsearch. Set '
                       '[database] connection',
    '[centralized_scheduler] service_user':
        'set [service_mode] auth_section to the section of the account',
    '[centralized_scheduler] service_user_domain':
        'set [service_mode] auth_section to the section of the account',
    '[keystone_authtoken] auth_host': 'use auth_url',
    '[keystone_authtoken] auth_port': 'use auth_url',
    '[keystone_authtoken] auth_protocol': 'use auth_url',
    '[keystone_authtoken] admin_user': 'use username',
    '[keystone_authtoken] admin_password': 'use password',
    '[keystone_authtoken] admin_tenant_name': 'use project_name',
}

_GROUPS = (api, deadlines, quota, scheduling, server, service_mode,
           user_credentials)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs, for oslo-config-generator."""
    return [(module.GROUP.name, list(module.OPTS)) for module in _GROUPS]


def set_library_defaults() -> None:
    """Set defaults of libraries' options, for oslo-config-generator.

    The running API uses :func:`set_health_defaults` instead.
    """
    for options in (healthcheck_opts.HEALTHCHECK_OPTS,
                    healthcheck_opts.DISABLE_BY_FILE_OPTS):
        cfg.set_defaults(options, **HEALTH_DEFAULTS)


def set_health_defaults(conf: cfg.ConfigOpts) -> None:
    """Register the options of the health check, with this API's defaults."""
    for group, options in middleware_opts.list_opts_healthcheck():
        conf.register_opts(options, group)
        for name, value in HEALTH_DEFAULTS.items():
            conf.set_default(name, value, group)


def new() -> cfg.ConfigOpts:
    """Return a ConfigOpts with all options, before any file is read."""
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf.register_opts(db_options.database_opts, 'database')
    policy_opts.set_defaults(conf)
    conf.register_opts(sizelimit.OPTS, 'oslo_middleware')
    for module in _GROUPS:
        # Register a new group: a group holds values, and oslo.config's copy
        # of a group shares them.
        conf.register_group(
            cfg.OptGroup(module.GROUP.name, title=module.GROUP.title))
        conf.register_opts(module.OPTS, module.GROUP.name)
    return conf


def problems(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each option whose value is invalid."""
    return errors.unreadable(conf, [
        *((module.GROUP.name, module.OPTS) for module in _GROUPS),
        ('database', db_options.database_opts),
        ('oslo_middleware', sizelimit.OPTS)])


def unread(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each option in the files that no program reads."""
    names = unknown_options.namespaces(*_NAMESPACES)
    unknown_options.merge(names, unknown_options.names_of(list_opts()))
    for group in {*_LOGINS, conf.service_mode.auth_section}:
        unknown_options.merge(names, {group: _of_login(conf, group)})
    return unknown_options.find(
        unknown_options.files(conf), names, _OBSOLETE, _OF_THE_SCHEDULER)


def _of_login(conf: cfg.ConfigOpts, group: str) -> set[str]:
    loading.register_auth_conf_options(conf, group)
    options = [*loading.get_auth_common_conf_options(),
               *loading.get_session_conf_options(),
               cfg.StrOpt('region_name'), cfg.StrOpt('interface'),
               *loading.get_auth_plugin_conf_options('password')]
    try:
        options += loading.get_auth_plugin_conf_options(
            conf[group].auth_type or 'password')
    except ks_exceptions.NoMatchingPlugin:
        pass  # The start of the API fails because of it.
    return unknown_options.names_of([(group, options)])[group]


def load(args: Sequence[str] = (),
         files: Sequence[str] | None = None,
         cli_opts: Iterable[cfg.Opt] = ()) -> cfg.ConfigOpts:
    """Read the configuration.

    :param args: command line, without the program's name
    :param files: configuration files to read instead of the default ones and
        those in the environment
    :param cli_opts: additional options of the command line
    :raises oslo_config.cfg.Error: if a file, option or value is invalid
    """
    conf = new()
    conf.register_cli_opts(list(cli_opts))
    parse(conf, args, 'freezer-api', files=files)
    return conf


def parse(conf: cfg.ConfigOpts, args: Sequence[str], prog: str,
          environ: Mapping[str, str] = os.environ,
          files: Sequence[str] | None = None) -> None:
    """Read the configuration files of the API for one of its programs.

    The command line or the environment names them; the default is
    freezer.conf and freezer-api.conf in the usual directories.

    :param args: command line, without the program's name
    :param prog: the program's name
    :param files: see :func:`load`
    :raises oslo_config.cfg.Error: if a file, option or value is invalid
    :raises SystemExit: with status 2, on wrong usage
    """
    dirs: list[str] = []
    if files is None:
        files, dirs = ([
            name for name in environ.get(variable, '').split(os.pathsep)
            if name] for variable in _VARIABLES)
        if not files and not dirs:
            files = cfg.find_config_files('freezer', 'freezer-api')
            dirs = cfg.find_config_dirs('freezer', 'freezer-api')
    conf(list(args), project='freezer', prog=prog,
         version=version.version_string(),
         default_config_files=list(files), default_config_dirs=dirs)
