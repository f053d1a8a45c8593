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

"""Changing the keys that stored trust ids are encrypted with.

The services go on meanwhile. A row is replaced only as it was read, so what
they write in between is not lost; and what they write with an older key is
found by another pass.
"""

from __future__ import annotations

import collections

from freezer_api.db import engine
from freezer_api.db import trust_id_columns
from freezer_api.keystone import crypt

UNREADABLE = 'unreadable'
PLAIN = 'plain text'

# Rows change under our hands for as long as a service without the newest key
# runs; more passes would not help that.
_PASSES = 5


def key_name(number: int | None) -> str:
    """Return how a key is called: by its place in the configuration."""
    return PLAIN if number is None else f'key {number}'


class KeyRotation:
    """The keys of all stored trust ids."""

    def __init__(self, database: engine.Database, box: crypt.Crypt) -> None:
        self._database = database
        self._box = box

    def counts(self) -> dict[str, int]:
        """Return how many trust ids need which key.

        The first key is always named; plain text and trust ids that no key
        fits are where there are any.
        """
        found: collections.Counter[str] = collections.Counter()
        for chunk in trust_id_columns.chunks(self._database):
            found.update(self._need(stored) for stored in chunk)
        return {key_name(1): 0, **dict(sorted(found.items()))}

    def rotate(self) -> int:
        """Encrypt every trust id with the first key.

        What no key fits is left as it is.

        :returns: how many were changed
        :raises freezer_api.keystone.crypt.CryptError: without any key
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
