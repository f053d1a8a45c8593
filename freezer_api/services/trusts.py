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

"""Attaches trusts to jobs, and deletes trusts that no job needs.

Keystone and the database have no common transaction, so the order of the steps
prevents orphaned trusts. A row with the intent is stored before the trust is
created in Keystone. The transaction that writes the first job of the trust
also activates it. An intent without a job, after a lost answer or a crash, is
resolved and its trust deleted, as is a trust without jobs; both are retried
until they succeed.

Other regions and services may create trusts of the same users for the same
account. So each trust has the ID of its row as an attribute. Of the trusts
that the database does not know, only those with such an ID are deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import random

from oslo_log import log
from sqlalchemy import orm

from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import trusts as db_trusts
from freezer_api.db import unproven_trusts
from freezer_api.keystone import crypt
from freezer_api.keystone import trusts
from freezer_api.services import lost_trust_answers

LOG = log.getLogger(__name__)

# Seconds in which a trust is created and attached to its job.
_INTENT = 600
# Seconds until an unknown result is resolved; Keystone has then surely ended
# the request.
_SETTLE = 120
# Range of seconds until a failed deletion is retried, so that other deletions
# come first.
_RETRY = (60, 900)
# Transactions of one maintenance pass that attach new trusts of one user.
_REPLACEMENT_PARTS = 50
# Deletions that a user's request waits for.
_AT_ONCE = 3


class Vanished(Exception):
    """The trust does not exist any more: begin the transaction again."""


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A decrypted trust: for its trustor, admin and service only."""

    trust_id: str = dataclasses.field(repr=False)
    trustor_user_id: str


@dataclasses.dataclass(frozen=True)
class Counts:
    """The numbers of trusts that are not resolved yet.

    :ivar pending: trusts to delete in Keystone
    :ivar unproven: trusts in Keystone that this service may have created;
        they are not deleted without a proof
    """

    pending: int
    unproven: int


