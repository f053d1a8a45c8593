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

"""Either API, telling in each answer how many SQL statements it took."""

import threading

from freezer_api import wsgi
import sqlalchemy as sa
from sqlalchemy import event

_seen = threading.local()


@event.listens_for(sa.Engine, 'before_cursor_execute')
def _count(*arguments):
    _seen.statements = getattr(_seen, 'statements', 0) + 1


def application(environ, start_response):
    _seen.statements = 0

    def start(status, headers, *more):
        return start_response(
            status, [*headers, ('X-SQL-Statements', str(_seen.statements))],
            *more)

    return wsgi.application(environ, start)
