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

"""[user_credentials]: encryption of stored trusts."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'user_credentials', title='Encryption of stored trusts')

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'keys', default=[], secret=True,
        help='Fernet keys, newest first. Create them with `freezer-manage '
             'credential generate-key`. The first one encrypts, all of them '
             'decrypt. There is no default: without a key, jobs for central '
             'clients are refused.'),
]
