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

"""The machine that something is measured on."""

from __future__ import annotations

import os
import pathlib
import platform


def described() -> dict[str, str]:
    """Return what the title of a report says of it."""
    cpu = next(
        (line.partition(':')[2].strip() for line in pathlib.Path(
            '/proc/cpuinfo').read_text().splitlines()
         if line.startswith('model name')), platform.machine())
    return {
        'Machine': f'{os.cpu_count()} cores, {cpu}, {platform.release()}',
        'Python': platform.python_version(),
    }
