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

"""An upgrade of a SQLite database without its rows.

When a column is dropped or renamed, SQLite checks all views and triggers,
including those that were broken before. So the upgrade is tried in memory with
the definitions alone.
"""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.admin import upgrade

_DEFINITIONS = sa.text(
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name "
    "NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY CASE type WHEN 'table' THEN 1 "
    "WHEN 'view' THEN 2 ELSE 3 END")


def failure(connection: sa.Connection) -> str | None:
    """Return why the upgrade of a SQLite database would fail, or None."""
    engine = sa.create_engine('sqlite://', poolclass=sa.pool.StaticPool)
    definitions = connection.execute(_DEFINITIONS).all()
    try:
        with engine.begin() as memory:
            for _, _, sql in definitions:
                memory.exec_driver_sql(sql)
            revision = upgrade.current_of(connection)
            if revision is not None:
                memory.execute(sa.insert(sa.table(
                    upgrade.VERSION_TABLE, sa.column('version_num')))
                    .values(version_num=revision))
    except sa.exc.SQLAlchemyError:
        return None  # It contains objects that only its programs can create.
    try:
        upgrade.sync(engine)
    except sa.exc.DBAPIError as error:
        return f'the upgrade would fail: {error.orig}'
    except upgrade.MigrationError as error:
        return str(error)
    return _lost(engine, {(kind, name) for kind, name, _ in definitions})


def _lost(engine: sa.Engine, before: set[tuple[str, str]]) -> str | None:
    with engine.connect() as memory:
        after = {(kind, name) for kind, name, _
                 in memory.execute(_DEFINITIONS)}
    lost = sorted(f'{kind} {name}' for kind, name in before - after)
    return f'the upgrade would remove {", ".join(lost)}' if lost else None
