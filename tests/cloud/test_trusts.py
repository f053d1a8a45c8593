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

"""Delegations on a real Keystone: made once, lost, mended, never left over.

Each test works in a project of its own, with users of its own.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
from typing import Any
from typing import ClassVar
import unittest
import uuid

from cryptography import fernet

from tests.cloud import caller_kinds
from tests.cloud import dying_api
from tests.cloud import service_mode
from tests.cloud import waiting
from tests import trust_requests
from tools import callers
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import rest
from tools.cloud import secrets

ROOT = pathlib.Path(__file__).resolve().parents[2]
# None of the projects has a volume: a run that gets as far as to look for one
# had a trust that works.
VOLUME = '11111111-1111-4111-8111-111111111111'


@dataclasses.dataclass(frozen=True)
class Tenant:
    """A project and its first member."""

    name: str
    project_id: str
    user_id: str
    session: rest.Session


class DelegationTests(service_mode.ServiceModeCase):

    OPTIONS: ClassVar[dict[str, int]] = {'projects': 1, 'volumes': 1}
    TUNED: ClassVar[dict[str, int]] = {'claim_interval': 1}

    admin: ClassVar[rest.Session]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Jobs fire all the time here.
        path = cls.made.layout.etc / 'freezer-api.conf'
        path.write_text(path.read_text()
                        + '\n[scheduling]\nminimum_interval = 0\n')
        cls.made.processes['freezer-api'].stop()
        cls.made.up()
        keep = secrets.load(cls.made.layout)
        cls.admin = rest.Session(cls.made.settings.auth_url, 'admin',
                                 keep.admin, 'admin')
        cls.service = rest.Session(
            cls.made.settings.auth_url, config.SERVICE_USER, keep.freezer,
            'service')
        cls.member = cls.keystone('GET', '/roles?name=member')[
            'roles'][0]['id']

    service: ClassVar[rest.Session]
    member: ClassVar[str]

    @classmethod
    def keystone(cls, method: str, path: str, body: Any = None,
                 session: rest.Session | None = None) -> Any:
        return (session or cls.admin).call(
            method, cls.made.settings.auth_url + path, body)

    def tenant(self) -> Tenant:
        name = uuid.uuid4().hex
        project_id = self.keystone('POST', '/projects', {'project': {
            'name': name, 'domain_id': 'default'}})['project']['id']
        user_id, session = self.join(name, project_id)
        return Tenant(name, project_id, user_id, session)

    def join(self, project: str,
             project_id: str) -> tuple[str, rest.Session]:
        """Make another member of a project."""
        name = uuid.uuid4().hex
        user_id = self.keystone('POST', '/users', {'user': {
            'name': name, 'password': name,
            'domain_id': 'default'}})['user']['id']
        self.grant(project_id, user_id)
        return user_id, rest.Session(self.made.settings.auth_url, name, name,
                                     project)

    def grant(self, project_id: str, user_id: str,
              method: str = 'PUT') -> None:
        self.keystone(method, f'/projects/{project_id}/users/{user_id}'
                              f'/roles/{self.member}')

    def enable(self, noun: str, row_id: str, enabled: bool) -> None:
        self.keystone('PATCH', f'/{noun}s/{row_id}',
                      {noun: {'enabled': enabled}})

    def trusts(self, tenant: Tenant) -> dict[str, str]:
        """Trustor by id of the trusts in a project."""
        return {trust['id']: trust['trustor_user_id'] for trust
                in self.keystone('GET', '/OS-TRUST/trusts')['trusts']
                if trust['project_id'] == tenant.project_id}

    def frequent(self, tenant: Tenant) -> str:
        """A job that fires all the time, and whose trust works."""
        document = self.document(VOLUME, job_schedule={
            'schedule_interval': '3 seconds'})
        document['job_actions'][0].update(max_retries=0)
        job_id: str = self.api('POST', 'jobs', document,
                               tenant.session)['job_id']
        return job_id

    def shown(self, tenant: Tenant, job_id: str) -> dict[str, Any]:
        """The job as the service sees it, whatever became of its project."""
        made: dict[str, Any] = self.service.call(
            'GET', f'{self.made.urls["freezer-api"]}/v2/{tenant.project_id}'
                   f'/jobs/{job_id}')
        return made

    def works(self, tenant: Tenant, job_id: str) -> None:
        """Wait until the job has run as far as Cinder, and is sound."""
        def ran() -> bool:
            job = self.shown(tenant, job_id)
            return (VOLUME in job.get('status_reason', '')
                    and 'suspended' not in job)

        waiting.eventually(ran)

    def suspended(self, tenant: Tenant, job_id: str) -> str:
        """Wait until the job is suspended, and return why."""
        cause: str = waiting.eventually(
            lambda: self.shown(tenant, job_id).get('suspended_cause'))
        return cause

    # -- who can give one --

    def test_each_kind_of_caller(self) -> None:
        """As tools.callers, and the documentation, have it."""
        tenant = self.tenant()
        self.api('POST', 'clients', {
            'client_id': 'own', 'hostname': 'h', 'claims': True},
            tenant.session)
        makers = caller_kinds.CallerKinds(
            self.admin, self.made.settings.auth_url, self.member)
        _, mate = self.join(tenant.name, tenant.project_id)
        given = []
        for kind in callers.KINDS:
            session = makers.token(kind.name, tenant.project_id)
            shared = self.job(VOLUME, start=False, session=mate)
            self.assertEqual(dict(kind.answers),
                             self.tried(tenant, session, shared), kind.name)
            if kind.delegates:
                # The trust is the caller's now, and good enough for Cinder.
                trust_id = self.shown(tenant, shared)['trust_id']
                self.assertEqual(self.user_id(session),
                                 self.trusts(tenant)[trust_id])
                self.api('POST', f'jobs/{shared}/event', {'start': None},
                         session)
                given.append(shared)
        for job_id in given:
            self.works(tenant, job_id)

    def test_a_delegated_token_changes_no_job_of_its_own_user(self) -> None:
        """Each request that writes, as the tables of tools.callers say."""
        makers = caller_kinds.CallerKinds(
            self.admin, self.made.settings.auth_url, self.member)
        for kind in callers.KINDS:
            if kind.answers['create'].code == callers.NEEDS_OWN_TOKEN:
                tenant = self.tenant()
                self.api('POST', 'clients', {
                    'client_id': 'own', 'hostname': 'h', 'claims': True},
                    tenant.session)
                session = makers.token(kind.name, tenant.project_id)
                owner = makers.owner(tenant.project_id)
                for request in callers.WRITES:
                    with self.subTest(kind=kind.name, request=request):
                        self.written(tenant, owner, session, request)

    def written(self, tenant: Tenant, owner: rest.Session,
                session: rest.Session, request: callers.Request) -> None:
        """Send a request with a delegated token, and look at the job.

        :param owner: of the job
        """
        made = trust_requests.Requests(
            lambda method, path, body: self.api(method, path, body, owner),
            self.document(VOLUME)['job_actions'][0]['freezer_action'],
            ).prepare(request)
        before = made.job_id and self.shown(tenant, made.job_id)
        said = self.answer(session, made.method, made.path, made.body)
        if request.needs in (callers.Needs.TRUSTOR, callers.Needs.DELEGATING):
            self.assertEqual(
                callers.Answer(403, callers.NEEDS_OWN_TOKEN), said)
            self.assertEqual(
                before, made.job_id and self.shown(tenant, made.job_id))
        elif request.needs is callers.Needs.SERVICE:
            self.assertEqual(callers.Answer(403, callers.FORBIDDEN), said)
        else:
            self.assertLess(said.status, 300)

    def tried(self, tenant: Tenant, session: rest.Session,
              shared: str) -> dict[str, callers.Answer]:
        """Send each request with a token.

        :param shared: a job of another member's
        """
        # Of a user of its own, so that it is the only job of a trust.
        _, other = self.join(tenant.name, tenant.project_id)
        last = self.job(VOLUME, start=False, session=other)
        trust_id = self.shown(tenant, last)['trust_id']
        requests: dict[str, tuple[str, str, Any]] = {
            'create': ('POST', 'jobs', self.document(VOLUME)),
            'take over': ('PATCH', f'jobs/{shared}', {
                'job_schedule': {'schedule_interval': '2 days'}}),
            'own': ('POST', 'jobs', self.document(VOLUME, client_id='own')),
            'list': ('GET', 'jobs', None),
            'delete': ('DELETE', f'jobs/{last}', None)}
        answers = {name: self.answer(session, *request)
                   for name, request in requests.items()}
        self.assertEqual(answers['delete'].status == 204,
                         trust_id not in self.trusts(tenant))
        return answers

    def keystone_token(self, session: rest.Session) -> Any:
        """What Keystone says of a session's token."""
        return self.admin.call(
            'GET', f'{self.made.settings.auth_url}/auth/tokens',
            X_Subject_Token=session._token)['token']

    def user_id(self, session: rest.Session) -> str:
        return str(self.keystone_token(session)['user']['id'])

    def answer(self, session: rest.Session, method: str, path: str,
               body: Any) -> callers.Answer:
        try:
            self.api(method, path, body, session)
        except rest.HttpError as error:
            said = json.loads(error.body)
            self.assertTrue(said['description'])
            return callers.Answer(error.status, said['code'])
        good = {'POST': 201, 'DELETE': 204}
        return callers.Answer(good.get(method, 200))

    # -- what breaks a trust --

    def test_what_breaks_a_trust_is_told_apart_and_heals(self) -> None:
        role, user, project = (self.tenant() for _number in range(3))
        jobs = {tenant: self.frequent(tenant)
                for tenant in (role, user, project)}
        for tenant, job_id in jobs.items():
            self.works(tenant, job_id)
        self.grant(role.project_id, role.user_id, 'DELETE')
        self.enable('user', user.user_id, False)
        self.enable('project', project.project_id, False)
        for tenant, cause in ((role, 'trust_refused'),
                              (user, 'trust_refused'),
                              (project, 'project_disabled')):
            self.assertEqual(cause, self.suspended(tenant, jobs[tenant]))
            self.assertEqual(1, len(self.trusts(tenant)))
        self.grant(role.project_id, role.user_id)
        self.enable('user', user.user_id, True)
        self.enable('project', project.project_id, True)
        for tenant, job_id in jobs.items():
            self.works(tenant, job_id)

    def test_a_lost_trust_is_replaced_by_another_member(self) -> None:
        trust, user, project = (self.tenant() for _number in range(3))
        jobs = {tenant: self.frequent(tenant)
                for tenant in (trust, user, project)}
        mate_id, mate = self.join(user.name, user.project_id)
        for tenant, job_id in jobs.items():
            self.works(tenant, job_id)
        [trust_id] = self.trusts(trust)
        self.keystone('DELETE', f'/OS-TRUST/trusts/{trust_id}',
                      session=trust.session)
        self.keystone('DELETE', f'/users/{user.user_id}')
        self.keystone('DELETE', f'/projects/{project.project_id}')
        for tenant, job_id in jobs.items():
            self.assertEqual('trust_gone', self.suspended(tenant, job_id))
            self.assertEqual({}, self.trusts(tenant))
        # Its trustor saves the job; another member starts that of the deleted
        # user.
        self.api('PATCH', f'jobs/{jobs[trust]}', {'description': 'saved'},
                 trust.session)
        # While it is tried, which is often, it is started already, and says
        # so; then no trust is made.
        waiting.eventually(lambda: self.api(
            'POST', f'jobs/{jobs[user]}/event', {'start': None},
            mate)['result'] == 'success')
        for tenant, trustor in ((trust, trust.user_id), (user, mate_id)):
            self.works(tenant, jobs[tenant])
            self.assertEqual([trustor], list(self.trusts(tenant).values()))

    def test_a_withdrawn_trust_can_be_given_again(self) -> None:
        tenant = self.tenant()
        job_id = self.job(VOLUME, start=False, session=tenant.session)
        self.api('PATCH', f'jobs/{job_id}', {'user_credentials': {}},
                 tenant.session)
        self.assertEqual({}, self.trusts(tenant))
        self.api('POST', f'jobs/{job_id}/event', {'start': None},
                 tenant.session)
        [run] = waiting.eventually(
            lambda: self.runs(job_id, tenant.session))
        self.assertEqual(('skipped', 'delegation_withdrawn'),
                         (run['state'], run['cause']))
        self.assertFalse(self.shown(tenant, job_id)['job_schedule'].get(
            'result'))
        self.api('PATCH', f'jobs/{job_id}', {'client_id': 'central'},
                 tenant.session)
        self.assertEqual(1, len(self.trusts(tenant)))
        self.api('POST', f'jobs/{job_id}/event', {'start': None},
                 tenant.session)
        self.works(tenant, job_id)

    # -- what a stolen one is good for --

    def test_a_stolen_trust_is_of_no_use_but_to_the_service(self) -> None:
        """And with its password: of a member of one project, no more."""
        tenant, thief = self.tenant(), self.tenant()
        job_id = self.job(VOLUME, start=False, session=tenant.session)
        [trust_id] = self.trusts(tenant)
        keep = secrets.load(self.made.layout)

        def use(method: str, proof: Any) -> rest.Session:
            _, headers = rest.request(
                'POST', f'{self.made.settings.auth_url}/auth/tokens', {
                    'auth': {'identity': {'methods': [method], method: proof},
                             'scope': {'OS-TRUST:trust': {'id': trust_id}}}})
            return caller_kinds.TokenSession(
                headers['X-Subject-Token'], tenant.project_id)

        def login(user: str, password: str) -> rest.Session:
            return use('password', {'user': {
                'name': user, 'password': password,
                'domain': {'id': 'default'}}})

        def no(session: rest.Session, method: str, path: str,
               body: Any = None) -> None:
            with self.assertRaises(rest.HttpError) as caught:
                self.keystone(method, path, body, session)
            self.assertEqual(403, caught.exception.status)

        for user, password in ((thief.name, thief.name),
                               ('admin', keep.admin),
                               ('cinder', keep.cinder)):
            with self.assertRaises(rest.HttpError) as caught:
                login(user, password)
            self.assertIn(caught.exception.status, (401, 403))
        # Nor to the service without its password.
        made = self.keystone(
            'POST', f'/users/{self.user_id(self.service)}'
                    '/application_credentials',
            {'application_credential': {'name': tenant.name}}, self.service)
        for proof in (
                ('application_credential', {
                    name: made['application_credential'][name]
                    for name in ('id', 'secret')}),):
            with self.assertRaises(rest.HttpError) as caught:
                use(*proof)
            self.assertIn(caught.exception.status, (400, 401, 403))
        acting = login(config.SERVICE_USER, keep.freezer)
        token = self.keystone_token(acting)
        self.assertEqual({'member', 'reader'},
                         {role['name'] for role in token['roles']})
        self.assertEqual(tenant.project_id, token['project']['id'])
        no(acting, 'POST', '/OS-TRUST/trusts', {'trust': {
            'trustor_user_id': tenant.user_id,
            'trustee_user_id': thief.user_id, 'impersonation': True,
            'project_id': tenant.project_id,
            'roles': [{'id': self.member}]}})
        no(acting, 'POST', f'/users/{tenant.user_id}/application_credentials',
           {'application_credential': {'name': 'x'}})
        no(acting, 'PATCH', f'/users/{tenant.user_id}',
           {'user': {'password': 'x'}})
        # It ends with the last job.
        self.api('DELETE', f'jobs/{job_id}', None, tenant.session)
        with self.assertRaises(rest.HttpError):
            login(config.SERVICE_USER, keep.freezer)

    # -- what breaks no trust --

    def goes_on(self, tenant: Tenant, *jobs: str) -> None:
        """Wait until jobs have run as far as Cinder, from now on."""
        begun = datetime.datetime.now(datetime.UTC)

        def ran(job_id: str) -> bool:
            try:
                runs = self.runs(job_id, tenant.session)
            except rest.HttpError as error:
                # The API has just got Keystone back.
                self.assertEqual(503, error.status, error)
                return False
            return any(
                VOLUME in (run['reason'] or '')
                and datetime.datetime.fromisoformat(run['nominal_at']) > begun
                for run in runs)

        for job_id in jobs:
            waiting.eventually(lambda job_id=job_id: ran(job_id))

    def assert_never_suspended(self, tenant: Tenant, *jobs: str) -> None:
        for job_id in jobs:
            self.assertNotIn('suspended', self.shown(tenant, job_id))
            self.assertEqual([], [
                run for run in self.runs(job_id, tenant.session)
                if run.get('cause')])

    def test_what_is_not_the_users_fault_suspends_nothing(self) -> None:
        """A service password that was changed, and a Keystone away."""
        tenant = self.tenant()
        job_id = self.frequent(tenant)
        self.goes_on(tenant, job_id)
        service = self.user_id(self.service)
        right = secrets.load(self.made.layout).freezer
        log = self.made.layout.log / 'freezer-scheduler.log'
        before = log.stat().st_size
        try:
            self.password(service, uuid.uuid4().hex)
            # The account is the API's as well. Which of them Keystone refuses
            # first is chance, and the scheduler hears of either.
            waiting.eventually(lambda: b'No runs can be claimed' in
                               log.read_bytes()[before:])
        finally:
            self.password(service, right)
        self.goes_on(tenant, job_id)
        # The change ended the token that this test had of the account, too,
        # and one of the same second.
        type(self).service = rest.Session(
            self.made.settings.auth_url, config.SERVICE_USER, right,
            'service')
        self.made.processes['keystone'].stop()
        self.refused(503, 'GET', 'jobs', None, tenant.session)
        self.start('keystone')
        self.goes_on(tenant, job_id)
        self.assert_never_suspended(tenant, job_id)
        self.assertEqual(1, len(self.trusts(tenant)))

    def password(self, user_id: str, value: str) -> None:
        self.keystone('PATCH', f'/users/{user_id}', {
            'user': {'password': value}})

    def start(self, name: str) -> None:
        process = self.made.processes[name]
        process.start()
        waiting.eventually(lambda: rest.answers(self.made.urls[name]))

    # -- keys --

    def use_keys(self, *keys: str) -> None:
        """Restart the API with other keys."""
        path = self.made.layout.etc / 'freezer-api.conf'
        path.write_text(re.sub('(?m)^keys = .*$',
                               'keys = ' + ','.join(keys), path.read_text()))
        self.made.processes['freezer-api'].stop()
        self.start('freezer-api')

    def manage(self, *arguments: str) -> None:
        done = self.made.run.output(
            [str(self.made.layout.bin / 'freezer-manage'), *arguments],
            commands.clean_environment())
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_keys_change_while_everything_goes_on(self) -> None:
        tenant = self.tenant()
        _, mate = self.join(tenant.name, tenant.project_id)
        jobs = [self.frequent(tenant) for _number in range(3)]
        old = secrets.load(self.made.layout).credential_key
        new, stranger = (fernet.Fernet.generate_key().decode()
                         for _number in range(2))
        stop = threading.Event()

        def come_and_go() -> list[str]:
            made = []
            while not stop.wait(0.1):
                made.append(self.job(VOLUME, start=False, session=mate))
                gone = self.job(VOLUME, start=False, session=mate)
                self.api('DELETE', f'jobs/{gone}', None, mate)
            return made

        with self.second_scheduler(), \
                concurrent.futures.ThreadPoolExecutor(1) as pool:
            self.goes_on(tenant, *jobs)
            trusts = self.trusts(tenant)
            self.use_keys(new, old)
            writer = pool.submit(come_and_go)
            try:
                for _number in range(2):
                    # It fails where another key is needed afterwards.
                    self.manage('credential', 'rotate')
            finally:
                stop.set()
            made = writer.result()
            self.use_keys(new)
            self.goes_on(tenant, *jobs)
        self.assert_never_suspended(tenant, *jobs)
        self.assertTrue(made)
        for job_id in (*jobs, *made):
            self.assertIn(self.shown(tenant, job_id)['trust_id'],
                          self.trusts(tenant))
        self.assertLessEqual(trusts.items(), self.trusts(tenant).items())
        self.wrong_keys(tenant, jobs, new, stranger)

    def wrong_keys(self, tenant: Tenant, jobs: list[str], right: str,
                   wrong: str) -> None:
        """Nothing is deleted, and all is well when they are back."""
        gone = self.job(VOLUME, start=False,
                        session=self.join(tenant.name, tenant.project_id)[1])
        trusts = self.trusts(tenant)
        self.use_keys(wrong)
        for job_id in jobs:
            self.assertEqual('trust_unreadable',
                             self.suspended(tenant, job_id))
        # Its trust cannot be deleted now, and is not forgotten.
        self.api('DELETE', f'jobs/{gone}', None, tenant.session)
        # None at all is no better.
        self.use_keys()
        self.request(tenant, later=7000)
        self.assertEqual(trusts, self.trusts(tenant))
        self.use_keys(right)
        self.goes_on(tenant, *jobs)
        for job_id in jobs:
            self.assertNotIn('suspended', self.shown(tenant, job_id))
        self.request(tenant, later=70000)
        self.assertEqual(len(trusts) - 1, len(self.trusts(tenant)))

    # -- many at once --

    def test_concurrent_creations_end_with_one_trust(self) -> None:
        tenant = self.tenant()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = list(pool.map(
                lambda _: self.job(VOLUME, start=False,
                                   session=tenant.session), range(8)))
        [trust_id] = self.trusts(tenant)
        self.assertEqual({trust_id}, {
            self.shown(tenant, job_id)['trust_id'] for job_id in jobs})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda job_id: self.api(
                'DELETE', f'jobs/{job_id}', None, tenant.session), jobs))
        self.assertEqual({}, self.trusts(tenant))

    # -- crashes --

    def request(self, tenant: Tenant, method: str = '', path: str = '',
                body: Any = None, die: str | None = None, later: int = 0,
                **options: Any) -> tuple[int, str]:
        """Have another process serve a request, or do the maintenance."""
        done = subprocess.run(
            [sys.executable, '-m', 'tests.cloud.dying_api'], cwd=ROOT,
            input=json.dumps({
                'config': str(self.made.layout.etc / 'freezer-api.conf'),
                'token': tenant.session._token, 'method': method,
                'path': path and f'/v2/{tenant.project_id}/{path}',
                'body': body, 'die': die, 'later': later,
                'options': options}),
            capture_output=True, text=True, check=False,
            timeout=waiting.PATIENCE)
        if die is not None:
            self.assertEqual(-signal.SIGKILL, done.returncode,
                             f'{die}: {done.stderr[-2000:]}')
            return 0, ''
        self.assertEqual(0, done.returncode, done.stderr[-2000:])
        status, text = json.loads(done.stdout.splitlines()[-1])
        return status, text

    def assert_each_job_has_its_trust(self, tenant: Tenant,
                                      number: int) -> None:
        jobs = self.api('GET', 'jobs', None, tenant.session)['jobs']
        self.assertEqual(number, len(jobs))
        self.assertEqual({job['trust_id'] for job in jobs},
                         set(self.trusts(tenant)))

    def test_a_crash_leaves_neither_trust_nor_job_alone(self) -> None:
        """No trust without a job, no job without a trust."""
        new = self.document(VOLUME)
        for die in dying_api.POINTS:
            with self.subTest(die):
                tenant = self.tenant()
                stored = 0
                if 'deletion' in die:
                    job_id = self.job(VOLUME, start=False,
                                      session=tenant.session)
                    self.request(tenant, 'DELETE', f'jobs/{job_id}', die=die)
                else:
                    self.request(tenant, 'POST', 'jobs', new, die=die)
                    stored = int(die == 'after the job is stored')
                # The user goes on before anybody clears up.
                if die != 'before the deletion':
                    self.api('POST', 'jobs', new, tenant.session)
                    stored += 1
                self.request(tenant, later=700)
                self.assert_each_job_has_its_trust(tenant, stored)

    def test_a_disabled_project_keeps_no_trust_for_ever(self) -> None:
        """Keystone answers as if the trust were gone, and it is not."""
        tenant = self.tenant()
        job_id = self.job(VOLUME, start=False, session=tenant.session)
        self.request(tenant, 'DELETE', f'jobs/{job_id}',
                     die='before the deletion')
        self.enable('project', tenant.project_id, False)
        self.request(tenant, later=700)
        self.assertEqual(1, len(self.trusts(tenant)))
        self.enable('project', tenant.project_id, True)
        self.request(tenant, later=7000)
        self.assertEqual({}, self.trusts(tenant))

    # -- expiry --

    def test_keystone_ends_a_trust_at_its_lifetime(self) -> None:
        tenant = self.tenant()
        status, text = self.request(
            tenant, 'POST', 'jobs', self.document(VOLUME),
            trust_lifetime=3600)
        self.assertEqual(201, status, text)
        [trust] = [trust for trust in self.keystone(
            'GET', '/OS-TRUST/trusts')['trusts']
            if trust['project_id'] == tenant.project_id]
        self.assertIsNotNone(trust['expires_at'])


if __name__ == '__main__':
    unittest.main()
