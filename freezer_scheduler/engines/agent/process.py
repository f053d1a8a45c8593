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

"""The processes of agents, and their environment.

Each agent is the child of a supervisor, which is a child of this process. Its
environment is ours, with the account in OS_* variables. The account reaches an
agent in no other way: every user of the host can see command lines.
"""

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

from requests import adapters

from freezer_scheduler.conf import service_auth
from freezer_scheduler.engines.agent import supervisor as agent_supervisor
from freezer_scheduler.process import systemd

# Variables of the account's own project. A trust has another project.
_OF_PROJECT = ('OS_PROJECT_ID', 'OS_PROJECT_NAME', 'OS_PROJECT_DOMAIN_ID',
               'OS_PROJECT_DOMAIN_NAME')


@dataclasses.dataclass(frozen=True)
class Result:
    """How an agent ended.

    :ivar status: its exit status, negative for a signal; None if it did not
        start, or if the status is unknown
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
    """An agent with its supervisor.

    :param argv: the agent's command line
    :param env: its whole environment
    :param folder: a private directory, to which the supervisor writes
    :param grace: seconds between SIGTERM and SIGKILL
    :raises OSError: when no process can be made
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str],
                 folder: pathlib.Path, grace: float) -> None:
        self.folder = folder
        reader, self._pipe = os.pipe()
        # Without a reference to this object, the agent is ended.
        self._close_pipe = weakref.finalize(self, os.close, self._pipe)
        try:
            # No shell, and a program of this package.
            self._supervisor = subprocess.Popen(  # noqa: S603  # nosec B603
                # Isolated and without site packages, to start quickly.
                [sys.executable, '-I', '-S', agent_supervisor.__file__,
                 str(folder), str(grace), *argv],
                stdin=reader, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=dict(env),
                start_new_session=True)
        finally:
            os.close(reader)

    @property
    def pid(self) -> int:
        return self._supervisor.pid

    def end(self) -> None:
        """Ask for the end of the agent; a second time does no harm."""
        # The supervisor may have ended by itself.
        with contextlib.suppress(BrokenPipeError):
            if self._close_pipe.alive:
                os.write(self._pipe, b'T')

    def result(self) -> Result | None:
        """Return how it ended; None while it runs."""
        if self._supervisor.poll() is None:
            return None
        self._close_pipe()
        return _result(self.folder)


def environment(environ: Mapping[str, str], auth: service_auth.ServiceAuth,
                insecure: bool, trust_id: str) -> dict[str, str]:
    """Return the whole environment of an agent.

    :param environ: of this process; its OS_* variables are left out
    :param trust_id: empty without a trust
    """
    made = {name: value for name, value in environ.items()
            if not name.startswith('OS_') and name != systemd.VARIABLE}
    made.update(service_auth.variables(auth))
    made['OS_IDENTITY_API_VERSION'] = '3'
    if insecure:
        made['OS_INSECURE'] = 'True'
    elif auth.cacert is None:
        # Without one an agent checks no certificate at all.
        made['OS_CACERT'] = (environ.get('REQUESTS_CA_BUNDLE')
                             or adapters.DEFAULT_CA_BUNDLE_PATH)
    if trust_id:
        for name in _OF_PROJECT:
            made.pop(name, None)
        made['OS_TRUST_ID'] = trust_id
    return made


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
