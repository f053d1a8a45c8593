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

"""What backup and restore have in common: ends, waits and limits."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
import datetime
import sys
import typing

from freezer_api.domain import cinder_action
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import containers as cinder_containers
from freezer_scheduler.engines.cinder import volume_lock
from freezer_scheduler.freezer import messages
from freezer_scheduler import version

GoneJobs = Callable[[str, int, Collection[str]], frozenset[str]]

_FIRST_WAIT = 0.5
_GROWTH = 1.5

# What a volume is while Cinder does something with it that will pass.
BUSY = frozenset((
    'creating', 'backing-up', 'restoring-backup', 'downloading', 'uploading',
    'attaching', 'detaching', 'extending', 'retyping', 'reserved',
    'reverting', 'maintenance', 'awaiting-transfer'))


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
    """What the cinder-native steps work with.

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
    requests: volume_lock.Requests = dataclasses.field(
        default_factory=volume_lock.Requests)
    gone_jobs: GoneJobs = lambda _run_id, _fence, _marks: frozenset()
    old_backup: Callable[[bool], None] = lambda _deleted: None


@dataclasses.dataclass(frozen=True)
class Wait:
    """A wait that grows.

    :ivar since: when it began, by the monotonic clock
    :ivar after: seconds until the next look
    """

    since: float
    after: float = _FIRST_WAIT

    def longer(self, most: float) -> Wait:
        return dataclasses.replace(
            self, after=min(self.after * _GROWTH, most))


class CinderStep:
    """One call of the engine about one order."""

    def __init__(self, dependencies: Dependencies,
                 context: base.ActionContext) -> None:
        self._dependencies = dependencies
        self._context = context
        self._step = context.step
        self._limits = dependencies.limits()
        self._client = dependencies.clients(context.trust_id)

    def _now(self) -> float:
        return self._dependencies.clock.monotonic()

    def _epoch(self) -> int:
        return int(self._dependencies.clock.wall())

    def _action(self) -> cinder_action.CinderAction:
        return action_of(self._context, self._dependencies.clock)

    def _due(self) -> datetime.datetime:
        return due_at(self._context, self._dependencies.clock)

    def _may_write(self) -> bool:
        """Whether a request sent now surely falls into our lease."""
        return self._context.lease_left() >= self._limits.lease_needed

    def _too_long(self, wait: Wait) -> bool:
        """Whether a backup or restore takes longer than it may.

        That counts from when this process began to wait for it. The stored
        start is no measure: clocks jump, and those of two hosts differ. So
        whoever takes a run over counts anew.
        """
        return self._waited(wait) > self._limits.backup_timeout

    def _waited(self, wait: Wait) -> float:
        return self._now() - wait.since

    def _ended(self, state: messages.StepState,
               reason: str | None) -> messages.Step:
        return ended(self._step, state, reason, self._dependencies.clock)


def action_of(context: base.ActionContext,
              clock: scheduler_clock.Clock) -> cinder_action.CinderAction:
    """Read the action of a single volume.

    :raises freezer_api.domain.cinder_action.Unusable: when it cannot be done
    """
    return cinder_action.read(context.freezer_action, context.project_id,
                              due_at(context, clock))


def due_at(context: base.ActionContext,
           clock: scheduler_clock.Clock) -> datetime.datetime:
    """Return from when ages of backups count back, and what names show.

    That is never by the clock of this host, where another is known: one that
    is a year ahead would make all backups old.
    """
    due = context.due_at
    if due is None:
        due = context.step.started_at
    return datetime.datetime.fromtimestamp(
        int(clock.wall()) if due is None else due, datetime.UTC)


def ended(step: messages.Step, state: messages.StepState,
          reason: str | None, clock: scheduler_clock.Clock,
          ) -> messages.Step:
    """Return a step that has come to an end now."""
    return dataclasses.replace(step, state=state, reason=reason,
                               ended_at=int(clock.wall()), retry_at=None)


def not_used(now: int, hostname: str) -> dict[str, typing.Any]:
    """Return the parts of a record that say nothing in this mode.

    Clients of the API print and sort by them, so they are there all the same.
    """
    record: dict[str, typing.Any] = dict.fromkeys((
        'always_level', 'max_level', 'container_segments', 'dry_run',
        'path_to_backup', 'log_file', 'storage', 'engine_name', 'proxy',
        'compression', 'ssh_key', 'ssh_username', 'ssh_host', 'ssh_port',
        'consistency_checksum', 'nova_inst_id', 'cinder_vol_id',
        'cinderbrick_vol_id', 'glance_image_id'), '')
    record.update(
        time_stamp=now, hostname=hostname, curr_backup_level=0,
        fs_real_path=None, vol_snap_path=None, client_os=sys.platform,
        client_version=version.version_string())
    return record
