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

"""Progress lines with elapsed seconds, also during long steps."""

import collections.abc
import contextlib
import sys
import textwrap
import threading
import time
import typing

#: Seconds without output after which the current steps are shown again.
QUIET_SECONDS = 10.0

_WIDTH = 79

#: The indentation of continuation lines.
_INDENT = ' ' * 10


class Progress:
    """Shows progress on a stream.

    :param stream: the stream; None for no output
    """

    def __init__(self, stream: typing.TextIO | None = sys.stderr) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._said = self._began
        self._running: list[str] = []
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print a line with the elapsed seconds."""
        if self._stream is None:
            return
        with self._lock:
            self._said = time.monotonic()
            print('\n'.join(textwrap.wrap(
                f'[{self.seconds:6.1f}s] {text}', _WIDTH,
                subsequent_indent=_INDENT, break_long_words=False,
                break_on_hyphens=False)), file=self._stream, flush=True)

    @contextlib.contextmanager
    def step(self, text: str) -> collections.abc.Iterator[None]:
        """Print the beginning of a step; repeat it while the step takes long.
        """
        self.say(text)
        ended = threading.Event()
        self._running.append(text)
        watch = threading.Thread(
            target=self._watch, args=(text, ended), daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            self._running.remove(text)

    def _watch(self, text: str, ended: threading.Event) -> None:
        while not ended.wait(QUIET_SECONDS / 4):
            quiet = time.monotonic() - self._said
            if quiet >= QUIET_SECONDS and text == self._running[-1]:
                self.say('still ' + '; '.join(self._running))
