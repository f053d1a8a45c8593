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

"""Rotation of the keys with which stored IDs of trusts are encrypted.

The services continue meanwhile. A row is replaced only if it did not change
since it was read, so no change is lost. Another pass finds rows that were
written with an older key meanwhile.
"""

from __future__ import annotations

import collections

from freezer_api.db import engine
from freezer_api.db import trust_id_columns
from freezer_api.keystone import crypt

UNREADABLE = 'unreadable'
PLAIN = 'plain text'

# Rows with old keys appear while a service without the newest key runs; more
# passes would not help.
_PASSES = 5


def key_name(number: int | None) -> str:
    """Return the name of a key: its position in the configuration."""
    return PLAIN if number is None else f'key {number}'


class KeyRotation:
    """The keys of all stored trust ids."""

    def __init__(self, database: engine.Database, box: crypt.Crypt) -> None:
        self._database = database
        self._box = box

    def counts(self) -> dict[str, int]:
        """Return the number of IDs of trusts for each key.

        The first key is always included; plain text and unreadable IDs only
        if there are any.
        """
        found: collections.Counter[str] = collections.Counter()
        for chunk in trust_id_columns.chunks(self._database):
            found.update(self._need(stored) for stored in chunk)
        return {key_name(1): 0, **dict(sorted(found.items()))}

    def rotate(self) -> int:
        """Encrypt each ID of a trust with the first key.

        Unreadable IDs stay unchanged.

        :returns: the number of changed IDs
        :raises freezer_api.keystone.crypt.CryptError: if no key is configured
        """
        total = 0
        for _ in range(_PASSES):
            changed = sum(self._rotate(chunk) for chunk
                          in trust_id_columns.chunks(self._database))
            total += changed
            if not changed:
                break
        return total

    def _need(self, stored: trust_id_columns.StoredTrust) -> str:
        try:
            return key_name(self._box.key_number(
                stored.trust_id, stored.decrypt_method))
        except crypt.CryptError:
            return UNREADABLE

    def _rotate(self, chunk: list[trust_id_columns.StoredTrust]) -> int:
        old = [(stored, *self._box.encrypt(self._box.decrypt(
            stored.trust_id, stored.decrypt_method))) for stored in chunk
            if self._need(stored) not in (key_name(1), UNREADABLE)]
        return self._database.write(lambda session: sum(
            stored.replace(session, trust_id, method)
            for stored, trust_id, method in old))
