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

"""What freezer-agent 19.0.0 knows as keys of its configuration file.

It stops over a key that it does not know, so what is not listed here is left
out. Not listed are those that only the scheduler may set.
"""

from __future__ import annotations

import enum


class Kind(enum.Enum):
    """How the agent reads a value."""

    TEXT = enum.auto()
    FLAG = enum.auto()
    NUMBER = enum.auto()


_TEXTS = (
    'access_key', 'action', 'backup_name', 'cinder_vol_id',
    'cinder_vol_name', 'cinderbrick_vol_id', 'cindernative_backup_az',
    'cindernative_backup_container', 'cindernative_backup_id',
    'cindernative_vol_id', 'command', 'compression', 'consistency_checksum',
    'container', 'dereference_symlink', 'encrypt_pass_file', 'endpoint',
    'engine_name', 'exclude', 'ftp_certfile', 'ftp_host', 'ftp_keyfile',
    'ftp_password', 'ftp_username', 'glance_image_id', 'glance_image_name',
    'glance_image_name_filter', 'hostname', 'log_file', 'lvm_dirmount',
    'lvm_snapname', 'lvm_snapperm', 'lvm_snapsize', 'lvm_srcvol',
    'lvm_volgroup', 'max_priority', 'mode', 'mysql_conf', 'nova_inst_id',
    'nova_inst_name', 'nova_restore_network', 'os_identity_api_version',
    'path_to_backup', 'project_id', 'proxy', 'remove_before_date',
    'remove_from_date', 'restore_abs_path', 'restore_from_date',
    'secret_key', 'snapshot', 'sql_server_conf', 'ssh_host', 'ssh_key',
    'ssh_password', 'ssh_username', 'storage', 'temp_resource_prefix')
_FLAGS = (
    'cindernative_freezer_only', 'consistency_check', 'debug', 'dry_run',
    'incremental', 'insecure', 'overwrite', 'quiet', 'sync')
_NUMBERS = (
    'always_level', 'download_limit', 'ftp_port', 'fullbackup_rotation',
    'max_level', 'max_segment_size', 'remove_older_than',
    'restart_always_level', 'rsync_block_size', 'ssh_port', 'timeout',
    'upload_limit')

KNOWN = {**dict.fromkeys(_TEXTS, Kind.TEXT),
         **dict.fromkeys(_FLAGS, Kind.FLAG),
         **dict.fromkeys(_NUMBERS, Kind.NUMBER)}

# What jobs say and mean a key by.
SYNONYMS = {'engine': 'engine_name'}

_FILE = 'it names a file of the scheduler\'s host'
_ACCOUNT = 'the service account\'s password would go another way'

# On a host that projects share. A mode, a storage or the action exec is what
# an operator named in [capabilities]; what these do stands in no such name.
NOT_SHARED = {
    'log_file': _FILE, 'ssh_key': _FILE, 'encrypt_pass_file': _FILE,
    'mysql_conf': _FILE, 'sql_server_conf': _FILE, 'ftp_certfile': _FILE,
    'ftp_keyfile': _FILE, 'lvm_dirmount': _FILE, 'lvm_srcvol': _FILE,
    'lvm_volgroup': 'it names a disk of the scheduler\'s host',
    'lvm_snapname': 'it names a disk of the scheduler\'s host',
    'snapshot': 'it takes a snapshot of a disk of the scheduler\'s host',
    'proxy': _ACCOUNT, 'insecure': _ACCOUNT,
    'os_identity_api_version': _ACCOUNT,
    'max_priority': 'it takes the processor from other projects',
    'debug': 'it writes what other projects do not need to the log',
}

# ... but for the modes that are about files of the host, which an operator
# has to name.
NOT_SHARED_OUTSIDE_HOST_MODES = {
    'path_to_backup': _FILE, 'restore_abs_path': _FILE}
HOST_MODES = ('fs', 'mongo', 'mysql', 'sqlserver')
