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

"""What the operations of the cinder-native engine have in common.

An operation is the work on one action, or on one volume of an action of
several volumes. The engine creates an :class:`Operation` for each call. It
does the next thing, or waits for an unavailable service, and returns the new
step.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import threading
import typing

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import containers as cinder_containers
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

GoneJobs = Callable[[str, int, Collection[str]], frozenset[str]]

_State = messages.StepState

# How often Cinder is asked to make something within one try.
MOST_POSTS = 3

_FIRST_WAIT = 0.5
_GROWTH = 1.5

# Status of a volume while Cinder does something with it that will end.
BUSY = frozenset((
    'creating', 'backing-up', 'restoring-backup', 'downloading', 'uploading',
    'attaching', 'detaching', 'extending', 'retyping', 'reserved',
    'reverting', 'maintenance', 'awaiting-transfer'))


class VolumeLock:
    """Allows one request about a volume at a time.

    Cinder checks whether a volume is busy, and marks it so a moment later. It
    accepts two requests that come between, and makes two backups of the volume
    at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._volumes: set[str] = set()

    @contextlib.contextmanager
    def alone(self, volume_id: str) -> Iterator[bool]:
        """Yield whether no other thread sends a request about the volume."""
        with self._lock:
            alone = volume_id not in self._volumes
            self._volumes.add(volume_id)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._volumes.discard(volume_id)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds."""

    backup_timeout: float
    busy_timeout: float
    poll_interval: float
    request_timeout: float
    lease_needed: float

    @property
    def settle(self) -> float:
        """Time after which a request that was lost cannot arrive."""
        return self.request_timeout + 5


@dataclasses.dataclass(frozen=True)
class Dependencies:
    """What the operations work with.

    :ivar gone_jobs: returns those of the ids that are certainly no job of a
        run's project any more; takes the run's id and fence
    :ivar old_backup: counts an old backup that was to be deleted; takes
        whether it was
    """

    clients: Callable[[str], cinder_client.CinderClient]
    clock: scheduler_clock.Clock
    limits: Callable[[], Limits]
    hostname: str
    containers: Callable[[], cinder_containers.Containers] = (
        cinder_containers.Containers)
    volume_lock: VolumeLock = dataclasses.field(default_factory=VolumeLock)
    gone_jobs: GoneJobs = lambda _run_id, _fence, _marks: frozenset()
    old_backup: Callable[[bool], None] = lambda _deleted: None


@dataclasses.dataclass(frozen=True)
class Wait:
    """A wait that grows.

    :ivar since: when it began, in seconds of the monotonic clock
    :ivar after: seconds until the next call
    """

    since: float
    after: float = _FIRST_WAIT

    def longer(self, most: float) -> Wait:
        return dataclasses.replace(
            self, after=min(self.after * _GROWTH, most))


@dataclasses.dataclass(frozen=True)
class EngineState:
    """What this process knows beyond the stored step.

    :ivar unavailable: whether the last request reached neither Keystone nor
        Cinder
    :ivar ready: whether the intent of a request is stored, and certainly no
        such request was sent
    :ivar nothing_since: when a request with an unknown outcome was first seen
        to have done nothing
    """

    wait: Wait
    _: dataclasses.KW_ONLY
    unavailable: bool = False
    ready: bool = False
    nothing_since: float | None = None


class Operation:
    """One call of the engine about one action or one volume."""

    _known: type[EngineState] = EngineState
    _engine_state: EngineState

    def __init__(self, dependencies: Dependencies,
                 context: base.ActionContext) -> None:
        self._dependencies = dependencies
        self._context = context
        self._aborting = context.aborting
        self._step = context.step
        self._limits = dependencies.limits()
        self._client = dependencies.clients(context.trust_id)
        engine_state = context.engine_state
        # Of what another process began, only the stored step is known.
        self._engine_state = (
            engine_state if isinstance(engine_state, self._known)
            else self._known(Wait(self._now())))

    def go_on(self) -> base.Progress:
        """Do the next thing, towards the end or, aborting, an early one."""
        try:
            return self._next()
        except cinder_action.Unusable as error:
            return self._give_up(str(error), retry=False)
        except (cinder_client.NotSent, cinder_client.Unknown) as error:
            unavailable = str(error)
            # Nothing is under way, and waiting makes no endpoint.
            if (isinstance(error, cinder_client.NoEndpoint)
                    and self._step.state is _State.PENDING):
                return self._give_up(unavailable, retry=True)
        except cinder_client.CinderError as error:
            return self._give_up(
                str(error), retry=isinstance(error, cinder_client.Refused))
        if self._over():
            return self._give_up(unavailable, retry=True)
        if not self._engine_state.unavailable:
            LOG.warning('%s; trying again', unavailable)
        if self._step.state is _State.PENDING:
            # So that the user sees why nothing happens.
            self._step = dataclasses.replace(
                self._step, reason=f'waits: {unavailable}')
        return self._again(unavailable=True)

    def _next(self) -> base.Progress:
        raise NotImplementedError

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        """End as failed.

        :param retry: whether another try may succeed
        """
        return base.Progress(self._ended(_State.FAIL, reason), retry=retry)

    def _over(self) -> bool:
        """Return whether Keystone or Cinder was unavailable for too long.

        Where Cinder may be at work, that is as long as a backup may take.
        """
        if self._step.state is _State.PENDING or self._engine_state.ready:
            return self._waited > self._limits.busy_timeout
        return self._too_long

    def _again(self, **changes: typing.Any) -> base.Progress:
        """Ask for the next call after a wait, which grows each time.

        :param changes: of the engine state
        """
        wait = self._engine_state.wait.longer(self._limits.poll_interval)
        changes = {'wait': wait, 'unavailable': False, **changes}
        return base.Progress(
            self._step, after=wait.after, engine_state=dataclasses.replace(
                self._engine_state, **changes))

    def _at_once(self, *backups: messages.Backup,
                 **changes: typing.Any) -> base.Progress:
        """Ask for the next call as soon as the step is stored.

        :param backups: records to store with it
        :param changes: of the engine state
        """
        return base.Progress(
            self._step, backups=backups, engine_state=dataclasses.replace(
                self._engine_state, **changes))

    def _resolve_soon(self) -> base.Progress:
        """Ask for a call that resolves the unknown outcome of a request."""
        return self._again(ready=False, nothing_since=None,
                           wait=Wait(self._now(), after=1))

    def _settled(self) -> bool:
        """Return whether a request that did nothing so far can do no more.

        That counts from the first call of this method.
        """
        since, now = self._engine_state.nothing_since, self._now()
        if since is None:
            self._engine_state = dataclasses.replace(self._engine_state,
                                                     nothing_since=now)
        return since is not None and now - since >= self._limits.settle

    @property
    def _volume_id(self) -> str:
        return self._step.volume_id or ''

    def _now(self) -> float:
        return self._dependencies.clock.monotonic()

    def _epoch(self) -> int:
        return int(self._dependencies.clock.wall())

    def _action(self) -> cinder_action.CinderAction:
        """Read the action of a single volume.

        :raises freezer_api.domain.cinder_action.Unusable: when it cannot be
            carried out
        """
        return cinder_action.read(self._context.freezer_action,
                                  self._context.project_id, self._due())

    def _due(self) -> datetime.datetime:
        """Return from when ages of backups count back, and what names show.

        The clock of this host is used only where no other time is known: a
        clock that is a year ahead would make all backups old.
        """
        due = self._context.due_at
        if due is None:
            due = self._step.started_at
        return datetime.datetime.fromtimestamp(
            self._epoch() if due is None else due, datetime.UTC)

    def _gone_jobs(self, marks: frozenset[str]) -> frozenset[str]:
        """Return the marks whose jobs are certainly gone."""
        return self._dependencies.gone_jobs(self._context.run_id,
                                            self._context.fence, marks)

    def _may_write(self) -> bool:
        """Return whether a request sent now surely falls into our lease."""
        return self._context.lease_left() >= self._limits.lease_needed

    @property
    def _waited(self) -> float:
        return self._now() - self._engine_state.wait.since

    @property
    def _too_long(self) -> bool:
        """Whether a backup or restore takes longer than it may.

        That counts from when this process began to wait for it. The stored
        start is no measure: clocks jump, and those of two hosts differ. After
        a reclaim the time counts anew.
        """
        return self._waited > self._limits.backup_timeout

    def _ended(self, state: messages.StepState, reason: str | None,
               step: messages.Step | None = None) -> messages.Step:
        """Return a step, by default that of the operation, ended now."""
        return dataclasses.replace(
            step or self._step, state=state, reason=reason,
            ended_at=self._epoch(), retry_at=None)

    def _marks(self) -> dict[str, str]:
        """Return the metadata by which things made in Cinder are found."""
        step = self._step
        return {'created_by': 'freezer',
                'freezer_run_id': self._context.run_id,
                'freezer_job_id': self._context.job_id,
                'freezer_action_id': step.action_id,
                'freezer_step': f'{step.position}.{step.tries}'}

    def _has_marks(self, shown: views.Backup | views.Volume,
                   *keys: str) -> bool:
        """Return whether a backup or volume has marks of this operation.

        :param keys: of the marks; all of them without any
        """
        marks = self._marks()
        return all(marks[key] and shown.metadata.get(key) == marks[key]
                   for key in keys or marks)
