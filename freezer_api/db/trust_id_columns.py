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

"""Every stored trust id, wherever one is kept."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import engine
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models

_CHUNK = 500

# Core tables, since one of them has no model.
_TABLES = tuple(models.Base.metadata.tables[model.__tablename__] for model in (
    models.Delegation, models.UserCredential))


@dataclasses.dataclass(frozen=True)
class StoredTrust:
    """A trust id as a row holds it."""

    table: sa.Table
    row_id: str
    trust_id: str = dataclasses.field(repr=False)
    decrypt_method: str | None

    def replace(self, session: orm.Session, trust_id: str,
                decrypt_method: str) -> bool:
        """Write another form of the trust id, unless the row has changed.

        :returns: whether it was written
        """
        written = session.execute(sa.update(self.table).where(
            self.table.c.id == self.row_id,
            collation.same_text(self.table.c.trust_id, self.trust_id)).values(
                trust_id=trust_id, decrypt_method=decrypt_method))
        return bool(getattr(written, 'rowcount', 0))


def chunks(database: engine.Database) -> Iterator[list[StoredTrust]]:
    """Yield all stored trust ids, some hundred at a time."""
    with database.read() as session:
        present = migration_quarantine.present(session.connection())
    orphaned = migration_quarantine.ORPHANED_CREDENTIALS
    tables = [*_TABLES, *(table for table in present if table is orphaned)]
    for table in tables:
        last = ''
        while True:
            with database.read() as session:
                chunk = [StoredTrust(table, *row) for row in session.execute(
                    sa.select(table.c.id, table.c.trust_id,
                              table.c.decrypt_method)
                    .where(table.c.id > last, table.c.trust_id != '')
                    .order_by(table.c.id).limit(_CHUNK))]
            yield chunk
            if len(chunk) < _CHUNK:
                break
            last = chunk[-1].row_id
