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

"""Each known bug of the upstream API, release 19.0.0, by name.

An index: the docstring of a test says what upstream does, and the test that
this API does not. ``rest`` tests are the defects of single requests, ``run``
tests what a whole deployment suffered from, ``stock`` tests what a stock
scheduler dies of, where the API can keep it away from it. What goes wrong
inside a scheduler is tested with the scheduler.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from falcon import testing
import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

FS = {'action': 'backup', 'mode': 'fs', 'path_to_backup': '/etc',
      'backup_name': 'etc'}
PLANTED = {'trust_id': 'stolen', 'trustor_user_id': 'bob'}
RECORD = {'backup_name': 'b', 'container': 'c', 'hostname': 'h'}
SERVICE_MEMBER = base.Persona('freezer', 'svc', ('service', 'member'))
OTHER_SERVICE = base.Persona('other', 'svc2', ('service',))


class UpstreamBugCase(base.ApiTestCase):
    """A central client, one that claims, and one of a stock scheduler."""

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        for client, claims in (('own', True), ('stock', False)):
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': client, 'hostname': client, 'claims': claims},
                201)

    def get(self, path: str, persona: base.Persona = base.MEMBER) -> Any:
        return self.call(persona, 'GET', path, status=200)

    def add_session(self, *job_ids: str) -> str:
        session_id: str = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 hours'}}, 201)['session_id']
        for job_id in job_ids:
            self.call(base.MEMBER, 'PUT',
                      f'sessions/{session_id}/jobs/{job_id}', status=204)
        return session_id

    def act(self, session_id: str, action: str, status: int = 202,
            **said: Any) -> Any:
        return self.call(base.MEMBER, 'POST',
                         f'sessions/{session_id}/action', {action: said},
                         status)

    def add_action(self, persona: base.Persona = base.MEMBER,
                   **more: Any) -> str:
        action_id: str = self.call(persona, 'POST', 'actions', {
            'freezer_action': base.BACKUP, **more}, 201)['action_id']
        return action_id

    def add_backup(self, **more: Any) -> str:
        backup_id: str = self.call(
            base.MEMBER, 'POST', 'backups', {**RECORD, **more}, 201)[
                'backup_id']
        return backup_id

    def stock_patch(self, job_id: str, **schedule: Any) -> None:
        """Write back a job as a stock scheduler does: the whole schedule."""
        job = self.job(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {**job['job_schedule'], **schedule},
            'session_id': job['session_id'],
            'session_tag': job['session_tag']}, 200)


class JobTests(UpstreamBugCase):

    def test_rest_01_patch_without_schedule_keeps_the_schedule(self) -> None:
        """A PATCH without job_schedule wipes the schedule to {}."""
        for client in ('central', 'own', 'stock'):
            job_id = self.create_job(client=client)
            before = self.job(job_id)
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                      {'description': 'new'}, 200)
            self.assertEqual({**before, 'description': 'new'},
                             self.job(job_id))

    def test_rest_02_patch_cannot_move_a_job_to_another_project(
            self) -> None:
        """A project_id in a PATCH moves the job into that project."""
        job_id = self.create_job()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'project_id': 'p2'}, 200)
        self.assertEqual('p1', self.job(job_id)['project_id'])
        self.call(base.STRANGER, 'GET', f'jobs/{job_id}', status=404)

    def test_rest_02_the_url_alone_says_whose_a_row_is(self) -> None:
        """... and so may what is created, and what is put in its place."""
        theirs = {'project_id': 'p2', 'user_id': 'eve'}
        bodies: dict[str, dict[str, Any]] = {
            'clients': {'client_id': 'n1', 'hostname': 'n1'},
            'jobs': {'client_id': 'own', 'job_actions': [
                {'freezer_action': base.BACKUP, **theirs}]},
            'actions': {'freezer_action': base.BACKUP},
            'sessions': {'schedule': {}, 'session_tag': 0},
            'backups': {**RECORD, 'status': 'error'}}
        for noun, body in bodies.items():
            [row_id] = self.call(base.MEMBER, 'POST', noun,
                                 {**body, **theirs}, 201).values()
            path = f'{noun}/{row_id}'
            if noun in ('jobs', 'actions', 'sessions'):
                self.call(base.MATE, 'POST', path, {**body, **theirs}, 201)
            if noun != 'clients':
                self.call(base.MATE, 'PATCH', path,
                          {'status': 'error', **theirs}
                          if noun == 'backups' else theirs, 200)
            shown = self.get(path)
            self.assertEqual(('p1', 'alice'), (
                shown['project_id'], shown['user_id']), noun)
            for entry in shown.get('job_actions', ()):
                self.assertEqual('p1', entry['project_id'])
            self.call(base.STRANGER, 'GET', path, status=404)
            self.assertIn(row_id, json.dumps(self.get(noun)))
            self.assertNotIn(row_id, json.dumps(
                self.get(noun, base.STRANGER)))

    def test_rest_03_given_user_credentials_are_not_stored(self) -> None:
        """Any member plants a trust id on a job of a non-central client."""
        job_id = self.create_job(client='own', user_credentials=PLANTED)
        document = {'client_id': 'own', 'user_credentials': PLANTED,
                    'job_actions': [{'freezer_action': base.BACKUP}]}
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}', document, 201)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'user_credentials': PLANTED}, 200)
        self.assertNotIn('stolen', json.dumps(self.get(
            f'/v2/p1/jobs/{job_id}', base.ADMIN)))

    def test_rest_04_the_creator_stays_the_owner(self) -> None:
        """Every PATCH, event and replacement makes its caller the owner."""
        job_id = self.create_job(client='own')
        action_id = self.add_action()
        session_id = self.add_session()
        backup_id = self.add_backup()
        for persona in (base.MATE, base.ADMIN):
            for method, path, body, status in (
                    ('PATCH', f'jobs/{job_id}', {'description': 'x'}, 200),
                    ('POST', f'jobs/{job_id}/event', {'stop': None}, 202),
                    ('POST', f'jobs/{job_id}', {
                        'client_id': 'own', 'job_actions': [
                            {'freezer_action': base.BACKUP}]}, 201),
                    ('PATCH', f'actions/{action_id}',
                     {'max_retries': 1}, 200),
                    ('PATCH', f'sessions/{session_id}',
                     {'description': 'x'}, 200),
                    ('PATCH', f'backups/{backup_id}',
                     {'status': 'error'}, 200)):
                self.call(persona, method, f'/v2/p1/{path}', body, status)
        for path in (f'jobs/{job_id}', f'actions/{action_id}',
                     f'sessions/{session_id}', f'backups/{backup_id}'):
            self.assertEqual('alice', self.get(path)['user_id'], path)

    def test_rest_05_readers_see_no_trust(self) -> None:
        """Every reader of the project is shown the trust ids of its jobs."""
        job_id = self.create_job()
        [trust_id] = self.trusts.live
        for persona in (base.READER, base.MATE):
            for path in ('jobs', f'jobs/{job_id}'):
                self.assertNotIn(trust_id, json.dumps(
                    self.get(path, persona)))

    def test_rest_06_all_projects_is_heeded(self) -> None:
        """Role service and admin get every project's jobs, asked or not."""
        job_id = self.create_job()
        for persona in (base.SERVICE, base.ADMIN):
            self.assertEqual([], self.get(
                'jobs?all_projects=False', persona)['jobs'])
            self.assertEqual([job_id], [job['job_id'] for job in self.get(
                'jobs?all_projects=True', persona)['jobs']])
        self.call(base.MEMBER, 'GET', 'jobs?all_projects=True', status=403)

    def test_rest_08_mandatory_is_kept_and_shown(self) -> None:
        """mandatory of a job's entry is lost, and jobs never show any."""
        job_id = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'own', 'job_actions': [
                {'freezer_action': base.BACKUP, 'mandatory': True},
                {'freezer_action': base.BACKUP}]}, 201)['job_id']
        self.assertEqual([True, False], [
            entry['mandatory'] for entry in self.job(job_id)['job_actions']])

    def test_rest_11_what_has_no_column_is_no_error(self) -> None:
        """session_name, _version or an unknown session key: a 500."""
        job_id, session_id = self.create_job(), self.add_session()
        before = self.job(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'session_name': 's', '_version': 3}, 200)
        self.assertEqual(before, self.job(job_id))
        self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}',
                  {'bogus': 1, '_version': 3}, 200)

    def test_rest_15_a_body_that_is_no_object_is_refused(self) -> None:
        """null, lists and strings for an object are a 500."""
        job_id, session_id = self.create_job(), self.add_session()
        action_id, backup_id = self.add_action(), self.add_backup()
        bodies: tuple[Any, ...] = (None, [], [{}], 'x', 7, True)
        for method, path in (
                ('POST', 'clients'), ('POST', 'jobs'),
                ('POST', f'jobs/{job_id}'), ('PATCH', f'jobs/{job_id}'),
                ('POST', f'jobs/{job_id}/event'), ('POST', 'actions'),
                ('POST', f'actions/{action_id}'),
                ('PATCH', f'actions/{action_id}'), ('POST', 'sessions'),
                ('POST', f'sessions/{session_id}'),
                ('PATCH', f'sessions/{session_id}'),
                ('POST', f'sessions/{session_id}/action'),
                ('POST', 'backups'), ('PATCH', f'backups/{backup_id}')):
            for body in bodies:
                result = self.client.simulate_request(
                    method, f'/v2/p1/{path}', body=json.dumps(body),
                    extras=base.MEMBER.environ())
                self.assertEqual(400, result.status_code, (path, body))
                self.assertTrue(result.json['description'])
        entries: tuple[Any, ...] = (None, {}, 'x', 7, [None], ['x'])
        for wrong in entries:
            for method, path in (('POST', 'jobs'), ('POST', f'jobs/{job_id}'),
                                 ('PATCH', f'jobs/{job_id}')):
                answer = self.call(base.MEMBER, method, path, {
                    'client_id': 'own', 'job_actions': wrong}, 400)
                self.assertIn('job_actions', answer['description'])

    def test_rest_16_ids_in_a_body_are_never_mixed_up(self) -> None:
        """JobDoc.update and its callers disagree on the order of the ids."""
        job_id = self.create_job(client='own')
        before = self.job(job_id)
        sent = {'user_id': 'u-body', 'job_id': 'j-body',
                'project_id': 'p-body'}
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}', sent, 200)
        self.assertEqual(before, self.job(job_id))
        self.call(base.MATE, 'POST', f'jobs/{job_id}', {
            'client_id': 'own', 'job_actions': [
                {'freezer_action': base.BACKUP}], **sent}, 201)
        after = self.job(job_id)
        self.assertEqual(('alice', job_id, 'p1'), (
            after['user_id'], after['job_id'], after['project_id']))

    def test_rest_24_a_trust_is_used_again_for_the_same_roles_only(
            self) -> None:
        """Any trust of the user is taken, whatever its roles and age."""
        stranger = 'f' * 32
        self.trusts.live[stranger] = ('alice', 'p1')
        shared = {self.trust_of(self.create_job()) for _ in range(2)}
        self.assertEqual(1, len(shared))
        self.assertNotIn(stranger, shared)
        self.trusts.roles = ('member', 'reader')
        self.assertNotIn(self.trust_of(self.create_job()), shared)

    def trust_of(self, job_id: str) -> str:
        trust_id: str = self.get(
            f'/v2/p1/jobs/{job_id}', base.SERVICE)['trust_id']
        return trust_id


