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

"""Service mode on a cloud whose volumes and backups are in a real Ceph.

Cluster and cloud take longer to come up than most tests, so that all of them
share one of each.
"""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from tests.ceph import backups
from tests.ceph import lost_bases
from tests.ceph import outages
from tests.ceph import pools
from tests.ceph import retention
from tests.cloud import waiting
from tests import supervisor
from tools.cloud import ceph

_KILLED = """
import sys
import tempfile
from tests import supervisor
from tools.cloud import ceph
from tools.cloud import cloud
supervisor.watch(sys.argv[1])
made = cloud.Cloud(sys.argv[1])
made.up(cloud.Options.on_free_ports(0, 0, with_ceph=True), ceph.NAMES[:1])
print(made.processes['ceph-mon'].pid, flush=True)
sys.stdin.read()
"""


class CephTests(backups.Backups, pools.Pools, lost_bases.LostBases,
                retention.Retention, outages.Outages):
    """All that needs the cluster."""


class KilledTest(unittest.TestCase):

    def test_a_killed_test_run_leaves_nothing(self) -> None:
        why = ceph.missing()
        if why is not None:
            self.skipTest(why)
        keyrings = set(pathlib.Path('/etc/ceph').glob('*'))
        folder = tempfile.mkdtemp(prefix='killed run ')
        with subprocess.Popen(
                [sys.executable, '-c', _KILLED, folder], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            pid = int(child.stdout.readline())
            self.assertIn(pid, supervisor.named_in(folder))
            child.send_signal(signal.SIGKILL)
        waiting.eventually(lambda: not pathlib.Path(folder).exists())
        waiting.eventually(lambda: not supervisor.named_in(folder))
        self.assertEqual(keyrings, set(pathlib.Path('/etc/ceph').glob('*')))
