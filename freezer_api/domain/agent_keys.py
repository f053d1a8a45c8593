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

"""The keys of a freezer_action that clients of other releases send.

They have no effect in a cinder-native action. They are listed so that none of
them counts as a misspelled key of a cinder-native action.
"""

from __future__ import annotations

TEXTS = (
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
FLAGS = (
    'cindernative_freezer_only', 'consistency_check', 'debug', 'dry_run',
    'incremental', 'insecure', 'overwrite', 'quiet', 'sync')
NUMBERS = (
    'always_level', 'download_limit', 'ftp_port', 'fullbackup_rotation',
    'max_level', 'max_segment_size', 'remove_older_than',
    'restart_always_level', 'rsync_block_size', 'ssh_port', 'timeout',
    'upload_limit')

#: The options of freezer-agent 19.0.0 that a job can set.
AGENT = frozenset((*TEXTS, *FLAGS, *NUMBERS))

#: Keys that only a scheduler sets, that Horizon and freezer-tempest-plugin
#: send in addition, or that answers of the API repeat.
OTHERS = frozenset((
    '_version', 'action_id', 'always_backup_level', 'backup_id',
    'backup_media', 'config', 'engine', 'exit_status', 'job_id', 'mandatory',
    'max_backup_level', 'max_cpu_priority', 'max_retries',
    'max_retries_interval', 'metadata_out', 'no_incremental', 'os_trust_id',
    'priority', 'restore_from_host', 'status', 'user_id'))

#: All of them.
KNOWN = AGENT | OTHERS