class TrustAgeTests(UpstreamBugCase):

    settings = {'service_mode': {'trust_lifetime': 3600}}

    def test_rest_24_a_trust_that_has_expired_is_not_used_again(self) -> None:
        """The first trust of the user is taken, whatever its age."""
        self.create_job()
        [first] = self.trusts.live
        self.clock.now += 3601
        job_id = self.create_job()
        self.assertNotEqual(first, self.get(
            f'/v2/p1/jobs/{job_id}', base.SERVICE)['trust_id'])


class ActionTests(UpstreamBugCase):

    def test_rest_09_a_patch_of_an_action_is_a_merge(self) -> None:
        """What is not named becomes null, and null retries kill runs."""
        action_id = self.add_action(max_retries=2, max_retries_interval=9)
        before = self.get(f'actions/{action_id}')
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}',
                  {'freezer_action': {'backup_name': 'b2'}}, 200)
        self.assertEqual({**before, 'freezer_action': {
            **before['freezer_action'], 'backup_name': 'b2'}},
            self.get(f'actions/{action_id}'))

    def test_rest_10_the_content_of_an_action_is_checked(self) -> None:
        """Any content is stored, and a missing action is a 500."""
        wrong: tuple[Any, ...] = (
            {}, 'x', None, [], {'mode': 'fs'}, {'action': 'bogus'},
            {**base.BACKUP, 'mode': 'mssql'},
            {**base.BACKUP, 'path_to_backup': 7})
        for content in wrong:
            for path in ('actions', 'actions/chosen'):
                self.call(base.MEMBER, 'POST', path,
                          {'freezer_action': content}, 400)
        self.assertEqual([], self.get('actions')['actions'])

    def test_rest_20_a_stranger_takes_no_action_out_of_a_job(self) -> None:
        """Deleting another project's action unlinks it from its jobs."""
        job_id = self.create_job()
        before = self.job(job_id)
        action_id = before['job_actions'][0]['action_id']
        self.call(base.STRANGER, 'DELETE', f'actions/{action_id}',
                  status=204)
        self.assertEqual(before, self.job(job_id))


