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

"""Requests of a tenant that wants to cost the others as much as possible.

Everything follows from a seed. Each kind of request is at, just below or far
above a limit of the API; a refusal is part of the load. The tenant chooses
the ids of its rows, so that later requests can name them.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import random
from typing import Any
import uuid

from benchmarks.environment import keystone
from benchmarks.load import requests as load

_ACTIONS = 12
_JOBS = 200
_SESSIONS = 4

_CRON_FIELDS = {
    'schedule_month': ('*', '2-12', '2', '1,3', '*/5'),
    'schedule_day': ('*', '29', '30', '31', 'last', '5th fri', '*/31'),
    'schedule_week': ('*', '2', '53', '9', '*/53'),
    'schedule_day_of_week': ('*', 'sun', '0-6', '6', '*/7'),
    'schedule_hour': ('*', '2', '0-23', '*/23'),
    'schedule_minute': ('*', '59', '*/59'),
    'schedule_second': ('*', '59', '*/59'),
}
_ZONES = ('Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe',
          'Africa/Casablanca', 'Pacific/Apia', 'UTC')
_INTERVALS = ('0 hours', '1 seconds', '2 seconds', 'continuous',
              '60 seconds', '1 minutes', '999999999999 weeks')
# Around what the API accepts, and what it accepted once.
_ACTION_BYTES = (1_000, 15_000, 16_000, 30_000, 65_000)


class HostileTenant:
    """One tenant's requests, without an end.

    :param caller: a member of the tenant's project
    :param client_id: the central client its jobs name
    :param seed: of everything that is chosen
    """

    def __init__(self, caller: keystone.User, client_id: str,
                 seed: int) -> None:
        self._caller = caller
        self._client_id = client_id
        self._random = random.Random(seed)  # noqa: S311
        self._actions, self._jobs, self._sessions = (
            [self._new_id() for _ in range(count)]
            for count in (_ACTIONS, _JOBS, _SESSIONS))

    def requests(self) -> Iterator[tuple[str, load.Request]]:
        """Yield requests with the names of their kinds."""
        kinds: dict[str, tuple[int, Callable[[], load.Request]]] = {
            'action': (2, self._action),
            'shared action': (2, self._shared_action),
            'schedule': (6, self._schedule),
            'job': (6, self._job),
            'start': (6, self._start),
            'session': (2, self._session),
            'member of a session': (2, self._join),
            'list': (4, self._list),
            'search': (3, self._search),
            'client': (1, self._client),
            'record': (2, self._record),
            'nonsense': (1, self._nonsense),
            'deletion': (1, self._delete),
        }
        names = list(kinds)
        weights = [weight for weight, _ in kinds.values()]
        for action_id in self._actions:
            yield 'action', self._action(action_id)
        while True:
            [name] = self._random.choices(names, weights)
            yield name, kinds[name][1]()

    def _ask(self, method: str, path: str, body: Any = None) -> load.Request:
        return self._caller.request(method, path, body)

    def _action(self, action_id: str | None = None) -> load.Request:
        return self._ask(
            'POST',
            f'actions/{action_id or self._random.choice(self._actions)}',
            self._action_body())

    def _shared_action(self) -> load.Request:
        return self._ask(
            'PATCH', f'actions/{self._random.choice(self._actions)}',
            self._action_body())

    def _action_body(self) -> dict[str, Any]:
        size = self._random.choice(_ACTION_BYTES)
        value = 'v' * self._random.choice((1, 20, 250, 2000))
        made: dict[str, Any] = {
            'action': 'backup', 'mode': 'cindernative', 'backup_name': 'n',
            'cindernative_vol_id': str(uuid.UUID(
                int=self._random.getrandbits(128)))}
        # A few bytes for each key beside its name and its value.
        for number in range(size // (len(value) + 16)):
            made[f'key_{number:06}'] = value
        return {'freezer_action': made, 'max_retries': 5,
                'max_retries_interval': 1}

    def _job_schedule(self) -> dict[str, Any]:
        choose = self._random.choice
        if self._random.random() < 0.3:
            return {'schedule_interval': choose(_INTERVALS),
                    'schedule_start_date': choose((
                        '0001-01-01T00:00:00', '1970-01-01T00:00:00',
                        '9999-12-31T23:59:59', '2026-01-01T00:00:00'))}
        made: dict[str, Any] = {}
        for field, parts in _CRON_FIELDS.items():
            if self._random.random() < 0.6:
                part = choose(parts)
                count = choose((1, 1, 3, 255 // (len(part) + 1)))
                made[field] = ','.join([part] * count)
        if self._random.random() < 0.5:
            made['schedule_timezone'] = choose(_ZONES)
        return made

    def _schedule(self) -> load.Request:
        return self._ask('PATCH', f'jobs/{self._random.choice(self._jobs)}', {
            'job_schedule': self._job_schedule()})

    def _job(self) -> load.Request:
        [one] = self._random.choices(self._actions)
        count = self._random.choice((1, 1, 8, 64))
        actions = ([{'action_id': one}] * count
                   if self._random.random() < 0.7
                   else [self._action_body()])
        schedule = self._job_schedule()
        if self._random.random() < 0.5:
            schedule['event'] = 'start'
        return self._ask('POST', f'jobs/{self._random.choice(self._jobs)}', {
            'client_id': self._client_id, 'description': 'hostile',
            'job_schedule': schedule, 'job_actions': actions})

    def _start(self) -> load.Request:
        return self._ask(
            'POST', f'jobs/{self._random.choice(self._jobs)}/event',
            {self._random.choice(('start', 'start', 'stop', 'abort')): None})

    def _session(self) -> load.Request:
        return self._ask(
            'POST', f'sessions/{self._random.choice(self._sessions)}', {
                'description': 'hostile', 'hold_off': 0,
                'schedule': self._job_schedule()})

    def _join(self) -> load.Request:
        return self._ask(
            'PUT', f'sessions/{self._random.choice(self._sessions)}'
                   f'/jobs/{self._random.choice(self._jobs)}')

    def _list(self) -> load.Request:
        noun = self._random.choice(
            ('jobs', 'actions', 'sessions', 'backups', 'clients'))
        limit = self._random.choice((500, 1000, 1000, 2**31))
        offset = self._random.choice((0, 0, 100, 10_000, 2**31))
        return self._ask('GET', f'{noun}?limit={limit}&offset={offset}')

    def _search(self) -> load.Request:
        entries = [{f'key_{number:06}': 'v' * 20}
                   for number in range(self._random.choice((1, 20, 2000)))]
        return self._ask('GET', 'jobs?limit=500', {
            self._random.choice(('match', 'match_not')): entries})

    def _client(self) -> load.Request:
        return self._ask('POST', 'clients', {
            'client_id': f'hostile-{self._random.randrange(10**6)}',
            'hostname': 'hostile', 'description': 'd' * 250})

    def _record(self) -> load.Request:
        return self._ask('POST', 'backups', {
            'backup_name': 'n', 'container': 'c', 'hostname': 'h',
            'action': 'backup',
            'mode': 'cindernative', 'backup_media': 'cindernative',
            'time_stamp': self._random.randrange(2**31),
            **{f'key_{number:06}': 'v' * 20 for number in range(
                self._random.choice((1, 200, 3000)))}})

    def _nonsense(self) -> load.Request:
        deep: Any = 1
        for _ in range(self._random.choice((5, 900))):
            deep = [deep]
        return self._ask('POST', 'jobs', self._random.choice((
            deep, {'job_actions': deep}, [], 'x' * 100_000, {}, None,
            {'client_id': 'c' * 100_000, 'job_actions': []})))

    def _delete(self) -> load.Request:
        noun, ids = self._random.choice((
            ('jobs', self._jobs), ('actions', self._actions),
            ('sessions', self._sessions)))
        place = self._random.randrange(len(ids))
        deleted, ids[place] = ids[place], self._new_id()
        return self._ask('DELETE', f'{noun}/{deleted}')

    def _new_id(self) -> str:
        return uuid.UUID(int=self._random.getrandbits(128)).hex
