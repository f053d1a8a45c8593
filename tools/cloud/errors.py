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

"""Errors, with texts that tell a new user what to do."""

import pathlib
import tempfile


class QuickstartError(Exception):
    """An error for the user.

    :param message: one or two sentences, without secrets
    :param log: the log file with details; its last lines are shown
    """

    def __init__(self, message: str, log: pathlib.Path | None = None) -> None:
        super().__init__(message)
        self.log = log
        if log is not None:
            # For tracebacks, which may be shown after the log is removed.
            self.add_note(last_lines(log))

    def keep_log(self) -> None:
        """Copy the log to a place outside of the cloud."""
        if self.log is None or not self.log.is_file():
            return
        number, name = tempfile.mkstemp(
            prefix='freezer-quickstart-', suffix='.log')
        with open(number, 'wb') as copy:
            copy.write(self.log.read_bytes())
        self.log = pathlib.Path(name)


class Cancelled(QuickstartError):
    """The work was cancelled because other work failed."""


class Interrupted(Exception):
    """A signal ended the quickstart.

    :param signum: number of the signal
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f'signal {signum}')
        self.signum = signum


def last_lines(log: pathlib.Path, count: int = 15) -> str:
    """Return the last lines of a log, or why there are none."""
    try:
        with log.open('rb') as file:
            file.seek(max(0, log.stat().st_size - 65536))
            text = file.read().decode(errors='replace')
    except OSError as error:
        return f'(not readable: {error.strerror})'
    lines = [line for line in text.splitlines() if line.strip()]
    return '\n'.join(lines[-count:]) or '(empty)'
