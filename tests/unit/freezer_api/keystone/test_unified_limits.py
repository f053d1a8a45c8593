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

"""Limits in Keystone: remembered, and never waited for without end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from freezer_api import conf as configuration
from freezer_api.conf import quota as options
from freezer_api.domain import quota
from freezer_api.keystone import unified_limits

DEFAULTS = dict.fromkeys(unified_limits.NAMES.values(), 10)


class FakeReader:
    """Keystone's limits as dictionaries, and questions that may hang."""

    def __init__(self) -> None:
        self.registered = dict(DEFAULTS)
        self.own: dict[str, dict[str, int]] = {}
        self.asked: list[str] = []
        self.wait: Callable[[], object] = lambda: None

    def defaults(self) -> dict[str, int]:
        self.wait()
        return self.registered

    def of_project(self, project_id: str) -> dict[str, int]:
        self.asked.append(project_id)
        self.wait()
        return self.own.get(project_id, {})


class UnifiedLimitTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.reader = FakeReader()

    def limits(self, cache_time: int = 60,
               timeout: float = 5) -> unified_limits.UnifiedLimits:
        return unified_limits.UnifiedLimits(
            self.reader, cache_time, timeout)

    def test_a_projects_own_limit_goes_before_the_registered(self) -> None:
        self.reader.own['p1'] = {'freezer_jobs': 3, 'other': 7}
        limits = self.limits()
        self.assertEqual({
            **dict.fromkeys(quota.Resource, 10), quota.Resource.JOBS: 3},
            limits.get('p1'))
        self.assertEqual(dict.fromkeys(quota.Resource, 10),
                         limits.get('p2'))

    def test_what_is_not_registered_is_not_allowed(self) -> None:
        del self.reader.registered['freezer_sessions']
        with self.assertLogs('freezer_api.keystone.unified_limits',
                             'ERROR') as log:
            found = self.limits().get('p1')
        self.assertEqual(0, found[quota.Resource.SESSIONS])
        self.assertIn('freezer_sessions', log.output[0])

    def test_they_are_remembered(self) -> None:
        limits = self.limits()
        self.assertIsNone(limits.cached('p1'))
        for _ in range(3):
            self.assertEqual(limits.get('p1'), limits.cached('p1'))
        self.assertEqual(['p1'], self.reader.asked)

    def test_not_for_ever(self) -> None:
        limits = self.limits(cache_time=0)
        for _ in range(3):
            limits.get('p1')
            self.assertIsNone(limits.cached('p1'))
        self.assertEqual(3, len(self.reader.asked))

    def test_many_at_once_ask_once(self) -> None:
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.reader.wait = go_on.wait
        limits = self.limits()
        with futures.ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(limits.get, 'p1') for _ in range(8)]
            go_on.set()
            for one in asked:
                one.result()
        self.assertLessEqual(len(self.reader.asked), 2)

    def test_a_keystone_that_hangs_holds_no_one_for_long(self) -> None:
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        self.reader.wait = go_on.wait
        limits = self.limits(timeout=0.2)
        began = time.monotonic()
        with self.assertLogs('freezer_api.keystone.unified_limits',
                             'ERROR') as log:
            # More than there are threads to wait for Keystone.
            for number in range(20):
                with self.assertRaises(unified_limits.Unavailable):
                    limits.get(f'p{number}')
        # The first waits; after it Keystone is left alone for a while.
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(1, len(log.output))

    def test_it_is_asked_again_when_it_is_back(self) -> None:
        def fail() -> None:
            raise unified_limits.Unavailable('away')

        self.reader.wait = fail
        limits = self.limits()
        with (self.assertLogs('freezer_api.keystone.unified_limits', 'ERROR'),
              self.assertRaises(unified_limits.Unavailable)):
            limits.get('p1')
        self.reader.wait = lambda: None
        end = time.monotonic() + 30
        while limits.cached('p1') is None and time.monotonic() < end:
            try:
                limits.get('p1')
            except unified_limits.Unavailable:
                time.sleep(0.1)
        self.assertEqual(10, limits.get('p1')[quota.Resource.JOBS])


