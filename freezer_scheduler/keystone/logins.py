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

"""Logins with trusts, in threads of their own.

Keystone may hang for the users of one domain, such as one with a slow LDAP
server. So no worker logs in. A run that needs a token waits without a slot
and without a worker; all runs of one trust wait for one login. The bulkhead,
see :mod:`freezer_scheduler.runs.bulkhead`, keeps the logins of the other
projects going.

No lock is held during a login.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import functools
import threading

from oslo_log import log as logging

from freezer_api.domain import fair_share
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.keystone import sessions as keystone_sessions
from freezer_scheduler.keystone import tokens
from freezer_scheduler.runs import bulkhead

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class _Login:
    """A queued or current login, and the callbacks that wait for it."""

    trust_id: str
    project_id: str
    wakes: list[Callable[[], None]] = dataclasses.field(default_factory=list)


def _in_a_thread(task: Callable[[], None]) -> None:
    threading.Thread(target=task, name='login', daemon=True).start()


class Logins:
    """The queue of logins, a project at a time.

    :param start: runs a task in another thread
    """

    def __init__(self, identity: keystone_sessions.Identity,
                 sizes: bulkhead.Sizes, clock: scheduler_clock.Clock,
                 start: Callable[[Callable[[], None]], None] = _in_a_thread,
                 ) -> None:
        self._identity = identity
        self._clock = clock
        self._start = start
        self._bulkhead = bulkhead.Bulkhead[_Login](sizes)
        self._changed = threading.Condition()
        self._logins: dict[str, _Login] = {}
        self._queued = fair_share.FairShare[str, _Login]()
        self._stopping = False

    def needed(self, trust_id: str, project_id: str, submits: bool,
               wake: Callable[[], None]) -> bool:
        """Queue a login with a trust if its token is due.

        :param submits: whether the token must last for a backup
        :param wake: called in another thread when the login has succeeded or
            failed
        :returns: whether a login is due; if not, ``wake`` is never called
        """
        with self._changed:
            login = self._logins.get(trust_id)
            if self._identity.token(trust_id, submits) is not (
                    tokens.Token.DUE):
                return False
            if login is None:
                login = self._logins[trust_id] = _Login(trust_id, project_id)
                self._queued.add(project_id, login)
                self._changed.notify()
            login.wakes.append(wake)
        return True

    def work(self) -> None:
        """Start logins until :meth:`stop`."""
        while self.start_next(wait=True):
            pass

    def stop(self) -> None:
        """Start no more logins; current ones continue."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def start_next(self, wait: bool = False) -> bool:
        """Start the next login that may begin.

        :param wait: whether to wait for one
        :returns: whether one was started; with ``wait``, False after a stop
        """
        with self._changed:
            login = None
            while not self._stopping and (
                    login := self._begin_next()) is None and wait:
                self._changed.wait(
                    self._bulkhead.until_slow(self._clock.monotonic())
                    if self._queued else None)
        if login is None:
            return False
        self._start(functools.partial(self._run, login))
        return True

    def _begin_next(self) -> _Login | None:
        """Take the next login that may begin from the queue, if any."""
        now = self._clock.monotonic()
        self._bulkhead.become_slow(now)
        login = None if self._bulkhead.full() else self._queued.next(
            lambda queued: self._bulkhead.may_begin(queued.project_id))
        if login is not None:
            self._bulkhead.begin(login, login.project_id, now)
        return login

    def _run(self, login: _Login) -> None:
        """Log in; the target of a login thread."""
        try:
            self._log_in(login)
        # No caller could log it. The login has failed, and the waiting runs
        # have been woken.
        except Exception:
            LOG.exception('An error in the scheduler while logging in for '
                          'project %s', login.project_id)

    def _log_in(self, login: _Login) -> None:
        try:
            self._identity.log_in(login.trust_id)
        finally:
            with self._changed:
                self._bulkhead.end(login, self._clock.monotonic())
                del self._logins[login.trust_id]
                self._changed.notify()
            # Without our lock, because the callbacks lock the table of runs.
            # If one fails, the others are still called.
            with contextlib.ExitStack() as wakes:
                for wake in reversed(login.wakes):
                    wakes.callback(wake)
