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

"""Trusts to the service account that this database does not know.

Several regions may share one Keystone and one account, and other services may
create trusts to it. A trust in this list is deleted only if an operator names
it. IDs of trusts are secrets, so a digest names an orphan.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import enum
import hashlib

from sqlalchemy import orm

from freezer_api.db import engine
from freezer_api.db import trust_id_columns
from freezer_api.db import unproven_trusts
from freezer_api.keystone import crypt
from freezer_api.keystone import trusts

_REFERENCE = 16
_CHUNK = 500


class NoOrphan(Exception):
    """No orphan has this reference."""


class Maker(enum.StrEnum):
    """The creator of a trust, by its mark."""

    THIS = 'this database'
    UNKNOWN = 'another'
    NONE = 'not known'


@dataclasses.dataclass(frozen=True)
class Orphan:
    """A trust that no job of this database can use.

    :ivar reference: its name, which is not a secret
    """

    reference: str
    project_id: str | None
    trustor_user_id: str
    expires_at: str | None
    maker: Maker
    region: str | None


def reference(trust_id: str) -> str:
    """Return the name of a trust that does not reveal its ID."""
    return hashlib.sha256(trust_id.encode()).hexdigest()[:_REFERENCE]


class Orphans:
    """The trusts that Keystone lists and this database does not know.

    Each method raises freezer_api.keystone.trusts.KeystoneUnavailable if
    Keystone does not answer, and freezer_api.keystone.crypt.CryptError if a
    key is missing, because known trusts cannot be recognised without it.
    """

    def __init__(self, database: engine.Database, keystone: trusts.Trusts,
                 box: crypt.Crypt) -> None:
        self._database = database
        self._keystone = keystone
        self._box = box

    def find(self) -> Iterator[Orphan]:
        """Yield all orphans, in the order of Keystone."""
        for found, maker in self._unknown():
            yield Orphan(reference(found.trust_id), found.project_id,
                         found.trustor_user_id, found.expires_at, maker,
                         found.region)

    def delete(self, name: str) -> None:
        """Delete the trust that a reference names, independent of its creator.

        :raises NoOrphan: if there is none
        """
        named = [found.trust_id for found, _maker in self._unknown()
                 if reference(found.trust_id) == name]
        if not named:
            raise NoOrphan(
                f'no orphan has the reference {name}: see freezer-manage '
                'trusts orphans')
        for trust_id in named:
            self._keystone.delete(trust_id)

    def settle(self) -> int:
        """Drop unproven intents that have no trust in Keystone any more.

        :returns: the number of dropped intents
        """
        left = {(found.project_id, found.trustor_user_id)
                for found, maker in self._unknown()
                if maker is not Maker.UNKNOWN}
        return self._drop(left)

    def dismiss(self) -> int:
        """Drop all unproven intents, because an operator has examined them.

        :returns: the number of dropped intents
        """
        return self._drop(set())

    def _drop(self, but: set[tuple[str | None, str]]) -> int:
        def drop(session: orm.Session) -> int:
            ids = [one.id for one in unproven_trusts.get(session)
                   if (one.project_id, one.trustor_user_id) not in but]
            for intent_id in ids:
                unproven_trusts.drop(session, intent_id)
            return len(ids)

        return self._database.write(drop)

    def _unknown(self) -> Iterator[tuple[trusts.Listed, Maker]]:
        known = {self._box.decrypt(stored.trust_id, stored.decrypt_method)
                 for chunk in trust_id_columns.chunks(self._database)
                 for stored in chunk}
        chunk: list[trusts.Listed] = []
        for found in self._keystone.listed():
            if found.trust_id not in known:
                chunk.append(found)
            if len(chunk) == _CHUNK:
                yield from self._judged(chunk)
                chunk = []
        yield from self._judged(chunk)

    def _judged(self, chunk: list[trusts.Listed],
                ) -> Iterator[tuple[trusts.Listed, Maker]]:
        with self._database.read() as session:
            ours = unproven_trusts.existing(
                session, {found.mark for found in chunk if found.mark})
        for found in chunk:
            yield found, (Maker.NONE if found.mark is None else
                          Maker.THIS if found.mark in ours else
                          Maker.UNKNOWN)
