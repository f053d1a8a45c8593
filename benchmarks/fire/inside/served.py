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

"""The API, which writes down who claims and reports, and what it answers.

That is in ``requests.jsonl`` beside the API's configuration: a line when a
request comes, before anything is done, and one when it is answered.
"""

import io
import itertools
import json
import os
import pathlib
import re
import secrets
import time

from freezer_api import wsgi

_RUNS = re.compile(r'/v2/[^/]+/clients/[^/]+/(claims|runs/([^/]+))$')
_FIELDS = ('scheduler_id', 'fence', 'state', 'release')
_numbers = itertools.count()
_RECORD = pathlib.Path(
    os.environ['OS_FREEZER_API_CONFIG_FILES']).with_name('requests.jsonl')
# Process ids come again.
_START = secrets.token_hex(4)


def _write(**line):
    text = json.dumps({'at': time.time(), **line}) + '\n'
    file = os.open(_RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def application(environ, start_response):
    found = _RUNS.search(environ['PATH_INFO'])
    number = f'{_START}.{os.getpid()}.{next(_numbers)}'
    if found:
        body = environ['wsgi.input'].read(
            int(environ.get('CONTENT_LENGTH') or 0))
        environ['wsgi.input'] = io.BytesIO(body)
        sent = json.loads(body)
        _write(request=number, run=found[2],
               **{name: sent.get(name) for name in _FIELDS})

    def start(status, headers, *more):
        if found or status >= '500':
            _write(answer=number, status=int(status[:3]),
                   path=environ['PATH_INFO'])
        return start_response(status, headers, *more)

    return wsgi.application(environ, start)
