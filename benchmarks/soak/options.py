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

"""Hours of work in some minutes, and whether anything grows by it.

Keystone, the Freezer API in two processes, its database and two schedulers are
real; Cinder is the fake of the unit tests behind HTTP. Jobs fire many times as
often as anybody's, old backups are pruned and old runs trimmed, and from time
to time something stands still or is cut off, but nothing that is measured is
started again. Memory, files, threads and rows are looked at all the while.
Status 1: something grew in the second half, or a promise was broken.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import pathlib

from benchmarks.fire import options


def read(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, or arguments like those on one."""
    parser = argparse.ArgumentParser(
        prog='benchmarks/soak/run', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--database', choices=sorted(options.SERVERS),
                        default='mariadb')
    parser.add_argument('--server', metavar='URL',
                        help='of the database server, if it is another than '
                             'the one on this machine')
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--hours', type=float, default=8,
                        help='of which these minutes have the firings')
    parser.add_argument('--jobs', type=int, default=40)
    parser.add_argument('--interval', type=int, default=320,
                        help='seconds between two firings of a job, before '
                             'the hours are put into the minutes')
    parser.add_argument('--projects', type=int, default=5)
    parser.add_argument('--schedulers', type=int, default=2)
    parser.add_argument('--keep-runs', type=int, default=20,
                        help='of each job; older ones are trimmed')
    parser.add_argument('--pause', type=float, default=45,
                        help='seconds between two faults, in the mean')
    parser.add_argument('--every', type=float, default=10,
                        help='seconds between two looks')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--patience', type=float, default=15,
                        help='seconds that something may take on this machine '
                             'where nothing stands in its way')
    parser.add_argument('--output', type=pathlib.Path,
                        help='file for the report, too')
    return parser.parse_args(arguments)
