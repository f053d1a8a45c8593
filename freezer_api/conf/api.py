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

GROUP = cfg.OptGroup('api', title='What the API accepts')

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'default_limit', default=10, min=1,
        help='Items in a page of a list when the request names no limit. '
             'Stock schedulers page by 10, so lower only with care.'),
    cfg.IntOpt(
        'max_limit', default=1000, min=1,
        help='Most items in a page of a list. A larger limit in a request is '
             'lowered to this.'),
    cfg.ListOpt(
        'accept_open_policies', default=[], sample_default='',
        help='Policy rules, by name and separated by commas, that may let in '
             'the members of other projects, for instance jobs:get_all. A '
             'rule of [oslo_policy] policy_file that lets them in and is not '
             'named here keeps the API from starting; when the file changes '
             'later, its operations are refused.'),
]
