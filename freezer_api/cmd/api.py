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

"""freezer-api: the API with its own HTTP server.

The master process opens the port and starts the workers, which all accept
connections from it. On SIGTERM it ends after the current requests. On SIGHUP
new workers read the configuration again and replace the old ones.

Exit status: 0 ended by a signal, 1 could not start (the log and one line on
stderr give the reason), 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Sequence
import gc
import multiprocessing
import socket
import sys
from typing import Any

import cotyledon
from oslo_config import cfg

from freezer_api import app
from freezer_api.cmd import command
from freezer_api import conf as configuration
from freezer_api.keystone import preflight
from freezer_api import server
from freezer_config import errors
from freezer_config import logging_setup

# Seconds that current requests have to end when the process ends.
_GRACE = 30

_CLI = [
    cfg.HostAddressOpt('host', help='Address to listen at, instead of '
                                    '[server] bind_host.'),
    cfg.PortOpt('port', min=1, help='Port to listen at, instead of '
                                    '[server] bind_port.'),
    cfg.IntOpt('workers', min=1, max=256,
               help='Number of processes, instead of [server] workers.'),
]


class CannotListen(Exception):
    """The port cannot be opened; the text names the option."""


def load(args: Sequence[str]) -> cfg.ConfigOpts:
    """Read the configuration according to a command line.

    :param args: command line, without the program's name
    :raises oslo_config.cfg.Error: if a file, option or value is invalid
    """
    return configuration.load(args, cli_opts=_CLI)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    :raises CannotListen: if that fails; the text names the option
    """
    try:
        [(family, kind, protocol, _name, address), *_others] = (
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                               flags=socket.AI_PASSIVE))
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(
            f'[server] bind_host: {host}: {error.strerror}') from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(1024)
    except OSError as error:
        made.close()
        raise CannotListen(
            f'[server] bind_host, bind_port: cannot listen at {host}, port '
            f'{port}: {error.strerror}') from None
    return made


class Worker(cotyledon.Service):
    """One process that answers requests.

    :param worker_id: its number among the workers
    :param args: the command line, to read the configuration with
    :param listening: the socket of the master
    """

    name = 'worker'
    graceful_shutdown_timeout = _GRACE + 10

    def __init__(self, worker_id: Any, args: Sequence[str],
                 listening: socket.socket) -> None:
        super().__init__(worker_id)
        conf = load(args)
        logging_setup.setup(conf, 'freezer-api')
        try:
            application = app.start(conf, schema=False)
        except preflight.Refused:
            # The log has the reasons.
            sys.exit(1)
        self._server = server.make_server(
            application, listening, server.Limits(
                body=conf.oslo_middleware.max_request_body_size,
                connections=conf.server.max_connections,
                threads=conf.server.threads,
                request=conf.server.request_timeout,
                idle=conf.server.idle_timeout))
        # From now on the garbage collector ignores the imported objects, and
        # does not write to memory that the workers share.
        gc.collect()
        gc.freeze()

    def run(self) -> None:
        """Answer requests until the process ends."""
        self._server.run()

    def terminate(self) -> None:
        """Finish the current requests, and accept no more."""
        server.drain(self._server, _GRACE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the API; return the exit status."""
    command.unblock_signals()
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        conf = load(args)
        logging_setup.setup(conf, 'freezer-api')
        app.check(conf)
        listening = listen(conf.host or conf.server.bind_host,
                           conf.port or conf.server.bind_port)
    except (cfg.Error, logging_setup.LogRefused, preflight.Refused,
            CannotListen) as error:
        print(f'freezer-api: {errors.describe(error)}', file=sys.stderr)
        return 1
    manager = cotyledon.ServiceManager(
        graceful_shutdown_timeout=_GRACE + 20,
        # The workers share the socket of the master.
        mp_context=multiprocessing.get_context('fork'))
    manager.add(Worker, conf.workers or conf.server.workers,
                args=(args, listening))
    manager.run()
    return 0
