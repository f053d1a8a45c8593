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

GROUP = cfg.OptGroup('scheduling', title='When jobs become due')

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'autostart_delay', default=5, min=0, max=3600,
        help='Seconds until a new job that was given no event can become due. '
             'A client that creates a job and then reads it back sees it '
             'untouched meanwhile, and has time to send an event.'),
    cfg.IntOpt(
        'catch_up_window', default=3600, min=1,
        help='Seconds within which a firing that no scheduler claimed in time '
             'is still run. Several such firings of a job become one run. An '
             'older one is recorded as missed and not run. A start that a '
             'user asked for is run however late.'),
]
