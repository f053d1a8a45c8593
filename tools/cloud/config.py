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

"""The configuration files of the cloud's OpenStack services.

They are written when a cloud starts. A file that a user has edited is not
overwritten.
"""

import hashlib
import json
import pathlib

from tools.cloud import ceph
from tools.cloud import environments
from tools.cloud import layout
from tools.cloud import secrets
from tools.cloud import swift

REGION = 'RegionOne'

#: The service account that the API and the central scheduler share.
SERVICE_USER = 'freezer'

Options = dict[str, dict[str, object]]


def scheduler_pid_file(where: layout.Layout) -> pathlib.Path:
    """Return the path of the scheduler's pid file."""
    return where.state / 'freezer/scheduler.pid'


def render(options: Options) -> str:
    """Return the text of an oslo.config file with literal ``$`` signs."""
    lines = []
    for group, values in options.items():
        lines.append(f'[{group}]')
        for name, value in values.items():
            text = str(value).lower() if isinstance(value, bool) else value
            lines.append(f'{name} = {text}'.replace('$', '$$'))
        lines.append('')
    return '\n'.join(lines)


def _sqlite(path: pathlib.Path) -> dict[str, object]:
    return {'connection': f'sqlite:///{path}?timeout=60',
            'sqlite_synchronous': False}


def authtoken(settings: layout.Settings, user: str,
              password: str) -> dict[str, object]:
    """Return the options of keystonemiddleware for a service account."""
    return {
        'www_authenticate_uri': settings.auth_url,
        'auth_url': settings.auth_url,
        'auth_type': 'password',
        'project_domain_name': 'Default',
        'user_domain_name': 'Default',
        'project_name': 'service',
        'username': user,
        'password': password,
        'region_name': REGION,
        'service_token_roles': 'service',
        'service_token_roles_required': True,
        # Validate each token each time: a revoked one ends at once.
        'token_cache_time': -1,
    }


def keystone(where: layout.Layout, settings: layout.Settings) -> Options:
    keys = where.etc / 'keystone'
    return {
        'DEFAULT': {'log_file': where.log / 'keystone.log'},
        'database': _sqlite(where.state / 'keystone/keystone.db'),
        'fernet_tokens': {'key_repository': keys / 'fernet-keys'},
        'fernet_receipts': {'key_repository': keys / 'fernet-keys'},
        'credential': {'key_repository': keys / 'credential-keys'},
        'token': {'provider': 'fernet',
                  'expiration': settings.token_seconds},
        # Weak on purpose: a login at the default cost takes 0.3 CPU seconds.
        'identity': {'password_hash_rounds': 4},
        'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
    }


def cinder(where: layout.Layout, settings: layout.Settings,
           keep: secrets.Secrets, venv: pathlib.Path) -> Options:
    data = where.state / 'cinder'
    shipped = venv / 'etc/cinder'
    options: Options = {
        'DEFAULT': {
            'log_file': where.log / 'cinder.log',
            'state_path': data / 'state',
            'host': 'quickstart',
            'my_ip': '127.0.0.1',
            'auth_strategy': 'keystone',
            'transport_url': 'fake://',
            'api_paste_config': shipped / 'api-paste.ini',
            'resource_query_filters_file': shipped / 'resource_filters.json',
            'osapi_volume_listen': '127.0.0.1',
            'osapi_volume_listen_port': settings.cinder_port,
            'osapi_max_limit': 1000,
            'backup_max_operations': 4,
            'backup_enable_progress_timer': False,
            'periodic_interval': 10,
            'periodic_fuzzy_delay': 0,
            'report_interval': 5,
            'service_down_time': 30,
            'quota_volumes': 10000,
            'quota_snapshots': 10000,
            'quota_backups': 100000,
            'quota_gigabytes': -1,
            'quota_backup_gigabytes': -1,
        },
        'database': _sqlite(data / 'cinder.db'),
        'oslo_concurrency': {'lock_path': data / 'locks'},
        'coordination': {'backend_url': f"file://{data / 'state'}"},
        'keystone_authtoken': authtoken(settings, 'cinder', keep.cinder),
    }
    store = (ceph.cinder_options(where) if settings.ceph_port
             else _files(data, settings))
    if settings.swift_ports:
        store['DEFAULT'].update(swift.cinder_options())
    for group, values in store.items():
        options.setdefault(group, {}).update(values)
    return options


def _files(data: pathlib.Path, settings: layout.Settings) -> Options:
    """Return the options of Cinder for volumes and backups in files."""
    return {
        'DEFAULT': {
            'enabled_backends': 'file',
            'backup_driver': 'cinder.backup.drivers.posix.PosixBackupDriver',
            'backup_posix_path': data / 'backup',
            'backup_file_size': 32 << 20,
            'backup_sha_block_size_bytes': 32 << 10,
            'backup_compression_algorithm': 'zlib',
        },
        'file': {
            'volume_driver': 'file_volume.FileVolumeDriver',
            'volume_backend_name': 'file',
            'file_volume_dir': data / 'volumes',
            'file_volume_mib_per_gb': settings.mib_per_gb,
            'file_volume_capacity_gb': 1000000,
        },
    }


def freezer_api(where: layout.Layout, settings: layout.Settings,
                keep: secrets.Secrets) -> Options:
    return {
        'DEFAULT': {'log_file': where.log / 'freezer-api.log'},
        'database': _sqlite(where.state / 'freezer/freezer.db'),
        'keystone_authtoken': authtoken(
            settings, SERVICE_USER, keep.freezer),
        'server': {'workers': 1, 'threads': 8, 'max_connections': 1000},
        'user_credentials': {'keys': keep.credential_key},
    }


def scheduler(where: layout.Layout, settings: layout.Settings,
              keep: secrets.Secrets) -> Options:
    return {
        'DEFAULT': {'log_file': where.log / 'freezer-scheduler.log'},
        'scheduler': {
            'client_id': 'central',
            'service_mode': True,
            'claim_interval': 2,
            'poll_interval': 2,
            'pid_file': scheduler_pid_file(where),
        },
        'service_auth': {
            'os_auth_url': settings.auth_url,
            'os_username': SERVICE_USER,
            'os_password': keep.freezer,
            'os_project_name': 'service',
            'os_user_domain_name': 'Default',
            'os_project_domain_name': 'Default',
            'os_region_name': REGION,
        },
    }


def write(where: layout.Layout, settings: layout.Settings,
          keep: secrets.Secrets, envs: environments.Environments,
          ) -> list[str]:
    """Write the files that no user has edited.

    :returns: names of the edited files
    """
    wanted = {
        'keystone.conf': keystone(where, settings),
        'cinder.conf': cinder(where, settings, keep, envs.cloud.venv),
        'freezer-api.conf': freezer_api(where, settings, keep),
        'scheduler.conf': scheduler(where, settings, keep),
    }
    for folder in ('fernet-keys', 'credential-keys'):
        secrets.key_repository(where.etc / 'keystone' / folder)
    record = where.etc / 'generated.json'
    ours: dict[str, str] = (
        json.loads(record.read_text()) if record.exists() else {})
    kept = []
    for name, options in wanted.items():
        path, text = where.etc / name, render(options)
        if path.exists() and _digest(path.read_text()) != ours.get(name):
            kept.append(name)
            continue
        layout.write_private(path, text)
        ours[name] = _digest(text)
    layout.write_private(record, json.dumps(ours, indent=1) + '\n')
    return kept


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