class BackupTests(UpstreamBugCase):

    def test_rest_07_flat_metadata_of_a_patch_is_kept(self) -> None:
        """What a stock scheduler sends flat beside the status is dropped."""
        backup_id = self.call(base.MEMBER, 'POST', 'backups', {
            'backup_name': 'b', 'status': 'creating'}, 201)['backup_id']
        said = {'hostname': 'web', 'container': 'c', 'time_stamp': 7,
                'cinder_backup_id': 'cb', 'backup_name': 'b'}
        self.call(base.MEMBER, 'PATCH', f'backups/{backup_id}',
                  {**said, 'status': 'available', 'backup_id': backup_id},
                  200)
        shown = self.get(f'backups/{backup_id}')
        self.assertEqual(('available', said),
                         (shown['status'], shown['backup_metadata']))

    def test_rest_19_a_foreign_delete_deletes_nothing(self) -> None:
        """An unknown or foreign backup is said to have been deleted."""
        paths = {
            'jobs': self.create_job(client='own'),
            'actions': self.add_action(), 'sessions': self.add_session(),
            'backups': self.add_backup(), 'clients': 'own'}
        for noun, row_id in paths.items():
            # The others are idempotent by contract.
            status = 404 if noun == 'backups' else 204
            for path in (f'{noun}/{row_id}', f'{noun}/unknown'):
                self.call(base.STRANGER, 'DELETE', path, status=status)
            self.get(f'{noun}/{row_id}')


