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

"""The trust of the author of a change.

A change of what a job with a trust does, or when, needs a token that could
create the trust, even if the trust exists: otherwise a token with limited time
or limited permissions would gain the permissions of the trust.

Usually the trust exists, or none is needed. If the transaction finds that one
is missing, it begins again after the trust was created.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from typing import TypeVar

from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import trusts as db_trusts
from freezer_api.db import usage
from freezer_api.domain import suspension
from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.services import dependencies
from freezer_api.services import trusts as trust_service

Result = TypeVar('Result')

_ATTEMPTS = 3


class TrustForChange:
    """A caller's trust, for one change of a project's jobs."""

    def __init__(self, services: dependencies.Services,
                 caller: trusts.Caller, project_id: str) -> None:
        self._conf = services.conf
        self._trusts = services.trusts
        self._caller = caller
        self._project_id = project_id
        self._made: trust_service.Prepared | None = None
        # Whether a trust may have lost its last job.
        self._retires = False

    def run(self, work: Callable[[], Result]) -> Result:
        """Run a transaction that may need the trust; delete retired trusts.

        :param work: the transaction; it is rolled back if it must begin again
        :raises freezer_api.keystone.trusts.TrustRefused: if the caller must
            create a trust and cannot
        :raises freezer_api.keystone.trusts.KeystoneUnavailable: if Keystone
            does not answer
        :raises freezer_api.errors.ApiError: 409 if the trust vanishes in each
            attempt
        """
        result = self._attempts(work)
        if self._retires:
            self._trusts.delete_retired(self._project_id)
        return result

    def _attempts(self, work: Callable[[], Result]) -> Result:
        for _ in range(_ATTEMPTS):
            self._made = None
            with contextlib.suppress(trust_service.Vanished):
                return work()
            with (contextlib.suppress(trust_service.Vanished),
                  self._trusts.prepared(
                      self._caller, self._project_id) as self._made):
                # The trust that it replaces may be useless then.
                self._retires = True
                return work()
        raise errors.ApiError(
            'concurrent_change',
            'Another request changed the job meanwhile. Try again.')

    def may_delegate(self) -> bool:
        """Return whether the caller's token can create a trust."""
        return self._trusts.may_delegate(self._caller, self._project_id)

    def is_wanted(self, client: clients.AnyClient) -> bool:
        """Return whether jobs of a client run with a trust."""
        return self._conf.service_mode.enabled and (
            bool(client.is_central) or self._conf.service_mode.enforce_trusts)

    def is_due(self, client: clients.AnyClient,
               job_trust: db_trusts.JobTrust | None) -> bool:
        """Return whether a job must be given the caller's trust.

        It need not where it has that already, unless the trust is invalid.

        :param client: the job's
        :param job_trust: whose trust the job has
        """
        return self.is_wanted(client) and self._is_others(job_trust)

    def is_kept(self, client: clients.AnyClient,
                job_trust: db_trusts.JobTrust | None,
                suspension_reason: str | None) -> bool:
        """Return whether the caller may change a job, and its trust stays.

        :param client: the job's
        :param job_trust: whose trust the job has
        :param suspension_reason: of the job; without a trust it would resume
        """
        if self.is_wanted(client):
            return not self._is_others(job_trust) and self.may_delegate()
        return job_trust is None and suspension_reason is None

    def _is_others(self, job_trust: db_trusts.JobTrust | None) -> bool:
        return (job_trust is None or job_trust.invalid
                or job_trust.trustor_user_id != self._caller.user_id)

    def require(self, client: clients.AnyClient | None,
                job_trust: db_trusts.JobTrust | None) -> None:
        """Refuse a token that cannot create a trust, if a job needs one.

        :param client: the job's, None where it is not there any more
        :param job_trust: whose trust the job has
        :raises freezer_api.keystone.trusts.TrustRefused: when the job has a
            trust, or its client needs one, and the caller's token could make
            none
        """
        if job_trust is not None or (
                client is not None and self.is_wanted(client)):
            self._trusts.check_caller(self._caller, self._project_id)

    def give(self, session: orm.Session, job: models.Job,
             client: clients.AnyClient | None,
             job_trust: db_trusts.JobTrust | None, now: int,
             new: bool = False) -> None:
        """Let a job that does something else run with the caller's trust.

        A trust that the job no longer needs is taken from it.

        :param client: the job's, None where it is not there any more
        :param job_trust: whose trust the job has
        :param now: epoch seconds
        :param new: it has had none before
        :raises freezer_api.keystone.trusts.TrustRefused: see :meth:`require`
        """
        self.require(client, job_trust)
        if client is None or self.is_wanted(client):
            if self._is_others(job_trust) and (
                    client is not None or job_trust is not None):
                self.attach(session, job, now, new)
        elif not new:
            if job_trust is not None:
                self.take(session, job, now)
            jobs.set_runtime(job, suspension.resume(jobs.runtime(job), now))

    def attach(self, session: orm.Session, job: models.Job, now: int,
               new: bool = False) -> None:
        """Let a job run with the caller's trust.

        :param new: it has had none before
        """
        self._retires |= not new
        trust = self._made or self._trusts.cached(
            self._caller, self._project_id)
        try:
            trust.attach(session, job, now, new)
        except trust_service.Vanished:
            # No trust is made for a change that its limits refuse.
            counted = usage.watched(session)
            if self._made is None and counted is not None:
                counted.check(session)
            raise

    def take(self, session: orm.Session, job: models.Job, now: int) -> None:
        """Take a job's trust away."""
        self._retires = True
        db_trusts.release(session, job, now)
