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

"""Why a job that runs with a trust cannot run now.

The values are stable: programs read them in answers and reports, and stored
jobs hold them. The advice is for the users of the project.
"""

from __future__ import annotations

import enum

_TAKE_OVER = ('Another member of the project takes the job over by starting '
              'it, or by changing what it does.')
_RENEW = 'Its giver makes a new one by saving the job or starting it. '


class Cause(enum.StrEnum):
    """What is the matter with a job's trust."""

    WITHDRAWN = 'delegation_withdrawn'
    MISSING = 'delegation_missing'
    GONE = 'trust_gone'
    EXPIRED = 'trust_expired'
    REFUSED = 'trust_refused'
    PROJECT_DISABLED = 'project_disabled'
    UNREADABLE = 'trust_unreadable'

    @property
    def advice(self) -> str:
        """What is wrong and what to do, in sentences."""
        return _ADVICE[self]


_SPENT = (Cause.GONE, Cause.EXPIRED, Cause.UNREADABLE)

# What the scheduler of a client can find out, and the API takes its word for.
REPORTED = (Cause.GONE, Cause.REFUSED, Cause.PROJECT_DISABLED)

_ADVICE = {
    Cause.WITHDRAWN:
        'The delegation of the job was withdrawn. A member of the project '
        'delegates again by updating its client_id or job_actions.',
    Cause.MISSING:
        'Nobody has delegated the job to the central scheduler. A member of '
        'the project does so by updating its client_id or job_actions.',
    Cause.GONE:
        'The trust that was delegated with the job does not exist any more: '
        'it, its giver or the project was deleted in Keystone. ' + _RENEW
        + _TAKE_OVER,
    Cause.EXPIRED:
        'The trust that was delegated with the job has expired. ' + _RENEW
        + _TAKE_OVER,
    Cause.REFUSED:
        'Keystone refuses the trust that was delegated with the job: its '
        'giver has lost a role, or is disabled. The job goes on when that is '
        'put right. ' + _TAKE_OVER,
    Cause.PROJECT_DISABLED:
        'The project is disabled in Keystone. The job goes on when it is '
        'enabled again.',
    Cause.UNREADABLE:
        'The service cannot read the trust of the job. The job goes on when '
        'the operator has put the keys of the service right. ' + _RENEW
        + _TAKE_OVER,
}


def reported(value: object) -> Cause | None:
    """Read what a scheduler names; what it cannot know is nothing."""
    return next((cause for cause in REPORTED if cause == value), None)


def is_spent(suspended: str | None) -> bool:
    """Whether a job needs another trust, its own being of no use."""
    return suspended in _SPENT


def lasting(suspended: str | None) -> str | None:
    """Return what stays of a suspension while the job is tried.

    Nobody's trust is tried where none is wanted: that ends with a new one
    only.
    """
    return suspended if suspended == Cause.WITHDRAWN else None
