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

"""Two regions with databases of their own, on one real Keystone and account.

Answers of Keystone are lost on their way, and one Keystone keeps no marks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import time
from typing import Any
from typing import ClassVar

from falcon import testing

from benchmarks.observation import proxy
from freezer_api import app as api_app
from freezer_api.cmd import manage
from freezer_api import conf as configuration
from freezer_api.db.admin import upgrade
from tests.cloud import faulty_proxy
from tests.cloud import service_mode
from tools.cloud import config
from tools.cloud import rest
from tools.cloud import secrets

VOLUME = '11111111-1111-4111-8111-111111111111'
LATER = 1000


class MarkProxy(faulty_proxy.FaultyProxy):
    """One that can drop the additional attributes of new trusts."""

    drops = False

    def forward(self, request: proxy.Request) -> proxy.Answer:
        if self.drops and request.path.endswith('/OS-TRUST/trusts') and (
                request.method == 'POST'):
            document = json.loads(request.body)
            document['trust'] = {
                name: value for name, value in document['trust'].items()
                if not name.startswith('freezer_')}
            request = dataclasses.replace(
                request, body=json.dumps(document).encode())
        return super().forward(request)


class Region:
    """An API with a database of its own, in this process."""

    def __init__(self, config_file: str, url: str) -> None:
        self.config_file = config_file
        self.url = url
        self.conf = configuration.load(files=[config_file])
        self.conf.set_override('connection', url, 'database')
        upgrade.sync(url)
        whole = api_app.make_app(self.conf)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            # A function, as the client wants it.
            return whole(environ, start_response)

        self.client = testing.TestClient(app)

    def call(self, session: rest.Session, method: str, path: str,
             body: Any = None) -> testing.Result:
        return self.client.simulate_request(
            method, f'/v2/{session.project_id}/{path}', json=body,
            headers={'X-Auth-Token': session._token})

    def maintain(self, later: int = LATER) -> dict[str, int]:
        made = api_app.make_services(
            self.conf, lambda: int(time.time()) + later).trusts
        gone = made.maintain()
        return {'deleted': gone, **dataclasses.asdict(made.counts())}


class TwoRegionsTests(service_mode.ServiceModeCase):

    OPTIONS: ClassVar[dict[str, int]] = {'projects': 1, 'volumes': 1}

    proxy: ClassVar[MarkProxy]
    service: ClassVar[rest.Session]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Its own API and scheduler would take part.
        for name in ('freezer-scheduler', 'freezer-api'):
            cls.made.processes[name].stop()
        cls.service = rest.Session(
            cls.made.settings.auth_url, config.SERVICE_USER,
            secrets.load(cls.made.layout).freezer, 'service')
        port = cls.made.settings.keystone_port
        cls.proxy = MarkProxy(port)
        cls.proxy.start()
        cls.addClassCleanup(cls.proxy.stop)
        cls.move_endpoint('identity', port, cls.proxy.port)

    @classmethod
    def move_endpoint(cls, kind: str, before: int, after: int) -> None:
        admin, url = cls.made.session('admin'), cls.made.settings.auth_url
        [service] = admin.call('GET', f'{url}/services?type={kind}')[
            'services']
        for endpoint in admin.call(
                'GET', f'{url}/endpoints?service_id={service["id"]}')[
                    'endpoints']:
            admin.call('PATCH', f'{url}/endpoints/{endpoint["id"]}', {
                'endpoint': {'url': endpoint['url'].replace(
                    f':{before}/', f':{after}/')}})

    def setUp(self) -> None:
        super().setUp()
        self.proxy.drops = False
        self.regions = [self.region(), self.region()]
        self.addCleanup(self.delete_trusts)

    def region(self) -> Region:
        number = time.monotonic_ns()
        state = self.made.layout.state
        region = Region(str(self.made.layout.etc / 'freezer-api.conf'),
                        f'sqlite:///{state}/region-{number}.db')
        answer = region.call(self.service, 'POST', 'clients', {
            'client_id': 'central', 'hostname': 'h', 'is_central': True,
            'claims': True, 'supported_actions': ['backup'],
            'supported_modes': ['cindernative'], 'supported_storages': [],
            'supported_engines': []})
        self.assertEqual(201, answer.status_code, answer.text)
        return region

    def trusts(self) -> dict[str, dict[str, Any]]:
        """All of the service account's, as Keystone has them."""
        admin = self.made.session('admin')
        return {trust['id']: trust for trust in admin.call(
            'GET', f'{self.made.settings.auth_url}/OS-TRUST/trusts')[
                'trusts']}

    def delete_trusts(self) -> None:
        for trust_id in self.trusts():
            self.made.session('admin').call(
                'DELETE', f'{self.made.settings.auth_url}/OS-TRUST/trusts/'
                          f'{trust_id}')

    def create(self, region: Region, status: int = 201) -> str:
        answer = region.call(self.user, 'POST', 'jobs',
                             self.document(VOLUME))
        self.assertEqual(status, answer.status_code, answer.text)
        if status != 201:
            return ''
        job: dict[str, str] = region.call(
            self.user, 'GET', f'jobs/{answer.json["job_id"]}').json
        return job['trust_id']

    def lose(self, region: Region) -> None:
        """Create a job whose trust is made, and no answer comes."""
        rule = self.proxy.fail('POST', '/OS-TRUST/trusts', '',
                               faulty_proxy.NO_ANSWER)
        self.create(region, 503)
        self.assertEqual([201], rule.statuses)

    def test_lost_answers_end_only_what_they_were_about(self) -> None:
        here, there = self.regions
        theirs = self.create(there)
        self.lose(here)
        self.assertEqual(2, len(self.trusts()))
        ours = self.create(here)
        for trust in self.trusts().values():
            self.assertEqual(32, len(trust['freezer_trust']))
            self.assertEqual(config.REGION, trust['freezer_region'])
        self.assertEqual({'deleted': 1, 'pending': 0, 'unproven': 0},
                         here.maintain())
        self.assertEqual({theirs, ours}, set(self.trusts()))
        self.assertEqual({'deleted': 0, 'pending': 0, 'unproven': 0},
                         there.maintain())
        # Both go on, and each ends its own.
        self.assertEqual(theirs, self.create(there))
        for region, left in ((here, {theirs}), (there, set())):
            for job in region.call(self.user, 'GET', 'jobs').json['jobs']:
                self.assertEqual(204, region.call(
                    self.user, 'DELETE', f'jobs/{job["job_id"]}').status_code)
            self.assertEqual(left, set(self.trusts()))

    def test_what_bears_no_mark_is_named_and_stays(self) -> None:
        here, there = self.regions
        self.proxy.drops = True
        theirs = self.create(there)
        self.assertNotIn('freezer_trust', self.trusts()[theirs])
        self.lose(here)
        before = set(self.trusts())
        self.assertEqual(2, len(before))
        self.assertEqual({'deleted': 0, 'pending': 0, 'unproven': 1},
                         here.maintain())
        self.assertEqual(before, set(self.trusts()))
        named = self.manage(here, 'orphans').splitlines()
        self.assertEqual('orphans: 2; no longer counted: 0', named[-1])
        for trust_id in before:
            self.assertNotIn(trust_id, ''.join(named))
        # It tells the left one by the list of the other region.
        known = self.manage(there, 'orphans').splitlines()
        [left] = [line.split()[0] for line in known[:-1]]
        self.assertIn(left, [line.split()[0] for line in named[:-1]])
        self.manage(here, 'delete', left)
        self.assertEqual({theirs}, set(self.trusts()))
        self.manage(here, 'dismiss')
        self.assertEqual(0, here.maintain()['unproven'])

    def manage(self, region: Region, *arguments: str) -> str:
        path = self.made.layout.etc / 'region.conf'
        lines = (self.made.layout.etc / 'freezer-api.conf').read_text()
        path.write_text(''.join(
            f'connection = {region.url}\n'
            if line.startswith('connection =') else line
            for line in lines.splitlines(keepends=True)))
        path.chmod(0o600)
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(errors):
            status = manage.main(['--config-file', str(path), 'trusts',
                                  *arguments])
        self.assertEqual(0, status, errors.getvalue())
        return out.getvalue()
