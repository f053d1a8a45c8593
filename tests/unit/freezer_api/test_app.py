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

import subprocess
import sys

from oslo_config import cfg
import testtools

from freezer_api import app

_NOT_NEEDED = ('alembic', 'freezer_api.api.openapi',
               'freezer_api.db.admin.upgrade', 'freezer_api.db.migrations')


class TestDeploy(testtools.TestCase):

    def test_it_loads_nothing_that_no_request_needs(self) -> None:
        """Each module takes memory of every process that serves."""
        script = ('import sys; import freezer_api.app; '
                  f'print(*(set({_NOT_NEEDED!r}) & set(sys.modules)))')
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', script],
            capture_output=True, text=True, check=True)
        self.assertEqual('', done.stdout.strip())

    def test_a_keystone_that_hangs_is_not_waited_for_without_end(
            self) -> None:
        for given, expected in ((None, 10), (3, 3)):
            conf = cfg.ConfigOpts()
            conf([])
            app.set_authtoken_defaults(conf)
            if given is not None:
                conf.set_override('http_connect_timeout', given,
                                  'keystone_authtoken')
            self.assertEqual(
                expected, conf.keystone_authtoken.http_connect_timeout)
