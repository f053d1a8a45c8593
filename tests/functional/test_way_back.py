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

"""Back to 19.0.0 and forward again, with the released code of 19.0.0."""

from __future__ import annotations

import json
from typing import Any

from cryptography import fernet
import sqlalchemy as sa

from freezer_api.db.admin import downgrade
from freezer_api.db.admin import upgrade
from freezer_api.db import models
from freezer_api.keystone import crypt
from tests.functional import base
from tests.released import releases
from tests.released import serving

DAY = 86_400


class Stop(Exception):
    """Stands in for the end of the process."""


class WayBackTestCase(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        with self.database.engine.begin() as connection:
            connection.execute(sa.text(
                'CREATE TABLE alembic_version '
                '(version_num VARCHAR(32) PRIMARY KEY)'))
            connection.execute(sa.text(
                'INSERT INTO alembic_version VALUES (:head)'),
                {'head': upgrade.head()})
        self.box = crypt.Crypt([base.KEY])
        self.register_central()

    def go_back(self) -> downgrade.Result:
        return downgrade.run(self.url_, self.box)

    @property
    def url_(self) -> str:
        return self.database.engine.url.render_as_string(hide_password=False)

    def contents(self) -> dict[str, list[Any]]:
        with self.database.engine.connect() as connection:
            return {name: list(connection.execute(
                sa.select(table).order_by(table.c.id)))
                for name, table in models.Base.metadata.tables.items()}

    def assert_refused(self, text: str) -> None:
        before = self.contents()
        with self.assertRaisesRegex(downgrade.Obstacle, text):
            self.go_back()
        self.assertEqual(before, self.contents())
        self.assertEqual(upgrade.head(), upgrade.current(self.url_))


class TestWayBack(WayBackTestCase):

    # What is refused leaves the terms; what goes back has none.
    terms_follow = False

    def test_a_run_is_going_on(self) -> None:
        self.create_job()
        self.clock.now += DAY
        self.one_run()
        self.assert_refused('1 runs are not finished')

    def test_a_trust_is_to_be_deleted(self) -> None:
        job_id = self.create_job()
        self.trusts.away = True
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.assert_refused('1 trusts wait')

    def test_a_key_is_missing(self) -> None:
        self.create_job()
        self.box = crypt.Crypt([fernet.Fernet.generate_key().decode()])
        before = self.contents()
        self.assertRaises(crypt.CryptError, self.go_back)
        self.assertEqual(before, self.contents())

    def test_another_revision(self) -> None:
        with self.database.engine.begin() as connection:
            connection.execute(sa.text(
                "UPDATE alembic_version SET version_num = 'f05d3a92b6e3'"))
        with self.assertRaisesRegex(downgrade.Obstacle, 'f05d3a92b6e3'):
            self.go_back()

    def test_again(self) -> None:
        """Killed anywhere, it goes on; there is nothing to do in the end."""
        self.create_job()
        self.assertEqual(downgrade.Result(jobs=1, trusts=1), self.go_back())
        before = self.contents()
        self.assertEqual(downgrade.Result(jobs=0, trusts=0), self.go_back())
        self.assertEqual(before, self.contents())

    def test_a_crontab_expression_is_not_run_at_once(self) -> None:
        """19.0.0 ignores the key, and runs what has no time."""
        self.create_job(schedule={'schedule_cron': '0 2 * * *'})
        self.go_back()
        with self.database.engine.connect() as connection:
            schedule = connection.scalar(
                sa.select(models.Job.schedule)) or {}
        self.assertEqual(('stop', '', '0 2 * * *'), (
            schedule['status'], schedule['event'],
            schedule['schedule_cron']))

    def test_a_schedule_that_nobody_can_read(self) -> None:
        job_id = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.text(
                "UPDATE jobs SET schedule = '{odd'"))
        self.go_back()
        with self.database.engine.connect() as connection:
            self.assertEqual((job_id, '{odd'), tuple(connection.execute(
                sa.text('SELECT id, schedule FROM jobs')).one()))


