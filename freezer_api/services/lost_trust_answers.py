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

"""What became of requests for trusts whose answers were lost.

Keystone may have made the trust, and may hold others of the same user and
project, which other deployments and services have made. Only one that bears
the id of the request is deleted.
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

# Intents of earlier whose outcome is looked into once more.
_MOST_UNPROVEN = 100


class TrustRecovery:
    """Finds out what intents have left in Keystone, and deletes it.

    :param later: has an intent looked into later, because of an error
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
        """Find out what became of intents, and delete what they left.

        :returns: of how many of them nothing is left
        """
        with self._database.read() as session:
            earlier = unproven_trusts.get(session, _MOST_UNPROVEN)
        wanted = {(one.project_id, one.trustor_user_id)
                  for one in (*intents, *earlier)}
        try:
            # One listing for all of them, of which little is kept.
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
        """Whether an intent may have made a trust without a mark.

        A Keystone that keeps no marks makes such ones, and so do releases of
        ours before this one, and other services.
        """
        unmarked = {one.trust_id for one in found if one.mark is None}
        if not unmarked:
            return False
        with self._database.read() as session:
            stored = db_trusts.known(session, intent)
        return bool(unmarked.difference(
            self._box.decrypt(*one) for one in stored))
