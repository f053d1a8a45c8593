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

"""What can go wrong, told in a way that a newcomer can act on."""

import pathlib


class QuickstartError(Exception):
    """Something that the person at the keyboard has to know.

    :param message: one or two sentences, without secrets
    :param log: the log file that tells more; its last lines are shown
    """

    def __init__(self, message: str, log: pathlib.Path | None = None) -> None:
        super().__init__(message)
        self.log = log
        if log is not None:
            # For who sees it as a traceback, when the log may be gone.
            self.add_note(last_lines(log))


class Cancelled(QuickstartError):
    """The work was given up because other work beside it failed."""


class Interrupted(Exception):
    """A signal asked the quickstart to end.

    :param signum: number of the signal
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f'signal {signum}')
        self.signum = signum


def last_lines(log: pathlib.Path, count: int = 15) -> str:
    """The last lines of a log, or a word on why there are none."""
    try:
        with log.open('rb') as file:
            file.seek(max(0, log.stat().st_size - 65536))
            text = file.read().decode(errors='replace')
    except OSError as error:
        return f'(not readable: {error.strerror})'
    lines = [line for line in text.splitlines() if line.strip()]
    return '\n'.join(lines[-count:]) or '(empty)'