class TestKilled(WayBackTestCase):

    terms_follow = False

    def test_killed(self) -> None:
        """Before each change in turn; what was done lasts, or nothing."""
        for _ in range(3):
            self.create_job()
        self.create_job(client='central', persona=base.STRANGER)
        left = [0]

        def count(connection: sa.Connection, cursor: Any, statement: str,
                  *more: Any) -> None:
            if statement.startswith(('UPDATE', 'DELETE')) and left[0]:
                left[0] -= 1
                if not left[0]:
                    raise Stop

        sa.event.listen(sa.Engine, 'before_cursor_execute', count)
        self.addCleanup(
            sa.event.remove, sa.Engine, 'before_cursor_execute', count)
        deaths = 0
        while True:
            left[0] = deaths + 1
            try:
                self.go_back()
                break
            except Stop:
                deaths += 1
        self.assertGreater(deaths, 5)
        left[0] = 0
        with self.database.engine.connect() as connection:
            for schedule, *due in connection.execute(sa.text(
                    'SELECT schedule, next_run_at, due_at FROM jobs')):
                self.assertEqual('scheduled', json.loads(schedule)['status'])
                self.assertEqual([None, None], due)
            self.assertEqual(self.trusts.live.keys(), set(
                connection.scalars(sa.text(
                    'SELECT trust_id FROM user_credentials'))))
        self.assertEqual('7a3b9c1d2e4f', upgrade.current(self.url_))


class TestKilledMySQL(base.MySQL, TestKilled):
    pass


