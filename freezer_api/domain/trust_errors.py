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

"""Reasons why a job with a trust cannot run.

The values are stable: programs read them in answers and reports, and jobs
store them. The advice is for the users of the project.
"""

from __future__ import annotations

import enum

_REPLACE = ('Another member of the project can replace it with a trust of '
            'their own by starting the job, or by changing what it does.')
_RENEW = 'Its trustor creates a new one by saving the job or starting it. '


class Cause(enum.StrEnum):
    """The problem of a job's trust."""

    WITHDRAWN = 'delegation_withdrawn'
    MISSING = 'delegation_missing'
    GONE = 'trust_gone'
    EXPIRED = 'trust_expired'
    REFUSED = 'trust_refused'
    PROJECT_DISABLED = 'project_disabled'
    UNREADABLE = 'trust_unreadable'

    @property
    def advice(self) -> str:
        """The problem and its remedy, in sentences."""
        return _ADVICE[self]


_INVALID = (Cause.GONE, Cause.EXPIRED, Cause.UNREADABLE)

# Problems that the scheduler of a client can report.
REPORTED = (Cause.GONE, Cause.REFUSED, Cause.PROJECT_DISABLED)

_ADVICE = {
    Cause.WITHDRAWN:
        'The trust of the job was withdrawn. A member of the project creates '
        'a new one by updating its client_id or job_actions.',
    Cause.MISSING:
        'The job has no trust for the central scheduler. A member of the '
        'project creates one by updating its client_id or job_actions.',
    Cause.GONE:
        'The trust of the job no longer exists: the trust, its trustor or the '
        'project was deleted in Keystone. ' + _RENEW
        + _REPLACE,
    Cause.EXPIRED:
        'The trust of the job has expired. ' + _RENEW
        + _REPLACE,
    Cause.REFUSED:
        'Keystone refuses the trust of the job: its trustor has lost a role, '
        'or is disabled. The job continues when that is corrected. '
        + _REPLACE,
    Cause.PROJECT_DISABLED:
        'The project is disabled in Keystone. The job continues when it is '
        'enabled again.',
    Cause.UNREADABLE:
        'The service cannot read the trust of the job. The job continues when '
        'the operator has corrected the keys of the service. ' + _RENEW
        + _REPLACE,
}


def reported(value: object) -> Cause | None:
    """Return a cause that a scheduler reports; None for other values."""
    return next((cause for cause in REPORTED if cause == value), None)


def is_invalid(suspension_reason: str | None) -> bool:
    """Return whether a job needs another trust."""
    return suspension_reason in _INVALID


def lasting(suspension_reason: str | None) -> str | None:
    """Return the part of a suspension that lasts while a run is tried.

    A withdrawn trust ends only with a new trust.
    """
    return suspension_reason if suspension_reason == Cause.WITHDRAWN else None
