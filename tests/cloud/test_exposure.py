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

"""Slow clients of the API, with a real Keystone behind it."""

from __future__ import annotations

import time
from urllib import parse
from urllib import request

from tests.cloud import service_mode
from tests import slow_clients

# Seconds.
PATIENCE = 300
# Many times what a busy machine takes, and a part of the API's
# request_timeout, for which a client may hold what it gets hold of.
AT_ONCE = 20


class ExposureTests(service_mode.ServiceModeCase):

    def test_slow_clients_hold_up_no_other_client(self) -> None:
        url = parse.urlsplit(self.made.urls['freezer-api'])
        assert url.hostname and url.port
        slow = []
        with slow_clients.Clients((url.hostname, url.port),
                                  slow_clients.ATTACKS, 400) as clients:
            self.assertTrue(clients.attacking.wait(PATIENCE))
            for number in range(20):
                began = time.monotonic()
                with request.urlopen(
                        self.made.urls['freezer-api'] + '/healthcheck',
                        timeout=PATIENCE) as answer:
                    self.assertEqual(200, answer.status)
                health = time.monotonic()
                self.api('GET', 'jobs')
                ended = time.monotonic()
                if max(health - began, ended - health) > AT_ONCE:
                    slow.append((number, health - began, ended - health))
        self.assertEqual([], slow)
