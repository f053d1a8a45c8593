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

"""Gives jobs the trusts they run with, and takes them away again.

Keystone and the database have no transaction in common, so the order of
steps sees to it that nothing is left behind: a trust is made before the job
is written and deleted again when that fails, and a trust that has become
useless is marked in the same transaction and deleted in Keystone afterwards,
as often as it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses

from oslo_db import exception as db_exception
from oslo_log import log
from sqlalchemy import orm

from freezer_api import crypt
from freezer_api.db import delegations as db_delegations
from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api import trusts

LOG = log.getLogger(__name__)

# Until the deletion of a trust is tried again.
_RETRY_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A trust in the clear: for its trustor, admin and service only."""

    trust_id: str = dataclasses.field(repr=False)
    trustor_user_id: str


@dataclasses.dataclass
class Prepared:
    """A trust that is there for jobs to be given it."""

    project_id: str
    trustor_user_id: str
    roles: str
    made: models.Delegation | None

    def attach(self, session: orm.Session, job: models.Job,
               now: int) -> None:
        """Let a job run with it."""
        live = db_delegations.find_live(
            session, self.project_id, self.trustor_user_id, self.roles,
            lock=True)
        if live is None:
            live = self._made_again()
            session.add(live)
            session.flush()
        db_delegations.attach(session, job, live, now)

    def _made_again(self) -> models.Delegation:
        # A transaction may run more than once, each time with fresh rows.
        if self.made is None:
            raise trusts.KeystoneAway(
                'The trust was deleted while the job was written')
        return models.Delegation(**{
            name: getattr(self.made, name) for name in (
                'id', 'project_id', 'trustor_user_id', 'trust_id',
                'decrypt_method', 'roles', 'live_key')})


class Delegations:
    """The trusts of jobs, in Keystone and in the database.

    :param clock: returns now, in epoch seconds
    """

    def __init__(self, database: engine.Database, keystone: trusts.Trusts,
                 box: crypt.Crypt, clock: Callable[[], int]) -> None:
        self._database = database
        self._keystone = keystone
        self._box = box
        self._clock = clock

    @contextlib.contextmanager
    def prepared(self, caller: trusts.Caller,
                 project_id: str) -> Iterator[Prepared]:
        """Have a trust of the caller ready while jobs are written.

        What was made for it and not given to a job is deleted at the end.

        :raises freezer_api.trusts.TrustRefused: when the caller cannot
            delegate, or no key is configured to keep a trust with
        :raises freezer_api.trusts.KeystoneAway: when Keystone cannot be asked
        """
        self._keystone.check(caller, project_id)
        if not self._box.usable:
            raise trusts.TrustRefused(
                'no_encryption_key',
                'This service has no key to keep a trust with, so it takes '
                'no job for a central scheduler. Its operator has to set '
                '[user_credentials] keys.')
        roles = ','.join(self._keystone.roles)
        with self._database.read() as session:
            live = db_delegations.find_live(
                session, project_id, caller.user_id, roles)
        if live is not None:
            yield Prepared(project_id, caller.user_id, roles, None)
            return
        trust_id = self._keystone.create(caller, project_id)
        made = self._row(trust_id, caller, project_id, roles)
        try:
            yield Prepared(project_id, caller.user_id, roles, made)
        finally:
            self._settle(made, trust_id)

    def _row(self, trust_id: str, caller: trusts.Caller, project_id: str,
             roles: str) -> models.Delegation:
        text, method = self._box.encrypt(trust_id)
        return models.Delegation(
            id=rows.new_id(), project_id=project_id,
            trustor_user_id=caller.user_id, trust_id=text,
            decrypt_method=method, roles=roles,
            live_key=db_delegations.live_key(
                project_id, caller.user_id, roles))

    def _settle(self, made: models.Delegation, trust_id: str) -> None:
        """Delete a trust unless a job was given it."""
        try:
            with self._database.read() as session:
                if session.get(models.Delegation, made.id) is not None:
                    return
        except db_exception.DBError:
            # A job may have it after all.
            LOG.error('A trust of user %s in project %s may be left over in '
                      'Keystone: the database fails', made.trustor_user_id,
                      made.project_id)
            return
        try:
            self._keystone.delete(trust_id)
        except trusts.KeystoneAway:
            made.live_key = None
            made.delete_after = self._clock()
            self._database.write(lambda session: session.add(made))

    def credentials(self, credential: models.UserCredential) -> Credentials:
        """Return what a scheduler logs in with.

        :raises freezer_api.crypt.CryptError: when it cannot be decrypted
        """
        return Credentials(
            self._box.decrypt(credential.trust_id,
                              credential.decrypt_method),
            credential.trustor_user_id)

    def is_trustee(self, user_id: str) -> bool:
        """Return whether trusts are of any use to a user.

        :raises freezer_api.trusts.KeystoneAway: when Keystone cannot be asked
        """
        return user_id == self._keystone.trustee_user_id()

    def delete_retired(self, limit: int = 20) -> int:
        """Delete trusts that no job needs any more, where Keystone lets us.

        :returns: how many are gone
        """
        now = self._clock()
        with self._database.read() as session:
            retired = db_delegations.due(session, now, limit)
        gone = 0
        for delegation in retired:
            gone += self._delete(delegation, now)
        return gone

    def pending(self) -> int:
        """Return how many trusts wait to be deleted."""
        with self._database.read() as session:
            return db_delegations.pending(session)

    def _delete(self, delegation: models.Delegation, now: int) -> bool:
        try:
            self._keystone.delete(self._box.decrypt(
                delegation.trust_id, delegation.decrypt_method))
        except (trusts.KeystoneAway, crypt.CryptError) as error:
            LOG.warning('The trust of user %s in project %s is not deleted '
                        'yet: %s', delegation.trustor_user_id,
                        delegation.project_id, error)
            self._database.write(lambda session: db_delegations.postpone(
                session, delegation.id, now + _RETRY_SECONDS))
            return False
        self._database.write(lambda session: db_delegations.forget(
            session, delegation.id, now))
        return True
