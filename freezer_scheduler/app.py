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

"""What a scheduler is put together from, by its settings."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import os
import secrets

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines.agent import engine as agent_engine
from freezer_scheduler.engines.agent import files as agent_files
from freezer_scheduler.engines.agent import process as agent_process
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import containers as cinder_containers
from freezer_scheduler.engines.cinder import engine as cinder
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.keystone import logins as scheduler_logins
from freezer_scheduler.keystone import sessions as keystone_sessions
from freezer_scheduler.runs import bulkhead
from freezer_scheduler.runs import executor as run_executor
from freezer_scheduler.runs import run_login
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.sources import base
from freezer_scheduler.sources import directory
from freezer_scheduler.sources import other_jobs
from freezer_scheduler.telemetry import http_metrics
from freezer_scheduler.telemetry import monitor


class Assembly:
    """The parts of one scheduler.

    :param settings: called again after each reload
    :param environ: handed on to agents, but for accounts in it
    """

    def __init__(self, settings: Callable[[], scheduler_settings.Settings],
                 environ: Mapping[str, str], hostname: str,
                 clock: scheduler_clock.Clock, table: run_table.RunTable,
                 observer: monitor.Monitor) -> None:
        self._settings = settings
        self._environ = environ
        self._hostname = hostname
        self._clock = clock
        self._runs = table
        self._first = settings()
        self._observer = observer
        self._identity = keystone_sessions.Identity(
            self._first, http_metrics.ObservedSession(observer, clock),
            deferred=self._first.service_mode, clock=clock)
        self.logins = scheduler_logins.Logins(
            self._identity, bulkhead.Sizes.of_pool(
                self._first.workers, shared=True,
                # Where one fails, Keystone is asked why.
                timeout=2 * self._first.request_timeout), clock)
        self.scheduler_id = scheduler_id(hostname)
        self.files = agent_files.AgentFiles(self._first.agent_dir)

    def source(self) -> base.Source:
        """Return where the runs come from."""
        settings, auth = self._first, self._first.auth
        if settings.jobs_dir is not None:
            return directory.DirectorySource(settings.jobs_dir, self._runs,
                                             self._clock)
        api = freezer_client.Api(
            self._identity.service(), self.scheduler_id,
            auth.endpoint_type, auth.region_name, auth.backup_url)
        return base.ApiSource(api, self._hostname, self._runs, settings,
                              self._clock, self._observer,
                              self._identity.renew)

    def agent(self) -> agent_engine.AgentEngine:
        """Return the engine of freezer-agent."""
        settings, auth = self._first, self._first.auth
        return agent_engine.AgentEngine(agent_engine.Dependencies(
            command=settings.agent_command,
            environment=lambda trust_id: agent_process.environment(
                self._environ, auth, settings.insecure, trust_id),
            secrets=auth.secrets,
            shared=settings.service_mode, files=self.files,
            clock=self._clock, limits=self._agent_limits))

    def executor(self, source: base.Source,
                 agents: agent_engine.AgentEngine) -> run_executor.Executor:
        """Return what makes the moves of runs."""
        auth = self._first.auth
        native = cinder.CinderEngine(operation.Dependencies(
            clients=lambda trust_id: cinder_client.CinderClient(
                self._identity, trust_id, auth.endpoint_type,
                auth.region_name),
            clock=self._clock, limits=self._cinder_limits,
            hostname=self._hostname, containers=self._containers,
            gone_jobs=other_jobs.OtherJobs(source).gone,
            old_backup=self._observer.old_backup))
        return run_executor.Executor(
            report=self._observer.watching(source.report),
            engines=registry.Registry(
                {registry.NATIVE: native, registry.AGENT: agents},
                offered=lambda: self._settings().capabilities),
            clock=self._clock, table=self._runs,
            delegated=self._first.service_mode,
            login=self._run_login())

    def _run_login(self) -> run_login.RunLogin:
        if not self._first.service_mode:
            return run_login.RunLogin()
        return run_login.RunLogin(
            self.logins.needed, self._runs.wake, self._identity.check,
            self._identity.retry_in)

    def _agent_limits(self) -> agent_engine.Limits:
        settings = self._settings()
        return agent_engine.Limits(
            at_once=settings.concurrent_jobs,
            timeout=settings.backup_timeout, grace=settings.agent_grace)

    def _cinder_limits(self) -> operation.Limits:
        settings = self._settings()
        return operation.Limits(
            backup_timeout=settings.backup_timeout,
            busy_timeout=settings.busy_timeout,
            poll_interval=settings.poll_interval,
            request_timeout=settings.request_timeout,
            lease_needed=settings.lease_needed)

    def _containers(self) -> cinder_containers.Containers:
        settings = self._settings()
        return cinder_containers.Containers(
            settings.default_container, settings.accepted_containers)


def scheduler_id(hostname: str) -> str:
    """Return a name for this process that no other one ever has."""
    return f'{hostname[:200]}:{os.getpid()}:{secrets.token_hex(4)}'
