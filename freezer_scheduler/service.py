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
import threading
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
import prometheus_client

from freezer_scheduler import api as freezer_api
from freezer_scheduler import assembly
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines.agent import files as agent_files
from freezer_scheduler import execution
from freezer_scheduler import notify
from freezer_scheduler import registration
from freezer_scheduler import reports
from freezer_scheduler import runs
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler import signals
from freezer_scheduler import sources
from freezer_scheduler.telemetry import monitor
from freezer_scheduler.telemetry import run_context
from freezer_scheduler.telemetry import status

LOG = logging.getLogger(__name__)

# What no waiting can cure.
_FATAL = (freezer_api.NoClaims, freezer_api.ApiRefused,
          freezer_api.LoginRefused, freezer_api.CatalogueRefused)
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 30.0
# One waits for an answer while the other gathers.
_REPORTERS = 2


class Service:
    """A scheduler, of either mode.

    :param environ: where parts of the account may come from
    :param hostname: of this machine, to tell users where a backup was made
    :param wishes: where the wish to stop or to reload comes from
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 settings: scheduler_settings.Settings,
                 environ: Mapping[str, str],
                 hostname: str, clock: scheduler_clock.Clock,
                 wishes: signals.Wishes) -> None:
        self._conf = conf
        self._hostname = hostname
        self._clock = clock
        self._wishes = wishes
        self._settings = settings
        self._environ = environ
        self._notify = notify.Notifier(environ)
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._runs = runs.Runs(clock, self._run_limits)
        self.registry = prometheus_client.CollectorRegistry()
        self._observer = monitor.Monitor(clock, self.registry)
        parts = assembly.Assembly(
            lambda: self._settings, environ, hostname, clock, self._runs,
            self._observer)
        self._source = parts.source()
        self._files = parts.files
        self._agent = parts.agent()
        self._executor = parts.executor(self._source, self._agent)
        self._reporter = reports.Reporter(
            self._source, self._observer.reported, self._answered)
        self._known = status.Identity(parts.scheduler_id,
                                      self._source.interval, settings)
        self._observer.look_at(self._runs, self._run_limits)

    def status(self) -> dict[str, Any]:
        """Return how it stands, see :mod:`freezer_scheduler.telemetry`."""
        return status.document(self._known, self._observer.facts(),
                               self._runs, self._run_limits())

    def run(self) -> int:
        """Work until it is to stop; return the exit status."""
        for notice in self._settings.notices:
            LOG.warning('%s', notice)
        try:
            self._files.open()
        except agent_files.Unsafe as error:
            LOG.critical('Cannot start: [scheduler] agent_dir: %s', error)
            return 1
        status = self._begin()
        if status is None:
            self._spawn()
            self._notify.ready()
            while self._wishes.wait() is not signals.Wish.STOP:
                self._notify.reloading()
                self._reload()
                self._notify.ready()
            self._notify.stopping()
            self._end()
        self._agent.close(threading.Event().wait)
        return status or 0

    def _begin(self) -> int | None:
        """Register, however long the API and Keystone are away.

        :returns: an exit status, or None when it is done
        """
        backoff = _FIRST_BACKOFF
        while True:
            try:
                self._source.begin()
                return None
            except freezer_api.ApiError as error:
                problem: freezer_api.ApiError = error
            if isinstance(problem, _FATAL):
                LOG.critical('Cannot start: %s', problem)
                return 1
            LOG.warning('Cannot register yet, next try in %d seconds: %s',
                        backoff, problem)
            self._notify.status(f'cannot register yet: {problem}')
            if self._wishes.wait(backoff) is signals.Wish.STOP:
                return 0
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    def _spawn(self) -> None:
        settings = self._settings
        for number in range(settings.workers):
            self._thread(f'worker-{number}', self._work)
        for number in range(_REPORTERS):
            self._thread(f'reports-{number}', self._report)
        self._thread('claims', self._claim)
        for chore in self._source.chores:
            self._thread(chore.name, functools.partial(self._repeat, chore))

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        # They must not hold up an end that has waited long enough.
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (held := self._runs.take()) is not None:
            after = None
            with run_context.of(held.run):
                if self._runs.stopping:
                    self._executor.release(held)
                else:
                    after = self._executor.advance(
                        held, self._reporter.take)
            if after is not execution.ELSEWHERE:
                self._runs.done(held, after)

    def _report(self) -> None:
        more = True
        while more:
            try:
                more = self._reporter.send()
            # The runs have their reports back, and go on alone. Without this
            # the thread would end, and no run of any project be told of.
            except Exception:
                LOG.exception('An error in the scheduler while reporting')

    def _answered(self, held: runs.HeldRun, answer: reports.Answer) -> None:
        self._runs.done(held, self._executor.answered(held, answer))

    def _claim(self) -> None:
        while not self._ending.is_set():
            more = False
            try:
                more = self._source.tick()
            # Whatever it is, the leases must go on being renewed.
            except Exception:
                LOG.exception('An error in the scheduler while claiming')
            if not more:
                self._source.rest(self._ending.wait)

    def _repeat(self, chore: sources.Chore) -> None:
        failed = False
        while not self._ending.wait(chore.interval):
            problem = None
            try:
                chore.task()
            except freezer_api.ApiError as error:
                problem = str(error)
            # The runs go on without it, and it may work the next time.
            except Exception:
                LOG.exception('An error in the scheduler: cannot %s',
                              chore.what)
            # Once is enough: the claims remind of what is away.
            if problem and not failed:
                LOG.warning('Cannot %s: %s', chore.what, problem)
            failed = problem is not None

    def _reload(self) -> None:
        """Read the files again and take over what may change."""
        try:
            self._conf.mutate_config_files()
            settings = scheduler_settings.load(self._conf, self._environ,
                                               self._hostname)
        except (cfg.Error, scheduler_settings.Refused) as error:
            problem = str(error)
        else:
            self._take_over(settings)
            return
        LOG.error('The configuration is not taken over: %s', problem)

    def _take_over(self, settings: scheduler_settings.Settings) -> None:
        self._settings = settings
        for notice in settings.notices:
            LOG.warning('%s', notice)
        self._runs.limits_changed()
        problem = None
        try:
            self._source.take_over(settings)
        except freezer_api.ApiError as error:
            problem = str(error)
        if problem:
            LOG.warning('Cannot register, the heartbeat will: %s', problem)
        LOG.info('Reloaded: %s',
                 registration.described(settings.capabilities))

    def _end(self) -> None:
        """Claim no more, finish what is being sent, hand back the rest."""
        LOG.info('Stopping: %d runs to hand back', len(self._runs.held()))
        self._ending.set()
        self._runs.stop()
        # A request under way may take as long as that, and a report again.
        until = self._clock.monotonic() + 2 * self._settings.request_timeout
        for thread in self._threads:
            if not thread.name.startswith('worker-'):
                continue
            while thread.is_alive() and self._clock.monotonic() < until:
                thread.join(0.1)
                if self._wishes.wait(0) is signals.Wish.STOP:
                    until = 0
        self._reporter.stop()
        left = len(self._runs.held())
        if left:
            LOG.warning('%d runs could not be handed back; they go on '
                        'elsewhere when their leases end', left)
        LOG.info('Stopped')

    def _run_limits(self) -> runs.Limits:
        return runs.Limits(self._settings.max_in_flight,
                           self._settings.max_in_flight_per_project)
