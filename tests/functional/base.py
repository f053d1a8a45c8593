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

"""The whole API in this process, on a real database.

Only what lies outside is replaced: Keystone's middleware by the headers that
it would set, Keystone's trusts by :class:`FakeTrusts`, and the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import copy
import dataclasses
import functools
import os
import pathlib
import tempfile
from typing import Any
from typing import ClassVar
import unittest
from unittest import mock
import uuid

from cryptography import fernet
import falcon
from falcon import testing
from oslo_config import cfg
from oslo_policy import policy
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api import app
from freezer_api import conf as configuration
from freezer_api.db.admin import usage_recount
from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search_index
from freezer_api.domain import quota
from freezer_api.keystone import crypt
from freezer_api.keystone import trusts
from freezer_api.policies import enforcer
from freezer_api.policies import open_rules
from freezer_api.services import dependencies as api_services
from freezer_api.services import quotas
from freezer_api.services import trusts as trust_service
from tests import services

T0 = 1_800_000_000
KEY = fernet.Fernet.generate_key().decode()

VOLUME = '5a3f6a3e-3b0f-4c11-9a4e-4c2a8c2f7a10'
OTHER_VOLUME = '5a3f6a3e-3b0f-4c11-9a4e-4c2a8c2f7a11'
BACKUP = {'action': 'backup', 'mode': 'cindernative',
          'cindernative_vol_id': VOLUME, 'backup_name': 'nightly'}


class Clock:
    """Epoch seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


class FakeTrusts(trusts.Trusts):
    """Keystone's trusts as a set, with its refusals.

    :ivar keeps_marks: whether it keeps additional attributes of a trust
    """

    def __init__(self, trustee: str, roles: Sequence[str]) -> None:
        self.roles = tuple(sorted(roles))
        self.trustee = trustee
        self.live: dict[str, tuple[str, str]] = {}
        self.marks: dict[str, str] = {}
        self.keeps_marks = True
        self.expiry: dict[str, int | None] = {}
        self.made = 0
        self.away = False
        self.answer_lost = False

    def trustee_user_id(self) -> str:
        return self.trustee

    def create(self, caller: trusts.Caller, project_id: str, mark: str,
               expires_at: int | None = None) -> str:
        self.check(caller, project_id)
        if self.away:
            raise trusts.KeystoneUnavailable('away')
        self.made += 1
        trust_id = self.add(caller.user_id, project_id, mark)
        self.expiry[trust_id] = expires_at
        if self.answer_lost:
            raise trusts.KeystoneUnavailable('the answer was lost')
        return trust_id

    def add(self, user_id: str, project_id: str,
            mark: str | None = None) -> str:
        """Make a trust, by whichever service; return its id."""
        trust_id = uuid.uuid4().hex
        self.live[trust_id] = (user_id, project_id)
        if mark is not None and self.keeps_marks:
            self.marks[trust_id] = mark
        return trust_id

    def listed(self) -> Iterator[trusts.Listed]:
        if self.away:
            raise trusts.KeystoneUnavailable('away')
        for trust_id, (user_id, project_id) in list(self.live.items()):
            yield trusts.Listed(trust_id, project_id, user_id, True,
                                mark=self.marks.get(trust_id))

    def delete_made(self, trust_id: str, mark: str) -> None:
        if self.away:
            raise trusts.KeystoneUnavailable('away')
        if self.marks.get(trust_id, mark) != mark:
            raise trusts.NotOurs('of another deployment')
        self.delete(trust_id)

    def delete(self, trust_id: str) -> None:
        if self.away:
            raise trusts.KeystoneUnavailable('away')
        self.live.pop(trust_id, None)


