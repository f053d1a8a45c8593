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

"""A report on the whole process, for the analysis of problems.

As in other services of OpenStack it is written on SIGUSR2. It holds the stack
of each thread, the configuration without its secrets, and the claimed runs.
The thread that writes it does nothing else, so nothing that hangs prevents it.

The set-up of oslo.reports replaces a report of the same second, and leaves
reports readable to others and with secrets of the status in them.
"""

from __future__ import annotations

from collections.abc import Callable
import datetime
import json
import os
import pathlib
import signal
import sys
import threading
import types

from oslo_config import cfg
from oslo_log import log as logging

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import version

LOG = logging.getLogger(__name__)

_NAME = 'freezer-scheduler'
_HIDDEN = '***'


class Diagnostics:
    """Writes the reports.

    :param status: what ``freezer-scheduler status`` shows
    :param secrets: texts that no report may contain
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 status: Callable[[], dict[str, object]],
                 secrets: tuple[str, ...],
                 clock: scheduler_clock.Clock) -> None:
        self._conf = conf
        self._status = status
        self._secrets = secrets
        self._clock = clock

    def listen(self) -> None:
        """Write a report on each SIGUSR2 from now on.

        Call it before other threads exist: they inherit the blocked signal.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        threading.Thread(target=self._listen, name='diagnostics',
                         daemon=True).start()

    def _listen(self) -> None:
        while True:
            signal.sigwait({signal.SIGUSR2})
            self.write()

    def write(self) -> None:
        """Write a report to the folder of the log, or to standard error."""
        text = self.text()
        folder = _folder(self._conf)
        if folder is None:
            print(text, file=sys.stderr, flush=True)
            return
        now = datetime.datetime.fromtimestamp(
            self._clock.wall(), datetime.UTC).strftime('%Y%m%d%H%M%S')
        path = folder / f'{_NAME}_gurumeditation_{now}'
        try:
            # Readable by its owner only, and never over another file.
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, 'w', encoding='utf-8') as file:
                file.write(text)
        except OSError as error:
            LOG.error('Cannot write the report %s: %s', path, error.strerror)
        else:
            LOG.info('Wrote the report %s', path)

    def text(self) -> str:
        """Return a report."""
        # Not needed by an idle scheduler, and 3 MiB large.
        from oslo_reports.generators import conf as conf_generator
        from oslo_reports.generators import threading as thread_generator
        from oslo_reports.generators import version as version_generator
        from oslo_reports import report

        made = report.TextReport('Guru Meditation')
        made.add_section('Package', version_generator.PackageReportGenerator(
            types.SimpleNamespace(
                vendor_string=lambda: 'OpenStack',
                product_string=lambda: _NAME,
                version_string_with_package=version.version_string)))
        made.add_section('Threads', thread_generator.ThreadReportGenerator())
        made.add_section('Configuration',
                         conf_generator.ConfigReportGenerator(self._conf))
        text = '\n'.join((str(made.run()), _title('Names of threads'), *(
            f'#{thread.ident} {thread.name}'
            for thread in threading.enumerate()), '', _title('Status'),
            json.dumps(self._status(), indent=1), ''))
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


def _title(text: str) -> str:
    line = '=' * 72
    return f'{line}\n===={text:^64}====\n{line}'


def _folder(conf: cfg.ConfigOpts) -> pathlib.Path | None:
    """Return the folder of the log; None if the log is no file."""
    if conf.log_file:
        return pathlib.Path(conf.log_dir or '', conf.log_file).parent
    return pathlib.Path(conf.log_dir) if conf.log_dir else None
