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

"""Running agents: each is the child of a guard, which is a child of ours."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import weakref

from freezer_scheduler.engines.agent import supervisor as agent_supervisor


@dataclasses.dataclass(frozen=True)
class Result:
    """How an agent ended.

    :ivar status: its exit status, negative for a signal; None where it did
        not even start, or nobody knows
    :ivar output: its standard output, whole unless cut
    :ivar errors: the end of its standard error
    :ivar problem: why there is no status
    """

    status: int | None
    output: str = ''
    cut: bool = False
    errors: str = ''
    problem: str = ''


class AgentProcess:
    """A guard with its agent.

    :param argv: the agent's command line
    :param env: its whole environment
    :param folder: a private directory, which is the guard's to write to
    :param grace: seconds between SIGTERM and SIGKILL
    :raises OSError: when no process can be made
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str],
                 folder: pathlib.Path, grace: float) -> None:
        self.folder = folder
        reader, self._leash = os.pipe()
        # An agent that nobody holds any more is ended.
        self._cut = weakref.finalize(self, os.close, self._leash)
        try:
            # No shell, and a program of this package.
            self._guard = subprocess.Popen(  # noqa: S603  # nosec B603
                # Isolated and without site packages: it is there at once.
                [sys.executable, '-I', '-S', agent_supervisor.__file__,
                 str(folder), str(grace), *argv],
                stdin=reader, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=dict(env),
                start_new_session=True)
        finally:
            os.close(reader)

    @property
    def pid(self) -> int:
        return self._guard.pid

    def end(self) -> None:
        """Ask for the end of the agent; it may be asked for again."""
        # Its guard may have gone by itself.
        with contextlib.suppress(BrokenPipeError):
            if self._cut.alive:
                os.write(self._leash, b'T')

    def result(self) -> Result | None:
        """Return how it ended, or None while it runs."""
        if self._guard.poll() is None:
            return None
        self._cut()
        return _result(self.folder)


def _result(folder: pathlib.Path) -> Result:
    try:
        found = json.loads(
            folder.joinpath(agent_supervisor.RESULT).read_text())
        if found.get('problem'):
            return Result(None, problem=f'freezer-agent cannot be run: '
                                        f'{found["problem"]}')
        return Result(
            status=int(found['status']), cut=bool(found['output_cut']),
            output=_text(folder / agent_supervisor.OUTPUT),
            errors=_text(folder / agent_supervisor.ERRORS))
    except (OSError, ValueError, KeyError):
        return Result(None, problem='what watched over freezer-agent was '
                                    'killed, and the agent with it')


def _text(file: pathlib.Path) -> str:
    return file.read_bytes().decode(errors='replace')
