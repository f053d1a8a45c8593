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

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('cinder', title='Backups by Cinder')

OPTS = [
    cfg.StrOpt(
        'default-container', mutable=True,
        help='Container for backups of jobs that name none: a container of '
             'Swift, a bucket of S3 or Google, a directory of POSIX, NFS or '
             'GlusterFS, a pool of Ceph. May '
             'contain {project_id}, {volume_id} and {backup_name}. Not set: '
             'the request names none, and the driver of Cinder uses its own. '
             'Cinder\'s Ceph driver restores only from the pool that its '
             'option backup_ceph_pool names, so leave it unset there. '
             'Releases up to 19.0.0 always requested "freezer_backups".'),
    cfg.ListOpt(
        'accepted-containers', mutable=True,
        help='Containers that a job can name. A backup into another one '
             'fails before a request to Cinder. "*" at the end of a name '
             'matches any text. With Cinder\'s Ceph driver, which does '
             'not restore from other pools, set it to the value of its '
             'option backup_ceph_pool; an empty list accepts none. Not set: '
             'any.'),
]
