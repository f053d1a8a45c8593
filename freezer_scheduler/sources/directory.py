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

"""Jobs from files, for a scheduler without the Freezer API.

A file contains a job document as JSON, as a user would send it to the API. The
same rules as there say when it is due. The result of a run is only in the log:
a scheduler that starts again knows nothing of earlier runs.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import stat
import threading
import uuid

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import clock_repair
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.sources import base

LOG = logging.getLogger(__name__)

_SUFFIX = '.conf'
_LARGEST = 1024 * 1024

# Seconds by which the clock may be set back without an effect, as by NTP.
_TOLERANCE = 60

# The project of the runs of this host.
_PROJECT = 'files'

# A job without any time is run after two seconds.
_RULES = firing_plan.Rules(delay=2)


class Unusable(Exception):
    """The file contains no usable job; the text says why."""


@dataclasses.dataclass
class _Job:
    """A job with its state."""

    job_id: str
    document: Mapping[str, object]
    plan: firing_plan.Plan
    runtime: job_state.Runtime


class DirectorySource:
    """Adds the runs of jobs from files.

    :param place: a file, or a folder, of which the files ``*.conf`` are read
    """

    interval = 1.0
    periodic_tasks: tuple[base.PeriodicTask, ...] = ()

    def __init__(self, place: pathlib.Path, table: run_table.RunTable,
                 clock: scheduler_clock.Clock) -> None:
        self._place = place
        self._runs = table
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._of_run: dict[str, _Job] = {}
        # The latest times of both clocks.
        self._shown = clock.wall(), clock.monotonic()
        # Ids of jobs that were armed by a clock that was ahead.
        self._ahead: set[str] = set()

    def begin(self) -> None:
        found: dict[str, _Job] = {}
        try:
            files = list(self._files())
        except OSError as error:
            # The jobs that are known continue.
            LOG.error('%s cannot be read: %s', self._place, error.strerror)
            return
        for file in files:
            try:
                made = self._read(file)
            except Unusable as error:
                LOG.error('%s is left out: %s', file, error)
                continue
            if made.job_id in found:
                LOG.error('%s is left out: another file has its job_id',
                          file)
                continue
            found[made.job_id] = made
        with self._lock:
            for job_id, made in found.items():
                known = self._jobs.get(job_id)
                if known and known.document == made.document:
                    found[job_id] = known
            self._jobs = found
        LOG.info('%d jobs of %s', len(found), self._place)

    def reload(self, settings: scheduler_settings.Settings) -> None:
        self.begin()

    def tick(self) -> bool:
        now, room = int(self._clock.wall()), self._runs.room()
        with self._lock:
            self._repair(now)
            # A job whose file has changed waits for its run, too.
            going = {one.job_id for one in self._of_run.values()}
            due = sorted(
                (one.runtime.due_at, one.job_id)
                for one in self._jobs.values()
                if one.runtime.due_at is not None
                and one.runtime.due_at <= now and one.job_id not in going)
            runs = [self._claim(self._jobs[job_id], now)
                    for _due_at, job_id in due[:room]]
        for run in runs:
            self._runs.add(run, lease_until=float('inf'))
        return False

    def _claim(self, job: _Job, now: int) -> messages.Run:
        run_id = uuid.uuid4().hex
        job.runtime = job_state.claim(job.plan, job.runtime, run_id, now)
        self._of_run[run_id] = job
        return messages.Run(
            run_id=run_id, fence=1, project_id=_PROJECT, job_id=job.job_id,
            lease_seconds=0, event=None, steps=(), job=job.document,
            trust_id=None)

    def _repair(self, now: int) -> None:
        """Compute the firings anew after the clock was set back."""
        wall, steady = self._shown
        self._shown = self._clock.wall(), self._clock.monotonic()
        back = wall + self._shown[1] - steady - self._shown[0]
        if back > _TOLERANCE:
            LOG.warning('The clock of this host was set back by %d seconds. '
                        'The next firings of all jobs are computed anew.',
                        back)
            self._ahead = set(self._jobs)
        for job_id in list(self._ahead):
            one = self._jobs.get(job_id)
            if one is None or one.runtime.run_id is None:
                self._ahead.discard(job_id)
            if one is not None:
                one.runtime = clock_repair.repaired(
                    one.plan, one.runtime, now)

    def rest(self, wait: Callable[[float], object]) -> None:
        wait(self.interval)

    # No request can be saved.
    report_all = None

    def report(self, run_id: str, fence: int,
               report: messages.Report) -> messages.Event | None:
        if report.state is not messages.RunState.RUNNING:
            with self._lock:
                one = self._of_run.pop(run_id)
                one.runtime = job_state.finish(
                    one.plan, one.runtime, str(report.state),
                    report.reason, int(self._clock.wall()))
        for backup in report.backups:
            LOG.info('Run %s: backup %s', run_id,
                     json.dumps(backup.to_document()))
        return None

    def gone_jobs(self, run_id: str, fence: int,
                  job_ids: Collection[str]) -> frozenset[str]:
        # Other hosts may have other files.
        return frozenset()

    def _files(self) -> Iterator[pathlib.Path]:
        if self._place.is_dir():
            for file in sorted(self._place.iterdir()):
                if file.suffix.lower() == _SUFFIX:
                    yield file
        elif self._place.exists():
            yield self._place
        else:
            LOG.error('There is no %s to read jobs from', self._place)

    def _read(self, file: pathlib.Path) -> _Job:
        """Read one file.

        :raises Unusable: if it is no job, or if all users can write to it
        """
        document = _document(file)
        schedule = document.get('job_schedule')
        if schedule is None:
            schedule = {}
        job_actions = document.get('job_actions')
        if not isinstance(schedule, dict) or not isinstance(job_actions,
                                                            list):
            raise Unusable('it needs a list job_actions, and job_schedule is '
                           'an object')
        # The ID is the same each time the file is read.
        job_id = document.get('job_id') or uuid.uuid5(
            uuid.NAMESPACE_URL, file.absolute().as_uri()).hex
        if not isinstance(job_id, str) or not job_id.isprintable():
            raise Unusable('job_id is not a text')
        user, runtime = job_state.split_schedule(schedule)
        try:
            plan = firing_plan.Plan(user, job_id, _RULES)
            made = job_state.create(plan, runtime, int(self._clock.wall()),
                                    supports_claims=True)
            _check_names(job_actions)
        except (schedules.ScheduleError, cinder_action.Unusable) as error:
            raise Unusable(str(error)) from None
        named = [{'action_id': f'action-{number}', **action}
                 if isinstance(action, dict) else action
                 for number, action in enumerate(job_actions, start=1)]
        return _Job(job_id, {**document, 'job_actions': named}, plan, made)


def _check_names(job_actions: list[object]) -> None:
    """Refuse misspelled keys, as the API does when an action is written."""
    compared = cinder_keys.comparisons()
    for action in job_actions:
        freezer_action = (action.get('freezer_action')
                          if isinstance(action, dict) else None)
        if cinder_action.concerns(freezer_action):
            cinder_keys.check_names(freezer_action, compared)


def _document(file: pathlib.Path) -> dict[str, object]:
    try:
        # Opening a pipe without a writer must not block.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, 'rb') as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unusable('it is not a file')
            if status.st_mode & 0o002:
                raise Unusable('everybody may write to it, and it says what '
                               'is run here')
            if (file.parent.stat().st_mode & 0o002
                    and status.st_uid not in (0, os.geteuid())):
                raise Unusable('everybody may write to its folder, and it '
                               'belongs to another user')
            text = stream.read(_LARGEST + 1)
    except OSError as error:
        raise Unusable(str(error.strerror)) from None
    if len(text) > _LARGEST:
        raise Unusable(f'it is longer than {_LARGEST} bytes')
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable(f'it is no JSON: {error}') from None
    if not isinstance(document, dict):
        raise Unusable('it is not an object')
    return document
