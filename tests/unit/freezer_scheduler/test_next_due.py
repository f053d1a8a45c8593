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

"""When schedulers ask: soon after a job comes due, and no more than that."""

from __future__ import annotations

import collections
import datetime
import itertools
import random

import fixtures
import hypothesis
from hypothesis import strategies as st
import prometheus_client
import testtools

from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import claimer
from freezer_scheduler.telemetry import monitor
from tests.unit.freezer_scheduler import fakes

# Where the API's clock stands when those of the schedulers say 1000.
T0 = 1_900_000_000

HELD = 'held'

# What an answer takes, too short to mix up who is first.
ANSWER = 0.001


def iso(epoch):
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).isoformat()


def between(times):
    return [later - earlier for earlier, later in itertools.pairwise(times)]


class Api:
    """Hands out what is due; its clock only knows of whole seconds.

    :ivar due: when jobs come due
    :ivar locked: whether somebody else is about to get what is due
    :ivar handed: when jobs were due, and who got them when
    """

    def __init__(self, clock, tells=True):
        self._clock = clock
        self._tells = tells
        self.due = []
        self.locked = self.away = False
        self.handed = []
        self.asked = collections.defaultdict(list)

    def of(self, name):
        """Return the API as one of the schedulers sees it."""
        return Connection(self, name)

    def answer(self, name, limit, held):
        exact = T0 + self._clock.now - 1000
        self.asked[name].append(exact)
        if self.away:
            raise freezer_client.ApiUnreachable('away')
        now = int(exact)
        due = [] if self.locked else [
            at for at in sorted(self.due) if at <= now][:limit]
        for at in due:
            self.due.remove(at)
            self.handed.append((at, exact, name))
        waits = [at for at in self.due if at <= now]
        comes = [at for at in self.due if at > now]
        return messages.ClaimResponse.from_document({
            'runs': [fakes.run_document(f'r{len(self.handed) - number}')
                     for number in range(len(due))],
            'held': [{'run_id': run_id, 'event': None}
                     for run_id, _fence in held],
            'lost': [], 'missed': 0, 'server_time': iso(now),
            'due_since': iso(min(waits)) if waits else None,
            **({'next_due_at': iso(min(comes)) if comes else None}
               if self._tells else {})})


class Connection:

    def __init__(self, api, name):
        self._api = api
        self._name = name

    def claim(self, client_id, limit, lease_seconds, held, per_project):
        return self._api.answer(self._name, limit, held)


class Client:
    client_id = 'central'


class Scheduler:
    """A real claimer that holds one run for ever, and ends others at once.

    :ivar at: when it asks next, by the clock of all
    """

    def __init__(self, api, clock, name, interval, first):
        settings = fakes.settings(
            '--scheduler-claim-interval', str(interval))
        self._clock = clock
        self.table = run_table.RunTable(clock,
                                        lambda: run_table.Limits(99, 99))
        self.table.add(messages.Run.from_document(
            fakes.run_document(HELD)), 1e12)
        self.claimer = claimer.Claimer(
            api.of(name), Client(),  # type: ignore[arg-type]
            self.table, lambda: settings, clock,
            monitor.Monitor(clock, prometheus_client.CollectorRegistry()))
        self.at = clock.now + first

    def turn(self):
        """Ask, and note when to ask again."""
        self._clock.now = self.at
        while self.claimer.tick():
            pass
        while (held := self.table.take(wait=False)) is not None:
            self.table.done(held, 1e12 if held.run.run_id == HELD else None)
        waits: list[float] = []
        self.claimer.rest(waits.append)
        self.at += ANSWER + waits[0]


