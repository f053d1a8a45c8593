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

"""Each HTTP request of the scheduler: how long it took, and its id.

All sessions of keystoneauth share one session of ``requests``, so that each
request, a login too, passes through it. A request of a run has the request id
of the run, under which the services log it.
"""

from __future__ import annotations

from collections.abc import Callable
import logging as std_logging
import re
from typing import Any
from typing import NamedTuple

from oslo_log import log as logging
import requests

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import log_context

LOG = logging.getLogger(__name__)

_HEADER = 'X-OpenStack-Request-ID'
_REQUEST_ID = re.compile(r'req-[0-9a-f-]{36}')

OTHER = 'other'
NO_ANSWER = 'no_answer'


class _Known(NamedTuple):
    method: str
    path: re.Pattern[str]
    service: str
    operation: str


_KNOWN = tuple(
    _Known(method, re.compile(path.replace('ID', '[^/]+') + '$'), service,
           operation)
    for service, requests_of in {
        'keystone': (
            'POST /auth/tokens login',
            'GET /OS-TRUST/trusts/ID show_trust'),
        'freezer': (
            'POST /clients register',
            'POST /clients/ID/claims claim',
            'PATCH /clients/ID/runs/ID report',
            'POST /clients/ID/reports report_all',
            'POST /maintenance maintain',
            'GET /v2 discover'),
        'cinder': (
            'POST /backups create_backup',
            'GET /backups/detail list_backups',
            'GET /backups/ID show_backup',
            'DELETE /backups/ID delete_backup',
            'POST /backups/ID/restore restore_backup',
            'POST /volumes create_volume',
            'GET /volumes/detail list_volumes',
            'GET /volumes/ID show_volume',
            'DELETE /volumes/ID delete_volume'),
    }.items() for method, path, operation in map(str.split, requests_of))


def operation(method: str, url: str) -> tuple[str, str]:
    """Return the names of the service and of the operation."""
    path = url.partition('?')[0].rstrip('/')
    for known in _KNOWN:
        if known.method == method and known.path.search(path):
            return known.service, known.operation
    return OTHER, OTHER


# Records a request: service, operation, outcome and seconds. The outcome is
# the class of the answer's status, such as "2xx", or NO_ANSWER.
Recorder = Callable[[str, str, str, float], None]


class ObservedSession(requests.Session):
    """Sends requests as its base does, and records each."""

    def __init__(self, record: Recorder,
                 clock: scheduler_clock.Clock) -> None:
        super().__init__()
        self._record = record
        self._clock = clock

    def request(self, method: Any, url: Any, *args: Any,
                **kwargs: Any) -> requests.Response:
        context = log_context.current()
        if context is not None:
            kwargs['headers'] = {
                **(kwargs.get('headers') or {}), _HEADER: context.request_id}
        began = self._clock.monotonic()
        answer = None
        try:
            answer = super().request(method, url, *args, **kwargs)
        except requests.exceptions.RequestException as error:
            # The answer can be useless, such as a redirect.
            answer = error.response
            raise
        finally:
            self._note(str(method).upper(), str(url), answer,
                       self._clock.monotonic() - began)
        return answer

    def _note(self, method: str, url: str, answer: requests.Response | None,
              seconds: float) -> None:
        service, what = operation(method, url)
        outcome, said = NO_ANSWER, 'no answer'
        if answer is not None:
            outcome = f'{answer.status_code // 100}xx'
            said = f'{answer.status_code}{request_id(answer)}'
        self._record(service, what, outcome, seconds)
        # Not its URL, which may hold the id of a trust.
        text = f'{service} {what}: {said} after {seconds:.3f} seconds'
        context = log_context.current()
        if context is not None and outcome != '2xx':
            context.trouble = text
        if LOG.isEnabledFor(std_logging.DEBUG):
            LOG.debug('%s', text)


def request_id(answer: requests.Response) -> str:
    """Return the request id of an answer in parentheses, or ''."""
    found = _REQUEST_ID.fullmatch(answer.headers.get(_HEADER) or '')
    return f' ({found[0]})' if found else ''
