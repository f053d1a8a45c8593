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

"""The parts of a scheduler, assembled by its settings."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import functools
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
    :param environ: passed on to agents, without the accounts in it
    :ivar source: where the runs come from
    :ivar agent: the engine of freezer-agent
    :ivar executor: makes the moves of runs
    """

    def __init__(self, settings: Callable[[], scheduler_settings.Settings],
                 environ: Mapping[str, str], hostname: str,
                 clock: scheduler_clock.Clock, table: run_table.RunTable,
                 observer: monitor.Monitor) -> None:
        self._settings = settings
        first = settings()
        auth = first.auth
        identity = keystone_sessions.Identity(
            first, http_metrics.ObservedSession(observer.called, clock),
            deferred=first.service_mode, clock=clock)
        self.scheduler_id = scheduler_id(hostname)
        self.logins = scheduler_logins.Logins(
            identity, bulkhead.Sizes.of_pool(
                first.workers, shared=True,
                # After a login that fails, Keystone is asked why.
                timeout=2 * first.request_timeout), clock)
        self.source: base.Source
        if first.jobs_dir is not None:
            self.source = directory.DirectorySource(
                first.jobs_dir, table, clock)
        else:
            self.source = base.ApiSource(
                freezer_client.Api(
                    identity.service(), self.scheduler_id, auth.endpoint_type,
                    auth.region_name, auth.backup_url),
                hostname, table, first, clock, observer, identity.renew)
        self.files = agent_files.AgentFiles(first.agent_dir)
        self.agent = agent_engine.AgentEngine(agent_engine.Dependencies(
            command=first.agent_command,
            environment=lambda trust_id: agent_process.environment(
                environ, auth, first.insecure, trust_id),
            secrets=auth.secrets, shared=first.service_mode,
            files=self.files, clock=clock, limits=self._agent_limits))
        native = cinder.CinderEngine(operation.Dependencies(
            clients=lambda trust_id: cinder_client.CinderClient(
                identity, trust_id, auth.endpoint_type, auth.region_name),
            clock=clock, limits=self._cinder_limits, hostname=hostname,
            containers=self._containers,
            gone_jobs=functools.partial(
                other_jobs.gone, self.source.gone_jobs),
            old_backup=observer.old_backup))
        self.executor = run_executor.Executor(
            report=observer.watching(self.source.report),
            engines=registry.Registry(
                {registry.NATIVE: native, registry.AGENT: self.agent},
                offered=lambda: settings().capabilities),
            clock=clock, table=table, delegated=first.service_mode,
            login=run_login.RunLogin(
                self.logins.needed, table.wake, identity.check,
                identity.retry_in)
            if first.service_mode else run_login.RunLogin())

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
    """Return a name for this process that no other process has, ever."""
    return f'{hostname[:200]}:{os.getpid()}:{secrets.token_hex(4)}'
