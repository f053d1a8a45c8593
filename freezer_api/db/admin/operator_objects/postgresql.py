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

"""Objects that an operator has added to a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from freezer_api.db.admin.operator_objects import tables
from freezer_api.db.migrations import revision_changes

# The objects that depend on a column, except its own default. The second value
# is true for objects that are dropped with the column without an error, or are
# rebuilt when its type changes.
_DEPENDENTS = """
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid),
       d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass,
                     'pg_statistic_ext'::regclass)
FROM pg_depend d
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass
                      AND f.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass
  AND d.refobjid = CAST(:table AS regclass) AND a.attname = :column
  AND d.deptype IN ('n', 'a')
  AND (f.oid IS NULL OR f.adrelid <> a.attrelid OR f.adnum <> a.attnum)
"""
_TRIGGERS = """
SELECT 'trigger ' || tgname FROM pg_trigger
WHERE tgrelid = CAST(:table AS regclass) AND NOT tgisinternal
UNION ALL
SELECT 'rule ' || rulename FROM pg_rewrite
WHERE ev_class = CAST(:table AS regclass)
UNION ALL
SELECT 'row security' FROM pg_class
WHERE oid = CAST(:table AS regclass) AND relforcerowsecurity
"""
_PARENTS = """
SELECT inhparent::regclass::text FROM pg_inherits
WHERE inhrelid = CAST(:table AS regclass)
"""
_PARTITIONED = """
SELECT a.attname FROM pg_partitioned_table p
JOIN pg_attribute a ON a.attrelid = p.partrelid
                   AND a.attnum = ANY (p.partattrs)
WHERE p.partrelid = CAST(:table AS regclass)
"""
_UNLOGGED = """
SELECT relpersistence = 'u' FROM pg_class
WHERE oid = CAST(:table AS regclass)
"""


def in_the_way(connection: sa.Connection,
               changed: revision_changes.Changes) -> Iterator[str]:
    """Yield one sentence for each object that blocks an upgrade."""
    present = set(sa.inspect(connection).get_table_names())
    for table in sorted(present & set(changed.written)):
        for what in connection.scalars(sa.text(_TRIGGERS),
                                       {'table': table}).all():
            yield tables.on_rows(str(what), table)
    for column in changed.of(revision_changes.How.DROPPED,
                             revision_changes.How.RETYPED):
        if column.table == 'user_credentials':
            continue  # Only MySQL needs to convert it.
        for what, goes_along in connection.execute(
                sa.text(_DEPENDENTS), {'table': column.table,
                                       'column': column.name}).all():
            if column.how is revision_changes.How.DROPPED or not goes_along:
                yield tables.on_column(str(what), column)
        if column.name in connection.scalars(
                sa.text(_PARTITIONED), {'table': column.table}).all():
            yield tables.on_column(
                f'the partition key of table {column.table}', column)
        for parent in connection.scalars(
                sa.text(_PARENTS), {'table': column.table}).all():
            yield tables.on_column(
                f'the inheritance from table {parent}', column)
    for table in sorted(present & set(changed.linked)):
        if connection.scalar(sa.text(_UNLOGGED), {'table': table}):
            yield (f'table {table} is unlogged, and the upgrade makes '
                   'foreign keys to it. Convert it: '
                   f'ALTER TABLE {table} SET LOGGED')
    yield from tables.checks(connection, changed)
