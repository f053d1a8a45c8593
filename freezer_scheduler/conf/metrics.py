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

"""[metrics]: the endpoint for Prometheus."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('metrics', title='Metrics for Prometheus')

OPTS = [
    cfg.BoolOpt(
        'enabled', default=False,
        help='Serve metrics over HTTP, without authentication. The metrics '
             'name no user, project or job.'),
    cfg.StrOpt(
        'bind-host', default='127.0.0.1',
        help='Address of the metrics. Several schedulers on one host need '
             'different ports.'),
    cfg.PortOpt(
        'port', default=9095, min=1,
        help='TCP port of the metrics.'),
]
