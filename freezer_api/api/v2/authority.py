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

"""Changes that give jobs the authority of who makes them.

Mostly a user's trust is there already, or none is needed. Where it is not,
that shows in the transaction, which is begun again when one has been made.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from typing import TypeVar

from sqlalchemy import orm

from freezer_api.api import errors
from freezer_api.db import models
from freezer_api import delegations
from freezer_api import trusts

Result = TypeVar('Result')

_ATTEMPTS = 3


class Authority:
    """A caller's trust, for one change of a project's jobs.

    :ivar retires: whether a trust may have lost its last job
    """

    def __init__(self, keeper: delegations.Delegations,
                 caller: trusts.Caller, project_id: str) -> None:
        self._keeper = keeper
        self._caller = caller
        self._project_id = project_id
        self._made: delegations.Prepared | None = None
        self.retires = False

    def run(self, work: Callable[[], Result]) -> Result:
        """Do what may give jobs the trust, and delete what that retires.

        :param work: a transaction; what it has done is undone when it has to
            be begun again
        :raises freezer_api.trusts.TrustRefused: when the caller cannot
            delegate and has to
        :raises freezer_api.trusts.KeystoneAway: when Keystone cannot be asked
        :raises freezer_api.api.errors.ApiError: 409 when the trust vanishes
            each time
        """
        result = self._attempts(work)
        if self.retires:
            self._keeper.delete_retired(self._project_id)
        return result

    def _attempts(self, work: Callable[[], Result]) -> Result:
        for _ in range(_ATTEMPTS):
            self._made = None
            with contextlib.suppress(delegations.Vanished):
                return work()
            with (contextlib.suppress(delegations.Vanished),
                  self._keeper.prepared(
                      self._caller, self._project_id) as self._made):
                # What it takes the place of may be of no use any more.
                self.retires = True
                return work()
        raise errors.ApiError(
            '409 Conflict', 'Conflict',
            'The job was changed by somebody else meanwhile. Try again.',
            'concurrent_change')

    def may_delegate(self) -> bool:
        """Return whether a trust of the caller could be asked for."""
        return self._keeper.may_delegate(self._caller, self._project_id)

    def give(self, session: orm.Session, job: models.Job, now: int,
             new: bool = False) -> None:
        """Let a job run with the caller's trust.

        :param new: it has had none before
        """
        self.retires |= not new
        trust = self._made or self._keeper.standing(
            self._caller, self._project_id)
        trust.attach(session, job, now, new)