@dataclasses.dataclass(frozen=True)
class Persona:
    """Whose token a request bears."""

    user_id: str
    project_id: str | None
    roles: tuple[str, ...]
    token: tuple[tuple[str, Any], ...] = ()
    scope: str = 'project'

    def environ(self) -> dict[str, Any]:
        environ = {
            'HTTP_X_IDENTITY_STATUS': 'Confirmed',
            'HTTP_X_USER_ID': self.user_id,
            'HTTP_X_ROLES': ','.join(self.roles),
            'keystone.token_info': {'token': {
                'methods': ['password'], **dict(self.token)}}}
        if self.project_id is not None:
            environ['HTTP_X_PROJECT_ID'] = self.project_id
        if self.scope == 'system':
            environ['HTTP_OPENSTACK_SYSTEM_SCOPE'] = 'all'
        if self.scope == 'domain':
            environ['HTTP_X_DOMAIN_ID'] = 'default'
        return environ


MEMBER = Persona('alice', 'p1', ('member', 'reader'))
MATE = Persona('bob', 'p1', ('member', 'reader'))
READER = Persona('rita', 'p1', ('reader',))
STRANGER = Persona('eve', 'p2', ('member', 'reader'))
SERVICE = Persona('freezer', 'svc', ('service',))
ADMIN = Persona('root', 'admin', ('admin', 'manager', 'member', 'reader'))


class _Findings:
    """Judges the same rules once: the rules of most tests are the defaults."""

    def __init__(self) -> None:
        self._known: dict[str, open_rules.Findings] = {}
        self._find = open_rules.find

    def __call__(self, rules: Mapping[str, Any],
                 defaults: Sequence[policy.RuleDefault],
                 ) -> open_rules.Findings:
        texts = str(sorted((name, str(rule)) for name, rule in rules.items()))
        if texts not in self._known:
            self._known[texts] = self._find(rules, defaults)
        return self._known[texts]


_FINDINGS = _Findings()
_ENFORCER = enforcer.Enforcer


