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

"""Run one freezer-agent, and make sure that it ends.

This is a program of its own, started by path for each agent, that needs only
the standard library. The scheduler holds the other end of its standard input.
A byte there means to end the agent. The end of the stream means that the
scheduler is gone, for any reason, so that nothing could report how the agent
ends. The program keeps the agent's output up to a limit, so that the scheduler
needs no thread to read it, and writes it to files at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys
import time

PIPE_CLOSED = b''

# The standard output of the agent is one JSON document; of its standard error
# the end is the most useful part.
_MOST_OUTPUT = 4 * 1024 * 1024
_MOST_ERRORS = 16 * 1024
_CHUNK = 64 * 1024
_LAST_CHUNKS = 100

RESULT = 'result.json'
OUTPUT = 'output'
ERRORS = 'errors'

# Signals of a terminal, and those that end a scheduler. The pipe ends this
# program.
_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass
class Kept:
    """What is kept of a stream: its beginning or its end."""

    most: int
    end: bool
    text: bytes = b''
    cut: bool = False

    def add(self, more: bytes) -> None:
        text = self.text + more
        self.cut = self.cut or len(text) > self.most
        self.text = text[-self.most:] if self.end else text[:self.most]


class Supervisor:
    """Watches over one process and its group."""

    def __init__(self, argv: list[str], grace: float) -> None:
        self._grace = grace
        self._kill_at: float | None = None
        self.orphaned = False
        self.output = Kept(_MOST_OUTPUT, end=False)
        self.errors = Kept(_MOST_ERRORS, end=True)
        ours = os.getpid()
        libc = ctypes.CDLL(None)

        def die_with_us() -> None:
            for number in _NOT_OURS:
                signal.signal(number, signal.SIG_DFL)
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != ours:
                os._exit(1)

        # A session of its own: the group is all that it starts. No shell
        # reads the arguments, and the program is the operator's choice.
        self._agent = subprocess.Popen(  # noqa: S603  # nosec B603
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
            # There are no other threads here.
            preexec_fn=die_with_us)  # noqa: PLW1509

    def run(self) -> int:
        """Wait for the end; return the exit status, negative for a signal."""
        streams: dict[int, Kept] = {}
        with selectors.DefaultSelector() as selector:
            for stream, kept in ((self._agent.stdout, self.output),
                                 (self._agent.stderr, self.errors)):
                assert stream is not None
                os.set_blocking(stream.fileno(), False)
                streams[stream.fileno()] = kept
                selector.register(stream, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            ended = os.pidfd_open(self._agent.pid)
            selector.register(ended, selectors.EVENT_READ)
            while self._agent.poll() is None:
                left = None if self._kill_at is None else max(
                    0.05, self._kill_at - time.monotonic())
                for key, _ready in selector.select(left):
                    if key.fd in streams:
                        if not _read(key.fd, streams[key.fd]):
                            selector.unregister(key.fileobj)
                    elif key.fd != ended and self._asked_to_end():
                        selector.unregister(key.fileobj)
                if (self._kill_at is not None
                        and time.monotonic() >= self._kill_at):
                    self._signal(signal.SIGKILL)
            for descriptor, kept in streams.items():
                # Something may be left, and a child may go on writing.
                for _ in range(_LAST_CHUNKS):
                    if not _read(descriptor, kept):
                        break
        if self._kill_at is not None:
            self._signal(signal.SIGKILL)
        return self._agent.returncode

    def _asked_to_end(self) -> bool:
        """End the agent; return whether the scheduler is gone."""
        orphaned = os.read(sys.stdin.fileno(), 1) == PIPE_CLOSED
        self.orphaned = self.orphaned or orphaned
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace
            self._signal(signal.SIGTERM)
        return orphaned

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._agent.pid, number)


def _read(descriptor: int, kept: Kept) -> bool:
    """Keep a part of a stream; return whether there was any."""
    try:
        text = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return False
    kept.add(text)
    return bool(text)


def main(argv: list[str]) -> int:
    """Run ``argv[2:]``; keep its output in the directory ``argv[0]``.

    :param argv: directory, seconds between SIGTERM and SIGKILL, command
    """
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    folder = pathlib.Path(argv[0])
    try:
        supervisor = Supervisor(argv[2:], float(argv[1]))
    except OSError as error:
        _write(folder, {'problem': error.strerror})
        return 0
    status = supervisor.run()
    if supervisor.orphaned:
        # Nothing reads the files any more, and they hold secrets.
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    folder.joinpath(OUTPUT).write_bytes(supervisor.output.text)
    folder.joinpath(ERRORS).write_bytes(supervisor.errors.text)
    _write(folder, {'status': status, 'output_cut': supervisor.output.cut})
    return 0


def _write(folder: pathlib.Path, result: dict[str, object]) -> None:
    folder.joinpath(RESULT).write_text(json.dumps(result), encoding='utf-8')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
