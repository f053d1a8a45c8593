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

"""Logins at a Keystone that hangs for some users; no other user waits."""

from __future__ import annotations

from collections.abc import Callable
import heapq
import itertools
import math
import threading
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_http import responses
from freezer_scheduler.keystone import logins
from freezer_scheduler.keystone import sessions
from freezer_scheduler.keystone import tokens
from freezer_scheduler.runs import bulkhead
from tests.unit.freezer_scheduler import fakes

HANG = 30.0
QUICK = 0.1
LIFE = 3600.0
RETRY = 30.0
SIZES = bulkhead.Sizes.of_pool(8, True, HANG)


class Keystone(sessions.Identity):
    """Tokens of trusts, by the clock of the test."""

    def __init__(self, clock):
        self._fake_clock = clock
        self.until = {}
        self.failed = {}

    def token(self, trust_id, submits=False):
        if self._fake_clock.now < self.until.get(trust_id, 0):
            return tokens.Token.READY
        if self._fake_clock.now < self.failed.get(trust_id, 0):
            return tokens.Token.FAILED
        return tokens.Token.DUE

    def log_in(self, trust_id):
        self.end(trust_id)

    def end(self, trust_id):
        raise AssertionError('the test sets it')


class Player:
    """Logs in as the threads would.

    :ivar hangs: trusts for which Keystone gives no answer
    :ivar delays: seconds that each asking for a login waited
    """

    def __init__(self, sizes=SIZES):
        self.clock = fakes.FakeClock()
        self.keystone = Keystone(self.clock)
        self.hangs = set()
        self.begun = []
        self.delays = []
        self._started: list[Callable[[], None]] = []
        self._ends = []
        self._numbers = itertools.count()
        self.keystone.end = self._end  # type: ignore[method-assign]
        self.logins = logins.Logins(self.keystone, sizes, self.clock,
                                    self._started.append)

    def _end(self, trust_id):
        """The end of a login."""
        if trust_id in self.hangs:
            self.keystone.failed[trust_id] = self.clock.now + RETRY
        else:
            self.keystone.until[trust_id] = self.clock.now + LIFE

    def ask(self, trust_id, project_id, retry=False):
        asked = self.clock.now

        def wake():
            if trust_id not in self.hangs:
                self.delays.append(self.clock.now - asked)
            elif retry:
                heapq.heappush(self._ends, (
                    self.clock.now + RETRY + 1, next(self._numbers),
                    lambda: self.ask(trust_id, project_id, retry=True)))

        return self.logins.needed(trust_id, project_id, False, wake)

    def _start(self):
        while True:
            if not self.logins.start_next():
                return
            task = self._started.pop()
            login = list(self.logins._bulkhead._running)[-1]
            assert isinstance(login, logins._Login)
            self.begun.append((login.trust_id, login.project_id))
            heapq.heappush(self._ends, (
                self.clock.now + (HANG if login.trust_id in self.hangs
                                  else QUICK), next(self._numbers), task))

    def play(self, seconds):
        until = self.clock.now + seconds
        while self.clock.now < until:
            self._start()
            steps = [until, *(one[0] for one in self._ends[:1])]
            left = self.logins._bulkhead.until_slow(self.clock.now)
            if left is not None:
                steps.append(self.clock.now + max(left, 0.001))
            self.clock.sleep(max(0.0, min(steps) - self.clock.now))
            while self._ends and self._ends[0][0] <= self.clock.now:
                heapq.heappop(self._ends)[2]()


