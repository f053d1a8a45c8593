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

"""What an operator has added: an upgrade names it, or it is there afterwards.

For each column that a revision changes and each kind of object on it: after
"ready" no upgrade stops half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import re

import sqlalchemy as sa
import testscenarios

from freezer_api.db.admin import check
from freezer_api.db.admin import operator_objects
from freezer_api.db.admin import upgrade
from freezer_api.db.migrations import revision_changes
from tests.migrations import base
from tests.migrations import documents
from tests.migrations import test_schema

TRIGGER = {
    'sqlite': ('CREATE TRIGGER {op} AFTER UPDATE ON {table} BEGIN '
               'SELECT {new}; END',),
    'mysql': ('CREATE TRIGGER {op} BEFORE UPDATE ON {table} FOR EACH ROW '
              'SET @seen = {new}',),
    'postgresql': (
        'CREATE FUNCTION {op}() RETURNS trigger LANGUAGE plpgsql AS '
        "$$BEGIN PERFORM {new}; RETURN NEW; END$$",
        'CREATE TRIGGER {op} BEFORE UPDATE ON {table} FOR EACH ROW '
        'EXECUTE FUNCTION {op}()'),
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of object named ``{op}``, on ``{column}`` of ``{table}``."""

    name: str
    sqlite: tuple[str, ...] = ()
    mysql: tuple[str, ...] = ()
    postgresql: tuple[str, ...] = ()


def everywhere(name: str, *statements: str) -> Kind:
    return Kind(name, statements, statements, statements)


KINDS = (
    everywhere('view', 'CREATE VIEW {op} AS SELECT id, {column} FROM {table}'),
    everywhere('view of all', 'CREATE VIEW {op} AS SELECT * FROM {table}'),
    everywhere('view by another name',
               'CREATE VIEW {op} AS SELECT t.{column} AS x FROM {table} t'),
    Kind('index', ('CREATE INDEX {op} ON {table} ({column})',),
         ('CREATE INDEX {op} ON {table} ({column}(20))',),
         ('CREATE INDEX {op} ON {table} ({column})',)),
    Kind('index of an expression',
         ('CREATE INDEX {op} ON {table} (lower({column}))',), (),
         ('CREATE INDEX {op} ON {table} (lower({column}))',)),
    Kind('partial index',
         ("CREATE INDEX {op} ON {table} (id) WHERE {column} <> ''",), (),
         ("CREATE INDEX {op} ON {table} (id) WHERE {column} <> ''",)),
    Kind('unique index',
         ('CREATE UNIQUE INDEX {op} ON {table} ({column}, id)',),
         ('CREATE UNIQUE INDEX {op} ON {table} ({column}(20), id)',),
         ('CREATE UNIQUE INDEX {op} ON {table} ({column}, id)',)),
    Kind('trigger on the column', *(
        tuple(text.replace('{new}', 'NEW.{column}')
              for text in TRIGGER[engine])
        for engine in ('sqlite', 'mysql', 'postgresql'))),
    Kind('trigger on the table', *(
        tuple(text.replace('{new}', 'NEW.id')
              for text in TRIGGER[engine])
        for engine in ('sqlite', 'mysql', 'postgresql'))),
    Kind('trigger that refuses',
         ('CREATE TRIGGER {op} BEFORE UPDATE ON {table} BEGIN '
          "SELECT RAISE(ABORT, 'no'); END",),
         ('CREATE TRIGGER {op} BEFORE UPDATE ON {table} FOR EACH ROW '
          "SIGNAL SQLSTATE '45000'",),
         ('CREATE FUNCTION {op}() RETURNS trigger LANGUAGE plpgsql AS '
          "$$BEGIN RAISE EXCEPTION 'no'; END$$",
          'CREATE TRIGGER {op} BEFORE UPDATE OF {column} ON {table} '
          'FOR EACH ROW EXECUTE FUNCTION {op}()')),
    Kind('check', (), (
        'ALTER TABLE {table} ADD CONSTRAINT {op} CHECK '
        "({column} <> 'never')",), (
        'ALTER TABLE {table} ADD CONSTRAINT {op} CHECK '
        "({column} <> 'never')",)),
    Kind('generated column',
         ('ALTER TABLE {table} ADD COLUMN {op} INTEGER '
          'GENERATED ALWAYS AS (length({column})) VIRTUAL',),
         ('ALTER TABLE {table} ADD COLUMN {op} INTEGER '
          'GENERATED ALWAYS AS (char_length({column})) STORED',),
         ('ALTER TABLE {table} ADD COLUMN {op} INTEGER '
          'GENERATED ALWAYS AS (length({column})) STORED',)),
    Kind('foreign key to the column', (), (
        'CREATE INDEX {op}_i ON {table} ({column})',
        'CREATE TABLE {op} (x VARCHAR(36), FOREIGN KEY (x) '
        'REFERENCES {table} ({column}))',), ()),
    Kind('foreign key of the column', (), (
        'CREATE TABLE {op} (x VARCHAR(64) PRIMARY KEY)',
        'INSERT INTO {op} SELECT DISTINCT {column} FROM {table}',
        'ALTER TABLE {table} ADD CONSTRAINT {op} FOREIGN KEY ({column}) '
        'REFERENCES {op} (x)'), ()),
    Kind('rule', (), (), (
        'CREATE RULE {op} AS ON UPDATE TO {table} DO INSTEAD NOTHING',)),
    Kind('policy', (), (), (
        'ALTER TABLE {table} ENABLE ROW LEVEL SECURITY',
        "CREATE POLICY {op} ON {table} USING ({column} <> '')")),
    Kind('a column that has to be named', (), (
        'ALTER TABLE {table} ADD COLUMN {op} INTEGER NOT NULL',
        'ALTER TABLE {table} ALTER COLUMN {op} DROP DEFAULT'), (
        'ALTER TABLE {table} ADD COLUMN {op} INTEGER NOT NULL DEFAULT 1',
        'ALTER TABLE {table} ALTER COLUMN {op} DROP DEFAULT')),
)

