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

"""Many schedulers of one client while everything fails, in turn and at once.

Keystone, the Freezer API in two processes, its database and the schedulers
are real; Cinder is the fake of the unit tests behind HTTP. Jobs fire every
few seconds while a seed decides what is killed, stopped, cut off or put
forward. Afterwards the rows, the requests and Cinder's backups are held
against what is promised. Status 1: a promise was broken.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import pathlib
import random

from benchmarks.fire import plan

SERVERS = {
    'mariadb': 'mysql+pymysql://root@127.0.0.1:3306/?charset=utf8mb4',
    'postgresql': 'postgresql+psycopg://postgres@127.0.0.1:5432/postgres'}


_OF_UPSTREAM = (plan.Kind.KILL, plan.Kind.ROLL, plan.Kind.JOIN)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog='benchmarks/fire/run', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--database', choices=sorted(SERVERS),
                      default='mariadb')
    made.add_argument('--server', metavar='URL',
                      help='of the database server, if it is another than '
                           'the one on this machine')
    made.add_argument('--own-server', action='store_true',
                      help='make a database server for the trial, so that '
                           'it can be killed and shut down, too')
    made.add_argument('--minutes', type=float, default=5,
                      help='for which jobs fire and things go wrong')
    made.add_argument('--seed', type=int,
                      help='of an earlier trial, to repeat its faults')
    made.add_argument('--jobs', type=int, default=60)
    made.add_argument('--interval', type=int, default=15,
                      help='seconds between two firings of a job')
    made.add_argument('--projects', type=int, default=5)
    made.add_argument('--schedulers', type=int, default=3)
    made.add_argument('--pause', type=float, default=4,
                      help='seconds between two faults; both are means')
    made.add_argument('--only', nargs='+', type=plan.Kind,
                      choices=list(plan.Kind), metavar='KIND',
                      help='of fault: ' + '; '.join(
                          f'{kind}: {said}'
                          for kind, said in plan.SAID.items()))
    made.add_argument('--upstream', action='store_true',
                      help='the schedulers of Freezer 19.0.0, with their '
                           'coordination over Redis, instead; nothing but '
                           'schedulers can fail then')
    made.add_argument('--shipped', action='store_true',
                      help='the timings that schedulers have by default, '
                           'such as leases of a minute')
    made.add_argument('--stopped', type=float, metavar='SECONDS',
                      help='for which a SIGSTOP of a scheduler lasts, where '
                           'that is for longer than a lease')
    made.add_argument('--patience', type=float, default=6,
                      help='seconds that something may take on this machine '
                           'where nothing stands in its way')
    made.add_argument('--output', type=pathlib.Path,
                      help='file for the report, too')
    made.add_argument('--keep', type=pathlib.Path, metavar='FOLDER',
                      help='where logs and configurations stay')
    return made


def read(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, or arguments like those on one."""
    made = parser()
    chosen = made.parse_args(arguments)
    able = _OF_UPSTREAM if chosen.upstream else tuple(
        kind for kind in plan.Kind
        if chosen.own_server or kind not in plan.OF_SERVER)
    chosen.only = chosen.only or able
    if set(chosen.only) - set(able):
        made.error(f'--only can be {" ".join(able)} here')
    if chosen.keep is not None and chosen.keep.exists():
        made.error(f'--keep {chosen.keep}: is there already')
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(10 ** 6)
    return chosen
