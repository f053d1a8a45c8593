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

"""One request to the API in a process that may kill itself on the way.

Reads what to do as JSON from standard input, so that no token is in a list
of processes: ``config``, ``token``, ``method``, ``path``, ``body``, ``die``
(one of POINTS, or null), ``later`` (seconds by which the clock is ahead) and
``options`` of [service_mode]. Without a path it does the maintenance. Prints
status and answer as JSON, unless it died.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import os
import signal
import sys
import time
from typing import Any
from unittest import mock

from falcon import testing

from freezer_api import app as api_app
from freezer_api import conf as configuration
from freezer_api.db import trusts as db_trusts
from freezer_api.keystone import trusts
from freezer_api.services import trusts as trust_service

# Before or after which step of the API it ends: who has it, and the step
# itself, so that a step of another name is no mistake that waits for a cloud.
POINTS: dict[str, tuple[Any, Callable[..., Any], str]] = {
    'before the trust is made': (
        trusts.Trusts, trusts.Trusts.create, 'before'),
    'before the answer is known': (
        trusts.Trusts, trusts.Trusts.create, 'after'),
    'before the job is stored': (db_trusts, db_trusts.attach, 'after'),
    'after the job is stored': (
        trust_service.TrustService, trust_service.TrustService._settle,
        'before'),
    'before the deletion': (
        trust_service.TrustService, trust_service.TrustService.delete_retired,
        'before'),
    'before the deletion is known': (
        trusts.Trusts, trusts.Trusts.delete, 'after'),
}


def _die(*_args: Any, **_kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(work: Callable[..., Any], when: str) -> Callable[..., Any]:
    def after(*args: Any, **kwargs: Any) -> None:
        work(*args, **kwargs)
        _die()

    return _die if when == 'before' else after


def main() -> None:
    wanted = json.load(sys.stdin)
    conf = configuration.load(files=[wanted['config']])
    for name, value in wanted['options'].items():
        conf.set_override(name, value, 'service_mode')
    if wanted['die'] is not None:
        owner, step, when = POINTS[wanted['die']]
        mock.patch.object(owner, step.__name__, _dying(step, when)).start()
    if not wanted['path']:
        made = api_app.make_services(
            conf, lambda: int(time.time()) + wanted['later'])
        print(json.dumps([200, made.trusts.maintain(limit=1000)]))
        return
    whole = api_app.make_app(conf)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        # A function, as the client wants it.
        return whole(environ, start_response)

    answer = testing.TestClient(app).simulate_request(
        wanted['method'], wanted['path'], json=wanted['body'],
        headers={'X-Auth-Token': wanted['token']})
    print(json.dumps([answer.status_code, answer.text]))


if __name__ == '__main__':
    main()
