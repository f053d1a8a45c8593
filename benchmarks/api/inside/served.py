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

"""Either API, telling how many SQL statements it sends.

Each answer says how many it took; how many a process has sent by now is in
``statements-PID`` beside the configuration.
"""

import functools
import itertools
import os
import pathlib
import threading

from freezer_api import wsgi
import sqlalchemy as sa
from sqlalchemy import event

_seen = threading.local()
_total = itertools.count(1)


@event.listens_for(sa.Engine, 'before_cursor_execute')
def _count(*arguments):
    _seen.statements = getattr(_seen, 'statements', 0) + 1
    _seen.total = next(_total)


@functools.cache
def _record():
    # Only a process that was forked already answers requests.
    path = pathlib.Path(os.environ['OS_FREEZER_API_CONFIG_FILES'])
    return os.open(path.with_name(f'statements-{os.getpid()}'),
                   os.O_WRONLY | os.O_CREAT, 0o600)


def application(environ, start_response):
    _seen.statements = 0

    def start(status, headers, *more):
        if _seen.statements:
            os.pwrite(_record(), b'%20d' % _seen.total, 0)
        return start_response(
            status, [*headers, ('X-SQL-Statements', str(_seen.statements))],
            *more)

    return wsgi.application(environ, start)
