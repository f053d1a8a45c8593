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

"""Rows that no request could have written stop nobody else's jobs."""

from __future__ import annotations

import json
from typing import Any
import uuid

import hypothesis
from hypothesis import strategies as st
import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base


NESTED = '[' * 3000 + ']' * 3000

HOURLY = '{"schedule_interval": "1 hours"}'

# What the cell of a schedule holds, as text.
SCHEDULES = (
    None, '', 'null', '[]', '7', '"text"', '{', '{"a": NaN}', NESTED,
    '{"schedule_interval": "5  days"}', '{"schedule_interval": null}',
    '{"schedule_interval": "999999999999 weeks"}',
    '{"schedule_interval": {"days": 1}}', '{"schedule_hour": "%"}',
    '{"schedule_hour": "%(x)s"}', '{"schedule_day": "mon"}',
    '{"schedule_date": "yesterday"}', '{"schedule_minute": "*/0"}',
    '{"schedule_timezone": "../../etc/passwd", "schedule_hour": "1"}',
    '{"schedule_year": "0"}', '{"event": "start", "status": []}',
    '{"description": "' + 'x' * 60_000 + '"}')

# What the cell of an action's document holds.
ACTIONS = (
    None, '', 'null', '[]', '{', '{"action": null}', '{"mode": "%s"}',
    '{"max_retries": null}', NESTED,
    '{"action": "backup", "mode": "cindernative"}',
    '{"cindernative_vol_id": ["v"], "max_retries": "5"}')

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(
        st.characters(codec='ascii', exclude_characters='\0'), max_size=20),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(
        st.sampled_from(['schedule_interval', 'schedule_hour', 'event',
                         'schedule_date', 'schedule_timezone', 'x']),
        some, max_size=4), max_leaves=8)


