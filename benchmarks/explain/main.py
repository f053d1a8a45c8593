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

"""How each engine carries out what is asked of it most, with many jobs.

The whole API in this process, on a real database. What each request sends is
noted as it is sent, and the engine asked how it does it. Status 1: something
reads a whole table, or sorts more than a request asks for.
"""

from __future__ import annotations

import argparse
import pathlib
import unittest

from benchmarks.explain import plans
from benchmarks.explain import watch
from benchmarks.explain import world
from tests.functional import base

# Rows that one statement may look at.
_MOST = 2500


class _Explain(world.World):
    """Not a test: what it asserts is that nothing is wrong."""

    lines: list[str] = []

    def runTest(self) -> None:
        self.prepare()
        name = self.database.engine.dialect.name
        self.lines += [f'{name}, {self.jobs:,} jobs', '=' * 75]
        seen = watch.Watch(self.database.engine)
        wrong = 0
        for call, ask in self.calls():
            with seen.during(call):
                ask()
        last = ''
        for one in seen.statements.values():
            if one.call != last:
                last = one.call
                self.lines += ['', last]
            bad = plans.faults(one.steps, world.SMALL, _MOST)
            wrong += bool(bad)
            self.lines.append(f'  {one.short[:150]}')
            self.lines.append(
                f'    {"; ".join(map(str, one.steps)) or "nothing is read"}'
                f'{"   BAD: " if bad else ""}{"; ".join(bad)}')
        self.lines += ['', f'{len(seen.statements)} statements, {wrong} bad',
                       '']
        self.assertEqual(0, wrong)


class _OnMySQL(base.MySQL, _Explain):
    pass


class _OnPostgreSQL(base.PostgreSQL, _Explain):
    pass


_ENGINES = {'mysql': _OnMySQL, 'postgresql': _OnPostgreSQL,
            'sqlite': _Explain}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='benchmarks/explain/run', description=__doc__)
    parser.add_argument('--digits', type=int, default=_Explain.digits,
                        help='of the number of jobs; 5 is 100,000')
    parser.add_argument('--engine', choices=_ENGINES, action='append')
    parser.add_argument('--output', type=pathlib.Path,
                        help='file for the report, too')
    chosen = parser.parse_args()
    _Explain.digits = chosen.digits
    done = unittest.TextTestRunner(verbosity=0).run(unittest.TestSuite(
        _ENGINES[name]() for name in chosen.engine or _ENGINES))
    text = '\n'.join(_Explain.lines)
    print(text)
    if chosen.output is not None:
        chosen.output.write_text(text)
    return 0 if done.wasSuccessful() else 1
