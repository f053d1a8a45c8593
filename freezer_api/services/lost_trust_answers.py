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

"""Resolves requests for trusts whose answers were lost.

Keystone may have created the trust, and may have others of the same user and
project, from other deployments and services. Only a trust with the ID of the
request is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

from oslo_log import log

from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import trusts as db_trusts
from freezer_api.db import unproven_trusts
from freezer_api.keystone import crypt
from freezer_api.keystone import trusts

LOG = log.getLogger(__name__)

# Earlier intents that are resolved once more.
_MOST_UNPROVEN = 100


class TrustRecovery:
    """Finds and deletes the trusts of intents in Keystone.

    :param later: postpones an intent because of an error
    """

    def __init__(self, database: engine.Database, keystone: trusts.Trusts,
                 box: crypt.Crypt,
                 later: Callable[[models.Delegation, Exception], None],
                 ) -> None:
        self._database = database
        self._keystone = keystone
        self._box = box
        self._later = later

    def resolve(self, intents: Sequence[models.Delegation]) -> int:
        """Delete the trusts of intents.

        :returns: the number of intents that are resolved
        """
        with self._database.read() as session:
            earlier = unproven_trusts.get(session, _MOST_UNPROVEN)
        wanted = {(one.project_id, one.trustor_user_id)
                  for one in (*intents, *earlier)}
        try:
            # One list for all intents, of which only few trusts are kept.
            found = [one for one in self._keystone.listed() if
                     (one.project_id, one.trustor_user_id) in wanted]
        except trusts.KeystoneUnavailable as error:
            for intent in intents:
                self._later(intent, error)
            return 0
        settled = sum(self._resolve_one(one, found) for one in intents)
        for one in earlier:
            self._resolve_one(one, found)
        return settled

    def _resolve_one(self, intent: models.Delegation,
                     found: Sequence[trusts.Listed]) -> bool:
        found = [one for one in found if one.impersonation
                 and one.project_id == intent.project_id
                 and one.trustor_user_id == intent.trustor_user_id]
        ours = [one for one in found if one.mark == intent.id]
        try:
            for one in ours:
                self._keystone.delete_made(one.trust_id, intent.id)
            unproven = not ours and self._has_unknown(intent, found)
        except (trusts.KeystoneUnavailable, trusts.NotOurs,
                crypt.CryptError) as error:
            self._later(intent, error)
            return False
        if not unproven:
            self._database.write(lambda session: unproven_trusts.drop(
                session, intent.id))
            return True
        if intent.delete_after is not None:
            LOG.warning(
                'Keystone holds a trust of user %s in project %s that may be '
                'left over and does not show who made it, so it is not '
                'deleted: see freezer-manage trusts orphans',
                intent.trustor_user_id, intent.project_id)
            self._database.write(lambda session: unproven_trusts.set_aside(
                session, intent.id))
        return False

    def _has_unknown(self, intent: models.Delegation,
                     found: Sequence[trusts.Listed]) -> bool:
        """Return whether an intent may have created a trust without a mark.

        Such trusts come from a Keystone that stores no marks, from earlier
        releases of this service, and from other services.
        """
        unmarked = {one.trust_id for one in found if one.mark is None}
        if not unmarked:
            return False
        with self._database.read() as session:
            stored = db_trusts.known(session, intent)
        return bool(unmarked.difference(
            self._box.decrypt(*one) for one in stored))
