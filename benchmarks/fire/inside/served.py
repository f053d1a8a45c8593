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

_RUNS = re.compile(r'/v2/[^/]+/clients/[^/]+/(claims|reports|runs/([^/]+))$')
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


def _asked(sent, run):
    """Yield run and fields of what one request says, of several runs too."""
    for one in sent.get('reports') or [{'run_id': run, **sent}]:
        yield one['run_id'], {name: {**sent, **one}.get(name)
                              for name in _FIELDS}


def _taken(sent, text):
    """Return the runs of several whose reports were taken; None for all."""
    if 'reports' not in sent:
        return None
    return {one['run_id'] for one in json.loads(text).get('reports', ())}


def application(environ, start_response):
    path = environ['PATH_INFO']
    found = _RUNS.search(path)
    number = f'{_START}.{os.getpid()}.{next(_numbers)}'
    asked, sent, status = [], {}, 0
    if found:
        body = environ['wsgi.input'].read(
            int(environ.get('CONTENT_LENGTH') or 0))
        environ['wsgi.input'] = io.BytesIO(body)
        sent = json.loads(body)
        asked = list(_asked(sent, found[2]))
        for place, (run, fields) in enumerate(asked):
            _write(request=f'{number}.{place}', run=run, **fields)

    def start(line, headers, *more):
        nonlocal status
        status = int(line[:3])
        if not found and status >= 500:
            _write(answer=number, status=status, path=path)
        return start_response(line, headers, *more)

    answer = wsgi.application(environ, start)
    if found:
        answer = list(answer)
        taken = _taken(sent, b''.join(answer)) if status == 200 else None
        for place, (run, _fields) in enumerate(asked):
            stale = taken is not None and run not in taken
            _write(answer=f'{number}.{place}', path=path,
                   status=409 if stale else status)
    return answer
