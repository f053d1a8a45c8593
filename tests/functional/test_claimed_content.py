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

"""A run carries out what its job said at the claim; an edit counts next time.

Whatever is edited at whichever step, and however often the run is reclaimed.
"""

from __future__ import annotations

from collections.abc import Callable
import random
from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

DAY = 86_400
# How far a run has come when an edit comes, as its holder reported.
STEPS: tuple[list[dict[str, Any]], ...] = ([], *(
    [{'action_id': 'a', 'position': 0, 'state': state, 'tries': 1}]
    for state in ('submitting', 'submitted', 'clearing', 'pending',
                  'making_room', 'pruning', 'success')))
ROUNDS = 8


class ContentTests(base.ApiTestCase):
    settings = {'scheduling': {'keep_runs_days': 10}}

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.register_central('other')
        self.number = 0

    # -- what users edit --

    def content(self, n: int) -> dict[str, Any]:
        """Return an action that differs in how it backs up and prunes."""
        return {**base.BACKUP, 'backup_name': f'n{n}',
                'cindernative_vol_id': (base.VOLUME, base.OTHER_VOLUME)[n % 2],
                'incremental': bool(n % 3), 'retention': {'keep': 1 + n % 9}}

    def shared(self) -> str:
        self.number += 1
        made: str = self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': self.content(self.number)}, 201)['action_id']
        return made

    def named(self, job_id: str) -> list[dict[str, Any]]:
        return [{'action_id': action['action_id']}
                for action in self.job(job_id)['job_actions']]

    def patch(self, job_id: str, **change: Any) -> None:
        self.call(self.persona, 'PATCH', f'jobs/{job_id}', change, 200)

    def edits(self) -> list[Callable[[str], None]]:
        """Return each kind of edit."""

        def one(job_id: str) -> str:
            made: str = random.Random(self.number).choice(
                self.named(job_id))['action_id']
            return made

        def of_action(**change: Any) -> Callable[[str], None]:
            return lambda job_id: self.call(
                self.persona, 'PATCH', f'actions/{one(job_id)}', change, 200)

        def delete_action(job_id: str) -> None:
            self.patch(job_id, job_actions=[
                *self.named(job_id), {'action_id': self.shared()}])
            self.call(self.persona, 'DELETE',
                      f'actions/{self.named(job_id)[0]["action_id"]}',
                      status=204)

        def replace(job_id: str) -> None:
            self.call(self.persona, 'POST', f'jobs/{job_id}', {
                'client_id': 'central', 'description': 'new',
                'job_actions': [{'freezer_action': self.content(self.number)}],
                'job_schedule': {'schedule_cron': '3 4 * * *'}}, 201)

        n = self.number
        return [
            of_action(freezer_action=self.content(n)),
            of_action(max_retries=n % 7, max_retries_interval=n),
            of_action(mandatory=bool(n % 2)),
            delete_action, replace,
            lambda job_id: self.patch(job_id, job_actions=[
                {'freezer_action': self.content(n)}]),
            lambda job_id: self.patch(job_id, job_actions=[
                *self.named(job_id), {'action_id': self.shared()}]),
            lambda job_id: self.patch(
                job_id, job_actions=self.named(job_id)[::-1]),
            lambda job_id: self.patch(
                job_id, job_actions=self.named(job_id)[-1:]),
            lambda job_id: self.patch(job_id, job_schedule={
                'schedule_interval': f'{2 + n % 9} hours'}),
            lambda job_id: self.patch(job_id, job_schedule={}),
            lambda job_id: self.patch(job_id, description=f'd{n}'),
            lambda job_id: self.patch(job_id, client_id='other'),
            lambda job_id: self.patch(job_id, client_id='central'),
            lambda job_id: self.patch(job_id, user_credentials={}),
        ]

    # -- the invariant --

    def test_an_edit_counts_from_the_next_run(self) -> None:
        chance = random.Random(20)
        for _ in range(ROUNDS):
            job_id = self.create_job(job_actions=[
                {'action_id': self.shared()}, {'action_id': self.shared()}])
            for _ in range(2):
                self.check_run(job_id, chance)
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def check_run(self, job_id: str, chance: random.Random) -> None:
        client = self.job(job_id)['client_id']
        self.start(job_id)
        self.clock.now += 1
        run = first = self.one_run(client=client)
        self.assertEqual(self.says(job_id), first['job'])
        shown = self.call(base.SERVICE, 'GET', f'/v2/p1/jobs/{job_id}')
        self.assertEqual(shown['user_credentials'], first['credentials'])
        for steps in STEPS:
            self.report(run, client=client, actions=steps)
            for _ in range(chance.randrange(3)):
                self.number += 1
                self.persona = chance.choice((base.MEMBER, base.MATE))
                chance.choice(self.edits())(job_id)
            if chance.random() < .6:
                # No token can be had for one that is deleted.
                self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
                self.pass_lease(client=client)
                fence = run['fence'] + 1
                run = self.one_run(client=client)
                trust = run['credentials']
                self.assertEqual({
                    **first, 'fence': fence, 'actions': steps,
                    # It may have been replaced by another one of its user's.
                    'credentials': {**first['credentials'],
                                    'trust_id': trust['trust_id']}}, run)
                self.assertEqual(trust['trustor_user_id'],
                                 self.trusts.live[trust['trust_id']][0])
        self.report(run, 'success', client=client)
        self.clock.now += 1

    def says(self, job_id: str) -> dict[str, Any]:
        """Return what a job says now."""
        job = self.job(job_id)
        return {
            'job_schedule': {key: value for key, value
                             in job['job_schedule'].items()
                             if key.startswith('schedule_')},
            'job_actions': [{key: value for key, value in action.items()
                             if key not in ('project_id', 'user_id')}
                            for action in job['job_actions']]}

    def test_a_run_goes_on_after_what_it_was_claimed_with(self) -> None:
        """Its actions are deleted, its trust is revoked, its job deleted."""
        action_id = self.shared()
        job_id = self.create_job(job_actions=[{'action_id': action_id}])
        self.start(job_id)
        first = self.one_run()
        for method, path, body, status in (
                ('PATCH', f'jobs/{job_id}', {'job_actions': [
                    {'freezer_action': self.content(1)}]}, 200),
                ('DELETE', f'actions/{action_id}', None, 204),
                ('PATCH', f'jobs/{job_id}', {'user_credentials': {}}, 200),
                ('DELETE', f'jobs/{job_id}', None, 204)):
            self.call(base.MATE, method, path, body, status)
            self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
            self.pass_lease()
            again = self.one_run()
            self.assertEqual((first['job'], first['credentials']),
                             (again['job'], again['credentials']))
            self.assertEqual('abort' if path == f'jobs/{job_id}'
                             and method == 'DELETE' else None, again['event'])
        self.report(again, 'aborted')
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual({}, self.trusts.live)

    def patch_as(self, persona: base.Persona, job_id: str) -> None:
        self.persona = persona
        self.patch(job_id, job_actions=[{
            'freezer_action': self.content(1)}])

    def test_a_retried_run_does_what_its_job_says_by_then(self) -> None:
        """It has not begun: its trust did not work."""
        job_id = self.create_job()
        self.clock.now += DAY
        self.report(self.one_run(), 'fail', cause='trust_refused')
        self.assertEqual('waiting', self.runs(job_id)[0]['state'])
        self.patch_as(base.MATE, job_id)
        self.clock.now += 300
        run = self.one_run()
        self.assertEqual(self.says(job_id), run['job'])
        self.pass_lease()
        again = self.one_run()
        self.assertEqual((run['job'], run['credentials']),
                         (again['job'], again['credentials']))

    def test_a_run_whose_own_trust_is_gone_ends(self) -> None:
        """It does not go on with that of another member."""
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.report(run, actions=STEPS[1])
        self.patch_as(base.MATE, job_id)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Delegation).where(
                models.Delegation.trustor_user_id == 'alice').values(
                    trust_id=''))
        self.pass_lease()
        self.assertEqual([], self.claim()['runs'])
        [ended] = self.runs(job_id)
        self.assertEqual(('fail', 'trust_gone'),
                         (ended['state'], ended['cause']))
        self.assertNotIn('suspended', self.job(job_id))

    # -- rows --

    def documents(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(models.RunDocument.content)))

    def test_edits_before_each_run_leave_one_document(self) -> None:
        """A job costs at most its own size once more."""
        job_id = self.create_job()
        other_id = self.create_job()
        self.start(other_id)
        other = self.one_run()
        for number in range(6):
            self.patch_schedule(job_id, number)
            self.start(job_id)
            self.clock.now += 1
            run = self.one_run()
            self.assertEqual(f'{number + 1} days', run['job'][
                'job_schedule']['schedule_interval'])
            self.report(run, 'success')
            self.assertEqual(2, len(self.documents()))
        self.assertEqual(6, len(self.runs(job_id)))
        # That of a run that goes on stays.
        self.pass_lease()
        self.assertEqual(other['job'], self.one_run()['job'])

    def test_runs_of_one_content_share_a_document(self) -> None:
        job_id = self.create_job()
        trust_id = ''
        for number in range(6):
            self.patch_schedule(job_id, number // 6)
            self.start(job_id)
            self.clock.now += 1
            run = self.one_run()
            trust_id = run['credentials']['trust_id']
            self.report(run, 'success')
        self.assertEqual(1, len(self.documents()))
        for content in self.documents():
            self.assertNotIn(trust_id, content)
            self.assertNotIn('trust', content)
            self.assertNotIn('alice', content)

    def patch_schedule(self, job_id: str, number: int) -> None:
        self.persona = base.MEMBER
        self.patch(job_id, job_schedule={
            'schedule_interval': f'{number + 1} days'})

    def test_projects_share_no_document(self) -> None:
        """Nobody learns that another project has the same content."""
        self.create_job()
        self.create_job(persona=base.STRANGER)
        self.clock.now += DAY
        self.assertEqual(2, len(self.claim()['runs']))
        self.assertEqual(2, len(self.documents()))

    def test_a_document_goes_after_the_last_of_its_runs(self) -> None:
        job_id = self.create_job()
        for number in (1, 0, 0):
            self.patch_schedule(job_id, number)
            self.start(job_id)
            self.clock.now += 11 * DAY
            self.report(self.one_run(), 'success')
            self.clock.now += 1
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual(1, len(self.documents()))
        [run] = self.runs(job_id)
        self.assertEqual('success', run['state'])


class AtOnce(ContentTests):
    """... where a claim and the maintenance meet."""

    def unused(self) -> str:
        """Return a job with a document that no run refers to."""
        job_id = self.create_job()
        self.start(job_id)
        self.report(self.one_run(), 'success')
        with self.database.engine.begin() as connection:
            connection.execute(sa.delete(models.JobRun))
        self.clock.now += 1
        self.assertEqual(1, len(self.documents()))
        return job_id

    def maintain(self) -> None:
        self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)

    def test_maintenance_waits_for_no_claim(self) -> None:
        job_id = self.unused()
        with self.database.engine.begin() as claim:
            claim.execute(sa.select(models.Job.id).where(
                models.Job.id == job_id).with_for_update())
            self.maintain()
            self.assertEqual(1, len(self.documents()))
        self.maintain()
        self.assertEqual([], self.documents())

    def test_a_document_that_a_run_refers_to_meanwhile_stays(self) -> None:
        job_id = self.unused()
        self.start(job_id)
        claimed: list[Any] = []

        def claim(connection: Any, cursor: Any, statement: str,
                  *rest: Any) -> None:
            if 'SKIP LOCKED' in statement and not claimed:
                claimed.append(None)
                claimed.append(self.one_run())

        sa.event.listen(self.database.engine, 'before_cursor_execute', claim)
        self.maintain()
        [_, run] = claimed
        self.assertEqual(1, len(self.documents()))
        self.pass_lease()
        self.assertEqual(run['job'], self.one_run()['job'])


class ContentOnMySQLTests(base.MySQL, AtOnce):
    pass


class ContentOnPostgreSQLTests(base.PostgreSQL, AtOnce):
    pass


del AtOnce
