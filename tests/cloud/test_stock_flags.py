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

"""Whatever a command line of Freezer 19.0.0 holds is understood."""

from __future__ import annotations

import json
import subprocess
import unittest

from freezer_scheduler import conf as scheduler_conf
from tests.stock_scheduler import stock
from tools.cloud import commands

# Tells the flags of the released scheduler, and which of them take a value.
FLAGS = '''
from freezer.scheduler import arguments
import json
from oslo_config import cfg
from oslo_log import log
conf = cfg.ConfigOpts()
arguments.register_scheduler_opts(conf)
log.register_options(conf)
conf(args=[], default_config_files=[])
print(json.dumps({
    flag: action.nargs != 0
    for flag, action in conf._oparser._option_string_actions.items()}))
'''

# They print something and end, or read a file.
OTHERS = {'-h', '--help', '--version', '--config-file', '--config-dir',
          '--shell_completion'}


class FlagTests(unittest.TestCase):

    def test_every_flag_is_understood(self) -> None:
        """Old names and short ones, too."""
        said = subprocess.run(
            [stock.environment().python, '-c', FLAGS], check=True,
            capture_output=True, text=True, env=commands.clean_environment())
        flags = json.loads(said.stdout)
        self.assertLessEqual({
            '-c', '-f', '-i', '-n', '--client-id', '--os_auth_url',
            '--scheduler-nono-api', '--concurrent_jobs'}, set(flags))
        for flag in set(flags) - OTHERS:
            with self.subTest(flag):
                value = 'public' if 'endpoint' in flag else '7'
                conf = scheduler_conf.new()
                conf([flag, *[value] * flags[flag], 'start'],
                     default_config_files=[], default_config_dirs=[])
                self.assertEqual('start', conf.action)
