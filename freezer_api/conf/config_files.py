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

"""The configuration files of the API, and the unknown options in them."""

from __future__ import annotations

from collections.abc import Mapping
import os

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import loading
from oslo_config import cfg

from freezer_config import unknown_options

FILES_VARIABLE = 'OS_FREEZER_API_CONFIG_FILES'
DIRS_VARIABLE = 'OS_FREEZER_API_CONFIG_DIRS'

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


def default_files(environ: Mapping[str, str]) -> list[str] | None:
    """Return the files that the environment names, or None."""
    return _listed(environ, FILES_VARIABLE)


def default_dirs(environ: Mapping[str, str]) -> list[str] | None:
    """Return the directories that the environment names, or None."""
    return _listed(environ, DIRS_VARIABLE)


def _listed(environ: Mapping[str, str], variable: str) -> list[str] | None:
    named = environ.get(variable)
    return [one for one in named.split(os.pathsep) if one] if named else None


def unread(conf: cfg.ConfigOpts, own: unknown_options.Names) -> list[str]:
    """Return a line for each option in the files that no program reads.

    :param own: the options of the API, by group
    """
    names = unknown_options.namespaces(*_NAMESPACES)
    unknown_options.merge(names, own)
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
