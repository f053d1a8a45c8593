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

"""freezer-api: the API with an HTTP server of its own.

A master process opens the port and starts the workers, which all accept
connections from it. SIGTERM ends it when the requests at hand are answered,
SIGHUP has the workers start anew with the configuration as it is then.

Exit status: 0 ended by a signal, 1 could not start (the log and one line on
stderr say why), 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Sequence
import multiprocessing
import socket
import sys
from typing import Any

import cotyledon
from oslo_config import cfg
from oslo_log import log

from freezer_api import conf as configuration
from freezer_api import deploy
from freezer_api import process_memory
from freezer_api import self_test
from freezer_api import server

# Seconds in which requests may end when the process is to end.
_GRACE = 30

_CLI = [
    cfg.HostAddressOpt('host', help='Address at which to listen, instead of '
                                    '[server] bind_host.'),
    cfg.PortOpt('port', min=1, help='Port at which to listen, instead of '
                                    '[server] bind_port.'),
    cfg.IntOpt('workers', min=1, max=256,
               help='Processes, instead of [server] workers.'),
]


class CannotListen(Exception):
    """The port cannot be had; the text names the option."""


def load(args: Sequence[str]) -> cfg.ConfigOpts:
    """Read the configuration that a command line names.

    :raises oslo_config.cfg.Error: on an unusable file, option or value
    """
    return configuration.load(args, cli_opts=_CLI)


def limits(conf: cfg.ConfigOpts) -> server.Limits:
    """Return what clients may take of a process."""
    return server.Limits(
        body=conf.oslo_middleware.max_request_body_size,
        connections=conf.server.max_connections,
        threads=conf.server.threads, request=conf.server.request_timeout,
        idle=conf.server.idle_timeout)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    :raises CannotListen: naming the option
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
    :param args: the command line, from which it reads the configuration
    :param listening: the socket of the master
    """

    name = 'worker'
    graceful_shutdown_timeout = _GRACE + 10

    def __init__(self, worker_id: Any, args: Sequence[str],
                 listening: socket.socket) -> None:
        super().__init__(worker_id)
        conf = load(args)
        log.setup(conf, 'freezer-api')
        try:
            application = deploy.start(conf)
        except self_test.Refused:
            # The log has the reasons.
            sys.exit(1)
        self._server = server.make_server(
            application, listening, limits(conf))
        process_memory.settle()

    def run(self) -> None:
        """Answer requests until the process ends."""
        self._server.run()

    def terminate(self) -> None:
        """Let the requests at hand end."""
        server.drain(self._server, _GRACE)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the API."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        conf = load(args)
        log.setup(conf, 'freezer-api')
        deploy.check(conf)
        listening = listen(conf.host or conf.server.bind_host,
                           conf.port or conf.server.bind_port)
    except (cfg.Error, log.LogConfigError, self_test.Refused,
            CannotListen) as error:
        print(f'freezer-api: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    manager = cotyledon.ServiceManager(
        graceful_shutdown_timeout=_GRACE + 20,
        # The workers share the socket of the master.
        mp_context=multiprocessing.get_context('fork'))
    manager.add(Worker, conf.workers or conf.server.workers,
                args=(args, listening))
    manager.run()
    return 0
