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

"""Tables of a MySQL database that compare texts each in its own way."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from freezer_api.db.admin import collation_repair
from freezer_api.db import models

NAMES = tuple(f'utf8mb4_{name}_ci' for name in (
    'general', 'unicode', 'unicode_520', 'swedish', 'danish', 'polish',
    'spanish', 'roman', 'latvian', 'slovenian', 'estonian', 'croatian'))


def mix(engine: sa.Engine, names: Sequence[str] = NAMES) -> None:
    """Give each table a collation, in turn; foreign keys stay."""
    with engine.connect() as connection:
        tables = [table for table in models.Base.metadata.sorted_tables
                  if sa.inspect(connection).has_table(table.name)]
        dropped = collation_repair.drop_foreign_keys(connection)
        for number, table in enumerate(tables):
            name = names[number % len(names)]
            collation_repair.convert(
                connection, table.name,
                collation_repair.Collation(name.partition('_')[0], name))
        for name, key in dropped:
            [column] = key['constrained_columns']
            referred = key['referred_table']
            collation_repair.convert(
                connection, name,
                collation_repair.read(connection)[referred, 'id'], [column])
            connection.exec_driver_sql(
                f'ALTER TABLE {name} ADD FOREIGN KEY ({column}) '
                f'REFERENCES {referred} (id)')
