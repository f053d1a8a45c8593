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

"""Changes that give jobs the authority of the user who makes them.

A change of what a job with a trust does, or when, needs a token that could
make the trust, even if its user made the trust long ago: otherwise a token
that is limited in time or in what it may do would gain the authority of a
trust that is not.

Mostly a user's trust is there already, or none is needed. Where it is not,
that shows in the transaction, which is begun again when one has been made.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from typing import TypeVar

from oslo_config import cfg
from sqlalchemy import orm

from freezer_api.api import errors
from freezer_api.api.v2 import assignment
from freezer_api.db import delegations as db_delegations
from freezer_api.db import models
from freezer_api.db import usage
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

    def require(self, conf: cfg.ConfigOpts, client: models.Client | None,
                given: db_delegations.Given | None) -> None:
        """Refuse a token that could not delegate, if a job has a trust.

        :param client: the job's, None where it is not there any more
        :param given: whose trust the job has
        :raises freezer_api.trusts.TrustRefused: when the job has a trust, or
            its client needs one, and the caller's token could make none
        """
        if given is not None or (
                client is not None and assignment.wants_trust(conf, client)):
            self._keeper.check_caller(self._caller, self._project_id)

    def give(self, session: orm.Session, job: models.Job, now: int,
             new: bool = False) -> None:
        """Let a job run with the caller's trust.

        :param new: it has had none before
        """
        self.retires |= not new
        trust = self._made or self._keeper.standing(
            self._caller, self._project_id)
        try:
            trust.attach(session, job, now, new)
        except delegations.Vanished:
            # No trust is made for a change that its limits refuse.
            counted = usage.watched(session)
            if self._made is None and counted is not None:
                counted.check(session)
            raise

    def take(self, session: orm.Session, job: models.Job, now: int) -> None:
        """Take a job's trust away."""
        self.retires = True
        db_delegations.release(session, job, now)
