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

"""[coordination]: accepted for the sake of existing files."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('coordination', title='No longer needed')

OPTS = [
    cfg.StrOpt(
        # It may hold a password.
        'backend-url', secret=True,
        help='Without effect: schedulers share work by claiming runs from '
             'the Freezer API and need no coordination service.'),
]
