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

"""Tells stestr how long tests take, so that its workers end together.

A fresh checkout has no times of its own, and dealing out classes that take
five seconds or five minutes one by one leaves one worker with half the work.
``durations.txt`` beside the tests has a line for each class: its name and its
seconds on a quiet machine of two processors, its setting up included. They
need not be exact. Run as ``python -m tests.durations`` before ``stestr run``.

Suites run beside each other. Each has a repository of its own, for stestr
locks none of its files.
"""

from __future__ import annotations

import datetime
import io
import os
import pathlib
import subprocess

import subunit

_BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def stream(durations: str, ids: list[str]) -> bytes:
    """Return a run of the tests as subunit, in which each class took its time.

    :param durations: the text of the file
    :param ids: of all tests
    :raises LookupError: there is no such class
    """
    made = io.BytesIO()
    result = subunit.StreamResultToBytes(made)
    for line in durations.splitlines():
        name, seconds = line.split()
        tests = [one for one in ids if one.startswith(f'{name}.')]
        if not tests:
            raise LookupError(f'durations.txt: there is no class {name}')
        end = _BEGIN + datetime.timedelta(seconds=int(seconds) / len(tests))
        for test in tests:
            result.status(test, 'inprogress', timestamp=_BEGIN)
            result.status(test, 'success', timestamp=end)
    return made.getvalue()


def main() -> None:
    repository = pathlib.Path(
        '.stestr', os.environ.get('FREEZER_TEST_SUITE', 'unit'))
    stestr = ['stestr', '--repo-url', str(repository)]
    if not repository.exists():
        repository.mkdir(parents=True)
        subprocess.run([*stestr, 'init'], check=True)
    path = pathlib.Path(os.environ['OS_TEST_PATH'], 'durations.txt')
    if not path.exists():
        return
    ids = subprocess.run([*stestr, 'list'], check=True, text=True,
                         stdout=subprocess.PIPE).stdout.split()
    subprocess.run(
        [*stestr, 'load'], check=True,
        input=stream(path.read_text(), ids), stdout=subprocess.DEVNULL)


if __name__ == '__main__':
    main()