GOOD = {'auth_type': 'password', 'auth_url': 'http://keystone.example/v3',
        'username': 'freezer', 'password': 'SECRET', 'system_scope': 'all',
        'user_domain_name': 'Default', 'endpoint_id': 'e'}

BAD: tuple[tuple[dict[str, str | None], str], ...] = (
    ({'auth_type': None}, '[oslo_limit] auth_type is not set'),
    ({'auth_type': 'no_such'}, '[oslo_limit] auth_type is unknown'),
    ({'endpoint_id': None}, '[oslo_limit] endpoint_id is not set'),
    ({'system_scope': None, 'project_name': 'service'},
     '[oslo_limit] system_scope must be "all"'),
    ({'auth_section': 'other'}, '[other] system_scope must be "all"'),
)


class OptionTests(unittest.TestCase):

    def path(self, **changes: str | None) -> str:
        directory = self.enterContext(tempfile.TemporaryDirectory())
        path = pathlib.Path(directory, 'freezer-api.conf')
        path.write_text('\n'.join((
            '[other]', 'auth_type = password', '[oslo_limit]', *(
                f'{name} = {value}'
                for name, value in {**GOOD, **changes}.items()
                if value is not None))), encoding='utf-8')
        return str(path)

    def problems(self, **changes: str | None) -> list[str]:
        return options.unified_problems(
            configuration.load(files=[self.path(**changes)]))

    def test_what_works(self) -> None:
        self.assertEqual([], self.problems())
        self.assertEqual([], self.problems(
            endpoint_id=None, endpoint_service_type='backup'))

    def test_what_cannot_work_is_named(self) -> None:
        for changes, words in BAD:
            with self.subTest(changes):
                [problem] = self.problems(**changes)
                self.assertIn(words, problem)
                self.assertNotIn('SECRET', problem)

    def test_without_the_section_the_options_hold(self) -> None:
        conf = configuration.load(files=[self.path(
            **dict.fromkeys(GOOD))])
        self.assertFalse(options.is_unified(conf))
        self.assertEqual(10_000, options.limits(conf)[quota.Resource.JOBS])

    def test_half_of_the_section_is_not_overlooked(self) -> None:
        for name in ('auth_url', 'endpoint_id', 'endpoint_service_type'):
            conf = configuration.load(files=[self.path(**{
                **dict.fromkeys(GOOD), name: 'x'})])
            self.assertTrue(options.is_unified(conf), name)


# oslo.limit has its options and its connection in globals of a process.
_ASK = """
import sys, time
from freezer_api import conf
from freezer_api.keystone import unified_limits
conf = conf.load(files=sys.argv[1:])
began = time.monotonic()
try:
    unified_limits.UnifiedLimits(unified_limits.Reader(conf), 60, 2).get('p')
except unified_limits.Unavailable as error:
    print('Unavailable', error, round(time.monotonic() - began))
"""


class ReaderTests(OptionTests):
    """oslo.limit itself, on something that is no Keystone."""

    def ask(self, url: str) -> str:
        done = subprocess.run(
            [sys.executable, '-c', _ASK, self.path(auth_url=url)],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertNotIn('SECRET', done.stdout + done.stderr)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def test_a_server_that_never_answers(self) -> None:
        server = self.enterContext(socket.create_server(('127.0.0.1', 0)))
        began = time.monotonic()
        said = self.ask(f'http://127.0.0.1:{server.getsockname()[1]}/v3')
        self.assertIn('Unavailable Keystone does not answer', said)
        self.assertLess(int(said.split()[-1]), 10)
        self.assertLess(time.monotonic() - began, 60)

    def test_nothing_listens(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
        self.assertIn('Unavailable', self.ask(f'http://127.0.0.1:{port}/v3'))
