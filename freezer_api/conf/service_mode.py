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

"""[service_mode]: central schedulers and their trusts."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'service_mode', title='Central schedulers and their trusts')

_OLD = 'centralized_scheduler'

OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'enabled', default=True, deprecated_group=_OLD,
        help='Accept registrations of central clients, and jobs for them.'),
    cfg.BoolOpt(
        'enforce_trusts', default=False, deprecated_group=_OLD,
        help='Create a trust for every job, not only for jobs of central '
             'clients.'),
    cfg.StrOpt(
        'auth_section', default='keystone_authtoken', deprecated_group=_OLD,
        help='The section with the credentials of the service account, which '
             'is the trustee of all trusts. Central schedulers must log in as '
             'the same user.'),
    cfg.ListOpt(
        'trusts_delegated_roles', default=['member'], deprecated_group=_OLD,
        help='Names of the roles that a trust delegates. The user must have '
             'all of them as long as the trust is used.'),
    cfg.ListOpt(
        'additional_primary_auth_methods', default=[],
        help='Names of the authentication methods, in addition to those of '
             'Keystone itself, by which users log in directly: the value of '
             '[auth] additional_primary_auth_methods of Keystone. With a '
             'token of any other method, users cannot create, change or start '
             'jobs of central clients.'),
    cfg.IntOpt(
        'trust_lifetime', default=0, min=0, max=36500 * 86400,
        help='Seconds after which a trust expires; 0: never. When its trustor '
             'changes a job after half of that time, a new trust replaces it '
             'for all of its jobs. The jobs of an expired trust are suspended '
             'until then.'),
]