class SessionTests(UpstreamBugCase):

    def test_rest_12_what_is_not_there_is_a_404(self) -> None:
        """Unknown jobs and sessions are answered with 500 or 400."""
        job_id, session_id = self.create_job(client='own'), self.add_session()
        for method, path, body, status in (
                ('PUT', f'sessions/{session_id}/jobs/nope', None, 404),
                ('PUT', f'sessions/nope/jobs/{job_id}', None, 404),
                # It has no jobs yet, and this one exists: idempotent.
                ('DELETE', f'sessions/{session_id}/jobs/{job_id}', None,
                 204),
                ('DELETE', f'sessions/{session_id}/jobs/nope', None, 404),
                ('DELETE', f'sessions/nope/jobs/{job_id}', None, 404),
                ('POST', 'jobs/nope/event', {'start': None}, 404),
                ('POST', 'sessions/nope/action',
                 {'start': {'job_id': job_id, 'current_tag': 0}}, 404)):
            self.call(base.MEMBER, method, path, body, status)

    def test_rest_13_each_refusal_can_be_written_down(self) -> None:
        """A bad session action crashes while its error is serialised."""
        job_id = self.create_job(client='stock')
        session_id = self.add_session(job_id)
        for action, said in (
                ('start', {}), ('end', {}), ('start', {'job_id': job_id}),
                ('start', {'job_id': job_id, 'current_tag': 'x'}),
                ('start', {'job_id': job_id, 'current_tag': 99}),
                ('start', {'job_id': 'nope', 'current_tag': 0}),
                ('end', {'job_id': 'nope', 'result': 'success',
                         'current_tag': 0})):
            answer = self.act(session_id, action, 400, **said)
            self.assertIsInstance(answer['description'], str)
            self.assertTrue(answer['description'])

    def test_rest_17_a_result_comes_from_the_whole_session(self) -> None:
        """One failure ends a session while others run; order decides."""
        for order in (1, -1):
            jobs = [self.create_job(client='stock') for _ in range(3)]
            session_id = self.add_session(*jobs)
            for job_id in jobs:
                self.act(session_id, 'start', job_id=job_id, current_tag=0)
            first, second, third = jobs[::order]
            for job_id, result, status in (
                    (first, 'fail', 'running'),
                    (second, 'success', 'running'),
                    (third, 'success', 'completed')):
                self.act(session_id, 'end', job_id=job_id, current_tag=1,
                         result=result)
                shown = self.get(f'sessions/{session_id}')
                self.assertEqual(status, shown['status'])
            self.assertEqual('fail', shown['result'])

    def test_rest_21_a_session_leaves_a_jobs_past_alone(self) -> None:
        """Joining and leaving replace the whole schedule, past included."""
        job_id = self.create_job(client='stock')
        self.stock_patch(job_id, event='', status='scheduled',
                         result='success', time_started=5, time_ended=6)
        before = self.job(job_id)['job_schedule']
        session_id = self.add_session(job_id)
        joined = self.job(job_id)['job_schedule']
        self.assertEqual({**before, 'schedule_interval': '1 hours'}, joined)
        self.call(base.MEMBER, 'DELETE',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        self.assertEqual({**joined, 'event': 'stop'},
                         self.job(job_id)['job_schedule'])


class TransportTests(UpstreamBugCase):

    def send(self, method: str, path: str, **kwargs: Any) -> testing.Result:
        return self.client.simulate_request(
            method, path, extras=base.MEMBER.environ(), **kwargs)

    def test_rest_14_what_is_no_json_is_a_400(self) -> None:
        """Malformed JSON is answered with the invented status 753."""
        for body in (b'{', b'nope', b'\xff', b"{'a': 1}"):
            result = self.send('POST', '/v2/p1/jobs', body=body)
            self.assertEqual((400, 'Malformed JSON', 'malformed_json'), (
                result.status_code, result.json['title'],
                result.json['code']))

    def test_rest_23_the_version_link_has_no_query(self) -> None:
        """The query string of the request stands in the link."""
        result = self.send('GET', '/', query_string='a=b')
        link = result.json['versions'][0]['links'][0]['href']
        self.assertTrue(link.endswith('/v2/'), link)
        self.assertNotIn('?', link)


class DatabaseTests(UpstreamBugCase):
    """Those in which the database has a say."""

    def test_rest_18_lists_are_ordered_bounded_and_searched(self) -> None:
        """No order, negative limits, and text in _all is ignored."""
        made = []
        for number in range(4):
            made.append(self.create_job(
                client='own', description=f'number {number}'))
            self.clock.now += 1
        for query in ('limit=-1', 'offset=-1', 'limit=99999999999'):
            self.call(base.MEMBER, 'GET', f'jobs?{query}', status=400)
        paged = [job['job_id'] for offset in range(0, 6, 2)
                 for job in self.get(f'jobs?limit=2&offset={offset}')['jobs']]
        self.assertEqual(
            [job['job_id'] for job in self.get('jobs')['jobs']], paged)
        self.assertEqual(sorted(made), sorted(paged))

        def found(noun: str, text: str) -> list[Any]:
            rows: list[Any] = self.call(
                base.MEMBER, 'GET', noun, {'match': [{'_all': text}]}, 200)[
                    noun]
            return rows

        self.assertEqual([made[2]], [
            job['job_id'] for job in found('jobs', 'number 2')])
        # The panel asks for a client by its uuid and takes the first.
        client = self.get('clients/stock')['client']
        self.assertEqual([client], [
            one['client'] for one in found('clients', client['uuid'])])
        self.assertEqual([], found('jobs', 'nowhere'))

    def test_rest_22_registering_again_without_a_change_changes_nothing(
            self) -> None:
        """On MySQL a client counts as changed each time it registers."""
        def stamp() -> Any:
            with self.database.read() as session:
                return session.scalars(sa.select(
                    models.Client.updated_at).where(
                        models.Client.client_id == 'own')).one()

        def register(**more: Any) -> None:
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': 'own', 'hostname': 'own', 'claims': True,
                **more}, 201)

        register(description='first')
        # Long ago, so that a change is one in whole seconds too.
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Client).values(
                updated_at=datetime.datetime(
                    2020, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)))
        before = stamp()
        shown = self.get('clients/own')
        register(description='first')
        self.assertEqual(before, stamp())
        self.assertEqual(shown, self.get('clients/own'))
        register(description='second')
        self.assertNotEqual(before, stamp())

    def test_rest_25_what_is_too_long_is_named(self) -> None:
        """No length is checked: SQLite takes it, MySQL makes a 500."""
        job = {'client_id': 'own', 'job_actions': [
            {'freezer_action': base.BACKUP}]}
        client = {'client_id': 'n1', 'hostname': 'n1'}
        for path, body, name in (
                ('clients', {**client, 'uuid': 'u' * 40}, 'uuid'),
                ('clients', {**client, 'description': 'd' * 256},
                 'description'),
                ('clients', {**client, 'client_id': 'c' * 256}, 'client_id'),
                ('jobs', {**job, 'description': 'd' * 256}, 'description'),
                ('jobs', {**job, 'session_id': 's' * 37}, 'session_id'),
                ('jobs', {**job, 'job_id': 'j' * 37}, 'job_id'),
                ('sessions', {'schedule': {}, 'description': 'd' * 256},
                 'description'),
                ('sessions/' + 's' * 37, {'schedule': {}, 'session_tag': 0},
                 'session_id'),
                ('actions', {'freezer_action': {
                    **base.BACKUP, 'container': 'c' * 256}}, 'container')):
            answer = self.call(base.MEMBER, 'POST', path, body, 400)
            self.assertIn(name, answer['description'], path)


