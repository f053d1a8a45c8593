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

"""What a refusal of Swift to Cinder's backup driver means.

Cinder passes on python-swiftclient's words, of which its database keeps 255
characters. A long name can cut off the status: for instance ``Object PUT
failed: https://swift/v1/AUTH_1/volumebackups/volume_2/3-00004 401
Unauthorized  [first 60 chars of resp``.
"""

from __future__ import annotations

import dataclasses
import re

_FAILED = re.compile(
    r'\b(Account|Container|Object) (GET|HEAD|PUT|POST|DELETE) failed: \S+'
    r'(?: (\d{3})\b)?')

# These are about the token, not about what is asked for.
_AUTHORITY = frozenset((401, 403))

_LONGER = ('longer backups need service tokens from Cinder '
           '(backup_swift_service_auth) or a longer [token] expiration in '
           'Keystone: ask the operator')
# Where there is little room, only the first words are shown.
_MEANING = {
    401: f'Swift refused the token of the request (401), which has ended or '
         f'was revoked; {_LONGER}',
    403: 'Swift refused the request (403): the job needs a role that Swift '
         'names in operator_roles ([service_mode] trusts_delegated_roles): '
         'ask the operator',
    413: 'Swift refused the data (413): the project is over its quota there',
    None: f'Swift refused a request, and Cinder cut off its answer; where it '
          f'was the token (401), {_LONGER}',
}


@dataclasses.dataclass(frozen=True)
class SwiftError:
    """A request of Cinder's driver that Swift refused.

    :ivar reads: whether it reads an object that Swift has already
    :ivar status: of Swift's answer; None if Cinder cut it off
    """

    reads: bool
    status: int | None

    @property
    def meaning(self) -> str | None:
        """What it means and what to do; None if Cinder's words suffice."""
        return _MEANING.get(self.status)

    @property
    def full_may_help(self) -> bool:
        """Whether a full backup may succeed after an increment failed so.

        The only difference is that it needs no objects of earlier backups.
        """
        return self.reads and self.status not in _AUTHORITY


def read(fail_reason: str | None) -> SwiftError | None:
    """Return what Swift refused; None if the reason is not Swift's."""
    found = _FAILED.search(fail_reason or '')
    if found is None:
        return None
    noun, verb, status = found.groups()
    return SwiftError(noun == 'Object' and verb in ('GET', 'HEAD'),
                      None if status is None else int(status))


def full_may_help(fail_reason: str | None) -> bool:
    """Return whether a full backup may succeed after an increment failed.

    :param fail_reason: Cinder's words about the increment
    """
    error = read(fail_reason)
    return error is None or error.full_may_help
