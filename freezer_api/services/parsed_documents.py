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

"""What documents say, read before a transaction and looked up in it.

How long it takes to read a document is up to the user who wrote it, and a
transaction holds locks. So a transaction reads no document: it looks up what
was read before. Where the database holds a document that was not read yet,
the transaction ends without a change, the document is read, and the
transaction begins again. What common documents say is kept between requests,
so that this is rare.
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

# A change may come upon other documents than before, as often as another
# change comes between.
_ATTEMPTS = 10

# Readings that are kept, and how large one of them may be: a user decides on
# the values of an action.
_KEPT = 1024
_MOST_NEEDS = 8
_LONGEST_VALUE = 64


class Unread(Exception):
    """A transaction needs documents that were not read yet."""


@dataclasses.dataclass(frozen=True)
class Action:
    """What a freezer_action says. It does not depend on the time.

    :ivar problem: why it cannot be carried out, None where it can
    :ivar problem_if_new: likewise, for an action that is written now; a
        stored one may break a rule that is younger
    :ivar volumes: number of volumes that it names in a list
    :ivar needs: what it needs of a client
    """

    problem: str | None
    problem_if_new: str | None
    volumes: int
    needs: capabilities.Needs

    @property
    def is_small(self) -> bool:
        """Whether it takes so little memory that it may be kept."""
        needs = self.needs.every
        return (self.problem is None and self.problem_if_new is None
                and len(needs) <= _MOST_NEEDS
                and all(isinstance(need.value, str)
                        and len(need.value) <= _LONGEST_VALUE
                        for need in needs))


class Known:
    """What the actions of earlier requests say, the latest ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: cachetools.LRUCache[bytes, Action] = (
            cachetools.LRUCache(_KEPT))

    def get(self, key: bytes) -> Action | None:
        """Return what an action says, None where that is not known."""
        with self._lock:
            return self._actions.get(key)

    def keep(self, key: bytes, action: Action) -> None:
        """Keep what an action says, unless it takes much memory."""
        if action.is_small:
            with self._lock:
                self._actions[key] = action


class Readings:
    """The documents that a request reads, each once.

    The cost of all of them together is bounded, see
    :mod:`freezer_api.domain.near_keys`.

    :param project_id: the project of the request
    :param now: epoch seconds
    :param known: what is kept between requests
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
        """Do work that looks readings up, and read what it misses.

        :param work: a transaction; what it has done is undone when it raises
        :raises freezer_api.errors.ApiError: 409 when each attempt comes
            upon other documents
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
        """Read a document of a job before it is known what it changes.

        :param sent: a checked document
        :param minimums: the least seconds between two firings that the
            clients of the project may have
        """
        for entry in sent.get('job_actions') or ():
            if entry.get('freezer_action'):
                self.prepare_action(entry['freezer_action'])
        for minimum in minimums:
            self.prepare_schedule(sent.get('job_schedule') or {}, minimum)

    def prepare_action(self, document: Mapping[str, Any]) -> None:
        """Read a freezer_action that a request holds."""
        shown = actions.shown(document)
        key = _key(self._project_id, shown)
        if self._known.get(key) is None:
            self._read_action(key, shown)

    def prepare_schedule(self, document: Mapping[str, Any],
                         minimum: int = 0) -> None:
        """Read a schedule that a request holds.

        :param minimum: see :meth:`check_schedule`
        """
        user, _ = job_state.split_schedule(document)
        self._read_schedule(_key(user, True, minimum), user, True, minimum)

    def of_actions(
            self, wanted: Sequence[actions.AnyAction]) -> list[Action]:
        """Return what actions say.

        :raises Unread: when some were not read
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
        """Refuse a schedule that a job may not have.

        :param new: whether it is not the stored one
        :param minimum: least seconds between two firings, 0 for any
        :raises Unread: when it was not read
        :raises freezer_api.domain.schedule.ScheduleError: saying why
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
        # Later ones were not compared with the known keys.
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