class DatabaseTestsOnMySQL(base.MySQL, DatabaseTests):
    pass


class DatabaseTestsOnPostgreSQL(base.PostgreSQL, DatabaseTests):
    pass


class RunTests(UpstreamBugCase):
    """What deployments of upstream met, as far as the API decides it."""

    def refused(self, method: str, path: str, body: Any) -> None:
        answer = self.call(base.MEMBER, method, path, body, 422)
        self.assertEqual('capability_not_supported', answer['code'])

    def test_run_01_no_key_opens_a_section_of_the_agents_file(self) -> None:
        """Line breaks in keys let a tenant run exec on the service's host."""
        job = {'client_id': 'stock'}
        for key in ('x]\n[y]\naction', 'a\rb', 'a = b', '[y]', 'a:b', '#a',
                    'a\u2028b', ''):
            wrong = {**base.BACKUP, key: 'exec'}
            for method, path, body in (
                    ('POST', 'actions', {'freezer_action': wrong}),
                    ('POST', 'jobs', {**job, 'job_actions': [
                        {'freezer_action': wrong}]})):
                answer = self.call(base.MEMBER, method, path, body, 400)
                self.assertIn('freezer_action', answer['description'])
        # What breaks the line for the agent, and not for who wrote it.
        wrong = {**base.BACKUP, 'cindernative_vol_id': 'v\r[y]\raction=exec'}
        for method, path, body in (
                ('POST', 'actions', {'freezer_action': wrong}),
                ('POST', 'jobs', {**job, 'job_actions': [
                    {'freezer_action': wrong}]})):
            answer = self.call(base.MEMBER, method, path, body, 400)
            self.assertIn('cindernative_vol_id', answer['description'])
        self.assertEqual([], self.get('actions')['actions'])

    def test_run_01_no_spelling_of_a_key_gets_past_the_check(self) -> None:
        """Mode=fs and mode-like spellings are read by the agent alone."""
        for key in ('Mode', 'MODE', 'Action'):
            value = 'exec' if key == 'Action' else 'fs'
            answer = self.call(base.MEMBER, 'POST', 'jobs', {
                'client_id': 'central', 'job_actions': [
                    {'freezer_action': {**base.BACKUP, key: value}}]}, 422)
            self.assertIn(f'freezer_action.{key}: unknown',
                          answer['description'])

    def test_run_02_an_absent_mode_is_the_agents_default(self) -> None:
        """Without a mode the check passes, and the agent copies files."""
        for mode in ({}, {'mode': None}):
            self.refused('POST', 'jobs', {
                'client_id': 'central', 'job_actions': [{'freezer_action': {
                    'action': 'backup', 'cindernative_vol_id': 'v', **mode}}]
                })

    def test_run_03_nobody_works_with_somebody_elses_trust(self) -> None:
        """A planted trust is used once the job is moved to central."""
        job_id = self.create_job(client='own', user_credentials=PLANTED)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'central', 'user_credentials': PLANTED}, 200)
        self.start(job_id)
        credentials = self.one_run()['credentials']
        self.assertEqual('alice', credentials['trustor_user_id'])
        self.assertEqual({credentials['trust_id']: ('alice', 'p1')},
                         self.trusts.live)

    def test_run_04_a_central_name_is_one_projects(self) -> None:
        """The same id with another hostname is a second central client."""
        for hostname in ('control-1', 'elsewhere'):
            self.call(OTHER_SERVICE, 'POST', 'clients', {
                'client_id': 'central', 'hostname': hostname,
                'is_central': True}, 409)
        self.assertEqual(1, len([one for one in self.get('clients')[
            'clients'] if one['client']['client_id'] == 'central']))

    def test_run_06_an_abort_of_a_job_that_never_ran_is_done(self) -> None:
        """The event stays, and the scheduler dies of the missing pid."""
        job_id = self.create_job()
        self.clock.now += 10
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'abort': None}, 202)
        shown = self.job(job_id)
        self.assertEqual(('', 'stop'), (shown['job_schedule']['event'],
                                        shown['job_schedule']['status']))
        self.clock.now += 100_000
        self.assertEqual([], self.claim()['runs'])

    def test_run_07_a_run_whose_holder_died_goes_on_as_one(self) -> None:
        """It shows running for ever, and after a restart it runs again."""
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run(scheduler='killed')
        self.pass_lease()
        taken = self.one_run(scheduler='alive')
        self.assertEqual((run['run_id'], 2),
                         (taken['run_id'], taken['fence']))
        self.report(taken, 'success', scheduler='alive')
        self.assertEqual(['success'],
                         [one['state'] for one in self.runs(job_id)])

    def test_run_08_two_schedulers_make_one_run(self) -> None:
        """Each of two schedulers with one client id runs every job."""
        self.start(self.create_job())
        self.assertEqual([1, 0], [
            len(self.claim(scheduler=name)['runs']) for name in ('a', 'b')])

    def test_run_10_an_abort_reaches_the_run_and_shows(self) -> None:
        """Abort kills nothing, and the aborted job ends in success."""
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'abort': None}, 202)
        held = [{'run_id': run['run_id'], 'fence': run['fence']}]
        self.assertEqual('abort', self.claim(held=held)['held'][0]['event'])
        self.report(run, 'aborted')
        self.assertEqual('aborted', self.job(job_id)['job_schedule'][
            'result'])

    def test_run_11_a_failure_leaves_its_reason_and_no_loose_end(
            self) -> None:
        """The record stays creating, without Cinder's id or a reason."""
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        record: dict[str, Any] = {
            'backup_id': 'e' * 32, 'status': 'creating',
            'backup_metadata': {'backup_name': 'n'}}
        self.report(run, backups=[record])
        self.report(run, 'fail', reason='Cinder is full', backups=[{
            **record, 'status': 'error',
            'backup_metadata': {'cinder_backup_id': 'cb'}}])
        self.assertEqual('Cinder is full', self.job(job_id)['status_reason'])
        shown = self.get(f'backups/{"e" * 32}')
        self.assertEqual(('error', 'cb'), (
            shown['status'], shown['backup_metadata']['cinder_backup_id']))

    def test_run_12_what_a_run_makes_is_the_users(self) -> None:
        """The job and the backup become the service account's."""
        job_id = self.create_job()
        self.start(job_id)
        self.report(self.one_run(), 'success', backups=[{
            'backup_id': 'f' * 32, 'status': 'available',
            'backup_metadata': {'backup_name': 'n'}}])
        self.assertEqual('alice', self.job(job_id)['user_id'])
        shown = self.get(f'backups/{"f" * 32}')
        self.assertEqual(('alice', 'p1'),
                         (shown['user_id'], shown['project_id']))

    def test_run_13_moving_a_job_to_central_makes_a_trust(self) -> None:
        """A moved job has no trust and is passed over in silence."""
        job_id = self.create_job(client='own')
        self.assertEqual({}, self.trusts.live)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'central'}, 200)
        self.start(job_id)
        self.assertIsNotNone(self.one_run()['credentials'])

    def test_run_14_a_team_mates_delete_takes_the_trust_with_it(
            self) -> None:
        """The trust of a job that a team mate deletes stays in Keystone."""
        job_id = self.create_job()
        self.call(SERVICE_MEMBER, 'DELETE', 'clients/central', status=409)
        self.call(base.MATE, 'DELETE', f'jobs/{job_id}', status=204)
        self.assertEqual({}, self.trusts.live)

    def test_run_15_an_admin_is_told_whose_token_it_takes(self) -> None:
        """A central job by an admin in another project's URL: a 500."""
        answer = self.call(base.ADMIN, 'POST', '/v2/p1/jobs', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 403)
        self.assertEqual('delegation_wrong_project', answer['code'])


