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
import os
import secrets
import threading

from oslo_config import cfg
from oslo_log import log as logging

from freezer_scheduler import api as freezer_api
from freezer_scheduler import claims
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines import cinder
from freezer_scheduler.engines import cinder_client
from freezer_scheduler.engines import cinder_step
from freezer_scheduler import execution
from freezer_scheduler import identity as scheduler_identity
from freezer_scheduler import registration
from freezer_scheduler import runs
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler import signals

LOG = logging.getLogger(__name__)

# What no waiting can cure.
_FATAL = (freezer_api.NoClaims, freezer_api.ApiRefused,
          freezer_api.LoginRefused)
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 30.0


class Service:
    """A service-mode scheduler.

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
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        auth = settings.auth
        self._identity = scheduler_identity.Identity(settings)
        self._api = freezer_api.Api(
            self._identity.service(), scheduler_id(hostname),
            auth.endpoint_type, auth.region_name, auth.backup_url)
        self._registration = registration.Registration(
            self._api, settings.client_id, hostname, settings.capabilities)
        self._runs = runs.Runs(clock, self._run_limits)
        engine = cinder.CinderEngine(cinder_step.Tools(
            clients=lambda trust_id: cinder_client.CinderClient(
                self._identity, trust_id, auth.endpoint_type,
                auth.region_name),
            clock=clock, limits=self._cinder_limits, hostname=hostname))
        self._executor = execution.Executor(
            report=lambda run_id, fence, report: self._api.report(
                self._registration.client_id, run_id, fence, report),
            engines={'cindernative': engine},
            offered=lambda: self._registration.offered, clock=clock,
            lease_left=self._runs.lease_left, one_more=self._runs.one_more)
        self._claimer = claims.Claimer(
            self._api, self._registration, self._runs,
            lambda: self._settings, clock)

    def run(self) -> int:
        """Work until it is to stop; return the exit status."""
        for notice in self._settings.notices:
            LOG.warning('%s', notice)
        status = self._begin()
        if status is not None:
            return status
        self._spawn()
        while self._wishes.wait() is not signals.Wish.STOP:
            self._reload()
        self._end()
        return 0

    def _begin(self) -> int | None:
        """Register, however long the API and Keystone are away.

        :returns: an exit status, or None when it is done
        """
        backoff = _FIRST_BACKOFF
        while True:
            try:
                self._registration.begin()
                return None
            except freezer_api.ApiError as error:
                problem: freezer_api.ApiError = error
            if isinstance(problem, _FATAL):
                LOG.critical('Cannot start: %s', problem)
                return 1
            LOG.warning('Cannot register yet, next try in %d seconds: %s',
                        backoff, problem)
            if self._wishes.wait(backoff) is signals.Wish.STOP:
                return 0
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    def _spawn(self) -> None:
        settings = self._settings
        for number in range(settings.workers):
            self._thread(f'worker-{number}', self._work)
        self._thread('claims', self._claim)
        self._thread('heartbeat', lambda: self._repeat(
            settings.heartbeat_interval, self._registration.renew,
            'register'))
        self._thread('maintenance', lambda: self._repeat(
            settings.maintenance_interval, self._api.maintenance,
            'have pending trusts deleted'))

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        # They must not hold up an end that has waited long enough.
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (held := self._runs.take()) is not None:
            after = None
            if self._runs.stopping:
                self._executor.release(held)
            else:
                after = self._executor.advance(held)
            self._runs.done(held, after)

    def _claim(self) -> None:
        while not self._ending.is_set():
            more = False
            try:
                more = self._claimer.tick()
            # Whatever it is, the leases must go on being renewed.
            except Exception:
                LOG.exception('An error in the scheduler while claiming')
            if not more:
                self._ending.wait(self._settings.claim_interval)

    def _repeat(self, interval: float, task: Callable[[], None],
                what: str) -> None:
        failed = False
        while not self._ending.wait(interval):
            problem = None
            try:
                task()
            except freezer_api.ApiError as error:
                problem = str(error)
            # The runs go on without it, and it may work the next time.
            except Exception:
                LOG.exception('An error in the scheduler: cannot %s', what)
            # Once is enough: the claims remind of what is away.
            if problem and not failed:
                LOG.warning('Cannot %s: %s', what, problem)
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
        self._registration.offered = settings.capabilities
        self._runs.limits_changed()
        problem = None
        try:
            self._registration.renew()
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
        left = len(self._runs.held())
        if left:
            LOG.warning('%d runs could not be handed back; they go on '
                        'elsewhere when their leases end', left)
        LOG.info('Stopped')

    def _run_limits(self) -> runs.Limits:
        return runs.Limits(self._settings.max_in_flight,
                           self._settings.max_in_flight_per_project)

    def _cinder_limits(self) -> cinder_step.Limits:
        settings = self._settings
        return cinder_step.Limits(
            backup_timeout=settings.backup_timeout,
            busy_timeout=settings.busy_timeout,
            poll_interval=settings.poll_interval,
            request_timeout=settings.request_timeout,
            lease_needed=settings.lease_needed)


def scheduler_id(hostname: str) -> str:
    """Return a name for this process that no other one ever has."""
    return f'{hostname[:200]}:{os.getpid()}:{secrets.token_hex(4)}'
