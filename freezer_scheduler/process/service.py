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

"""The scheduler as a process: its threads, signals, start and end."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import functools
import itertools
import threading

from oslo_config import cfg
from oslo_log import log as logging
import prometheus_client

from freezer_config import errors
from freezer_scheduler import app
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines.agent import files as agent_files
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import registration
from freezer_scheduler.keystone import sessions
from freezer_scheduler import log_context
from freezer_scheduler.process import signals
from freezer_scheduler.process import systemd
from freezer_scheduler.runs import bulkhead
from freezer_scheduler.runs import executor
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.sources import base
from freezer_scheduler.sources import reporter
from freezer_scheduler.telemetry import monitor
from freezer_scheduler.telemetry import status

LOG = logging.getLogger(__name__)

# Fatal: retrying cannot help.
_FATAL = (freezer_client.NoClaims, freezer_client.ApiRefused,
          freezer_client.LoginRefused, freezer_client.CatalogueRefused)
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 30.0
# One waits for an answer while the other gathers reports.
_REPORTERS = 2


class Service:
    """A scheduler, of either mode.

    :param environ: environment variables, which can hold parts of the account
    :param hostname: name of this machine, for the records of backups
    :param signal_source: gives the requests to stop and to reload
    :ivar refused: why the scheduler cannot start; empty if it can
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 settings: scheduler_settings.Settings,
                 environ: Mapping[str, str],
                 hostname: str, clock: scheduler_clock.Clock,
                 signal_source: signals.SignalSource) -> None:
        self._conf = conf
        self._hostname = hostname
        self._clock = clock
        self._signals = signal_source
        self._settings = self._first = settings
        self._environ = environ
        self._notify = systemd.Notifier(environ)
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        # With one project there are no others to protect.
        self._sizes = bulkhead.Sizes.of_pool(
            settings.workers, settings.service_mode, settings.request_timeout)
        self._workers = itertools.count()
        self._runs = run_table.RunTable(clock, self._run_limits, self._sizes,
                                        self._start_worker)
        self.registry = prometheus_client.CollectorRegistry()
        self._observer = monitor.Monitor(clock, self.registry)
        self._parts = parts = app.Assembly(
            lambda: self._settings, environ, hostname, clock, self._runs,
            self._observer)
        self._source = parts.source
        self._executor = parts.executor
        self._reporter = reporter.Reporter(
            self._source, self._observer.reported,
            lambda claimed, answer: self._runs.done(
                claimed, parts.executor.answered(claimed, answer)))
        self.refused = ''
        self._observer.look_at(self._runs, self._run_limits)

    def status(self) -> dict[str, object]:
        """Return the status document, see :mod:`.telemetry.status`."""
        return status.document(
            self._parts.scheduler_id, self._source.interval, self._first,
            self._observer.facts(), self._runs, self._run_limits())

    def run(self) -> int:
        """Work until a stop is requested; return the exit status."""
        for notice in self._settings.notices:
            LOG.warning('%s', notice)
        try:
            self._parts.files.open()
        except agent_files.Unsafe as error:
            return self._refuse(f'[scheduler] agent_dir: {error}')
        status = self._begin()
        if status is None:
            self._spawn()
            self._notify.ready()
            while self._signals.wait() is not signals.Signal.STOP:
                self._notify.reloading()
                self._reload()
                self._notify.ready()
            self._notify.stopping()
            self._end()
        self._parts.agent.close(threading.Event().wait)
        return status or 0

    def _begin(self) -> int | None:
        """Register, and retry while the API or Keystone is unavailable.

        :returns: an exit status, or None once it is registered
        """
        backoff = _FIRST_BACKOFF
        while True:
            try:
                self._source.begin()
                return None
            except freezer_client.ApiError as error:
                problem: freezer_client.ApiError = error
            if isinstance(problem, _FATAL):
                # Tell a wrong project from a wrong password.
                if isinstance(problem, freezer_client.LoginRefused) and (
                        sessions.Identity(self._settings).is_known()):
                    problem = freezer_client.NoRoleInProject()
                return self._refuse(str(problem))
            LOG.warning('Cannot register yet, next try in %d seconds: %s',
                        backoff, problem)
            self._notify.status(f'cannot register yet: {problem}')
            if self._signals.wait(backoff) is signals.Signal.STOP:
                return 0
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    def _refuse(self, reason: str) -> int:
        """Note why the scheduler cannot start; return the exit status."""
        self.refused = reason
        LOG.critical('Cannot start: %s', reason)
        return 1

    def _spawn(self) -> None:
        for _ in range(self._sizes.fast):
            self._start_worker()
        if self._settings.service_mode:
            self._thread('logins', self._parts.logins.work)
        for number in range(_REPORTERS):
            self._thread(f'reports-{number}', self._report)
        self._thread('claims', self._claim)
        for task in self._source.periodic_tasks:
            self._thread(task.name, functools.partial(self._repeat, task))

    def _start_worker(self) -> None:
        """Start a worker, at start or in place of one that hangs."""
        self._thread(f'worker-{next(self._workers)}', self._work)

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        # A daemon thread does not block the end of the process.
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (claimed := self._runs.take()) is not None:
            after = None
            with log_context.of(claimed.run):
                if self._runs.stopping:
                    self._executor.release(claimed)
                else:
                    after = self._executor.advance(
                        claimed, self._reporter.take)
            if after is not executor.HANDED_OFF:
                self._runs.done(claimed, after)
        if not self._runs.stopping:
            self._threads.remove(threading.current_thread())

    def _report(self) -> None:
        while True:
            try:
                if not self._reporter.send():
                    return
            # The runs have their reports back and retry. Without this clause
            # the thread would end, and no run would be reported any more.
            except Exception:
                LOG.exception('An error in the scheduler while reporting')

    def _claim(self) -> None:
        while not self._ending.is_set():
            more = False
            try:
                more = self._source.tick()
            # Leases must be renewed whatever the error is.
            except Exception:
                LOG.exception('An error in the scheduler while claiming')
            if not more:
                self._source.rest(self._ending.wait)

    def _repeat(self, periodic: base.PeriodicTask) -> None:
        failed = False
        while not self._ending.wait(periodic.interval):
            try:
                periodic.task()
                failed = False
            except freezer_client.ApiError as error:
                # Log it once: failing claims are logged as well.
                if not failed:
                    LOG.warning('Cannot %s: %s', periodic.what, error)
                failed = True
            # Runs do not depend on it, and the next attempt may succeed.
            except Exception:
                LOG.exception('An error in the scheduler: cannot %s',
                              periodic.what)
                failed = False

    def _reload(self) -> None:
        """Read the files again and apply the options that can change."""
        try:
            self._conf.mutate_config_files()
            settings = scheduler_settings.load(self._conf, self._environ,
                                               self._hostname)
        except (cfg.Error, scheduler_settings.Refused) as error:
            LOG.error('The configuration is not reloaded: %s',
                      errors.describe(error))
            return
        self._settings = settings
        for notice in settings.notices:
            LOG.warning('%s', notice)
        self._runs.limits_changed()
        try:
            self._source.reload(settings)
        except freezer_client.ApiError as error:
            LOG.warning('Cannot register, the heartbeat will: %s', error)
        LOG.info('Reloaded: %s',
                 registration.described(settings.capabilities))

    def _end(self) -> None:
        """Stop claiming, finish current requests, hand back the runs."""
        LOG.info('Stopping: %d runs to hand back', len(self._runs.claimed()))
        self._ending.set()
        self._parts.logins.stop()
        self._runs.stop()
        # The current request and the report after it take this long at most.
        until = self._clock.monotonic() + 2 * self._settings.request_timeout
        for thread in list(self._threads):
            if not thread.name.startswith('worker-'):
                continue
            while thread.is_alive() and self._clock.monotonic() < until:
                thread.join(0.1)
                if self._signals.wait(0) is signals.Signal.STOP:
                    until = 0
        self._reporter.stop()
        left = len(self._runs.claimed())
        if left:
            LOG.warning('%d runs could not be handed back; other schedulers '
                        'continue them when their leases expire', left)
        LOG.info('Stopped')

    def _run_limits(self) -> run_table.Limits:
        return run_table.Limits(self._settings.max_in_flight,
                                self._settings.max_in_flight_per_project)
