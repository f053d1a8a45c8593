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

"""Let threads and processes of oslo.db share a SQLite file.

oslo.db begins every transaction DEFERRED. Two of them that first read and then
write fail at once with "database is locked", regardless of the timeout. A
writer that begins IMMEDIATE waits instead, and with a write-ahead log readers
never wait.

No public hook of oslo.db distinguishes writers from readers, so this module
uses private names. Only the Keystone and the Cinder of a quickstart do so.
"""

import threading
import typing

from oslo_db.sqlalchemy import enginefacade
import sqlalchemy

_current = threading.local()


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, 'connect')
def _use_write_ahead_log(connection: typing.Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode = WAL')
    cursor.close()


@sqlalchemy.event.listens_for(
    sqlalchemy.engine.Engine, 'before_cursor_execute', retval=True)
def _begin_as_writer(
        connection: object, cursor: object, statement: str,
        parameters: typing.Any, context: object, executemany: bool,
) -> tuple[str, typing.Any]:
    if statement == 'BEGIN' and getattr(_current, 'writes', False):
        statement = 'BEGIN IMMEDIATE'
    return statement, parameters


def install() -> None:
    """Make every writer session of enginefacade begin at once."""
    factory = enginefacade._TransactionFactory
    create = factory._create_session

    def create_session(self: typing.Any, mode: object, *args: typing.Any,
                       **kwargs: typing.Any) -> typing.Any:
        session = create(self, mode, *args, **kwargs)
        if mode is not enginefacade._WRITER:
            return session
        begin = session.begin

        def begin_now(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
            transaction = begin(*args, **kwargs)
            _current.writes = True
            try:
                session.connection()
            finally:
                _current.writes = False
            return transaction

        session.begin = begin_now
        return session

    factory._create_session = create_session
