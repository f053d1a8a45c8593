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

"""The API of a published release, as the server that its own program starts.

Keystone's middleware is left out of its pipeline: a request bears the headers
that it would set.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import http.client
import json
import pathlib
import subprocess
import tempfile
import time
from typing import Any

from tests.released import releases
from tools.cloud import commands
from tools.cloud import ports

_PATIENCE = 60
_START = 'from freezer_api.cmd import api; api.main()'


class Served:
    """Answers to requests of a user."""

    def __init__(self, port: int, user_id: str, project_id: str) -> None:
        self._port, self._project_id = port, project_id
        self._headers = {
            'X-Identity-Status': 'Confirmed', 'X-User-Id': user_id,
            'X-Project-Id': project_id, 'X-Tenant-Id': project_id,
            'X-User-Name': user_id, 'X-Roles': 'member',
            'X-Auth-Token': 'token', 'Content-Type': 'application/json'}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request, and return its answer.

        :raises AssertionError: for an error
        """
        connection = http.client.HTTPConnection(
            '127.0.0.1', self._port, timeout=_PATIENCE)
        with contextlib.closing(connection):
            connection.request(
                method, f'/v2/{self._project_id}/{path}',
                None if body is None else json.dumps(body), self._headers)
            response = connection.getresponse()
            text = response.read()
        if response.status >= 300:
            raise AssertionError(
                f'{method} {path}: {response.status} {text!r}')
        return json.loads(text) if text else None


@contextlib.contextmanager
def served(release: releases.Release, url: str, user_id: str,
           project_id: str) -> Iterator[Served]:
    """Have a release serve a database.

    :raises AssertionError: it does not start
    """
    release.make()
    [port] = ports.find_free(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _configure(release, folder, url, port)
        more = {} if release.sources is None else {
            'PYTHONPATH': str(release.sources)}
        with (open(folder / 'output', 'wb') as output,
              subprocess.Popen(
                  [release.environment.python, '-c', _START, '--config-file',
                   str(folder / 'freezer-api.conf')],
                  stdout=output, stderr=output, cwd=folder,
                  env=commands.clean_environment(
                      PYTHONWARNINGS='ignore', **more)) as process):
            try:
                _wait(process, port, folder)
                yield Served(port, user_id, project_id)
            finally:
                process.terminate()


def _configure(release: releases.Release, folder: pathlib.Path, url: str,
               port: int) -> None:
    shipped = (release.sources or release.environment.venv) / 'etc/freezer'
    paste = (shipped / 'freezer-paste.ini').read_text()
    assert ' authtoken ' in paste, paste
    (folder / 'freezer-paste.ini').write_text(
        paste.replace(' authtoken ', ' '))
    (folder / 'policy.yaml').write_text('{}')
    (folder / 'freezer-api.conf').write_text(
        f'[DEFAULT]\nbind_host = 127.0.0.1\nbind_port = {port}\n'
        f'[database]\nconnection = {url}\n'
        '[storage]\ndriver = sqlalchemy\nbackend = sqlalchemy\n'
        f'[paste_deploy]\nconfig_file = {folder}/freezer-paste.ini\n'
        f'[oslo_policy]\npolicy_dirs = {folder}/policy.d\n'
        f'policy_file = {folder}/policy.yaml\n')


def _wait(process: subprocess.Popen[bytes], port: int,
          folder: pathlib.Path) -> None:
    end = time.monotonic() + _PATIENCE
    while ports.is_free(port):
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError((folder / 'output').read_text()[-3000:])
        time.sleep(0.1)