class TestReleased(WayBackTestCase):
    """The release reads, writes, and what it wrote comes forward."""

    def released(self) -> Any:
        """Let the release work, and return what it says."""
        return releases.Release(releases.NEWEST).run(
            'at_work.py', self.url_)

    def stop(self, job_id: str) -> None:
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)

    def test_back_and_forward(self) -> None:
        armed = self.create_job(description='to be changed')
        self.clock.now += 1
        gone = self.create_job(description='to be deleted')
        self.clock.now += 1
        once = self.create_job(description='once', schedule={})
        stopped = self.create_job(description='stopped')
        self.stop(stopped)
        self.start(once)
        self.report(self.one_run(), 'success')
        before = {job_id: self.job(job_id)
                  for job_id in (armed, gone, once, stopped)}
        [trust_id] = self.trusts.live

        self.assertEqual(downgrade.Result(jobs=4, trusts=4), self.go_back())
        self.assertEqual('7a3b9c1d2e4f', upgrade.current(self.url_))
        seen = self.released()

        self.check_seen(seen, before, trust_id)
        self.assertEqual(before.keys(), {
            job['job_id'] for job in seen['served']})
        self.assertEqual('stop', self.schedule(seen, once)['status'])
        self.assertEqual('stop', self.schedule(seen, stopped)['status'])
        self.assertEqual('scheduled', self.schedule(seen, armed)['status'])
        self.assertEqual(['central'], [
            entry['client']['client_id']
            for entry in seen['before']['clients']])

        upgrade.sync(self.url_)
        self.assertEqual(upgrade.head(), upgrade.current(self.url_))
        self.check_forward(seen, before, trust_id)

    def schedule(self, seen: Any, job_id: str) -> Any:
        return next(job['job_schedule'] for job in seen['before']['jobs']
                    if job['job_id'] == job_id)

    def check_seen(self, seen: Any, before: dict[str, Any],
                   trust_id: str) -> None:
        self.assertEqual(before.keys(), {
            job['job_id'] for job in seen['before']['jobs']})
        self.assertEqual(seen['before']['jobs'], seen['before']['one'])
        for job in seen['before']['jobs']:
            ours = before[job['job_id']]
            for key in ('description', 'client_id', 'user_id', 'project_id'):
                self.assertEqual(ours[key], job[key])
            for key in ('schedule_interval', 'time_created', 'time_started',
                        'time_ended', 'result'):
                self.assertEqual(ours['job_schedule'].get(key),
                                 job['job_schedule'].get(key), key)
            self.assertEqual(*(
                {key: value for key, value in document['job_actions'][0][
                    'freezer_action'].items() if value is not None}
                for document in (ours, job)))
            self.assertEqual(trust_id, job['user_credentials']['trust_id'])

    def check_forward(self, seen: Any, before: dict[str, Any],
                      trust_id: str) -> None:
        made = seen['made']
        ids = {job['description']: job_id for job_id, job in before.items()}
        changed, deleted = ids['to be changed'], ids['to be deleted']
        jobs = {job['job_id']: job for job in self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs']}
        self.assertEqual(
            before.keys() - {deleted} | {made['job']}, jobs.keys())
        self.assertEqual('of 19.0.0', jobs[changed]['description'])
        self.assertEqual('2 days', jobs[changed]['job_schedule'][
            'schedule_interval'])
        self.assertEqual(7, jobs[changed]['job_schedule']['time_started'])
        self.assertEqual(trust_id, jobs[changed]['user_credentials'][
            'trust_id'])
        self.assertEqual('trust-of-19', jobs[made['job']][
            'user_credentials']['trust_id'])
        [found] = self.call(base.MEMBER, 'GET', 'jobs', {
            'match': [{'description': 'of 19.0.0'}]}, 200)['jobs']
        self.assertEqual(changed, found['job_id'])
        [backup] = self.call(base.MEMBER, 'GET', 'backups',
                             status=200)['backups']
        self.assertEqual(made['backup'], backup['backup_id'])
        # What happened before is still known.
        self.assertEqual(1, len(self.runs(ids['once'])))
        # And each job goes on that went on before. That of 19.0.0 may be due
        # already: its phase is the time of the day at which this test runs.
        going = {run['job_id'] for run in self.claim()['runs']}
        with self.database.engine.connect() as connection:
            due = sorted(at for at in connection.scalars(
                sa.select(models.Job.next_run_at)) if at is not None)
        for self.clock.now in due:
            going |= {run['job_id'] for run in self.claim()['runs']}
        self.assertEqual({changed, made['job']}, going)


class TestReleasedMySQL(base.MySQL, TestReleased):
    pass


class TestServedMySQL(base.MySQL, WayBackTestCase):
    """19.0.0 as the server of its own that an operator starts."""

    def test_back_and_forward(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'host-1', 'hostname': 'host-1'}, 201)
        central = self.create_job(description='central')
        job_id = self.create_job(client='host-1', description='mine')
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '2 days'}}, 201)['session_id']
        self.call(base.MEMBER, 'PUT',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        before = {one: self.job(one) for one in (central, job_id)}
        self.go_back()
        with serving.served(
                releases.Release(releases.NEWEST), self.url_,
                base.MEMBER.user_id, str(base.MEMBER.project_id)) as theirs:
            made = self.work(theirs, before, job_id, session_id)
        upgrade.sync(self.url_)

        job = self.job(job_id)
        self.assertEqual('changed', job['description'])
        self.assertEqual('start', job['job_schedule']['event'])
        self.assertEqual(session_id, job['session_id'])
        self.assertEqual('made by 19.0.0', self.job(made)['description'])
        [action] = self.job(made)['job_actions']
        self.assertEqual('files', action['freezer_action']['backup_name'])
        self.assertEqual({central, job_id, made}, {
            one['job_id'] for one in self.call(
                base.MEMBER, 'GET', 'jobs', status=200)['jobs']})

    def work(self, theirs: serving.Served, before: dict[str, Any],
             job_id: str, session_id: str) -> str:
        """Read all, write some, and return the id of a job that is new."""
        listed = theirs.ask('GET', 'jobs')['jobs']
        self.assertEqual(before.keys(), {one['job_id'] for one in listed})
        for one in listed:
            ours = before[one['job_id']]
            self.assertEqual(
                [one[key] for key in ('description', 'client_id', 'user_id')],
                [ours[key] for key in ('description', 'client_id',
                                       'user_id')])
            self.assertEqual(one, theirs.ask('GET', f'jobs/{one["job_id"]}'))
        self.assertEqual([session_id], [
            one['session_id'] for one in theirs.ask('GET', 'sessions')[
                'sessions']])
        self.assertEqual({'host-1'}, {
            one['client']['client_id'] for one in theirs.ask(
                'GET', 'clients')['clients']} - {'central'})
        theirs.ask('PATCH', f'jobs/{job_id}', {'description': 'changed'})
        theirs.ask('POST', f'jobs/{job_id}/event', {'start': None})
        files = {'action': 'backup', 'mode': 'fs', 'backup_name': 'files'}
        made, gone = (theirs.ask('POST', 'jobs', {
            'client_id': 'host-1', 'description': 'made by 19.0.0',
            'job_schedule': {'schedule_interval': '1 days'},
            'job_actions': [{'freezer_action': dict(files)}]})['job_id']
            for _ in range(2))
        theirs.ask('DELETE', f'jobs/{gone}')
        return str(made)


class TestPostgreSQL(base.PostgreSQL, WayBackTestCase):

    def test_no_way(self) -> None:
        self.assert_refused('does not work on PostgreSQL')
