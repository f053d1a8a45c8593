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

"""[deadlines]: time limits for the work of the database."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'deadlines', title='Time limits for the database')

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'lock', default=1.0, min=0.3, max=60.0,
        help='Seconds that a request of a user can hold locks in the '
             'database. A transaction that would hold them longer is rolled '
             'back and retried; see retry. Claims and reports of schedulers '
             'have a limited number of rows instead.'),
    cfg.IntOpt(
        'lock_wait', default=1, min=1, max=60,
        help='Seconds that a statement of the API waits for a lock of '
             'another transaction.'),
    cfg.IntOpt(
        'statement', default=10, min=1, max=3600,
        help='Maximum duration of a statement of the API, in seconds. A '
             'statement that only reads holds no lock. A request whose '
             'statement takes longer is answered with 503.'),
    cfg.IntOpt(
        'idle_transaction', default=5, min=1, max=3600,
        help='Seconds after which the database server closes a connection '
             'that is idle in a transaction, for example of an API process '
             'that is suspended while it holds locks. MySQL has no such '
             'limit.'),
    cfg.IntOpt(
        'retry', default=5, min=0, max=60,
        help='Seconds during which a transaction is retried after a conflict '
             'with another one. Then the request is answered with 503.'),
    cfg.FloatOpt(
        'slow_claim', default=1.0, min=0.0, max=60.0,
        help='A claim that takes longer than this many seconds is logged as '
             'a warning, with the time of each step.'),
]
