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

"""Released code, as it comes from the package index."""

from __future__ import annotations

import atexit
import functools
import subprocess
import sys
import tempfile


@functools.cache
def folder(requirement: str) -> str:
    """Return a folder that holds a distribution, without what it requires.

    It is there until the process ends. What it requires is what this project
    requires.
    """
    holder = tempfile.TemporaryDirectory(prefix='released-')
    atexit.register(holder.cleanup)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps',
         '--no-compile', '--disable-pip-version-check',
         '--target', holder.name, requirement],
        check=True, capture_output=True)
    return holder.name
