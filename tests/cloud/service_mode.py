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

"""What the tests of service mode on a real Keystone and Cinder stand on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from typing import Any
from typing import ClassVar
import unittest

from tests.cloud import faulty_proxy
from tests.cloud import prepared
from tests.cloud import waiting
from tests import supervisor
from tools.cloud import cloud
from tools.cloud import daemons
from tools.cloud import rest

# Short, so that what is lost is soon known to be lost.
REQUEST_TIMEOUT = 3

# For how long a login is used again; tokens live for longer in each test.
_LOGIN_SECONDS = 5


class ServiceModeCase(unittest.TestCase):
    """A cloud of its own for the tests of a class.

    :cvar OPTIONS: of the cloud
    :cvar TUNED: options of the scheduler
    :cvar WITH_CEPH: whether Cinder keeps volumes and backups in Ceph
    :cvar WITH_SWIFT: whether Cinder keeps backups in Swift
    :cvar DEBUG: whether the API, the scheduler and their libraries log all
    :cvar free: volumes that no test works with yet, by project
    """

    OPTIONS: ClassVar[dict[str, Any]] = {}
    TUNED: ClassVar[dict[str, int]] = {}
    WITH_CEPH: ClassVar[bool] = False
    WITH_SWIFT: ClassVar[bool] = False
    DEBUG: ClassVar[bool] = False

    made: ClassVar[cloud.Cloud]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix='service mode ')
        cls.addClassCleanup(holder.cleanup)
        cls.addClassCleanup(supervisor.watch(holder.name))
        cls.made = cloud.Cloud(holder.name)
        options = cloud.Options.on_free_ports(projects=2,
                                              with_ceph=cls.WITH_CEPH,
                                              with_swift=cls.WITH_SWIFT)
        options = dataclasses.replace(options, **cls.OPTIONS)
        # The scheduler starts once, with its own options.
        prepared.up(cls.made, options, prepared.SERVERS)
        cls.addClassCleanup(prepared.end, cls.made)
        cls.free = {name: [volume['id'] for volume in cls.made.volumes(name)]
                    for name in cls.made.settings.seeded}
        if cls.DEBUG:
            cls.log_all()
        cls.tune(**cls.TUNED)

    free: ClassVar[dict[str, list[str]]]

    @classmethod
    def log_all(cls) -> None:
        for name in ('freezer-api', 'scheduler'):
            path = cls.made.layout.etc / f'{name}.conf'
            # What libraries are held to by default is to be seen as well.
            path.write_text(path.read_text().replace(
                '[DEFAULT]', '[DEFAULT]\ndebug = true\ndefault_log_levels =',
                1))
        cls.made.processes['freezer-api'].stop()

    @classmethod
    def tune(cls, **options: int) -> None:
        """Restart the scheduler with other options."""
        path = cls.made.layout.etc / 'scheduler.conf'
        lines = [line for line in path.read_text().splitlines()
                 if line.split('=')[0].strip() not in options]
        at = lines.index('[scheduler]') + 1
        lines[at:at] = [f'{name} = {value}'
                        for name, value in options.items()]
        path.write_text('\n'.join(lines) + '\n')
        cls.made.processes['freezer-scheduler'].stop()
        cls.made.up()

    def setUp(self) -> None:
        super().setUp()
        self.user = self.made.session('project-1')
        self._logins: dict[str, tuple[float, rest.Session]] = {}

    def login(self, project: str) -> rest.Session:
        """Log in, unless that was a moment ago.

        A login costs a processor as much as the question that it is for.
        """
        made = self._logins.get(project)
        now = time.monotonic()
        if made is None or made[0] + _LOGIN_SECONDS < now:
            made = self._logins[project] = now, self.made.session(project)
        return made[1]

    def api(self, method: str, path: str, body: Any = None,
            session: rest.Session | None = None) -> Any:
        session = session or self.user
        return session.call(
            method, f'{self.made.urls["freezer-api"]}/v2'
                    f'/{session.project_id}/{path}', body)

    def refused(self, status: int, *args: Any, **kwargs: Any) -> str:
        with self.assertRaises(rest.HttpError) as caught:
            self.api(*args, **kwargs)
        self.assertEqual(status, caught.exception.status, caught.exception)
        return str(caught.exception)

    def cinder(self, method: str, path: str, body: Any = None,
               project: str = 'project-1') -> Any:
        session = self.login(project)
        return session.call(
            method, f'{self.made.settings.cinder_url}/v3'
                    f'/{session.project_id}{path}', body,
            OpenStack_API_Version='volume 3.60')

    def volume(self, project: str = 'project-1') -> str:
        return self.free[project].pop()

    def document(self, volume: str, **more: Any) -> dict[str, Any]:
        return {
            'client_id': 'central',
            'job_schedule': {'schedule_interval': '1 days'},
            'job_actions': [{
                'freezer_action': {
                    'action': 'backup', 'mode': 'cindernative',
                    'cindernative_vol_id': volume},
                'max_retries': 2, 'max_retries_interval': 1}], **more}

    def job(self, volume: str, start: bool = True,
            session: rest.Session | None = None) -> str:
        job_id: str = self.api('POST', 'jobs', self.document(volume),
                               session)['job_id']
        if start:
            self.api('POST', f'jobs/{job_id}/event', {'start': None},
                     session)
        return job_id

    def result(self, job_id: str,
               session: rest.Session | None = None) -> str:
        def ended() -> str | None:
            shown = self.api('GET', f'jobs/{job_id}', None, session)
            result: str = shown['job_schedule'].get('result', '')
            return result

        got: str = waiting.eventually(ended)
        return got

    def runs(self, job_id: str,
             session: rest.Session | None = None) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.api(
            'GET', f'jobs/{job_id}/runs', None, session)['runs']
        return runs

    def backups(self, volume: str,
                project: str = 'project-1') -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = self.cinder(
            'GET', f'/backups/detail?volume_id={volume}'
                   '&sort=created_at:asc', None, project)['backups']
        return shown

    def said(self, *words: str) -> bool:
        """Whether the first scheduler logged a line with all the words."""
        path = self.made.layout.log / 'freezer-scheduler.log'
        return any(all(word in line for word in words)
                   for line in path.read_text().splitlines())

    @property
    def scheduler(self) -> daemons.Daemon:
        return self.made.processes['freezer-scheduler']

    @contextlib.contextmanager
    def frozen(self, name: str) -> Any:
        """Stop a process with SIGSTOP for a while."""
        pid = self.made.processes[name].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def assert_one_good_backup(self, volume: str, job_id: str,
                               project: str = 'project-1',
                               session: rest.Session | None = None) -> None:
        [backup] = self.backups(volume, project)
        self.assertEqual('available', backup['status'])
        [run] = self.runs(job_id, session)
        self.assertEqual('success', run['state'])
        self.assertEqual(run['run_id'], backup['metadata']['freezer_run_id'])
        self.assertEqual(job_id, backup['metadata']['freezer_job_id'])
        [step] = run['actions']
        self.assertEqual(backup['id'], step['cinder_backup_id'])
        self.assertEqual(
            [('available', backup['id'])],
            [(one['status'], one['backup_metadata']['cinder_backup_id'])
             for one in self.records(job_id, session)])

    def records(self, job_id: str, session: rest.Session | None = None,
                ) -> list[dict[str, Any]]:
        return [one for one in self.api(
            'GET', 'backups?limit=1000', None, session)['backups']
            if one['backup_metadata'].get('job_id') == job_id]

    @property
    def second_pid_file(self) -> pathlib.Path:
        return self.made.layout.state / 'second.pid'

    @contextlib.contextmanager
    def second_scheduler(self, more: str = '') -> Any:
        """Run another scheduler of the same client beside the first.

        :param more: for the end of its configuration
        :returns: its configuration file
        """
        log = self.made.layout.log / 'second.out'
        etc = self.made.layout.etc
        # The first holds the pid file.
        config = etc / 'second.conf'
        own_log = self.made.layout.log / 'second.log'
        own_log.unlink(missing_ok=True)
        config.write_text((etc / 'scheduler.conf').read_text().replace(
            'freezer-scheduler.log', own_log.name) + more)
        config.chmod(0o600)
        with log.open('ab') as output:
            child = subprocess.Popen(
                [str(self.made.environments.service.script(
                    'freezer-scheduler')), '--config-file', str(config),
                 '--scheduler-pid-file', str(self.second_pid_file),
                 '--scheduler-no-daemon', 'start'],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={'PATH': os.environ['PATH'], 'HOME': os.environ.get(
                    'HOME', '/')})
        try:
            waiting.eventually(
                lambda: own_log.exists()
                and 'Registered as client' in own_log.read_text())
            yield config
        finally:
            child.terminate()
            self.assertEqual(0, child.wait(waiting.PATIENCE),
                             log.read_text()[-2000:])


class FaultyCinderCase(ServiceModeCase):
    """Cinder is behind a proxy, for the scheduler."""

    TUNED: ClassVar[dict[str, int]] = {
        'lease_seconds': 13, 'request_timeout': REQUEST_TIMEOUT,
        'claim_interval': 1, 'poll_interval': 1,
        'max_in_flight_per_project': 40}
    proxy: ClassVar[faulty_proxy.FaultyProxy]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.proxy = faulty_proxy.FaultyProxy(cls.made.settings.cinder_port)
        cls.proxy.start()
        cls.addClassCleanup(cls.proxy.stop)
        cls.move_endpoint('block-storage', cls.made.settings.cinder_port,
                          cls.proxy.port)

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

    def again(self, job_id: str) -> None:
        """Have a job fire once more."""
        before = len(self.runs(job_id))
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        waiting.eventually(lambda: len(self.runs(job_id)) > before)
