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

"""The part of packaging that setup.cfg cannot say: a version without git.

pbr takes the version from PBR_VERSION, from the metadata of an sdist, or from
git, in this order, and fails where none of them answers. A copied tree, a
checkout that belongs to another user (git refuses to read it) and a machine
without git are all fine to install from, so those get the version of
setup.cfg as its first development release.
"""

import configparser
import os
import pathlib
import subprocess

import setuptools

HERE = pathlib.Path(__file__).resolve().parent


def git_answers() -> bool:
    try:
        asked = subprocess.run(
            ['git', 'rev-parse', 'HEAD'], cwd=HERE, capture_output=True,
            check=False)
    except OSError:  # no git here
        return False
    return asked.returncode == 0


def fallback_version() -> str:
    config = configparser.ConfigParser()
    config.read(HERE / 'setup.cfg', encoding='utf-8')
    return config['metadata']['version'] + '.dev0'


if not (HERE / 'PKG-INFO').exists() and not git_answers():
    os.environ.setdefault('PBR_VERSION', fallback_version())

setuptools.setup(setup_requires=['pbr>=6.1.1'], pbr=True)