class PoisonTests(base.ApiTestCase):

    terms_follow = False

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def write(self, schedule: str | None, action: str | None,
              **more: Any) -> str:
        """Write a job that is due, past the API; return its id."""
        action_id = uuid.uuid4().hex
        job_id: str = more.get('id', uuid.uuid4().hex)
        jobs, actions = (sa.table(name) for name in ('jobs', 'actions'))
        values = {'id': job_id, 'project_id': 'p1', 'user_id': 'u',
                  'client_id': 'central', 'schedule': schedule,
                  'next_run_at': self.clock.now, 'due_at': self.clock.now,
                  'deleted': False, **more}
        with self.database.engine.begin() as connection:
            # Text goes in as it is: the type would make JSON of it.
            for table, row in (
                    (jobs, values),
                    (actions, {'id': action_id, 'action': '%', 'user_id': '',
                               'project_id': 'p9', 'deleted': False,
                               'backup_metadata': action})):
                columns = ', '.join(row)
                marks = ', '.join(f':{name}' for name in row)
                connection.execute(sa.text(
                    f'INSERT INTO {table.name} ({columns}) '
                    f'VALUES ({marks})'), row)
            connection.execute(sa.insert(models.JobAction), [{
                'id': uuid.uuid4().hex, 'job_id': job_id,
                'action_id': action_id, 'position': place}
                for place in (None, 0, 0)])
            # Given to all of them: what is wrong is to be the document.
            trust = connection.execute(sa.select(
                models.UserCredential.trust_id,
                models.UserCredential.decrypt_method)).first()
            assert trust is not None
            connection.execute(sa.insert(models.UserCredential).values(
                id=uuid.uuid4().hex, job_id=job_id, trust_id=trust[0],
                decrypt_method=trust[1], trustor_user_id='alice'))
        return job_id

    def good(self) -> str:
        job_id = self.create_job(persona=base.STRANGER)
        self.start(job_id, persona=base.STRANGER)
        return job_id

    def claimed(self) -> set[str]:
        """Claim and end until there is nothing left to claim."""
        found: set[str] = set()
        for _ in range(60):
            runs = self.claim(limit=25)['runs']
            if not runs:
                return found
            for run in runs:
                found.add(run['job_id'])
                self.report(run, 'fail', reason='poisoned')
        raise AssertionError('it goes on and on')

    def test_each_kind_stops_itself_alone(self) -> None:
        """Invariant 4, with rows as adopted databases hold them."""
        good = [self.good()]
        written = [self.write(schedule, '{}') for schedule in SCHEDULES]
        written += [self.write('{}', action) for action in ACTIONS]
        written += [
            self.write('{}', '{}', project_id=None),
            self.write('{}', '{}', session_id='no such session'),
            self.write('{}', '{}', retry_run_id='no such run'),
            self.write(HOURLY, '{}', time_created=-2 ** 62),
            self.write(HOURLY, '{}', time_created=2 ** 62),
            self.write(HOURLY, '{}', time_created=None),
            self.write('{"schedule_hour": "*"}', '{}', time_created=2 ** 62),
            self.write(HOURLY, '{}', next_run_at=-5, due_at=-5),
            self.write(HOURLY, '{}', next_run_at=2 ** 62),
            self.write(HOURLY, '{}', next_run_at=-2 ** 62, due_at=-2 ** 62),
            self.write('{}', '{}', next_run_at=None),
            self.write('{}', '{}', status='nonsense', event='nonsense'),
        ]
        good.append(self.good())
        found = self.claimed()
        self.assertLessEqual(set(good), found)
        self.pass_lease()
        self.claimed()
        self.clock.now += 86_400
        last = self.good()
        self.assertIn(last, self.claimed())
        for job_id in good:
            self.assertEqual('fail', self.job(
                job_id, persona=base.STRANGER)['job_schedule']['result'])
        self.assertEqual(
            len(written) - 1, len(self.call(
                base.MEMBER, 'GET', 'jobs?limit=100', status=200)['jobs']))

    def circle(self, number: int) -> str:
        """Write a job and a session of one id that refer to each other."""
        own = uuid.uuid4().hex
        document = {'action_id': own, 'job_id': own, 'freezer_action': {},
                    'job_actions': [{'action_id': own}], 'action': 'backup'}
        document['freezer_action'] = dict(document)
        members = [{own: {'client_id': 'central', 'status': 'running'}},
                   {own: own}, [own, own], {own: {own: {own: own}}}][number]
        schedule = json.dumps({
            'schedule_interval': '1 hours', 'session_id': own,
            'job_id': own, 'current_pid': own})
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.Session).values(
                id=own, project_id='p1', user_id='u', job=members,
                schedule=members, status=('running', own)[number % 2]))
        return self.write(
            schedule, json.dumps(document), id=own, session_id=own,
            retry_run_id=(None, own)[number // 2])

    def test_what_refers_to_itself_stops_itself_alone(self) -> None:
        good, odd = [self.good()], [self.circle(place) for place in range(4)]
        runs = sa.table('job_runs', sa.column('id'), sa.column('job_id'))
        good.append(self.good())
        self.assertLessEqual(set(good), self.claimed())
        # Each holds the run of the next one for its own.
        with self.database.engine.begin() as connection:
            held = dict(connection.execute(sa.select(
                runs.c.job_id, runs.c.id)).all())
            for before, after in zip(odd, [*odd[1:], odd[0]], strict=True):
                connection.execute(
                    sa.update(models.Job).where(models.Job.id == before)
                    .values(run_id=held.get(after, after),
                            retry_run_id=held.get(after, after)))
        self.pass_lease()
        self.clock.now += 86_400
        good = [self.good()]
        self.assertLessEqual(set(good), self.claimed())
        for path in ('jobs', 'sessions', *(
                f'{noun}/{own}' for own in odd
                for noun in ('jobs', 'sessions'))):
            self.call(base.MEMBER, 'GET', path, status=200)
        for own in odd:
            self.call(base.MEMBER, 'DELETE', f'sessions/{own}', status=204)
            self.call(base.MEMBER, 'DELETE', f'jobs/{own}', status=204)
        self.assertIn(self.good(), [
            run['job_id'] for run in self.claim(limit=50)['runs']])


class PoisonTestsOnMySQL(base.MySQL, PoisonTests):
    pass


class PoisonTestsOnPostgreSQL(base.PostgreSQL, PoisonTests):
    pass


class RandomPoisonTests(PoisonTests):
    """On one engine: what differs is not the engine's."""

    test_each_kind_stops_itself_alone = None  # type: ignore[assignment]

    @hypothesis.settings(max_examples=25, deadline=None)
    @hypothesis.given(documents, documents)
    def test_any_document_stops_itself_alone(
            self, schedule: Any, action: Any) -> None:
        good = self.good()
        self.write(json.dumps(schedule), json.dumps(action))
        self.assertIn(good, self.claimed())
        self.clock.now += 86_400