@functools.cache
def _empty_file() -> bytes:
    """Return a SQLite database with all tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, 'freezer.db')
        made = sa.create_engine(f'sqlite:///{path}')
        with made.connect() as connection:
            connection.exec_driver_sql('PRAGMA journal_mode = WAL')
        # The tests of the migrations hold these to what they end in, and
        # they are there in a fraction of the time.
        models.Base.metadata.create_all(made)
        made.dispose()
        return path.read_bytes()


class ApiTestCase(unittest.TestCase):
    """A fresh API for each test.

    ``url`` names the database; SQLite in a file where it is not overridden.

    :cvar shares_engine: whether the tests of the class, each with an empty
        database of its own behind the same URL, share SQLAlchemy's engine,
        which has compiled the statements once then, and what enforces the
        policy, which has no file
    """

    shares_engine: ClassVar[bool] = True
    folder: ClassVar[str]
    _shared: ClassVar[engine.Database | None]
    _enforcer: ClassVar[enforcer.Enforcer | None]

    settings: dict[str, dict[str, Any]] = {}
    # False in a test that writes past the API what it should not.
    terms_follow = True
    # False in a test that writes rows past what counts them.
    usage_follows = True

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls._shared = None
        cls._enforcer = None

    def url(self) -> str:
        return f'sqlite:///{self.folder}/freezer.db'

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.enterContext(
            tempfile.TemporaryDirectory(dir=self.folder))
        self.enterContext(mock.patch.object(open_rules, 'find', _FINDINGS))
        if self.shares_engine:
            self.enterContext(mock.patch.object(
                enforcer, 'Enforcer', self._shared_enforcer))
        self.conf = self._conf()
        self.clock = Clock()
        self.trusts = FakeTrusts('freezer', ['member'])
        self.database = self._make_database()
        self.make_tables()
        self.addCleanup(self._check_terms)
        self.addCleanup(self._check_usage)
        self.services = self._services()
        self.app = self.make_app()
        self.client = testing.TestClient(self.app)

    def _conf(self) -> cfg.ConfigOpts:
        path = os.path.join(self.directory, 'freezer-api.conf')
        with open(path, 'w', encoding='utf-8'):
            pass
        conf = configuration.load(files=[path])
        conf.set_override('connection', self.url(), 'database')
        # No test lets the machine lose its power.
        conf.set_override('sqlite_synchronous', False, 'database')
        conf.set_override('keys', [KEY], 'user_credentials')
        # Many tests share one machine: what is slow there is no failure.
        for name, value in (('lock', 30.0), ('lock_wait', 20),
                            ('statement', 60), ('idle_transaction', 60),
                            ('slow_claim', 60.0)):
            conf.set_override(name, value, 'deadlines')
        for group, values in self.settings.items():
            for name, value in values.items():
                conf.set_override(name, value, group)
        return conf

    def _services(self) -> api_services.Services:
        box = crypt.Crypt(self.conf.user_credentials['keys'])
        return api_services.Services(
            self.conf, self.database, trust_service.TrustService(
                self.database, self.trusts, box, self.clock,
                self.conf.service_mode.trust_lifetime),
            quotas.Quotas(self.database, quotas.source_of(self.conf)),
            self.clock)

    def _shared_enforcer(self, conf: cfg.ConfigOpts) -> enforcer.Enforcer:
        cls = type(self)
        if cls._enforcer is None:
            cls._enforcer = _ENFORCER(conf)
        return cls._enforcer

    def _make_database(self) -> engine.Database:
        cls = type(self)
        if not self.shares_engine:
            made = engine.Database(self.conf)
            self.addCleanup(made.engine.dispose)
            return made
        if cls._shared is None:
            cls._shared = engine.Database(self.conf)
            cls.addClassCleanup(cls._shared.engine.dispose)
        # One whose events are those of this test alone.
        made = copy.copy(cls._shared)
        options = made._writers.get_execution_options()
        made.engine = made.engine.execution_options()
        made._writers = made.engine.execution_options(**options)
        return made

    def make_tables(self) -> None:
        """Give the database its tables, and no rows."""
        used = self.database.engine
        if used.dialect.name != 'sqlite':
            wanted = models.Base.metadata
            if not wanted.tables.keys() <= set(
                    sa.inspect(used).get_table_names()):
                wanted.create_all(used)
            return
        used.dispose()
        assert used.url.database is not None
        path = pathlib.Path(used.url.database)
        for old in path.parent.glob(f'{path.name}*'):
            old.unlink()
        path.write_bytes(_empty_file())

    def make_app(self) -> falcon.App[Any, Any]:
        return app.make_resources(self.services)

    def _check_terms(self) -> None:
        """Whatever a test did, each row's terms are as if made just now."""
        if not self.terms_follow:
            return
        with self.database.read() as session:
            for model in search_index.TABLES:
                found = session.scalars(
                    sa.select(model).where(rows.live(model))
                    .options(orm.undefer(model.search_terms))).all()
                self.assertEqual(search_index.made(session, found),
                                 [row.search_terms for row in found], model)

    def _check_usage(self) -> None:
        """Whatever a test did, what is counted is what is there."""
        if not (self.terms_follow and self.usage_follows):
            return
        with self.database.read() as session:
            counted = usage_recount.count(session.connection())
            stored = {
                row.id: {resource.value: getattr(row, resource.value)
                         for resource in quota.Resource}
                for row in session.scalars(sa.select(models.ProjectUsage))}
        self.assertEqual(counted, {
            project: counts for project, counts in stored.items()
            if any(counts.values())})

    def call(self, persona: Persona, method: str, path: str,
             body: Any = None, status: int | None = None,
             **kwargs: Any) -> Any:
        """Send a request and return the JSON of its answer.

        :param path: below /v2/{project of the persona}, or from the root
            where it starts with a slash
        :param status: what the answer must have
        """
        if not path.startswith('/'):
            path = f'/v2/{persona.project_id}/{path}'
        result = self.client.simulate_request(
            method, path, json=body, extras=persona.environ(), **kwargs)
        if status is not None:
            self.assertEqual(
                status, result.status_code, f'{path}: {result.text}')
        return result.json if result.text else None

    def register_central(self, client_id: str = 'central',
                         **more: Any) -> None:
        self.call(SERVICE, 'POST', 'clients', {
            'client_id': client_id, 'hostname': 'control-1',
            'is_central': True, 'claims': True,
            'supported_actions': ['backup', 'restore', 'admin'],
            'supported_modes': ['cindernative'], 'supported_storages': [],
            'supported_engines': [], **more}, 201)

    def create_job(self, persona: Persona = MEMBER, client: str = 'central',
                   action: dict[str, Any] | None = None,
                   schedule: dict[str, Any] | None = None,
                   **more: Any) -> str:
        job = {'client_id': client, 'job_actions': [
            {'freezer_action': BACKUP if action is None else action}],
            'job_schedule': ({'schedule_interval': '1 days'}
                             if schedule is None else schedule), **more}
        job_id: str = self.call(
            persona, 'POST', 'jobs', job, 201)['job_id']
        return job_id

    def start(self, job_id: str, persona: Persona = MEMBER) -> None:
        self.call(persona, 'POST', f'jobs/{job_id}/event',
                  {'start': None}, 202)

    def claim(self, limit: int = 10, held: Sequence[dict[str, Any]] = (),
              scheduler: str = 's1', client: str = 'central',
              persona: Persona = SERVICE, status: int = 200) -> Any:
        return self.call(persona, 'POST', f'clients/{client}/claims', {
            'scheduler_id': scheduler, 'limit': limit, 'lease_seconds': 60,
            'held': list(held)}, status)

    def pass_lease(self, **kwargs: Any) -> None:
        """Have a lease expire while another scheduler is there."""
        for _ in range(3):
            self.clock.now += 20
            self.claim(limit=0, scheduler='idle', **kwargs)

    def one_run(self, **kwargs: Any) -> dict[str, Any]:
        """Claim, and return the one run that is handed out."""
        [run] = self.claim(**kwargs)['runs']
        made: dict[str, Any] = run
        return made

    def job(self, job_id: str, persona: Persona = MEMBER) -> dict[str, Any]:
        made: dict[str, Any] = self.call(
            persona, 'GET', f'jobs/{job_id}', status=200)
        return made

    def runs(self, job_id: str,
             persona: Persona = MEMBER) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = self.call(
            persona, 'GET', f'jobs/{job_id}/runs', status=200)['runs']
        return made

    def report(self, run: dict[str, Any], state: str = 'running',
               status: int = 200, scheduler: str = 's1',
               client: str = 'central', persona: Persona = SERVICE,
               **more: Any) -> Any:
        return self.call(
            persona, 'PATCH', f'clients/{client}/runs/{run["run_id"]}',
            {'scheduler_id': scheduler, 'fence': run['fence'],
             'state': state, 'reason': None, 'actions': [], 'backups': [],
             **more}, status)


class Server:
    """Mixed in before ApiTestCase: on a database server.

    A database takes a server longer to make than most tests take, so the
    tests of a class share one, each finding it empty.
    """

    new_url: Callable[[type[unittest.TestCase]], str]
    class_url: str
    database: engine.Database
    addCleanup: Callable[..., None]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.class_url = cls.new_url(cls)  # type: ignore[arg-type]

    def url(self) -> str:
        return self.class_url

    def make_tables(self) -> None:
        super().make_tables()
        self.addCleanup(self._empty)

    def _empty(self) -> None:
        with self.database.engine.begin() as connection:
            for table in reversed(models.Base.metadata.sorted_tables):
                connection.execute(table.delete())


class MySQL(Server):
    """... MariaDB."""

    new_url = staticmethod(services.mysql_url)


class PostgreSQL(Server):
    """... PostgreSQL."""

    new_url = staticmethod(services.postgresql_url)
