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

"""[api]: requests to the API."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('api', title='Requests to the API')

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'default_limit', default=10, min=1,
        help='Number of items in a page of a list if the request sets no '
             'limit. Stock schedulers read pages of 10, so be careful with '
             'lower values.'),
    cfg.IntOpt(
        'max_limit', default=1000, min=1,
        help='Maximum number of items in a page of a list. A larger limit in '
             'a request is lowered to this value.'),
    cfg.BoolOpt(
        'wait_for_schema', default=False,
        help='Start even if the database does not have the schema of this '
             'release, and answer 503 until freezer-manage db sync has run. '
             'Otherwise the start fails. Set it if your deployment starts the '
             'API and upgrades the database at the same time.'),
    cfg.ListOpt(
        'accept_open_policies', default=[], sample_default='',
        help='Comma-separated names of policy rules that can give access to '
             'the members of other projects, for example jobs:get_all. The '
             'API does not start if a rule of [oslo_policy] policy_file gives '
             'them access and is not listed here. If the file changes later, '
             'the API refuses the operations of such a rule.'),
]
