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

"""Actions that freezer-agent carries out, each in a process of its own.

No other process can continue the work of an agent, and a second agent for the
same work may do harm. So the engine stores ``submitting``, starts the process,
stores ``submitted``, and polls the process until it ends. A run whose
scheduler died after ``submitting`` fails; its agent was ended.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import shutil
import signal
import threading
import weakref

from oslo_log import log as logging

from freezer_api.domain import capabilities
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.engines.agent import action as agent_action
from freezer_scheduler.engines.agent import files as agent_files
from freezer_scheduler.engines.agent import process as agent_process
from freezer_scheduler.engines.agent import report as agent_report
from freezer_scheduler.engines import base
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState

_FIRST_LOOK = 0.1
_LONGEST_LOOK = 2.0
_GROWTH = 1.5
_LEASE_NEEDED = 5

_FILE = 'action.conf'

_STOPPED = ('the scheduler was stopped, which ended freezer-agent; what it '
            'had done by then is not known')


@dataclasses.dataclass(frozen=True)
class Limits:
    """Times in seconds.

    :ivar at_once: maximum number of agents that run at the same time
    :ivar timeout: after which an agent is ended
    :ivar grace: between SIGTERM and SIGKILL
    """

    at_once: int
    timeout: float
    grace: float


@dataclasses.dataclass(frozen=True)
class Dependencies:
    """What the engine works with.

    :ivar command: of the agent: a path, or a name on PATH
    :ivar environment: returns the whole environment of an agent that acts with
        a trust
    :ivar secrets: texts to hide in reasons
    :ivar shared: whether jobs of several projects run on this host
    """

    command: str
    environment: Callable[[str], Mapping[str, str]]
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    shared: bool
    files: agent_files.AgentFiles
    clock: scheduler_clock.Clock
    limits: Callable[[], Limits]


class _Slot:
    """A slot for one agent; free when there is no reference to it."""


@dataclasses.dataclass(frozen=True)
class _Queued:
    """The action waits for a slot."""


@dataclasses.dataclass(frozen=True)
class _Ready:
    """The intent is stored; no agent was started."""

    action: agent_action.AgentAction
    slot: _Slot


@dataclasses.dataclass(frozen=True)
class _Running:
    """The agent runs.

    :ivar until: when it is ended, in seconds of the monotonic clock
    :ivar after: seconds until the next poll
    :ivar why: the reason to end it, if it is being ended
    """

    process: agent_process.AgentProcess
    slot: _Slot
    until: float
    after: float = _FIRST_LOOK
    why: str | None = None


class AgentEngine:
    """Runs agents, a limited number at the same time."""

    offers = capabilities.EVERYTHING

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._lock = threading.Lock()
        self._slots: weakref.WeakSet[_Slot] = weakref.WeakSet()
        self._going: weakref.WeakSet[agent_process.AgentProcess] = (
            weakref.WeakSet())
        self._left: list[agent_process.AgentProcess] = []
        self._told_of: set[str] = set()

    def close(self, wait: Callable[[float], object]) -> None:
        """End every agent.

        :param wait: passes a number of seconds
        """
        with self._lock:
            going = list(self._going)
        for process in going:
            process.end()
        until = self._dependencies.clock.monotonic(
        ) + self._dependencies.limits().grace + 5
        while (any(process.result() is None for process in going)
                and self._dependencies.clock.monotonic() < until):
            wait(_FIRST_LOOK)
        self._dependencies.files.close()

    def start(self, context: base.ActionContext) -> base.Progress:
        try:
            action = agent_action.read(context.freezer_action,
                                       self._dependencies.shared,
                                       context.project_id)
            action.text()
        except agent_action.Unusable as error:
            return self._ended(context, _State.FAIL, str(error))
        self._tell_dropped(action)
        slot = self._take_slot()
        if slot is None:
            return base.Progress(context.step, after=_LONGEST_LOOK,
                                 engine_state=_Queued())
        return base.Progress(
            dataclasses.replace(
                context.step, state=_State.SUBMITTING, reason=None,
                started_at=context.step.started_at
                or int(self._dependencies.clock.wall())),
            engine_state=_Ready(action, slot))

    def poll(self, context: base.ActionContext) -> base.Progress:
        match context.engine_state:
            case _Queued():
                return self.start(context)
            case _Ready() as ready:
                return self._spawn(context, ready)
            case _Running() as running:
                return self._look(context, running)
        return self._ended(context, _State.FAIL, _unknown(context.step))

    def abort(self, context: base.ActionContext) -> base.Progress:
        match context.engine_state:
            case _Ready(slot=slot):
                self._leave(slot)
            case _Running() as running:
                return self._look(context, self._end(running, 'aborted'))
            case _ if context.step.under_way:
                return self._ended(context, _State.ABORTED,
                                   _unknown(context.step))
        return self._ended(context, _State.ABORTED,
                           'aborted: freezer-agent was not started')

    def clean_up(self, context: base.ActionContext) -> base.Progress | None:
        match context.engine_state:
            case _Ready(slot=slot):
                self._leave(slot)
            case _Running() as running:
                progress = self._look(context, self._end(
                    running, 'the run is another scheduler\'s'))
                return None if progress.step.state.final else progress
        return None

    def left(self, context: base.ActionContext) -> base.Progress | None:
        match context.engine_state:
            case _Ready(slot=slot):
                self._leave(slot)
                # No agent was started: the next holder may begin this try.
                return base.Progress(dataclasses.replace(
                    context.step, state=_State.PENDING,
                    tries=context.step.tries - 1))
            case _Running() as running:
                self._end(running, 'left')
                # To wait for its end, although the run is not ours any more.
                self._left.append(running.process)
                return self._ended(context, _State.FAIL, _STOPPED)
        return None

    # -- one process --

    def _spawn(self, context: base.ActionContext,
               ready: _Ready) -> base.Progress:
        """Start the agent. The intent is stored by now."""
        if context.lease_left() < _LEASE_NEEDED:
            return base.Progress(context.step, after=_FIRST_LOOK * 10,
                                 engine_state=ready)
        dependencies, limits = self._dependencies, self._dependencies.limits()
        environment = dependencies.environment(context.trust_id)
        more = {'os_trust_id': context.trust_id} if context.trust_id else {}
        command = shutil.which(dependencies.command,
                               path=environment.get('PATH'))
        try:
            if command is None:
                raise agent_action.Unusable(
                    f'{dependencies.command} is not on the scheduler\'s host')
            file = dependencies.files.add(_FILE, ready.action.text(**more))
            process = agent_process.AgentProcess(
                [command, '--metadata-out', '-', '--config', str(file)],
                environment, file.parent, limits.grace)
        except (agent_action.Unusable, OSError) as error:
            problem = (f'freezer-agent cannot be run: {error.strerror}'
                       if isinstance(error, OSError) else str(error))
            LOG.error('%s', problem)
            self._leave(ready.slot)
            return self._ended(context, _State.FAIL, problem, retry=True)
        with self._lock:
            self._going.add(process)
        LOG.info('freezer-agent runs below process %d', process.pid)
        return base.Progress(
            dataclasses.replace(context.step, state=_State.SUBMITTED),
            after=_FIRST_LOOK, engine_state=_Running(
                process, ready.slot,
                dependencies.clock.monotonic() + limits.timeout))

    def _look(self, context: base.ActionContext,
              running: _Running) -> base.Progress:
        result = running.process.result()
        if result is None:
            if self._dependencies.clock.monotonic() >= running.until:
                running = self._end(
                    running, f'freezer-agent was ended after '
                    f'{self._dependencies.limits().timeout:.0f} seconds')
            return base.Progress(
                context.step, after=running.after,
                engine_state=dataclasses.replace(
                    running, after=min(running.after * _GROWTH,
                                       _LONGEST_LOOK)))
        with self._lock:
            self._going.discard(running.process)
        self._leave(running.slot)
        self._dependencies.files.remove(running.process.folder)
        return self._over(context, running, result)

    def _end(self, running: _Running, why: str) -> _Running:
        if running.why is None:
            running.process.end()
            running = dataclasses.replace(running, why=why,
                                          after=_FIRST_LOOK)
        return running

    def _over(self, context: base.ActionContext, running: _Running,
              result: agent_process.Result) -> base.Progress:
        said = agent_report.reason(result.errors, (
            *self._dependencies.secrets, *filter(None, (context.trust_id,))))
        document = None if result.cut else agent_report.metadata(
            result.output)
        if result.cut or (document is None and result.output.strip()):
            LOG.warning('The output of freezer-agent is no metadata')
        if said:
            LOG.log(logging.WARNING if result.status else logging.INFO,
                    'freezer-agent: %s', said)
        backups = agent_report.backups(document or {}, result.status == 0)
        if result.status == 0:
            return self._ended(context, _State.SUCCESS, None, backups=backups)
        if running.why == 'aborted' or (
                running.why is None and result.status == -signal.SIGTERM):
            return self._ended(
                context, _State.ABORTED, 'aborted: freezer-agent was ended',
                backups=backups)
        reason = (running.why or result.problem
                  or f'freezer-agent ended with status {result.status}'
                  + (f': {said}' if said else ''))
        return self._ended(context, _State.FAIL, reason,
                           retry=running.why is None, backups=backups)

    # -- ends and slots --

    def _ended(
        self, context: base.ActionContext, state: _State, reason: str | None,
        retry: bool = False, backups: tuple[messages.Backup, ...] = ()
    ) -> base.Progress:
        step = dataclasses.replace(
            context.step, state=state, reason=reason, retry_at=None,
            backup_id=next((backup.backup_id for backup in backups
                            if backup.status != 'deleted'), None),
            ended_at=int(self._dependencies.clock.wall()))
        return base.Progress(step, retry=retry, backups=backups)

    def _take_slot(self) -> _Slot | None:
        with self._lock:
            if len(self._slots) >= self._dependencies.limits().at_once:
                return None
            slot = _Slot()
            self._slots.add(slot)
            return slot

    def _leave(self, slot: _Slot) -> None:
        with self._lock:
            self._slots.discard(slot)

    def _tell_dropped(self, action: agent_action.AgentAction) -> None:
        for key in action.dropped:
            shown = messages.shortened(key, 64) or ''
            if shown not in self._told_of and len(self._told_of) < 1000:
                self._told_of.add(shown)
                LOG.warning('freezer-agent knows no %r: it is left out of '
                            'what it is told, in each job', shown)


def _unknown(step: messages.Step) -> str:
    if step.state is _State.SUBMITTING:
        return ('the scheduler that was about to run freezer-agent went '
                'away; whether it did is not known')
    return ('the scheduler that ran freezer-agent went away, which ended the '
            'agent; what it had done by then is not known')
