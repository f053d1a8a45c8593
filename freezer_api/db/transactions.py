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

"""Transactions of commands that change many rows."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

import sqlalchemy as sa


@contextlib.contextmanager
def lasting(connection: sa.Connection) -> Iterator[None]:
    """One of many transactions; on SQLite a part of the one that it is in."""
    if connection.dialect.name == 'sqlite':
        yield
        return
    connection.rollback()  # What was read began one.
    with connection.begin():
        yield
