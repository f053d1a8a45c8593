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

GROUP = cfg.OptGroup(
    'service_mode', title='Central schedulers and the trusts they need')

_OLD = 'centralized_scheduler'

OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'enabled', default=True, deprecated_group=_OLD,
        help='Whether central clients may be registered and given jobs.'),
    cfg.BoolOpt(
        'enforce_trusts', default=False, deprecated_group=_OLD,
        help='Make a trust for every job, not only for those of central '
             'clients.'),
    cfg.StrOpt(
        'auth_section', default='keystone_authtoken', deprecated_group=_OLD,
        help='The section that holds the credentials of the service account: '
             'the trustee of all trusts. Central schedulers must log in as '
             'the same user.'),
    cfg.ListOpt(
        'trusts_delegated_roles', default=['member'], deprecated_group=_OLD,
        help='Names of the roles that a trust delegates. The user must hold '
             'all of them, for as long as the trust is to work.'),
    cfg.ListOpt(
        'additional_primary_auth_methods', default=[],
        help='Names of authentication methods by which users log in '
             'themselves, beside those that come with Keystone: the value of '
             '[auth] additional_primary_auth_methods of Keystone. With a '
             'token of any other method, jobs of central clients cannot be '
             'created, changed or started.'),
    cfg.IntOpt(
        'trust_lifetime', default=0, min=0,
        help='Seconds after which a trust expires; 0 for never. Its giver '
             'gets a new one for all jobs with the first change of one of '
             'them after half of that time. The jobs of a trust that has '
             'expired are suspended until then.'),
]
