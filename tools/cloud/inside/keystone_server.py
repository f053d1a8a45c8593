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

Usage: keystone_server.py CONFIG-FILE PORT
"""

import sys
import warnings

import server
import sqlite_wal


def main() -> None:
    config_file, port = sys.argv[1], int(sys.argv[2])
    warnings.simplefilter('ignore')
    sqlite_wal.install()
    # Keystone parses sys.argv when its application is imported.
    sys.argv = ['keystone', '--config-file', config_file]
    from keystone.wsgi import api
    server.serve(api.application, port, 'keystone')


main()
