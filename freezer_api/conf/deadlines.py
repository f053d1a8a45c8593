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

"""Options of how long the database may take for a request."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'deadlines', title='How long the database may take for a request')

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'lock', default=1.0, min=0.3, max=60.0,
        help='Seconds for which a request of a user may hold locks of the '
             'database. A transaction that would hold them for longer is '
             'rolled back and tried again; see retry. Claims and reports of '
             'schedulers are bounded by the number of their rows instead.'),
    cfg.IntOpt(
        'lock_wait', default=1, min=1, max=60,
        help='Seconds for which any statement of the API waits for a lock '
             'that another transaction holds.'),
    cfg.IntOpt(
        'statement', default=10, min=1, max=3600,
        help='Seconds that any statement of the API may take. One that reads '
             'holds no lock. A request whose statement takes longer is '
             'answered with 503.'),
    cfg.IntOpt(
        'idle_transaction', default=5, min=1, max=3600,
        help='Seconds after which the server ends a connection that is idle '
             'in a transaction: that of an API process that has stopped with '
             'locks in its hands. MySQL has no such limit.'),
    cfg.IntOpt(
        'retry', default=5, min=0, max=60,
        help='Seconds for which a transaction is tried again that another '
             'one was in the way of. Then the request is answered with 503.'),
    cfg.FloatOpt(
        'slow_claim', default=1.0, min=0.0, max=60.0,
        help='A claim that takes longer than this many seconds is logged as '
             'a warning that says where the time went.'),
]