# The revision before the first change of a database that is in use.
START = '23c8ad2655a6'


class TestEachObject(testscenarios.WithScenarios, base.DatabaseTest):

    scenarios = testscenarios.multiply_scenarios(
        base.ENGINES, [(kind.name, {'kind': kind}) for kind in KINDS])
    kind = KINDS[0]

    def columns(self) -> Iterator[tuple[str, revision_changes.Column]]:
        """Yield names of objects, and the columns that they are on."""
        later = upgrade.revisions()
        later = later[later.index(START) + 1:]
        for number, column in enumerate(revision_changes.COLUMNS):
            # The changes of other tables are alike.
            if (column.table in ('jobs', 'backups')
                    and column.revision in later):
                yield f'op_{number}', column

    def fresh(self) -> None:
        self.url = self.new_url()
        self.engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        self.begin_at(START)
        documents.fill(self)

    def test_it_is_named_or_passed(self) -> None:
        if not getattr(self.kind, self.backend):
            return  # The engine has none, or SQLite cannot add it.
        self.fresh()
        made = {name: column for name, column in self.columns()
                if self.make(name, column)}
        self.assertNotEqual({}, made)
        before = test_schema.snapshot(self.engine)
        text = '; '.join(check.inspect(self.url).obstacles)
        named = {name for name, column in made.items()
                 if re.search(rf'\b{name}\b', text)
                 or f'{column.table}.{column.name}' in text}
        if named:
            self.assertRaises(upgrade.MigrationError, upgrade.sync,
                              self.url)
            self.assertEqual(before, test_schema.snapshot(self.engine))
            self.fresh()
        for name, column in made.items():
            if name not in named:
                self.assertTrue(named == set() or self.make(name, column))
        if named == set(made):
            return
        self.assertEqual([], check.inspect(self.url).obstacles)
        upgrade.sync(self.url)
        self.assertEqual(upgrade.head(), upgrade.current(self.url))
        for name in made.keys() - named:
            self.assertTrue(self.is_there(name), f'{name} {made[name]}')

    def make(self, name: str, column: revision_changes.Column) -> bool:
        statements: tuple[str, ...] = getattr(self.kind, self.backend)
        try:
            for statement in statements:
                self.execute(statement.format(
                    op=name, table=column.table, column=column.name))
        except sa.exc.DBAPIError as error:
            # There is no foreign key of a TEXT column.
            self.assertIn(column.name, ('job_actions', 'schedule'),
                          f'{column} {error}')
            return False
        return True

    def is_there(self, name: str) -> bool:
        """Return whether the object still is, and works."""
        with self.engine.connect() as connection:
            inspector = sa.inspect(connection)
            if name in inspector.get_view_names():
                connection.execute(sa.text(f'SELECT * FROM {name}')).all()
                return True
            if any(name in {table, *(
                    str(one['name']) for one in (
                        *inspector.get_columns(table),
                        *inspector.get_check_constraints(table),
                        *inspector.get_foreign_keys(table)))}
                    for table in inspector.get_table_names()):
                return True
            query = {
                'sqlite': 'SELECT 1 FROM sqlite_master WHERE name = :name',
                'mysql': 'SELECT 1 FROM information_schema.statistics '
                         'WHERE index_name = :name AND table_schema = '
                         'DATABASE()',
                'postgresql':
                    'SELECT 1 FROM pg_class WHERE relname = :name UNION ALL '
                    'SELECT 1 FROM pg_policy WHERE polname = :name',
            }[self.backend]
            return bool(connection.execute(sa.text(query),
                                           {'name': name}).all())