@dataclasses.dataclass(frozen=True)
class _Made:
    """A trust that was created for an intent, encrypted."""

    intent_id: str
    trust_id: str = dataclasses.field(repr=False)
    decrypt_method: str


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A trust that can be attached to jobs."""

    project_id: str
    trustor_user_id: str
    roles: str
    made: _Made | None
    sound: Callable[[models.Delegation], bool] = dataclasses.field(repr=False)

    def attach(self, session: orm.Session, job: models.Job,
               now: int, new: bool = False) -> None:
        """Attach the trust to a job.

        :param new: whether the job has never had one
        :raises Vanished: if it does not exist any more
        """
        live = db_trusts.find_live(
            session, self.project_id, self.trustor_user_id, self.roles,
            lock=True)
        if live is not None and not self.sound(live):
            db_trusts.supersede(session, live)
            live = None
        if live is not None:
            db_trusts.attach(session, job, live, now, new)
            return
        if self.made is not None:
            live = db_trusts.activate(
                session, self.made.intent_id, self.made.trust_id,
                self.made.decrypt_method)
        if live is None:
            raise Vanished()
        db_trusts.attach(session, job, live, now, new)
        db_trusts.replace_invalid(session, live, now)


class TrustService:
    """The trusts of jobs, in Keystone and in the database.

    :param clock: returns now, in epoch seconds
    :param lifetime: of new trusts, in seconds; 0 for no end
    """

    def __init__(self, database: engine.Database, keystone: trusts.Trusts,
                 box: crypt.Crypt, clock: Callable[[], int],
                 lifetime: int = 0) -> None:
        self._database = database
        self._keystone = keystone
        self._box = box
        self._clock = clock
        self._lifetime = lifetime
        self._lost = lost_trust_answers.TrustRecovery(
            database, keystone, box, self._try_later)

    def check_caller(self, caller: trusts.Caller, project_id: str) -> None:
        """Refuse a token that cannot create a trust in a project.

        :raises freezer_api.keystone.trusts.TrustRefused: with the reason
        """
        self._keystone.check(caller, project_id)

    def may_delegate(self, caller: trusts.Caller, project_id: str) -> bool:
        """Return whether the caller's token can create a trust."""
        with contextlib.suppress(trusts.TrustRefused):
            self._check(caller, project_id)
            return True
        return False

    def _check(self, caller: trusts.Caller, project_id: str) -> None:
        self._keystone.check(caller, project_id)
        if not self._box.usable:
            raise trusts.TrustRefused(
                'no_encryption_key',
                'This service has no key to keep a trust with, so it takes '
                'no job for a central scheduler. Its operator has to set '
                '[user_credentials] keys.')

    def cached(self, caller: trusts.Caller, project_id: str) -> Prepared:
        """Return the trust that a user's jobs share.

        Its existence is checked when it is attached.

        :raises freezer_api.keystone.trusts.TrustRefused: see :meth:`prepared`
        """
        self._check(caller, project_id)
        return Prepared(project_id, caller.user_id,
                        ','.join(self._keystone.roles), None, self._sound)

    @contextlib.contextmanager
    def prepared(self, caller: trusts.Caller,
                 project_id: str) -> Iterator[Prepared]:
        """Provide a trust of the caller while jobs are written.

        A new trust that was not attached to a job is deleted at the end.

        :raises freezer_api.keystone.trusts.TrustRefused: if the caller cannot
            create one, or no encryption key is configured
        :raises freezer_api.keystone.trusts.KeystoneUnavailable: if Keystone
            does not answer
        """
        cached = self.cached(caller, project_id)
        roles = cached.roles
        with self._database.read() as session:
            live = db_trusts.find_live(
                session, project_id, caller.user_id, roles)
        if live is not None and self._sound(live):
            yield cached
            return
        life = self._life()
        intent = self._database.write(lambda session: db_trusts.intend(
            session, project_id, caller.user_id, roles,
            self._clock() + _INTENT, life))
        trust_id = self._make(caller, project_id, intent.id, life)
        try:
            yield dataclasses.replace(cached, made=_Made(
                intent.id, *self._box.encrypt(trust_id)))
        finally:
            self._settle(intent.id, trust_id)

    def _sound(self, row: models.Delegation) -> bool:
        """Return whether a trust can be attached to more jobs."""
        if db_trusts.to_renew(row.renew_at, self._clock()):
            return False
        try:
            self._box.decrypt(row.trust_id, row.decrypt_method)
        except crypt.CryptError:
            return False
        return True

    def _life(self) -> db_trusts.Life:
        if not self._lifetime:
            return db_trusts.Life()
        now = self._clock()
        return db_trusts.Life(now + self._lifetime,
                              now + self._lifetime // 2)

    def _make(self, caller: trusts.Caller, project_id: str,
              intent_id: str, life: db_trusts.Life) -> str:
        try:
            return self._keystone.create(caller, project_id, intent_id,
                                         life.expires_at)
        except trusts.TrustRefused:
            self._forget(intent_id)
            raise
        except trusts.KeystoneUnavailable:
            # Keystone may have created it.
            self._postpone(intent_id, _SETTLE)
            raise

    def _settle(self, intent_id: str, trust_id: str) -> None:
        """Delete a trust unless it was attached to a job.

        If that fails, the intent stays and is resolved later.
        """
        with self._database.read() as session:
            row = session.get(models.Delegation, intent_id)
            if row is None or row.active_key is not None or row.trust_id:
                return
        try:
            # The ID is from Keystone's answer to this service's own request.
            self._keystone.delete(trust_id)
        except trusts.KeystoneUnavailable:
            self._postpone(intent_id, 0)
        else:
            self._forget(intent_id)

    def credentials(self, credential: db_trusts.Stored) -> Credentials:
        """Return the trust with which a scheduler logs in.

        :raises freezer_api.keystone.crypt.CryptError: if it cannot be
            decrypted
        """
        return Credentials(
            self._box.decrypt(credential.trust_id,
                              credential.decrypt_method),
            credential.trustor_user_id)

    def is_trustee(self, user_id: str) -> bool:
        """Return whether a user is the trustee of the trusts.

        :raises freezer_api.keystone.trusts.KeystoneUnavailable: if Keystone
            does not answer
        """
        return user_id == self._keystone.trustee_user_id()

    def delete_retired(self, project_id: str) -> None:
        """Delete trusts of a project that a request has just retired.

        :meth:`maintain` deletes any others.
        """
        with self._database.read() as session:
            due = db_trusts.due(
                session, self._clock(), _AT_ONCE, project_id)
        for row in due:
            self._delete(row)

    def maintain(self, limit: int = 20) -> int:
        """Delete trusts that no job needs, and resolve intents.

        :returns: the number of deleted trusts and resolved intents
        """
        with self._database.read() as session:
            due = db_trusts.due(session, self._clock(), limit)
            invalid = {(one.project_id, one.trustor_user_id, one.roles)
                       for one in db_trusts.invalid_in_use(session, limit)}
        for project_id, trustor_user_id, roles in sorted(invalid):
            self._replace_invalid(project_id, trustor_user_id, roles)
        intents = [one for one in due if not one.trust_id]
        gone = sum(self._delete(one) for one in due if one.trust_id)
        return gone + (self._lost.resolve(intents) if intents else 0)

    def _replace_invalid(self, project_id: str, trustor_user_id: str,
                         roles: str) -> None:
        """Attach a user's new trust to jobs with an invalid one."""
        def work(session: orm.Session) -> bool:
            live = db_trusts.find_live(
                session, project_id, trustor_user_id, roles, lock=True)
            return live is not None and db_trusts.replace_invalid(
                session, live, self._clock())

        for _ in range(_REPLACEMENT_PARTS):
            if not self._database.write(work):
                return

    def counts(self) -> Counts:
        """Return the numbers of trusts that are not resolved yet."""
        with self._database.read() as session:
            return Counts(db_trusts.pending(session),
                          unproven_trusts.count(session))

    def _delete(self, row: models.Delegation) -> bool:
        try:
            self._keystone.delete_made(self._box.decrypt(
                row.trust_id, row.decrypt_method), row.id)
        except trusts.NotOurs as error:
            LOG.error('The trust of user %s in project %s is not deleted, '
                      'and forgotten: %s. Is this a copy of the database of '
                      'another deployment? See freezer-manage trusts disown.',
                      row.trustor_user_id, row.project_id, error)
        except (trusts.KeystoneUnavailable, crypt.CryptError) as error:
            self._try_later(row, error)
            return False
        self._forget(row.id)
        return True

    def _try_later(self, row: models.Delegation, error: Exception) -> None:
        LOG.warning('The trust of user %s in project %s is not deleted '
                    'yet: %s', row.trustor_user_id, row.project_id, error)
        # Not for secrecy: retries are spread.
        self._postpone(
            row.id, random.randint(*_RETRY))  # noqa: S311  # nosec B311

    def _postpone(self, row_id: str, seconds: int) -> None:
        self._database.write(lambda session: db_trusts.postpone(
            session, row_id, self._clock() + seconds))

    def _forget(self, row_id: str) -> None:
        self._database.write(lambda session: db_trusts.forget(
            session, row_id, self._clock()))


class Decrypted:
    """Decrypted trusts, each decrypted once.

    Jobs of a user share a trust, and its decryption takes time.
    """

    def __init__(self, trusts: TrustService) -> None:
        self._trusts = trusts
        self._known: dict[tuple[str | None, ...], Credentials | None] = {}

    def get(self, credential: db_trusts.Stored) -> Credentials | None:
        """Return a trust, None if it cannot be decrypted, which is logged."""
        stored = (credential.trust_id, credential.decrypt_method,
                  credential.trustor_user_id)
        if stored not in self._known:
            try:
                self._known[stored] = self._trusts.credentials(credential)
            except crypt.CryptError as error:
                LOG.error('The trust of user %s, row %s, cannot be read: %s',
                          credential.trustor_user_id, credential.id, error)
                self._known[stored] = None
        return self._known[stored]
