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

from freezer_api.domain import agent_keys


class Kind(enum.Enum):
    """How the agent reads a value."""

    TEXT = enum.auto()
    FLAG = enum.auto()
    NUMBER = enum.auto()


KNOWN = {**dict.fromkeys(agent_keys.TEXTS, Kind.TEXT),
         **dict.fromkeys(agent_keys.FLAGS, Kind.FLAG),
         **dict.fromkeys(agent_keys.NUMBERS, Kind.NUMBER)}

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