class TestChanges(base.EachEngine):

    def test_they_are_what_the_revisions_do(self) -> None:
        """Each column that goes, or gets another type, is among them."""
        known = {(column.table, column.name): column.how
                 for column in revision_changes.COLUMNS}
        before: dict[str, dict[str, str]] = {}
        for revision in upgrade.revisions():
            upgrade.sync(self.url, revision)
            with self.engine.connect() as connection:
                inspector = sa.inspect(connection)
                after = {table: {
                    column['name']: column['type'].compile(
                        connection.dialect)
                    for column in inspector.get_columns(table)}
                    for table in inspector.get_table_names()}
            for table, columns in before.items():
                for name, kind in columns.items():
                    if after[table].get(name) != kind:
                        self.assertIn((table, name), known)
            before = after


class TestTables(base.DatabaseTest):

    backend = 'mysql'

    def in_the_way(self, statement: str) -> str:
        self.url = self.new_url()
        self.engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        self.begin_at(START)
        documents.fill(self)
        self.assertEqual([], check.inspect(self.url).obstacles)
        self.execute(statement)
        [obstacle] = check.inspect(self.url).obstacles
        self.assertRaises(upgrade.MigrationError, upgrade.sync, self.url)
        self.assertEqual(START, upgrade.current(self.url))
        return obstacle

    def test_kinds_that_have_no_foreign_keys(self) -> None:
        for statement, text in (
                ('ALTER TABLE jobs ENGINE=MyISAM', 'InnoDB'),
                ('ALTER TABLE actions ENGINE=Aria', 'InnoDB'),
                ('ALTER TABLE jobs PARTITION BY KEY (id) PARTITIONS 2',
                 'partitions')):
            self.assertIn(text, self.in_the_way(statement))

    def test_a_unique_index_of_actions(self) -> None:
        """The upgrade adds actions, which may be alike."""
        self.assertIn('op', self.in_the_way(
            'CREATE UNIQUE INDEX op ON actions (backup_name)'))


class TestSQLite(base.DatabaseTest):

    def test_what_is_kept(self) -> None:
        """Nothing of an operator's own is lost with a table's new type."""
        self.begin_at(START)
        documents.fill(self)
        self.execute('CREATE INDEX op ON jobs (lower(user_id))')
        self.execute('CREATE VIEW op_v AS SELECT user_id FROM sessions')
        self.assertEqual([], check.inspect(self.url).obstacles)
        upgrade.sync(self.url)
        self.assertEqual(
            {('op',), ('op_v',)}, set(self.rows(
                "SELECT name FROM sqlite_master WHERE name LIKE 'op%'")))
        self.assertEqual([(documents.USER,)], self.rows(
            'SELECT user_id FROM op_v'))
        self.assertEqual([('ok',)], self.rows('PRAGMA integrity_check'))

    def test_a_view_that_is_broken(self) -> None:
        self.begin_at(START)
        self.execute('CREATE TABLE notes (x INTEGER)')
        self.execute('CREATE VIEW op AS SELECT x FROM notes')
        self.execute('PRAGMA writable_schema = ON')
        self.execute('DROP TABLE notes')
        [obstacle] = check.inspect(self.url).obstacles
        self.assertIn('op', obstacle)

    def test_unnamed_constraints(self) -> None:
        """The tables of sqlalchemy-migrate have them."""
        self.begin_at(START)
        documents.fill(self)
        self.execute('ALTER TABLE jobs RENAME TO old')
        [(sql,)] = self.rows("SELECT sql FROM sqlite_master "
                             "WHERE name = 'old'")
        self.execute(sql.replace('"old"', 'jobs').rstrip().rstrip(')')
                     + ", CHECK (user_id <> ''))")
        self.execute('INSERT INTO jobs SELECT * FROM old')
        self.execute('DROP TABLE old')
        self.assertEqual([], check.inspect(self.url).obstacles)
        upgrade.sync(self.url)
        [(sql,)] = self.rows("SELECT sql FROM sqlite_master "
                             "WHERE name = 'jobs'")
        self.assertIn("CHECK (user_id <> '')", sql)
        self.assertIn('VARCHAR(64)', sql)


class TestUpToDate(base.EachEngine):

    def test_nothing_is_in_the_way(self) -> None:
        self.begin_at(upgrade.head())
        with self.engine.connect() as connection:
            self.assertEqual([], operator_objects.in_the_way(
                connection, upgrade.revisions()))
