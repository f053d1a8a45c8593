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

"""[quota], and whether [oslo_limit] replaces it."""

from __future__ import annotations

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_limit import opts as limit_opts

from freezer_api.domain import quota

GROUP = cfg.OptGroup('quota', title='Limits of a project')

UNIFIED = 'oslo_limit'

_NOTE = ('-1: unlimited. Not used if [oslo_limit] is configured: then '
         'Keystone has the limits.')


def _limit(resource: quota.Resource, default: int, what: str) -> cfg.Opt:
    return cfg.IntOpt(
        resource.value, default=default, min=quota.UNLIMITED,
        help=f'Maximum number of {what} of a project. {_NOTE}')


OPTS: list[cfg.Opt] = [
    _limit(quota.Resource.JOBS, 10_000, 'jobs'),
    _limit(quota.Resource.ACTIONS, 40_000, 'actions'),
    _limit(quota.Resource.CLIENTS, 1_000, 'registered clients'),
    _limit(quota.Resource.SESSIONS, 1_000, 'sessions'),
    _limit(quota.Resource.BACKUPS, 1_000_000,
           'backup records, including those of runs,'),
    _limit(quota.Resource.STORED_BYTES, 2 ** 30,
           'bytes of JSON (schedules, freezer_action, backup_metadata, jobs '
           'of sessions) in the database'),
    cfg.IntOpt(
        'cache_time', default=60, min=0, max=3600,
        help='Seconds that each process caches the limits from Keystone. A '
             'changed limit takes effect within this time. Used if '
             '[oslo_limit] is configured.'),
    cfg.IntOpt(
        'timeout', default=5, min=1, max=60,
        help='Seconds that a request waits for the limits from Keystone. '
             'Then it is answered with 503 and changes nothing. Used if '
             '[oslo_limit] is configured.'),
]

_AUTH = ('auth_type', 'auth_section', 'auth_url', 'username', 'user_id')
_ENDPOINT = ('endpoint_id', 'endpoint_service_type', 'endpoint_service_name')


def _unified(conf: cfg.ConfigOpts) -> cfg.ConfigOpts.GroupAttr:
    loading.register_auth_conf_options(conf, UNIFIED)
    conf.register_opts(
        loading.get_auth_plugin_conf_options('password'), UNIFIED)
    limit_opts.register_opts(conf)
    return conf[UNIFIED]


def is_unified(conf: cfg.ConfigOpts) -> bool:
    """Return whether Keystone has the limits."""
    group = _unified(conf)
    return any(getattr(group, name, None) for name in (*_AUTH, *_ENDPOINT))


def unified_problems(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each option of [oslo_limit] that cannot work."""
    if not is_unified(conf):
        return []
    group = _unified(conf)
    found = []
    if not (group.auth_section or group.auth_type):
        found.append(f'[{UNIFIED}] auth_type is not set')
    found += _scope_problems(conf, group.auth_section or UNIFIED)
    if not any(group[name] for name in _ENDPOINT):
        found.append(f'[{UNIFIED}] endpoint_id is not set, nor is '
                     'endpoint_service_type or endpoint_service_name: '
                     'oslo.limit needs one to find the limits')
    return found


def _scope_problems(conf: cfg.ConfigOpts, section: str) -> list[str]:
    """Check for a system-scoped login.

    Keystone shows the limits of all projects only to a system-scoped token.
    With a project-scoped token the answer omits the limits of other projects,
    so that they would have the registered limits.
    """
    loading.register_auth_conf_options(conf, section)
    auth_type = conf[section].auth_type
    if not auth_type:
        return []  # Reported already, or a section without a login.
    try:
        conf.register_opts(
            loading.get_auth_plugin_conf_options(auth_type), section)
    except exceptions.NoMatchingPlugin:
        return [f'[{section}] auth_type is unknown']
    if getattr(conf[section], 'system_scope', None) == 'all':
        return []
    return [f'[{section}] system_scope must be "all": Keystone shows the '
            'limits of other projects only to a system-scoped token']


def limits(conf: cfg.ConfigOpts) -> dict[quota.Resource, int]:
    """Return the limits of each project according to [quota]."""
    return {resource: conf.quota[resource.value]
            for resource in quota.Resource}
