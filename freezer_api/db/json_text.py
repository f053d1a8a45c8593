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

"""JSON in text cells, as deployed databases hold it."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import types

# Characters of ASCII JSON that a TEXT cell of MySQL holds.
TEXT_SIZE = 65_535


class JSONText(types.TypeDecorator[Any]):
    """JSON in a text cell, read from ``bytes`` and ``str`` alike.

    Deployed databases hold UTF-8 bytes, which SQLite hands back as bytes. A
    cell that is empty or no JSON reads as None: one bad cell must not break
    the list it stands in.
    """

    impl = types.Text
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self.length = length

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        # Not through type_descriptor(), which makes PostgreSQL's TEXT a
        # VARCHAR.
        return sa.Text() if self.length is None else sa.String(self.length)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        if not value:
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # UnicodeDecodeError, too
            return None

    def compare_values(self, left: Any, right: Any) -> bool:
        # 1, 1.0 and True are equal, but no two of them mean the same.
        return bool(left == right) and json.dumps(left) == json.dumps(right)
