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


@dataclasses.dataclass(frozen=True)
class _Queued:
    """The action waits for a slot."""


@dataclasses.dataclass(eq=False)
class _Agent:
    """An agent, from its stored intent to its end; it uses a slot.

    :ivar process: None until it is started
    :ivar until: when it is ended, in seconds of the monotonic clock
    :ivar after: seconds until the next poll
    :ivar why: the reason to end it, if it is being ended
    """

    action: agent_action.AgentAction
    process: agent_process.AgentProcess | None = None
    until: float = 0
    after: float = _FIRST_LOOK
    why: str | None = None

    def end(self, why: str) -> None:
        if self.process is not None and self.why is None:
            self.process.end()
            self.why, self.after = why, _FIRST_LOOK


class AgentEngine:
    """Runs agents, a limited number at the same time."""

    offers = capabilities.EVERYTHING

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._lock = threading.Lock()
        # An agent without a run uses no slot.
        self._agents: weakref.WeakSet[_Agent] = weakref.WeakSet()
        self._left: list[_Agent] = []
        self._told_of: set[str] = set()

    def close(self, wait: Callable[[float], object]) -> None:
        """End every agent.

        :param wait: passes a number of seconds
        """
        clock = self._dependencies.clock
        with self._lock:
            processes = [agent.process for agent in self._agents
                         if agent.process is not None]
        for process in processes:
            process.end()
        until = clock.monotonic() + self._dependencies.limits().grace + 5
        while (any(process.result() is None for process in processes)
                and clock.monotonic() < until):
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
        agent = _Agent(action)
        with self._lock:
            if len(self._agents) >= self._dependencies.limits().at_once:
                return base.Progress(context.step, after=_LONGEST_LOOK,
                                     engine_state=_Queued())
            self._agents.add(agent)
        return base.Progress(
            dataclasses.replace(
                context.step, state=_State.SUBMITTING, reason=None,
                started_at=context.step.started_at
                or int(self._dependencies.clock.wall())),
            engine_state=agent)

    def poll(self, context: base.ActionContext) -> base.Progress:
        match context.engine_state:
            case _Queued():
                return self.start(context)
            case _Agent(process=None) as agent:
                return self._spawn(context, agent)
            case _Agent() as agent:
                return self._look(context, agent)
        return self._ended(context, _State.FAIL, _unknown(context.step))

    def abort(self, context: base.ActionContext) -> base.Progress:
        match context.engine_state:
            case _Agent(process=None) as agent:
                self._leave(agent)
            case _Agent() as agent:
                agent.end('aborted')
                return self._look(context, agent)
            case _ if context.step.under_way:
                return self._ended(context, _State.ABORTED,
                                   _unknown(context.step))
        return self._ended(context, _State.ABORTED,
                           'aborted: freezer-agent was not started')

    def clean_up(self, context: base.ActionContext) -> base.Progress | None:
        match context.engine_state:
            case _Agent(process=None) as agent:
                self._leave(agent)
            case _Agent() as agent:
                agent.end('the run is another scheduler\'s')
                progress = self._look(context, agent)
                return None if progress.step.state.final else progress
        return None

    def left(self, context: base.ActionContext) -> base.Progress | None:
        match context.engine_state:
            case _Agent(process=None) as agent:
                self._leave(agent)
                # No agent was started: the next holder may begin this try.
                return base.Progress(dataclasses.replace(
                    context.step, state=_State.PENDING,
                    tries=context.step.tries - 1))
            case _Agent() as agent:
                agent.end('left')
                # To wait for its end, although the run is not ours any more.
                self._left.append(agent)
                return self._ended(context, _State.FAIL, _STOPPED)
        return None

    # -- one process --

    def _spawn(self, context: base.ActionContext,
               agent: _Agent) -> base.Progress:
        """Start the agent. The intent is stored by now."""
        if context.lease_left() < _LEASE_NEEDED:
            return base.Progress(context.step, after=_FIRST_LOOK * 10,
                                 engine_state=agent)
        dependencies, limits = self._dependencies, self._dependencies.limits()
        environment = dependencies.environment(context.trust_id)
        more = {'os_trust_id': context.trust_id} if context.trust_id else {}
        command = shutil.which(dependencies.command,
                               path=environment.get('PATH'))
        try:
            if command is None:
                raise agent_action.Unusable(
                    f'{dependencies.command} is not on the scheduler\'s host')
            file = dependencies.files.add(_FILE, agent.action.text(**more))
            agent.process = agent_process.AgentProcess(
                [command, '--metadata-out', '-', '--config', str(file)],
                environment, file.parent, limits.grace)
        except (agent_action.Unusable, OSError) as error:
            problem = (f'freezer-agent cannot be run: {error.strerror}'
                       if isinstance(error, OSError) else str(error))
            LOG.error('%s', problem)
            self._leave(agent)
            return self._ended(context, _State.FAIL, problem, retry=True)
        agent.until = dependencies.clock.monotonic() + limits.timeout
        LOG.info('freezer-agent runs below process %d', agent.process.pid)
        return base.Progress(
            dataclasses.replace(context.step, state=_State.SUBMITTED),
            after=_FIRST_LOOK, engine_state=agent)

    def _look(self, context: base.ActionContext,
              agent: _Agent) -> base.Progress:
        process = agent.process
        result = None if process is None else process.result()
        if process is None or result is None:
            if self._dependencies.clock.monotonic() >= agent.until:
                agent.end(f'freezer-agent was ended after '
                          f'{self._dependencies.limits().timeout:.0f} seconds')
            after = agent.after
            agent.after = min(after * _GROWTH, _LONGEST_LOOK)
            return base.Progress(context.step, after=after,
                                 engine_state=agent)
        self._leave(agent)
        self._dependencies.files.remove(process.folder)
        return self._over(context, agent.why, result)

    def _over(self, context: base.ActionContext, why: str | None,
              result: agent_process.Result) -> base.Progress:
        """Return the end of an action by the result of its agent.

        :param why: the reason to end the agent, if it was ended
        """
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
        if why == 'aborted' or (
                why is None and result.status == -signal.SIGTERM):
            return self._ended(
                context, _State.ABORTED, 'aborted: freezer-agent was ended',
                backups=backups)
        reason = (why or result.problem
                  or f'freezer-agent ended with status {result.status}'
                  + (f': {said}' if said else ''))
        return self._ended(context, _State.FAIL, reason,
                           retry=why is None, backups=backups)

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

    def _leave(self, agent: _Agent) -> None:
        with self._lock:
            self._agents.discard(agent)

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
