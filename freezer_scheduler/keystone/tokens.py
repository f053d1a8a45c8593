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

"""Tokens of trusts, and failed logins."""

from __future__ import annotations

import dataclasses
import enum
import typing

from keystoneauth1 import access as ks_access
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import session as ks_session

from freezer_api.domain import trust_errors
from freezer_http import responses

# Seconds before its end in which a token is not used any more.
_END = 30


class Token(enum.Enum):
    """State of the token of a trust."""

    READY = enum.auto()
    DUE = enum.auto()
    """A login is needed."""
    FAILED = enum.auto()
    """The last login failed, a moment ago."""


class LoginFailed(ks_exceptions.ClientException):
    """A trust has no token, and no login is attempted now.

    :ivar cause: what is wrong with the trust, if that is known
    """

    def __init__(self, text: str,
                 cause: trust_errors.Cause | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class Deferred(responses.Password):
    """A login with a trust that only :meth:`Identity.log_in` performs."""

    def get_access(self, session: ks_session.Session,
                   **kwargs: typing.Any) -> ks_access.AccessInfo:
        access = self.auth_ref
        if access is None:
            raise LoginFailed('waits for a login at Keystone')
        return access

    def invalidate(self) -> bool:
        # So that the session passes on its 401.
        return False


@dataclasses.dataclass(eq=False)
class TrustToken:
    """The session and the token of a trust; times are monotonic seconds.

    :ivar login: has the token as ``auth_ref``
    :ivar asked: time of the request for the token
    :ivar received: time of the answer
    :ivar life: seconds from the request to the end of the token
    :ivar retry_at: time of the next attempt after a failure
    """

    session: ks_session.Session
    login: responses.Password
    asked: float = 0
    received: float = 0
    life: float = 0
    failure: LoginFailed | None = None
    failures: int = 0
    retry_at: float = 0

    def left(self, now: float) -> float:
        """Return the seconds until the token expires."""
        return (float('-inf') if self.login.auth_ref is None
                else self.asked + self.life - now - min(_END, self.life / 4))

    def fresh(self, now: float, part: float) -> bool:
        """Return whether at least that part of the token's life remains.

        The duration of the login does not count, so that a slow login is not
        repeated forever.
        """
        return now - self.received <= self.life * (1 - part)


def life(access: ks_access.AccessInfo, wall: float) -> float:
    """Return the lifetime of a token in seconds.

    It uses Keystone's clock if possible, because the local clock may be wrong.

    :param wall: now, in epoch seconds
    """
    try:
        begins, ends = access.issued, access.expires
    except (AttributeError, KeyError, TypeError, ValueError):
        begins = ends = None
    if begins is None or ends is None or begins >= ends:
        return left(access, wall)
    return (ends - begins).total_seconds()


def left(access: ks_access.AccessInfo, wall: float) -> float:
    """Return the seconds until a token expires, by the local clock.

    :param wall: now, in epoch seconds
    """
    ends = access.expires
    return 0 if ends is None else ends.timestamp() - wall
