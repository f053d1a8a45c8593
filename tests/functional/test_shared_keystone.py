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

"""Two deployments and other services share one Keystone and one account.

Whatever gets lost on the way, a deployment deletes only what it made itself.
"""

from __future__ import annotations

import dataclasses
import random
from typing import ClassVar

from falcon import testing
import sqlalchemy as sa

from freezer_api.db.admin import disown_trusts
from freezer_api.db.admin import upgrade_report
from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.keystone import crypt
from freezer_api.keystone import trusts
from freezer_api.services import dependencies as api_services
from freezer_api.services import orphan_trusts as orphans
from freezer_api.services import trusts as trust_service
from tests.functional import base

USERS = (base.MEMBER, base.MATE, base.STRANGER)
CENTRAL = {'client_id': 'central', 'job_schedule': {},
           'job_actions': [{'freezer_action': base.BACKUP}]}


@dataclasses.dataclass
class Region:
    """A deployment with a database of its own.

    :ivar jobs: the trustor's persona by job id
    """

    database: engine.Database
    services: api_services.Services
    client: testing.TestClient
    jobs: dict[str, base.Persona] = dataclasses.field(default_factory=dict)


class SharedKeystoneTests(base.ApiTestCase):

    second_url: ClassVar[str | None] = None

    def setUp(self) -> None:
        super().setUp()
        here = Region(self.database, self.services, self.client)
        self.addCleanup(self.go_to, here)
        self.conf.set_override(
            'connection', self.second_url
            or f'sqlite:///{self.directory}/second.db', 'database')
        self.database = engine.Database(self.conf)
        self.addCleanup(self.database.engine.dispose)
        self.make_tables()
        self.services = self._services()
        self.client = testing.TestClient(self.make_app())
        there = Region(self.database, self.services, self.client)
        self.regions = (here, there)
        self.addCleanup(self.go_to, there)
        for region in self.regions:
            self.go_to(region)
            self.register_central()

    def go_to(self, region: Region) -> Region:
        self.database = region.database
        self.services = region.services
        self.client = region.client
        self.region = region
        return region

    # -- what happens in a region --

    def create(self, persona: base.Persona) -> str:
        job_id = self.create_job(persona)
        self.region.jobs[job_id] = persona
        return job_id

    def lose(self, persona: base.Persona) -> None:
        """Create a job whose trust is made, and no answer comes."""
        self.trusts.answer_lost = True
        status = self.client.simulate_post(
            f'/v2/{persona.project_id}/jobs', json=CENTRAL,
            extras=persona.environ()).status_code
        self.trusts.answer_lost = False
        # One of a user with a trust already asks Keystone nothing.
        self.assertIn(status, (201, 503))
        if status == 201:
            [new] = {job['job_id'] for job in self.call(
                persona, 'GET', 'jobs?limit=1000', status=200)['jobs']
                if job['user_id'] == persona.user_id} - set(self.region.jobs)
            self.region.jobs[new] = persona

    def delete(self) -> None:
        job_id, persona = self.region.jobs.popitem()
        self.call(persona, 'DELETE', f'jobs/{job_id}', status=204)

    def maintain(self) -> dict[str, int]:
        done: dict[str, int] = self.call(
            base.SERVICE, 'POST', 'maintenance', {}, 200)
        return done

    def used(self, region: Region) -> set[str]:
        """The trusts that the jobs of a region run with."""
        self.go_to(region)
        return {self.call(base.SERVICE, 'GET',
                          f'/v2/{persona.project_id}/jobs/{job_id}',
                          status=200)['trust_id']
                for job_id, persona in region.jobs.items()}

    def orphans(self) -> orphans.Orphans:
        return orphans.Orphans(self.database, self.trusts,
                               crypt.Crypt([base.KEY]))

    # -- tests --

    def test_a_lost_answer_here_ends_nothing_there(self) -> None:
        here, there = self.regions
        self.go_to(there)
        self.create(base.MEMBER)
        foreign = {self.trusts.add('alice', 'p1'),
                   self.trusts.add('alice', 'p1', 'mark of another')}
        self.go_to(here)
        self.lose(base.MEMBER)
        self.assertEqual(4, len(self.trusts.live))
        self.clock.now += 1000
        # The unmarked one might be what was lost, so it is counted.
        self.assertEqual(1, self.maintain()['trusts_deleted'])
        self.assertEqual(foreign | self.used(there), set(self.trusts.live))

    def test_without_marks_nothing_unknown_is_deleted(self) -> None:
        here, there = self.regions
        self.trusts.keeps_marks = False
        for region in self.regions:
            self.go_to(region)
            self.create(base.STRANGER)
        self.go_to(there)
        self.create(base.MEMBER)
        self.go_to(here)
        self.lose(base.MEMBER)
        before = set(self.trusts.live)
        self.clock.now += 1000
        with self.assertLogs('freezer_api.services.lost_trust_answers',
                             'WARNING') as log:
            done = self.maintain()
        self.assertEqual(before, set(self.trusts.live))
        self.assertEqual((0, 0, 1), (
            done['trusts_deleted'], done['trusts_pending'],
            done['trusts_unproven']))
        self.assertIn('freezer-manage trusts orphans', log.output[0])
        for trust_id in before:
            self.assertNotIn(trust_id, '\n'.join(log.output))
        self.assertIn('freezer-manage trusts orphans',
                      str(upgrade_report.make(self.database).trusts))
        # That was said, and nothing is asked of Keystone for it again.
        self.clock.now += 100_000
        self.trusts.away = True
        self.assertEqual(1, self.maintain()['trusts_unproven'])

    def test_each_intent_is_looked_into_by_one_listing(self) -> None:
        """Anybody may make thousands of trusts to the account."""
        listings = []
        self.go_to(self.regions[0])
        for persona in USERS:
            self.lose(persona)
        listed = self.trusts.listed

        def count() -> object:
            listings.append(1)
            return listed()

        self.trusts.listed = count  # type: ignore[method-assign, assignment]
        self.clock.now += 1000
        # Nor does a user's request wait for one.
        self.services.trusts.delete_retired('p1')
        self.assertEqual([], listings)
        self.assertEqual(3, self.maintain()['trusts_deleted'])
        self.assertEqual([1], listings)
        self.assertEqual({}, self.trusts.live)

    def test_whatever_happens_both_go_on(self) -> None:
        """Invariant 6: what is not provably ours is never deleted."""
        for seed in range(6):
            with self.subTest(seed=seed):
                self.happen(random.Random(seed))

    def happen(self, chance: random.Random) -> None:
        self.trusts.keeps_marks = chance.random() < 0.6
        foreign = set()
        for _ in range(25):
            region = self.go_to(chance.choice(self.regions))
            persona = chance.choice(USERS)
            what = chance.choice(
                ('create', 'lose', 'lose', 'delete', 'maintain', 'foreign'))
            if what == 'create':
                self.create(persona)
            elif what == 'lose':
                self.lose(persona)
            elif what == 'delete' and region.jobs:
                self.delete()
            elif what == 'maintain':
                self.maintain()
            elif what == 'foreign':
                foreign.add(self.trusts.add(
                    persona.user_id, str(persona.project_id),
                    chance.choice((None, 'of another service'))))
            self.clock.now += chance.choice((0, 60, 1000))
        self.clock.now += 1000
        unproven = 0
        for region in self.regions:
            self.go_to(region)
            done = self.maintain()
            self.assertEqual(0, done['trusts_pending'])
            unproven += done['trusts_unproven']
        needed = foreign.union(*map(self.used, self.regions))
        left = set(self.trusts.live) - needed
        self.assertEqual(set(), needed - set(self.trusts.live))
        if self.trusts.keeps_marks:
            self.assertEqual(set(), left)
        elif left:
            self.assertGreaterEqual(unproven, 1)
        self.clear()

    def clear(self) -> None:
        self.trusts.live.clear()
        for region in self.regions:
            self.go_to(region)
            while region.jobs:
                self.delete()
            self.orphans().dismiss()

    # -- freezer-manage trusts --

    def test_orphans_are_named_without_their_ids(self) -> None:
        here, there = self.regions
        self.go_to(there)
        self.create(base.MEMBER)
        self.go_to(here)
        self.create(base.MEMBER)
        self.trusts.keeps_marks = False
        self.lose(base.MATE)
        self.clock.now += 1000
        self.maintain()
        found = list(self.orphans().find())
        self.assertEqual(
            {('alice', orphans.Maker.UNKNOWN), ('bob', orphans.Maker.NONE)},
            {(one.trustor_user_id, one.maker) for one in found})
        for one in found:
            for trust_id in self.trusts.live:
                self.assertNotIn(trust_id, str(one))
        [bob] = [one for one in found if one.trustor_user_id == 'bob']
        self.orphans().delete(bob.reference)
        self.assertEqual(
            ['alice', 'alice'],
            sorted(user for user, _project in self.trusts.live.values()))
        self.assertRaises(orphans.NoOrphan, self.orphans().delete,
                          bob.reference)
        # There is nothing left that it could be, so it counts no more.
        self.assertEqual(1, self.maintain()['trusts_unproven'])
        self.assertEqual(1, self.orphans().settle())
        self.assertEqual(0, self.maintain()['trusts_unproven'])

    def test_a_trust_in_use_is_no_orphan(self) -> None:
        self.go_to(self.regions[0])
        self.create(base.MEMBER)
        [trust_id] = self.trusts.live
        self.assertEqual([], list(self.orphans().find()))
        self.assertRaises(orphans.NoOrphan, self.orphans().delete,
                          orphans.reference(trust_id))
        self.assertIn(trust_id, self.trusts.live)

    def test_one_on_its_way_is_told_to_be_ours(self) -> None:
        self.go_to(self.regions[0])
        self.lose(base.MEMBER)
        [found] = self.orphans().find()
        self.assertEqual(orphans.Maker.THIS, found.maker)

    def test_a_judged_orphan_counts_no_more(self) -> None:
        self.go_to(self.regions[0])
        self.trusts.keeps_marks = False
        self.lose(base.MEMBER)
        self.clock.now += 1000
        self.assertEqual(1, self.maintain()['trusts_unproven'])
        self.assertEqual(0, self.orphans().settle())
        self.assertEqual(1, self.orphans().dismiss())
        self.assertEqual(0, self.maintain()['trusts_unproven'])
        self.assertEqual(1, len(self.trusts.live))

    def test_a_copy_that_was_disowned_ends_nothing(self) -> None:
        """A database restored beside the deployment it came from."""
        self.go_to(self.regions[0])
        for persona in USERS:
            self.create(persona)
        self.lose(base.Persona('dora', 'p1', ('member', 'reader')))
        jobs = dict(self.region.jobs)
        before = set(self.trusts.live)
        done = disown_trusts.disown(self.database, self.clock.now)
        self.assertEqual((4, 3), (done.trusts, done.jobs))
        self.clock.now += 1000
        self.maintain()
        for job_id, persona in jobs.items():
            self.start(job_id, persona)
        self.assertEqual([], self.claim()['runs'])
        for job_id, persona in jobs.items():
            [run] = self.runs(job_id, persona)
            self.assertEqual('skipped', run['state'])
            self.call(persona, 'DELETE', f'jobs/{job_id}', status=204)
        self.maintain()
        self.assertEqual(before, set(self.trusts.live))
        with self.database.read() as session:
            self.assertEqual([], session.scalars(sa.select(
                models.Delegation.trust_id).where(
                    models.Delegation.trust_id != '')).all())
        # Nothing else of it is lost: whoever saves a job gives it a trust.
        self.create(base.MEMBER)

    def test_a_copy_that_was_not_disowned_is_noticed(self) -> None:
        """Where the regions differ, by the trust itself."""
        self.go_to(self.regions[0])
        self.create(base.MEMBER)
        [trust_id] = self.trusts.live
        self.trusts.marks[trust_id] = 'of another deployment'
        with self.assertLogs('freezer_api.services.trusts', 'ERROR') as log:
            self.delete()
        self.assertIn('freezer-manage trusts disown', log.output[0])
        self.assertNotIn(trust_id, log.output[0])
        self.assertIn(trust_id, self.trusts.live)

    def test_an_older_release_marked_nothing(self) -> None:
        self.go_to(self.regions[0])
        self.create(base.MEMBER)
        self.trusts.marks.clear()
        self.delete()
        self.assertEqual({}, self.trusts.live)

    def test_what_became_a_trust_meanwhile_stays(self) -> None:
        """A request that took longer than its intent was to last."""
        self.go_to(self.regions[0])
        caller = trusts.Caller('alice', 'p1', ('member',), None, None)
        made = self.services.trusts.prepared(caller, 'p1')
        with made as prepared:
            self.clock.now += 1000

            def meanwhile() -> list[trusts.Listed]:
                self.database.write(lambda session: session.execute(
                    sa.update(models.Delegation).values(
                        trust_id='stored', delete_after=None)))
                return []

            self.trusts.listed = (  # type: ignore[method-assign]
                meanwhile)  # type: ignore[assignment]
            self.maintain()
        self.assertIsInstance(prepared, trust_service.Prepared)
        with self.database.read() as session:
            self.assertEqual(['stored'], session.scalars(
                sa.select(models.Delegation.trust_id)).all())


class SharedKeystoneTestsOnMySQL(base.MySQL, SharedKeystoneTests):

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.second_url = cls.new_url(cls)


class SharedKeystoneTestsOnPostgreSQL(base.PostgreSQL, SharedKeystoneTests):

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.second_url = cls.new_url(cls)