class StockSchedulerTests(UpstreamBugCase):
    """What ends a stock scheduler's poll, or leaves a job running for ever.

    Such a scheduler may serve many jobs, so nothing of this may reach it.
    """

    def test_stock_02_a_new_schedule_leaves_the_event_in_it(self) -> None:
        """A schedule that lost its event ends the poll of all jobs."""
        job_id = self.create_job(client='stock')
        self.stock_patch(job_id, event='', status='scheduled')
        changes: tuple[dict[str, Any], ...] = (
            {'job_schedule': {'schedule_interval': '2 days'}},
            {'job_schedule': {}}, {'description': 'x'}, {})
        for change in changes:
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', change, 200)
            shown = self.job(job_id)['job_schedule']
            self.assertEqual(('', 'scheduled'),
                             (shown['event'], shown['status']))

    def test_stock_03_an_abort_finds_a_process_or_is_a_stop(self) -> None:
        """An abort of what does not run ends the poll of all jobs."""
        job_id = self.create_job(client='stock')
        for schedule, event in (
                ({}, 'stop'), ({'event': '', 'status': 'scheduled'}, 'stop'),
                ({'event': '', 'status': 'running'}, 'stop'),
                ({'event': '', 'status': 'running', 'current_pid': 7},
                 'abort'),
                ({'event': '', 'status': 'completed', 'current_pid': 7},
                 'stop')):
            self.stock_patch(job_id, **schedule)
            self.assertEqual({'result': 'success'}, self.call(
                base.MEMBER, 'POST', f'jobs/{job_id}/event',
                {'abort': None}, 202))
            shown = self.job(job_id)['job_schedule']
            self.assertEqual(event, shown['event'], schedule)
            self.assertTrue(event != 'abort' or shown['current_pid'])

    def test_stock_what_it_writes_back_undoes_no_edit(self) -> None:
        """An edit is undone by the copy that a scheduler writes back."""
        job_id = self.create_job(client='stock')
        copy = self.job(job_id)
        session_id = self.add_session(job_id)
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': '2 days'}}, 200)
        written = {**copy['job_schedule'], 'event': '', 'status': 'running',
                   'time_started': 5, 'current_pid': 7}
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': written, 'session_id': '', 'session_tag': 0},
            200)
        shown = self.job(job_id)
        self.assertEqual(session_id, shown['session_id'])
        self.assertEqual({**written, 'schedule_interval': '2 days'},
                         shown['job_schedule'])

    def test_stock_what_it_writes_back_drops_no_event(self) -> None:
        """A stop or an abort is lost if the scheduler writes before it reads.
        """
        job_id = self.create_job(client='stock')
        for event in ('stop', 'abort'):
            self.stock_patch(job_id, event='', status='running',
                             current_pid=7)
            copy = self.job(job_id)['job_schedule']
            self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                      {event: None}, 202)
            for status, left in (('running', event), ('scheduled', 'stop'),
                                 ('stop', '')):
                self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                    'job_schedule': {**copy, 'status': status},
                    'session_id': '', 'session_tag': 0}, 200)
                self.assertEqual(left, self.job(job_id)['job_schedule'][
                    'event'])

    def test_stock_05_retries_are_never_null(self) -> None:
        """Null retries, made by a PATCH, leave the job running for ever."""
        action_id = self.add_action()
        job_id = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'stock', 'job_actions': [
                {'action_id': action_id}]}, 201)['job_id']
        for nulls in ({'max_retries': None}, {'max_retries_interval': None},
                      {'max_retries': None, 'max_retries_interval': None}):
            for method in ('PATCH', 'POST'):
                self.client.simulate_request(
                    method, f'/v2/p1/actions/{action_id}',
                    json={'freezer_action': base.BACKUP, **nulls},
                    extras=base.MEMBER.environ())
                [entry] = self.job(job_id)['job_actions']
                self.assertIsInstance(entry['max_retries'], int)
                self.assertIsInstance(entry['max_retries_interval'], int)

    def test_stock_05_nulls_of_an_old_database_are_not_shown(self) -> None:
        """Rows that were PATCHed once kill each run of their jobs."""
        job_id = self.create_job(client='stock')
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Action).values(
                max_retries=None, max_retries_interval=None))
        [entry] = self.job(job_id)['job_actions']
        self.assertEqual((5, 6), (
            entry['max_retries'], entry['max_retries_interval']))

    def test_stock_06_an_interval_has_one_blank(self) -> None:
        """Two blanks pass the API and end the poll of all jobs."""
        job_id = self.create_job(
            client='stock', schedule={'schedule_interval': '5  days'})
        self.assertEqual('5 days', self.job(job_id)['job_schedule'][
            'schedule_interval'])
        session_id: str = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '7   days'}}, 201)['session_id']
        self.call(base.MEMBER, 'PUT', f'sessions/{session_id}/jobs/{job_id}',
                  status=204)
        self.assertEqual('7 days', self.job(job_id)['job_schedule'][
            'schedule_interval'])

    def test_stock_11_a_job_out_of_sync_is_set_right(self) -> None:
        """A job that missed a round of its session never joins again."""
        job_id = self.create_job(client='stock')
        session_id = self.add_session(job_id)
        self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}',
                  {'session_tag': 4, 'time_start': base.T0}, 200)
        self.clock.now += 60
        self.assertEqual('out-of-sync', self.act(
            session_id, 'start', job_id=job_id, current_tag=0)['result'])
        self.assertEqual(4, self.job(job_id)['session_tag'])
        self.assertEqual('success', self.act(
            session_id, 'start', job_id=job_id, current_tag=4)['result'])
