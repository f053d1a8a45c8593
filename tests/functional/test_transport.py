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

"""What holds for every request: authentication, errors, ids, bodies."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any
from unittest import mock

import falcon
from falcon import testing
from keystonemiddleware import opts as authtoken_opts
from oslo_db import exception as db_exception
import sqlalchemy as sa

from freezer_api import app as api_app
from freezer_api.db import schema_version
from tests.functional import base
from tools.cloud import ports


class TransportTests(base.ApiTestCase):

    shares_engine = False  # policy files are written

    def send(self, method: str, path: str, persona: base.Persona = base.MEMBER,
             **kwargs: Any) -> testing.Result:
        return self.client.simulate_request(
            method, path, extras=persona.environ(), **kwargs)

    def test_version_list(self) -> None:
        result = self.client.simulate_get('/')
        self.assertEqual(300, result.status_code)
        [version] = result.json['versions']
        self.assertEqual(('v2', 'CURRENT'),
                         (version['id'], version['status']))
        # Upstream puts the query into it.
        result = self.client.simulate_get('/', query_string='a=b')
        self.assertEqual('http://falconframework.org/v2/',
                         result.json['versions'][0]['links'][0]['href'])

    def test_a_policy_that_opens_later_is_refused(self) -> None:
        """Also to the administrator, since no caller is told apart."""
        jobs = '/v2/p1/jobs'
        self.assertEqual(200, self.send('GET', jobs).status_code)
        pathlib.Path(self.directory, 'policy.yaml').write_text(
            '"jobs:get_all": "role:reader"\n"jobs:delete": "role:admin"')
        deadline = time.monotonic() + 60
        while (result := self.send('GET', jobs)).status_code == 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

        for persona in (base.MEMBER, base.STRANGER, base.ADMIN):
            result = self.send('GET', jobs, persona)
            self.assertEqual((503, 'policy_refused'),
                             (result.status_code, result.json['code']))
        # The rest of the file is in use, and what it leaves out.
        self.assertEqual(403, self.send(
            'DELETE', '/v2/p1/jobs/1').status_code)
        self.assertEqual(200, self.send('GET', '/v2/p1/backups').status_code)

    def test_home_document(self) -> None:
        for path in ('/v2', '/v2/'):
            result = self.send('GET', path)
            self.assertEqual(200, result.status_code)
            self.assertEqual('application/json-home',
                             result.headers['content-type'])
            backups = result.json['resources']['rel/backups']
            self.assertEqual('/v2/{project_id}/backups/{backup_id}',
                             backups['href-template'])
            self.assertEqual('GET', backups['hints']['allow'][0])
            self.assertEqual({'project_id': 'param/project_id',
                              'backup_id': 'param/backup_id'},
                             backups['href-vars'])
            self.assertIn('rel/claims', result.json['resources'])

    def test_without_a_confirmed_token(self) -> None:
        for environ in ({}, {'HTTP_X_IDENTITY_STATUS': 'Invalid'}):
            result = self.client.simulate_get('/v2/p1/jobs', extras=environ)
            self.assertEqual(401, result.status_code)

    def test_request_ids(self) -> None:
        def answered(sent: str | None) -> str:
            headers = {} if sent is None else {
                'X-Openstack-Request-ID': sent}
            result = self.send('GET', '/v2/p1/jobs', headers=headers)
            answer: str = result.headers['x-openstack-request-id']
            return answer

        self.assertRegex(answered(None), '^req-[0-9a-f-]{36}$')
        self.assertEqual('req-abc', answered('abc'))
        self.assertEqual('req-abc', answered('req-abc'))
        self.assertRegex(answered('x' * 200), '^req-[0-9a-f-]{36}$')
        self.assertRegex(answered('a b\tc'), '^req-[0-9a-f-]{36}$')

    def test_each_error_has_title_and_code(self) -> None:
        for method, path, status, title in (
                ('GET', '/v2/p1/nosuch', 404, '404 Not Found'),
                ('GET', '/v1/jobs', 404, '404 Not Found'),
                ('POST', '/v2/p1/jobs/x/nosuch', 404, '404 Not Found'),
                ('DELETE', '/v2/p1/jobs', 405, '405 Method Not Allowed'),
                ('PUT', '/v2/p1/jobs', 405, '405 Method Not Allowed'),
                ('HEAD', '/v2/p1/jobs', 405, None),
                ('GET', '/v2/p2/jobs', 403, 'Access Forbidden'),
                ('GET', '/v2/p1/jobs/nope', 404, 'Not Found'),
                ('POST', '/v2/p1/jobs', 400, 'Bad request format')):
            result = self.send(method, path)
            self.assertEqual(status, result.status_code, path)
            self.assertIn('x-openstack-request-id', result.headers)
            if title is not None:
                self.assertEqual(title, result.json['title'])
                self.assertRegex(result.json['code'], '^[a-z_]+$')
                self.assertGreater(len(result.json['description']), 10)
                self.assertNotEqual(title, result.json['description'])

    def test_accept(self) -> None:
        result = self.send('GET', '/v2/p1/jobs',
                           headers={'Accept': 'text/html'})
        self.assertEqual((406, ''), (result.status_code, result.text))

    def test_options(self) -> None:
        result = self.send('OPTIONS', '/v2/p1/jobs')
        self.assertEqual(200, result.status_code)
        self.assertEqual('GET, POST', result.headers['allow'])

    def test_a_content_type_is_not_asked_for(self) -> None:
        for content_type in (None, 'text/plain'):
            headers = {} if content_type is None else {
                'Content-Type': content_type}
            result = self.send('POST', '/v2/p1/backups', body=json.dumps({
                'backup_name': 'b', 'container': 'c', 'hostname': 'h'}),
                headers=headers)
            self.assertEqual(201, result.status_code)

    def test_what_is_no_json(self) -> None:
        """Upstream answers 753, or crashes."""
        for body in (b'{nope', b'\xff\xfe', b'{"a": NaN}', b'[' * 50_000,
                     b'{"a":' * 20_000):
            for path in ('clients', 'jobs', 'actions', 'backups'):
                result = self.send('POST', f'/v2/p1/{path}', body=body)
                self.assertEqual(400, result.status_code, body[:10])
                self.assertEqual('malformed_json', result.json['code'])

    def test_a_body_that_is_too_large(self) -> None:
        result = self.send('POST', '/v2/p1/jobs', body=b'x' * 200_000)
        self.assertEqual((413, 'too_large'),
                         (result.status_code, result.json['code']))

    def test_a_body_of_unknown_length(self) -> None:
        """Upstream takes it for an empty one."""
        result = self.send('PATCH', '/v2/p1/jobs/x', headers={
            'Transfer-Encoding': 'chunked'})
        self.assertEqual((411, 'length_required'),
                         (result.status_code, result.json['code']))

    def test_an_id_that_cannot_be_stored(self) -> None:
        """Or each engine answers as it likes."""
        for method, path, name in (
                ('GET', '/v2/p1/jobs/a%00b', 'job_id'),
                ('POST', '/v2/p1/actions/%00', 'action_id'),
                ('GET', '/v2/%00/jobs', 'project_id'),
                ('GET', '/v2/p1/backups?marker=%00', 'marker')):
            result = self.send(method, path)
            self.assertEqual((400, 'invalid_parameter'),
                             (result.status_code, result.json['code']), path)
            self.assertIn(f'"{name}"', result.json['description'])

    def test_a_domain_or_system_token_is_refused(self) -> None:
        for persona in (
                base.Persona('root', None, ('admin',), scope='system'),
                base.Persona('root', None, ('admin',), scope='domain')):
            for method, path in (('GET', 'jobs'), ('GET', 'clients'),
                                 ('POST', 'clients'), ('GET', 'backups'),
                                 ('POST', 'maintenance')):
                result = self.send(method, f'/v2/p1/{path}', persona=persona)
                self.assertEqual(403, result.status_code)


class BusyDatabaseTests(base.ApiTestCase):

    def test_somebody_else_is_faster_each_time(self) -> None:
        with mock.patch.object(self.database, 'write', autospec=True,
                               side_effect=db_exception.DBDeadlock):
            answer = self.call(base.MEMBER, 'POST', 'actions', {
                'freezer_action': base.BACKUP}, 503)
        self.assertEqual('database_busy', answer['code'])


class _WithoutDatabase(base.ApiTestCase):

    def goes_and_comes_back(self) -> None:
        [closed] = ports.find_free(1)

        def elsewhere(dialect: Any, record: Any, arguments: Any,
                      options: dict[str, Any]) -> None:
            options['port'] = closed

        made = self.database.engine
        sa.event.listen(made, 'do_connect', elsewhere)
        made.dispose()
        for method, path, body in (('GET', 'jobs', None),
                                   ('POST', 'actions', {
                                       'freezer_action': base.BACKUP})):
            answer = self.call(base.MEMBER, method, path, body, 503)
            self.assertEqual('database_unavailable', answer['code'])
        sa.event.remove(made, 'do_connect', elsewhere)
        self.call(base.MEMBER, 'GET', 'jobs', status=200)


class WithoutMySQLTests(base.MySQL, _WithoutDatabase):

    def test_it_is_unavailable_for_a_while(self) -> None:
        self.goes_and_comes_back()


class WithoutPostgreSQLTests(base.PostgreSQL, _WithoutDatabase):

    def test_it_is_unavailable_for_a_while(self) -> None:
        self.goes_and_comes_back()


class BodyLimitTests(base.ApiTestCase):

    settings = {'oslo_middleware': {'max_request_body_size': 100}}

    def test_the_limit_is_configured(self) -> None:
        for length, status in ((101, 413), (100, 201)):
            body = json.dumps({'schedule': {}, 'x': ''})
            result = self.client.simulate_post(
                '/v2/p1/sessions', body=body + ' ' * (length - len(body)),
                extras=base.MEMBER.environ())
            self.assertEqual(status, result.status_code)


class DeployedTests(base.ApiTestCase):
    """The whole pipeline, with Keystone's own middleware in it."""

    def make_app(self) -> falcon.App[Any, Any]:
        for group, options in authtoken_opts.list_auth_token_opts():
            self.conf.register_opts(options, group)
        self.conf.set_override(
            'www_authenticate_uri', 'http://keystone.example/v3',
            'keystone_authtoken')
        # The tables are there, but no upgrade has said which they are.
        with self.database.engine.begin() as connection:
            connection.execute(sa.text('DROP TABLE IF EXISTS alembic_version'))
            connection.execute(sa.text(
                'CREATE TABLE alembic_version (version_num VARCHAR(32))'))
            connection.execute(
                sa.text('INSERT INTO alembic_version VALUES (:version)'),
                {'version': schema_version.revisions()[-1]})
        deployed = api_app.make_app(self.conf)

        def app(environ: Any, start_response: Any) -> Any:
            # falcon looks at the signature, which webob's wrappers lack.
            return deployed(environ, start_response)

        made: Any = app
        return made

    def test_what_is_open_and_what_is_not(self) -> None:
        for path, status in (
                ('/', 300), ('/healthcheck', 200),
                ('/v2/openapi.json', 200), ('/v2', 401),
                ('/v2/p1/jobs', 401), ('/v1', 401), ('//', 401)):
            result = self.client.simulate_get(path)
            self.assertEqual(status, result.status_code, path)
        self.assertIn('http://keystone.example/v3',
                      result.headers['www-authenticate'])

    def test_headers_do_not_make_a_user(self) -> None:
        result = self.client.simulate_get('/v2/p1/jobs', headers={
            'X-Identity-Status': 'Confirmed', 'X-User-Id': 'alice',
            'X-Project-Id': 'p1', 'X-Roles': 'admin'})
        self.assertEqual(401, result.status_code)