class TestLogins(testtools.TestCase):

    @hypothesis.settings(deadline=None, max_examples=25)
    @hypothesis.given(
        # A tenant with many projects, all of one domain, and more of those.
        hanging=st.lists(st.integers(1, 6), max_size=100),
        others=st.integers(1, 10), data=st.data())
    def test_trusts_that_hang_hold_up_no_other_for_long(
            self, hanging, others, data):
        player = Player()
        wanted = []
        for number, trusts in enumerate(hanging):
            names = [f'hangs-{number}-{trust}' for trust in range(trusts)]
            player.hangs.update(names)
            wanted += [(name, f'p{number}') for name in names * 2]
        wanted += [(f't{number}', f'other-{number}')
                   for number in range(others)]
        for trust_id, project_id in data.draw(st.permutations(wanted)):
            player.ask(trust_id, project_id, retry=True)
        player.play(HANG + 5)
        self.assertEqual(others, len(player.delays))
        bound = (math.ceil((len(hanging) + others) / SIZES.fast)
                 * (SIZES.after + QUICK))
        self.assertLessEqual(max(player.delays), bound)
        # Known by now, they cost nothing, though they are tried again.
        player.play(3 * HANG)
        player.delays.clear()
        for number in range(30):
            player.ask(f'later-{number}', 'later')
            player.play(7)
        self.assertEqual(30, len(player.delays))
        self.assertLessEqual(max(player.delays), QUICK + 0.001)
        # ... which they are, a project at a time.
        self.assertEqual({f'p{number}' for number in range(len(hanging))},
                         {project_id for trust_id, project_id in player.begun
                          if trust_id in player.hangs})

    def test_runs_of_one_trust_share_one_login(self):
        player = Player()
        for _number in range(10):
            self.assertTrue(player.ask('t', 'p'))
        player.play(1)
        self.assertEqual([('t', 'p')], player.begun)
        self.assertEqual(10, len(player.delays))
        self.assertFalse(player.ask('t', 'p'))

    def test_a_run_that_comes_during_a_login_is_woken_too(self):
        player = Player()
        player.ask('t', 'p')
        player.play(QUICK / 2)
        self.assertTrue(player.ask('t', 'p'))
        player.play(1)
        self.assertEqual(2, len(player.delays))
        self.assertEqual(1, len(player.begun))

    def test_after_a_failed_login_no_run_waits_until_the_next_one(self):
        player = Player()
        player.hangs = {'t'}
        self.assertTrue(player.ask('t', 'p'))
        player.play(HANG + 1)
        self.assertFalse(player.ask('t', 'p'))
        player.play(RETRY)
        self.assertTrue(player.ask('t', 'p'))


class TestThreads(testtools.TestCase):

    def test_a_login_that_hangs_holds_no_lock(self):
        """Neither that of the queue nor that of another login."""
        release, woken = threading.Event(), threading.Event()
        clock = fakes.FakeClock()
        keystone = Keystone(clock)

        def log_in(trust_id):
            if trust_id == 'hangs':
                release.wait(30)
            else:
                keystone.until[trust_id] = clock.now + LIFE

        keystone.end = log_in  # type: ignore[method-assign]
        queue = logins.Logins(keystone, SIZES, clock)
        thread = threading.Thread(target=queue.work, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 30)
        self.addCleanup(queue.stop)
        self.addCleanup(release.set)
        self.assertTrue(queue.needed('hangs', 'p1', False, lambda: None))
        self.assertTrue(queue.needed('sound', 'p1', False, woken.set))
        self.assertTrue(woken.wait(30))

    def test_an_unexpected_error_is_logged_and_fails_the_login(self):
        """The runs that wait get a failure, and no login at once again."""
        log = self.useFixture(fixtures.FakeLogger())
        clock = fakes.FakeClock()
        for error in (KeyError('mistake'), TypeError('mistake'),
                      RuntimeError('mistake'), MemoryError('mistake')):
            known = sessions.Identity(fakes.settings(), deferred=True,
                                      clock=clock)
            queue = logins.Logins(known, SIZES, clock)
            woken = threading.Barrier(2)
            with mock.patch.object(responses.Password, 'get_auth_ref',
                                   autospec=True, side_effect=error):
                self.assertTrue(queue.needed('t', 'p7', False, lambda: None))
                self.assertTrue(queue.needed(
                    't', 'p7', False, lambda woken=woken: woken.wait(30)))
                self.assertTrue(queue.start_next())
                woken.wait(30)
            self.assertIs(tokens.Token.FAILED, known.token('t'))
            failure = self.assertRaises(
                tokens.LoginFailed, known.usable, 't', False)
            self.assertIn('its log has the details', str(failure))
            self.assertIsNone(failure.cause)
            self.assertFalse(queue.needed('t', 'p7', False, lambda: None))
            self.assertLess(0, known.retry_in('t'))
            clock.sleep(known.retry_in('t'))
            self.assertIs(tokens.Token.DUE, known.token('t'))
            self.wait_for_line(log, f'{type(error).__name__}: ')
        self.assertIn('Traceback', log.output)
        self.assertIn('while logging in for project p7', log.output)

    def wait_for_line(self, log, text):
        until = time.monotonic() + 30
        while text not in log.output:
            self.assertLess(time.monotonic(), until, log.output)
            time.sleep(0.01)

    def test_a_wake_that_fails_keeps_no_other_asleep(self):
        self.useFixture(fixtures.FakeLogger())
        woken = []
        keystone = Keystone(fakes.FakeClock())
        keystone.end = lambda trust_id: None  # type: ignore[method-assign]
        queue = logins.Logins(keystone, SIZES, fakes.FakeClock(),
                              lambda task: task())
        queue.needed('t', 'p', False, lambda: woken.append(1))
        queue.needed('t', 'p', False, lambda: setattr(None, 'missing', 1))
        queue.needed('t', 'p', False, lambda: woken.append(3))
        self.assertTrue(queue.start_next())
        self.assertEqual([1, 3], woken)
