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

"""Documents that are parsed before a transaction and looked up in it.

The author of a document determines how long it takes to parse it, and a
transaction holds locks. So a transaction parses no document: it looks up the
result. If the database has a document that is not parsed yet, the transaction
ends without a change, the document is parsed, and the transaction begins
again. Results for common documents are cached between requests, so this is
rare.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import json
import threading
from typing import Any
from typing import TypeVar

import cachetools

from freezer_api.db import actions
from freezer_api.domain import capabilities
from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules
from freezer_api import errors

Result = TypeVar('Result')

# Concurrent changes can replace the documents again and again.
_ATTEMPTS = 10

# Maximum of cached actions, and the maximum size of one: users determine the
# values of an action.
_KEPT = 1024
_MOST_NEEDS = 8
_LONGEST_VALUE = 64


class Unread(Exception):
    """A transaction needs documents that are not parsed yet."""


@dataclasses.dataclass(frozen=True)
class Action:
    """A parsed freezer_action. It does not depend on the time.

    :ivar problem: why it cannot be carried out, None if it can
    :ivar problem_if_new: the same for a new action; a stored one may break a
        newer rule
    :ivar volumes: number of volumes in its list
    :ivar needs: the capabilities that it needs
    """

    problem: str | None
    problem_if_new: str | None
    volumes: int
    needs: capabilities.Needs

    @property
    def is_small(self) -> bool:
        """Whether it takes so little memory that it can be cached."""
        needs = self.needs.every
        return (self.problem is None and self.problem_if_new is None
                and len(needs) <= _MOST_NEEDS
                and all(isinstance(need.value, str)
                        and len(need.value) <= _LONGEST_VALUE
                        for need in needs))


class Known:
    """A cache of the latest parsed actions of all requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: cachetools.LRUCache[bytes, Action] = (
            cachetools.LRUCache(_KEPT))

    def get(self, key: bytes) -> Action | None:
        """Return a parsed action, None if it is not cached."""
        with self._lock:
            return self._actions.get(key)

    def keep(self, key: bytes, action: Action) -> None:
        """Cache a parsed action, unless it takes much memory."""
        if action.is_small:
            with self._lock:
                self._actions[key] = action


class Readings:
    """The documents of a request, each parsed once.

    The total cost is limited, see
    :mod:`freezer_api.domain.near_keys`.

    :param project_id: the project of the request
    :param now: epoch seconds
    :param known: the cache of all requests
    """

    def __init__(self, project_id: str, now: int, known: Known) -> None:
        self._project_id = project_id
        self._now = firing_plan.aware(now)
        self._compared = cinder_keys.comparisons()
        self._known = known
        self._actions: dict[bytes, Action] = {}
        self._schedules: dict[bytes, schedules.ScheduleError | None] = {}
        self._wanted: list[Callable[[], None]] = []

    def run(self, work: Callable[[], Result]) -> Result:
        """Run a transaction, after parsing the documents that it needs.

        :param work: the transaction, which is rolled back if it raises Unread
        :raises freezer_api.errors.ApiError: 409 if each attempt needs other
            documents
        """
        for _ in range(_ATTEMPTS):
            self._wanted.clear()
            try:
                return work()
            except Unread:
                for read in self._wanted:
                    read()
        raise errors.ApiError(
            'concurrent_change', 'The documents were changed by other '
            'requests meanwhile. Try again.')

    def prepare(self, sent: Mapping[str, Any],
                minimums: Iterable[int] = ()) -> None:
        """Parse the document of a job before its effect is known.

        :param sent: a validated document
        :param minimums: the minimum intervals of clients, in seconds
        """
        for entry in sent.get('job_actions') or ():
            if entry.get('freezer_action'):
                self.prepare_action(entry['freezer_action'])
        for minimum in minimums:
            self.prepare_schedule(sent.get('job_schedule') or {}, minimum)

    def prepare_action(self, document: Mapping[str, Any]) -> None:
        """Parse a freezer_action of a request."""
        shown = actions.shown(document)
        key = _key(self._project_id, shown)
        if self._known.get(key) is None:
            self._read_action(key, shown)

    def prepare_schedule(self, document: Mapping[str, Any],
                         minimum: int = 0) -> None:
        """Parse a schedule of a request.

        :param minimum: see :meth:`check_schedule`
        """
        user, _ = job_state.split_schedule(document)
        self._read_schedule(_key(user, True, minimum), user, True, minimum)

    def of_actions(
            self, wanted: Sequence[actions.AnyAction]) -> list[Action]:
        """Return parsed actions.

        :raises Unread: if some are not parsed
        """
        found = []
        by_id: dict[str, Action | None] = {}
        for action in wanted:
            if action.id not in by_id:
                by_id[action.id] = self._of_action(
                    actions.freezer_action(action))
            found.append(by_id[action.id])
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            raise Unread
        return known

    def check_schedule(self, user: dict[str, Any], new: bool,
                       minimum: int) -> None:
        """Refuse a schedule that a job must not have.

        :param new: whether it differs from the stored one
        :param minimum: minimum seconds between two firings, 0 for no minimum
        :raises Unread: if it is not parsed
        :raises freezer_api.domain.schedule.ScheduleError: with the reason
        """
        key = _key(user, new, minimum)
        if key not in self._schedules:
            self._wanted.append(
                lambda: self._read_schedule(key, user, new, minimum))
            raise Unread
        problem = self._schedules[key]
        if problem is not None:
            raise problem

    def _of_action(self, document: dict[str, Any]) -> Action | None:
        key = _key(self._project_id, document)
        found = self._actions.get(key) or self._known.get(key)
        if found is None:
            self._wanted.append(lambda: self._read_action(key, document))
        return found

    def _read_action(self, key: bytes, document: dict[str, Any]) -> None:
        volumes = 0
        problem = if_new = None
        try:
            cinder_action.check(document, self._project_id, self._now,
                                new=False, compared=self._compared)
            volumes = cinder_action.volumes_named(document)
        except cinder_action.Unusable as error:
            problem = if_new = str(error)
        else:
            if_new = _wrong_mark(document)
        found = Action(problem, if_new, volumes,
                       capabilities.read_needs(document))
        self._actions[key] = found
        # The keys of later actions are not compared.
        if not self._compared.exhausted:
            self._known.keep(key, found)

    def _read_schedule(self, key: bytes, user: dict[str, Any], new: bool,
                       minimum: int) -> None:
        problem = None
        try:
            if new:
                schedules.check_new(user)
            if minimum:
                schedules.check_interval(user, minimum)
        except schedules.ScheduleError as error:
            problem = error
        self._schedules[key] = problem


def _wrong_mark(document: dict[str, Any]) -> str | None:
    try:
        cinder_action.check_marks(document)
    except cinder_action.Unusable as error:
        return str(error)
    return None


def _key(*values: Any) -> bytes:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()
