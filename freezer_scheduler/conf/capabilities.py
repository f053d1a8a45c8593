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

"""[capabilities]: the work that this scheduler supports."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('capabilities', title='Work that this scheduler supports')


def _list(noun: str, narrow: str, wide: str) -> cfg.ListOpt:
    return cfg.ListOpt(
        f'supported-{noun}', mutable=True, sample_default=narrow,
        help=f'The {noun} that jobs of this client can use. In service mode '
             f'the default is cinder-native work only ({narrow or "none"}); '
             f'if you enable more here, users of every project can run it '
             f'on this host. Otherwise the default is {wide}.')


OPTS = [
    _list('actions', 'backup,restore,admin', 'backup,restore,info,admin,exec'),
    _list('modes', 'cindernative',
          'fs,mongo,mysql,sqlserver,cinder,glance,cindernative,nova'),
    _list('storages', '', 'local,swift,ssh,s3,ftp,ftps'),
    _list('engines', '', 'tar,rsync,rsyncv2,nova,osbrick,glance'),
]
