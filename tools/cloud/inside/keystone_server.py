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

"""Keystone's WSGI application behind waitress.

Usage: keystone_server.py CONFIG-FILE PORT [PASSWORD-FILE REGION URL]

With the optional arguments it first creates the database, the administrator,
whose password is in a JSON file under "admin", and Keystone's own entry of the
catalogue. The import of Keystone takes most of the time, so one process does
everything.
"""

import json
import pathlib
import sys
import warnings

import server
import sqlite_wal


def bootstrap(password_file: str, region: str, url: str) -> None:
    """Do the same as ``keystone-manage bootstrap``."""
    from keystone.cmd import bootstrap as keystone_bootstrap
    from keystone.server import backends

    # The application has already loaded the backends.
    backends.load_backends = dict
    beginning = keystone_bootstrap.Bootstrapper()
    beginning.admin_password = json.loads(
        pathlib.Path(password_file).read_text())['admin']
    beginning.admin_username = beginning.project_name = 'admin'
    beginning.admin_role_name = 'admin'
    beginning.service_name = 'keystone'
    beginning.region_id = region
    beginning.public_url = beginning.internal_url = beginning.admin_url = url
    beginning.immutable_roles = True
    beginning.bootstrap()


def main() -> None:
    config_file, port, *beginning = sys.argv[1:]
    warnings.simplefilter('ignore')
    sqlite_wal.install()
    # Keystone parses the command line when it is configured.
    sys.argv = ['keystone', '--config-file', config_file]
    from keystone.common.sql import upgrades
    from keystone.server.flask import core

    application = core.initialize_application(
        'public', upgrades.offline_sync_database_to_version if beginning
        else lambda: None)
    if beginning:
        bootstrap(*beginning)
    server.serve(application, int(port), 'keystone')


main()
