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

"""Three schedulers of one client, while everything around them fails.

A short trial of ``benchmarks chaos``, on each database server. It holds what
the invariants 1, 2 and 3 promise: at most one backup for each firing, no
firing lost in silence, success only with a backup that is there.

FREEZER_TEST_FIRE_MINUTES makes it longer, FREEZER_TEST_FIRE_SEED repeats the
faults of one that failed.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import ClassVar

import sqlalchemy as sa
import testtools
from testtools import content

from benchmarks import command
from benchmarks.environment import keystone
from benchmarks import report
from benchmarks.stages import chaos
from tests import services
from tools.cloud import cloud
from tools.cloud import progress

PROJECTS = 3


class UnderFireTests(testtools.TestCase):

    made: ClassVar[cloud.Cloud]
    home: ClassVar[pathlib.Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix='under fire ')
        cls.addClassCleanup(holder.cleanup)
        cls.home = pathlib.Path(holder.name)
        cls.made = cls.enterClassContext(keystone.running(
            cls.home / 'cloud', PROJECTS, progress.Progress(None)))

    def survives(self, engine: str, url: str) -> None:
        """Carry out one trial on the server of a database."""
        server = sa.make_url(url)
        if engine == 'postgresql':
            server = server.set(database='postgres')
        else:
            server = server.set(database='')
        arguments = [
            '--engine', engine,
            '--server', server.render_as_string(hide_password=False),
            '--minutes', os.environ.get('FREEZER_TEST_FIRE_MINUTES', '0.4'),
            '--jobs', '30', '--interval', '5', '--projects', str(PROJECTS),
            '--pause', '1.5', '--patience', '15']
        if seed := os.environ.get('FREEZER_TEST_FIRE_SEED'):
            arguments += ['--seed', seed]
        home = self.home / engine
        home.mkdir()
        with home.joinpath('told').open('w+') as told:
            found = list(chaos.conduct(
                command.read('chaos', arguments), self.made, home,
                progress.Progress(told)))
            told.seek(0)
            self.addDetail('faults', content.text_content(told.read()))
        text = '\n'.join(map(str, found))
        self.addDetail('report', content.text_content(text))
        held = [one for one in found if isinstance(one, report.Invariant)]
        self.assertNotEqual([], held)
        self.assertEqual([], [one for one in held if one.violations], text)

    def test_the_invariants_hold_on_mariadb(self) -> None:
        self.survives('mariadb', services.mysql_url(self))

    def test_the_invariants_hold_on_postgresql(self) -> None:
        self.survives('postgresql', services.postgresql_url(self))
