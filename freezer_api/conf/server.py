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

"""[server]: the HTTP server of freezer-api."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('server', title='The HTTP server of freezer-api')

OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        'bind_host', default='127.0.0.1',
        deprecated_group='DEFAULT', deprecated_name='bind_host',
        help='Address at which freezer-api listens. The option --host '
             'overrides it. Behind a proxy on the same host, keep the '
             'loopback address.'),
    cfg.PortOpt(
        'bind_port', default=9090, min=1,
        deprecated_group='DEFAULT', deprecated_name='bind_port',
        help='Port at which freezer-api listens. The option --port overrides '
             'it.'),
    cfg.IntOpt(
        'workers', default=4, min=1, max=256,
        help='Number of processes that answer requests. The option --workers '
             'overrides it.'),
    cfg.IntOpt(
        'threads', default=4, min=1, max=256,
        help='Number of requests that each process handles at a time. A '
             'request occupies a thread from its complete arrival until its '
             'answer is ready, so slow clients occupy no thread.'),
    cfg.IntOpt(
        'max_connections', default=256, min=16, max=4096,
        help='Maximum number of open connections of each process. If there '
             'are more, the connection that has waited longest for its client '
             'is closed.'),
    cfg.IntOpt(
        'request_timeout', default=60, min=1, max=3600,
        help='Seconds in which a client must send a whole request, and '
             'receive a whole answer. Then the connection is closed.'),
    cfg.IntOpt(
        'idle_timeout', default=30, min=1, max=3600,
        help='Seconds after which a connection without any traffic is '
             'closed.'),
]