class TestNextDue(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.FakeClock()
        # What is judged of chance must not fail by chance.
        self.useFixture(fixtures.MonkeyPatch(
            'random.uniform', random.Random(1).uniform))

    def play(self, api, interval, seconds, number=1, firsts=None):
        """Let schedulers ask for some time."""
        firsts = firsts or [0.3 + 0.37 * one for one in range(number)]
        schedulers = [Scheduler(api, self.clock, f's{one}', interval, first)
                      for one, first in enumerate(firsts)]
        end = self.clock.now + seconds
        while (due := min(schedulers, key=lambda one: one.at)).at < end:
            due.turn()
        self.clock.now = end
        return schedulers

    @hypothesis.settings(deadline=None, max_examples=60)
    @hypothesis.given(
        interval=st.integers(1, 60), skew=st.integers(-10**8, 10**8),
        firings=st.lists(st.integers(1, 600), max_size=40),
        firsts=st.lists(st.floats(0, 5), min_size=1, max_size=3))
    def test_what_is_armed_is_found_as_it_comes_due(
            self, interval, skew, firings, firsts):
        self.clock = fakes.FakeClock()
        # The clock of the machine is worth nothing.
        self.clock.epoch = T0 + skew
        api = Api(self.clock)
        # The first answer tells of them all.
        api.due = [T0 + 6 + one for one in firings]
        self.play(api, interval, 700, firsts=firsts)
        self.assertEqual([], api.due)
        for due, got, _name in api.handed:
            # The part of a second that the answer did not tell, chance, and
            # what the answer took.
            self.assertLess(got - due, min(
                interval, 1 + claimer._SPREAD) + 2 * ANSWER)
        for asked in api.asked.values():
            pauses = between(asked)
            self.assertLess(max(pauses), interval + 2 * ANSWER)
            self.assertGreaterEqual(
                min(pauses), min(claimer._PAUSE, interval * 0.19))

    def test_nothing_armed_or_far_away_costs_what_it_did(self):
        for due in ([], [T0 + 10**8]):
            api = Api(self.clock)
            api.due = due
            self.play(api, 5, 3600)
            [asked] = api.asked.values()
            # 0.8 to 1 of an interval.
            self.assertLess(abs(len(asked) - 3600 / 4.5), 30)

    def test_many_firings_cost_a_claim_a_second_at_most(self):
        api = Api(self.clock)
        api.due = [T0 + second for second in range(3600)] * 3
        self.play(api, 5, 3600)
        [asked] = api.asked.values()
        self.assertLess(len(asked), 3600)

    def test_an_api_that_does_not_tell_is_asked_as_before(self):
        api = Api(self.clock, tells=False)
        api.due = [T0 + second for second in range(3600)]
        self.play(api, 5, 3600)
        [asked] = api.asked.values()
        self.assertLess(abs(len(asked) - 3600 / 4.5), 30)

    def test_what_another_one_is_getting_is_not_asked_for_in_a_circle(self):
        api = Api(self.clock)
        api.due = [T0 + 60]
        api.locked = True
        self.play(api, 5, 66)
        [asked] = api.asked.values()
        soon = [at for at in asked if at >= T0 + 60]
        self.assertLess(soon[0], T0 + 61 + claimer._SPREAD + ANSWER)
        self.assertIn(len(soon), range(2, 7))
        # What is kept back for long is asked for as before.
        self.play(api, 5, 3600)
        self.assertLess(abs(len(asked) - len(soon) - 66 / 4.5 - 3600 / 4.5),
                        40)
        # ... and what comes due meanwhile is not late.
        api.due.append(T0 + 10_000)
        api.locked = False
        self.play(api, 5, 10_000 - 3666 + 2)
        self.assertIn(T0 + 10_000, [due for due, _got, _name in api.handed])

    def test_an_api_that_is_away_is_asked_as_before(self):
        api = Api(self.clock)
        api.due = [T0 + 3]
        [one] = self.play(api, 5, 1)
        api.away = True
        before = len(api.asked['s0'])
        while one.at < 1000 + 3600:
            one.turn()
        self.assertLess(
            abs(len(api.asked['s0']) - before - 3600 / 4.5), 30)

    def test_equals_share_what_comes_due(self):
        """However often it does; also where they renew leases rarely."""
        for every, interval, number in (
                (1, 5, 500), (60, 5, 500), (2, 600, 200)):
            self.clock = fakes.FakeClock()
            api = Api(self.clock)
            api.due = [T0 + 2 + every * one for one in range(number)]
            self.play(api, interval, every * number, number=3)
            first = collections.Counter(name for _, _, name in api.handed)
            self.assertEqual(3, len(first))
            self.assertGreater(min(first.values()), 0.2 * number,
                               (every, interval))
