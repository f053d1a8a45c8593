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

"""The API of either side, counting SQL statements and recording requests.

Each answer says how many statements it took; ``statements-PID`` beside the
configuration says how many a process has sent. With BENCHMARK_RECORD set,
``requests.jsonl`` has a line for each claim and report before anything is
done, and one when it is answered.
"""

import functools
import io
import itertools
import json
import os
import pathlib
import re
import secrets
import threading
import time

from freezer_api import wsgi
import sqlalchemy as sa
from sqlalchemy import event

_FOLDER = pathlib.Path(os.environ['OS_FREEZER_API_CONFIG_FILES']).parent
_RUNS = re.compile(r'/v2/[^/]+/clients/[^/]+/(claims|reports|runs/([^/]+))$')
_FIELDS = ('scheduler_id', 'fence', 'state', 'release')
_seen = threading.local()
_total = itertools.count(1)
_numbers = itertools.count()
# Process ids are used again.
_START = secrets.token_hex(4)


@event.listens_for(sa.Engine, 'before_cursor_execute')
def _count(*arguments):
    _seen.statements = getattr(_seen, 'statements', 0) + 1
    _seen.total = next(_total)


@functools.cache
def _counter():
    # Only a process that was forked already answers requests.
    return os.open(_FOLDER / f'statements-{os.getpid()}',
                   os.O_WRONLY | os.O_CREAT, 0o600)


def _counted(environ, start_response):
    _seen.statements = 0

    def start(status, headers, *more):
        if _seen.statements:
            os.pwrite(_counter(), b'%20d' % _seen.total, 0)
        return start_response(
            status, [*headers, ('X-SQL-Statements', str(_seen.statements))],
            *more)

    return wsgi.application(environ, start)


def _write(**line):
    text = json.dumps({'at': time.time(), **line}) + '\n'
    file = os.open(_FOLDER / 'requests.jsonl',
                   os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _asked(sent, run):
    """Yield run and fields of a request, which may name several runs."""
    for one in sent.get('reports') or [{'run_id': run, **sent}]:
        yield one['run_id'], {name: {**sent, **one}.get(name)
                              for name in _FIELDS}


def _accepted(sent, text):
    """Return the runs whose reports were accepted; None for all."""
    if 'reports' not in sent:
        return None
    return {one['run_id'] for one in json.loads(text).get('reports', ())}


def _recorded(environ, start_response):
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

    answer = _counted(environ, start)
    if found:
        answer = list(answer)
        accepted = (_accepted(sent, b''.join(answer)) if status == 200
                    else None)
        for place, (run, _fields) in enumerate(asked):
            stale = accepted is not None and run not in accepted
            _write(answer=f'{number}.{place}', path=path,
                   status=409 if stale else status)
    return answer


application = _recorded if 'BENCHMARK_RECORD' in os.environ else _counted
