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

"""The environment of the benchmark itself: it draws plots."""

from __future__ import annotations

import pathlib

from benchmarks.api import environments
from tools.cloud import environments as cloud_environments

_PACKAGES = (
    'matplotlib==3.11.2', 'PyMySQL==1.2.4', 'psycopg[binary]==3.3.9')


def plotting(home: pathlib.Path) -> cloud_environments.Environment:
    """matplotlib, drivers of databases, and what this project runs from."""
    return environments.OwnEnvironment(
        'bench-scale', home, _PACKAGES,
        service=cloud_environments.Environments(home).service)
