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

"""Console scripts that are run again and again, and imported once.

To import ``openstack`` takes many times as long as a request. A process of
the environment imports what its scripts import; each command is a fork of it,
with arguments, variables and output of its own.

This file is run by that environment's Python, so it has nothing but the
standard library.
"""

from __future__ import annotations

from importlib import metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile


class ConsoleScripts:
    """Some console scripts of an environment.

    :param python: of the environment
    :param names: of the scripts
    """

    def __init__(self, python: str, *names: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix='output ')
        self._process = subprocess.Popen(
            [python, __file__, *names], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in ('PATH', 'HOME')})

    def run(self, name: str, arguments: list[str], env: dict[str, str],
            ) -> subprocess.CompletedProcess[str]:
        """Run a script, and return how it ended and what it printed."""
        assert self._process.stdin and self._process.stdout
        output, errors = (pathlib.Path(self._folder.name, stream)
                          for stream in ('out', 'err'))
        argv = [name, *arguments]
        print(json.dumps([argv, env, str(output), str(errors)]),
              file=self._process.stdin, flush=True)
        return subprocess.CompletedProcess(
            argv, int(self._process.stdout.readline()), output.read_text(),
            errors.read_text())

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


def main() -> None:
    scripts = {script.name: script.load() for script in
               metadata.entry_points(group='console_scripts')
               if script.name in sys.argv[1:]}
    for line in sys.stdin:
        argv, env, *outputs = json.loads(line)
        child = os.fork()
        if not child:
            for number, path in enumerate((os.devnull, *outputs)):
                mode = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
                os.dup2(os.open(path, mode if number else os.O_RDONLY),
                        number)
            os.environ.clear()
            os.environ.update(env)
            sys.argv = argv
            # Some keep what sys.argv was when they were imported.
            sys.exit(scripts[argv[0]](argv[1:]))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == '__main__':
    main()
