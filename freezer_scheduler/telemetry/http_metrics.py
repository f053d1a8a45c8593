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

All sessions of keystoneauth share one session of ``requests``, so this is the
one place that every request passes, a login like any other. A request of a
run bears the run's request id, so that the services log it under that one.
"""

from __future__ import annotations

import logging as std_logging
import re
from typing import Any
from typing import NamedTuple
from typing import Protocol

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


def _known(service: str, *rows: str) -> tuple[_Known, ...]:
    made = []
    for row in rows:
        method, path, operation = row.split()
        made.append(_Known(method, re.compile(
            path.replace('ID', '[^/]+') + '$'), service, operation))
    return tuple(made)


_KNOWN = (
    *_known('keystone',
            'POST /auth/tokens login',
            'GET /OS-TRUST/trusts/ID show_trust'),
    *_known('freezer',
            'POST /clients register',
            'POST /clients/ID/claims claim',
            'PATCH /clients/ID/runs/ID report',
            'POST /clients/ID/reports report_all',
            'POST /maintenance maintain',
            'GET /v2 discover'),
    *_known('cinder',
            'POST /backups create_backup',
            'GET /backups/detail list_backups',
            'GET /backups/ID show_backup',
            'DELETE /backups/ID delete_backup',
            'POST /backups/ID/restore restore_backup',
            'POST /volumes create_volume',
            'GET /volumes/detail list_volumes',
            'GET /volumes/ID show_volume',
            'DELETE /volumes/ID delete_volume'),
)


def operation(method: str, url: str) -> tuple[str, str]:
    """Return the names of the service and of the operation."""
    path = url.partition('?')[0].rstrip('/')
    for known in _KNOWN:
        if known.method == method and known.path.search(path):
            return known.service, known.operation
    return OTHER, OTHER


class Observer(Protocol):
    """Records each request."""

    def called(self, service: str, operation: str, outcome: str,
               seconds: float) -> None:
        """Take note of one.

        :param outcome: the class of the answer's status, such as "2xx", or
            :data:`NO_ANSWER`
        """


class ObservedSession(requests.Session):
    """Sends requests as its base does, and records each."""

    def __init__(self, observer: Observer,
                 clock: scheduler_clock.Clock) -> None:
        super().__init__()
        self._observer = observer
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
            # There may be one that is of no use, such as a redirect.
            answer = error.response
            raise
        finally:
            self._tell(str(method).upper(), str(url), answer,
                       self._clock.monotonic() - began)
        return answer

    def _tell(self, method: str, url: str, answer: requests.Response | None,
              seconds: float) -> None:
        service, what = operation(method, url)
        outcome, said = NO_ANSWER, 'no answer'
        if answer is not None:
            outcome = f'{answer.status_code // 100}xx'
            said = f'{answer.status_code}{request_id(answer)}'
        self._observer.called(service, what, outcome, seconds)
        # Not its URL, which may hold the id of a trust.
        text = f'{service} {what}: {said} after {seconds:.3f} seconds'
        context = log_context.current()
        if context is not None and outcome != '2xx':
            context.trouble = text
        if LOG.isEnabledFor(std_logging.DEBUG):
            LOG.debug('%s', text)


def request_id(answer: requests.Response) -> str:
    """Return the id that an answer bears, to be put behind a text."""
    found = _REQUEST_ID.fullmatch(answer.headers.get(_HEADER) or '')
    return f' ({found[0]})' if found else ''
