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

"""How long an upgrade from 18.0.0 takes, and how long it keeps others waiting.

The released freezer-api 18.0.0 fills a MariaDB that is started for this; see
benchmarks.upgrade.released. Then the database is upgraded, one revision after
the other, while others read, change and add rows of each table beside; the
longest wait of each is what the upgrade locks for. What the release has read
before is compared, field by field, with what this API reads. In the end a
scheduler that claims takes all jobs over, and the database is copied to
PostgreSQL.

Status 1: something reads otherwise, or there was no time left for all of it.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time

from benchmarks.simulation import server as database_server
from benchmarks.upgrade import measure
from benchmarks.upgrade import released
from benchmarks.upgrade import report

_POSTGRESQL = 'postgresql+psycopg://postgres@127.0.0.1/postgres'


def main() -> int:
    chosen = _read()
    end = time.monotonic() + 60 * chosen.minutes
    with (tempfile.TemporaryDirectory(prefix='upgrade-') as folder,
          database_server.served(pathlib.Path(folder),
                                 chosen.memory) as server):
        filled = released.fill(server.url, chosen.jobs, chosen.released,
                               60 * chosen.minutes / 4)
        print(f'{filled.jobs:,} jobs, {filled.released:,} of them made by '
              f'{released.RELEASE} in {filled.seconds:.0f} s', flush=True)
        result = measure.Measurement(server, filled, end).run(
            chosen.copy_to or None)
    text = report.text(filled, result)
    print(text)
    if chosen.output is not None:
        chosen.output.with_suffix('.txt').write_text(text + '\n')
        chosen.output.with_suffix('.json').write_text(
            report.json_text(filled, result))
    return 1 if result.wrong else 0


def _read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f'{pathlib.Path(sys.executable).name} -m benchmarks.upgrade',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=int, default=100_000)
    parser.add_argument('--released', type=int, default=5_000,
                        help='how many of them the release makes itself; the '
                             'others are copies of these')
    parser.add_argument('--minutes', type=float, default=30,
                        help='no revision begins after that; the release has '
                             'a quarter of it for its jobs')
    parser.add_argument('--memory', default='2G',
                        help='of the buffer pool of MariaDB')
    parser.add_argument('--copy-to', metavar='URL', default=_POSTGRESQL,
                        help='a PostgreSQL server for a copy in the end, or '
                             'nothing for none')
    parser.add_argument('--output', type=pathlib.Path,
                        help='where the report goes, too: with .txt, and in '
                             'full with .json')
    return parser.parse_args()
