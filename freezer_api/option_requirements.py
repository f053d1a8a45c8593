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

"""Packages, files and further options that options of the API require."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import importlib.metadata
import os
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import loading
from keystonemiddleware import opts as authtoken_opts
from oslo_config import cfg
from oslo_middleware import opts as middleware_opts
import sqlalchemy as sa

from freezer_config import errors
from freezer_config import packages

_AUTHTOKEN = 'keystone_authtoken'
_HEALTHCHECK = 'healthcheck'

# By the module that SQLAlchemy imports.
_DRIVERS = {
    'pymysql': ('PyMySQL', 'mysql'),
    'psycopg': ('psycopg[binary]', 'postgresql'),
    'MySQLdb': ('mysqlclient', None),
    'psycopg2': ('psycopg2-binary', None),
}
_FILES = ('cafile', 'certfile', 'keyfile')
_MEMCACHE_FILES = ('memcache_tls_cafile', 'memcache_tls_certfile',
                   'memcache_tls_keyfile')
_EXCLUSIVE = {'disable_by_file', 'enable_by_files'}


def problems(conf: cfg.ConfigOpts) -> list[str]:
    """Return a line for each unmet requirement, with its remedy."""
    declared = [*authtoken_opts.list_auth_token_opts(),
                *middleware_opts.list_opts_healthcheck()]
    for group, options in declared:
        conf.register_opts(options, group)
    return [*of_database(conf.database.connection),
            *(errors.unreadable(conf, declared) or (
                *_of_tokens(conf[_AUTHTOKEN]),
                *_of_healthcheck(conf[_HEALTHCHECK].backends)))]


def of_database(url: str | None) -> list[str]:
    """Return a line if the URL of the database is missing or not usable."""
    option = '[database] connection'
    if not url:
        return [f'{option} is not set: give the URL of the database, such as '
                'mysql+pymysql://freezer:PASSWORD@HOST/freezer']
    try:
        sa.make_url(url).get_dialect().import_dbapi()
    except (sa.exc.ArgumentError, ValueError):
        # The message of SQLAlchemy contains the URL.
        return [f'{option} is not the URL of a database that can be used: it '
                'has the form mysql+pymysql://freezer:PASSWORD@HOST/freezer, '
                'and special characters of the password are written as %XX']
    except ImportError as error:
        module = str(error.name)
        package, extra = _DRIVERS.get(module, (module, None))
        need = packages.Need(option, module, package, extra)
        return [f'{option} needs the module {module}, which is not '
                f'installed: {need.cure}']
    return []


def _of_tokens(given: cfg.ConfigOpts.GroupAttr) -> Iterator[str]:
    yield from _of_login(given.auth_type)
    if (given.memcache_security_strategy.lower() != 'none'
            and not given.memcache_secret_key):
        yield (f'[{_AUTHTOKEN}] memcache_secret_key is not set, and '
               'memcache_security_strategy requires it: set a long random '
               'text, the same for all processes')
    names = list(_FILES)
    if given.memcached_servers:
        yield from _of_memcache(given)
        if given.memcache_tls_enabled:
            names += _MEMCACHE_FILES
    for name in names:
        path = given[name]
        if path and not os.access(path, os.R_OK):
            yield (f'[{_AUTHTOKEN}] {name}: {path} cannot be read: name a '
                   'file that the user of the process can read')


def _of_memcache(given: cfg.ConfigOpts.GroupAttr) -> Iterator[str]:
    # keystonemiddleware imports the module with the first request.
    option = f'[{_AUTHTOKEN}] memcached_servers'
    binary = given.memcache_sasl_enabled or (
        given.memcache_tls_enabled and given.memcache_use_advanced_pool)
    need = (packages.Need(option, 'bmemcached', 'python-binary-memcached',
                          'memcache') if binary else
            packages.Need(option, 'memcache', 'python-memcached', 'memcache'))
    if problem := need.problem():
        yield problem


def _of_login(auth_type: str | None) -> Iterator[str]:
    if not auth_type:
        return
    option = f'[{_AUTHTOKEN}] auth_type'
    try:
        loader: Any = loading.get_plugin_loader(auth_type)
    except ks_exceptions.NoMatchingPlugin:
        yield f'{option}: there is no plugin {auth_type}: use password'
        return
    if not loader.available:
        yield (f'{option}: the plugin {auth_type} requires a package that is '
               'not installed: install the package that the documentation of '
               'keystoneauth lists, or use password')


def _of_healthcheck(backends: Sequence[str]) -> Iterator[str]:
    option = f'[{_HEALTHCHECK}] backends'
    known = {point.name for point in importlib.metadata.entry_points(
        group='oslo.middleware.healthcheck')}
    given = set(backends)
    if unknown := sorted(given - known):
        yield (f'{option}: there is no {", ".join(unknown)}: choose from '
               + ', '.join(sorted(known)))
    if given >= _EXCLUSIVE:
        yield (f'{option}: disable_by_file and enable_by_files contradict '
               'each other: remove one')
