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

"""The server of the cloud's WSGI applications."""

import os
import signal
import typing

import waitress


def serve(application: typing.Any, port: int, name: str) -> None:
    """Serve an application on 127.0.0.1 until SIGTERM or SIGINT."""
    server = waitress.create_server(
        application, host='127.0.0.1', port=port, ident=name, threads=8,
        # Clients that keep their connections open would fill up the default
        # of 100, at which waitress stops accepting.
        connection_limit=1000, channel_timeout=20, cleanup_interval=5,
        asyncore_use_poll=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    server.run()
