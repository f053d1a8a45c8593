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

"""Waiting until a scheduler that was started can run what is due.

Ours can when its first claim is answered. Upstream's reads the whole list,
and arms one job after the other then: each has been changed when it is done.
"""

from __future__ import annotations

import dataclasses
import time

from benchmarks.api import operations
from benchmarks.scale import deployment
from benchmarks.scale import figure

CLAIM = 'POST /v2/*/clients/central/claims'
PAGE = 'GET /v2/*/jobs'
CHANGE = 'PATCH /v2/*/jobs/*'
LOGIN = 'POST /v3/auth/tokens'


@dataclasses.dataclass(frozen=True)
class Settled:
    """How a scheduler came to where it can run what is due.

    :ivar seconds: from the start of its process, or until it was given up
    :ivar listing: of them until the list was read, or given up
    :ivar spent: meanwhile
    :ivar resident: KiB of the scheduler then
    :ivar whole: it was not given up
    """

    seconds: float
    listing: float
    spent: deployment.Spent
    resident: int
    whole: bool


def settle(one: deployment.Deployment, patience: float,
           **configured: int) -> Settled:
    """Start a scheduler, and wait for it.

    :param patience: seconds
    :param configured: see ``Deployment.start``
    """
    one.stop()
    one.api.forget()
    one.keystone.forget()
    before = one.read()
    began = one.start(**configured)
    kind, wanted = ((CLAIM, 1) if one.name == figure.OURS
                    else (CHANGE, one.jobs))
    while one.api.seen()[kind] < wanted:
        if time.monotonic() - began > patience:
            break
        time.sleep(0.02)
    after = one.read()
    one.settled = whole = one.api.seen()[kind] >= wanted
    ended = (one.api.first(kind) if one.name == figure.OURS
             else one.api.last(kind)) if whole else None
    listed = one.api.last(PAGE) if one.api.seen()[CHANGE] else None
    return Settled(
        seconds=(ended or after.at) - began,
        listing=(listed or after.at) - began,
        spent=after.since(before), resident=after.schedulers.resident,
        whole=whole)


def pages(jobs: int) -> int:
    """Return how many pages a stock scheduler reads of so many jobs."""
    return jobs // operations.PAGE + 1
