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

"""freezer-scheduler: start, stop, restart, status and reload."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import json
import os
import pathlib
import signal
import socket
import sys
import time

from oslo_config import cfg

from freezer_config import errors
from freezer_config import logging_setup
from freezer_config import packages
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler.process import daemon
from freezer_scheduler.process import pidfile
from freezer_scheduler.process import service
from freezer_scheduler.process import signals
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import diagnostics
from freezer_scheduler.telemetry import exporter
from freezer_scheduler.telemetry import status
from freezer_scheduler.telemetry import status_socket
from freezer_scheduler import version

_STOP_WITHIN = 120
_NAME = 'freezer-scheduler'


class _Failed(Exception):
    """The command ends with status 1 and this text."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    conf = scheduler_conf.new()
    try:
        scheduler_conf.parse(conf, sys.argv[1:] if argv is None else argv,
                             version.version_string())
        return _run(conf)
    except cfg.Error as error:
        print(errors.describe(error), file=sys.stderr)
    except (scheduler_settings.Refused, pidfile.Unsafe,
            logging_setup.LogRefused, _Failed, OSError) as error:
        print(error, file=sys.stderr)
    return 1


def _run(conf: cfg.ConfigOpts) -> int:
    if conf.action in ('start', 'restart') and (
            found := packages.conflicts()):
        raise _Failed('\n'.join(found))
    pid_file = pidfile.PidFile(pathlib.Path(
        conf.scheduler.pid_file or pidfile.default_path()))
    match conf.action:
        case 'start':
            return _start(conf, pid_file)
        case 'stop':
            _stop(pid_file)
        case 'restart':
            _stop(pid_file)
            return _start(conf, pid_file)
        case 'status':
            _status(conf, pid_file)
        case 'reload':
            _send(pid_file, signal.SIGHUP)
        case _:
            raise _Failed(f'unknown action {conf.action!r}: must be start, '
                          f'stop, restart, status or reload')
    return 0


def _start(conf: cfg.ConfigOpts, pid_file: pidfile.PidFile) -> int:
    hostname = socket.gethostname()
    settings = scheduler_settings.load(conf, os.environ, hostname)
    background = not conf.scheduler.no_daemon
    locked = background or conf.scheduler.pid_file is not None
    if locked:
        try:
            pid_file.acquire()
        except pidfile.Taken as taken:
            print(taken)
            # In the foreground the caller expects it to run here.
            return 0 if background else 1
    # Bind the port before the process detaches, to show an error.
    metrics = settings.metrics_address and exporter.listen(
        settings.metrics_address)
    if background:
        _log_somewhere(conf, settings.notices)
    logging_setup.setup(conf, _NAME, version.version_string())

    def inside() -> int:
        clock = scheduler_clock.SystemClock()
        made = service.Service(conf, settings, os.environ, hostname, clock,
                               signals.ProcessSignals())
        with contextlib.ExitStack() as at_end:
            if locked:
                at_end.callback(pid_file.release)
            # Before any thread exists: its signal would end the process.
            diagnostics.Diagnostics(
                conf, made.status, settings.auth.secrets, clock).listen()
            if locked:
                shown = status_socket.Listener(
                    status_socket.path_of(pid_file.path), made.status)
                at_end.callback(shown.close)
                shown.open()
            if metrics is not None:
                exporter.serve(metrics, made.registry)
            ended = made.run()
            if made.refused:
                # The log may be a file.
                print(f'Cannot start: {made.refused}', file=sys.stderr)
            return ended

    if background:
        return daemon.detach(pid_file.write, inside)
    if locked:
        pid_file.write()
    return inside()


def _status(conf: cfg.ConfigOpts, pid_file: pidfile.PidFile) -> None:
    pid = pid_file.running()
    shown, problem = None, None
    if pid is not None:
        try:
            shown = status_socket.ask(status_socket.path_of(pid_file.path),
                                      pid)
        except status_socket.NoAnswer as error:
            problem = str(error)
    if conf.format == 'json':
        print(json.dumps({'running': pid is not None, 'pid': pid,
                          'problem': problem, **(shown or {})}, indent=1))
        return
    print(f'Running with pid: {pid}' if pid else 'Not Running')
    if shown is not None:
        print(status.text(shown, scheduler_clock.SystemClock().wall()))
    elif problem is not None:
        print(f'Its status is not available: {problem}')


def _log_somewhere(conf: cfg.ConfigOpts, notices: Iterable[str]) -> None:
    """Log to a file by default: a background process has no standard error.

    :param notices: warnings to show at the start
    """
    for notice in notices:
        print(notice, file=sys.stderr)
    if (conf.log_file or conf.log_dir or conf.log_config_append
            or conf.use_syslog or conf.use_journal):
        return
    folder = pathlib.Path.home() / '.freezer'
    folder.mkdir(mode=0o700, exist_ok=True)
    conf.set_default('log_file', str(folder / 'freezer-scheduler.log'))


def _stop(pid_file: pidfile.PidFile) -> None:
    pid = _send(pid_file, signal.SIGTERM)
    until = time.monotonic() + _STOP_WITHIN
    while pid is not None and pid_file.running() == pid:
        if time.monotonic() > until:
            raise _Failed(f'pid {pid} did not stop within {_STOP_WITHIN} '
                          f'seconds')
        time.sleep(0.1)


def _send(pid_file: pidfile.PidFile, number: signal.Signals) -> int | None:
    """Send a signal to the scheduler, if it runs; return its process ID.

    It cannot reach another process, even if the ID is reused.
    """
    pid = pid_file.running()
    if pid is None:
        print('Not Running')
        return None
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            # The scheduler holds the lock as long as it lives.
            if pid_file.running() == pid:
                signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)
    return pid


if __name__ == '__main__':
    sys.exit(main())
