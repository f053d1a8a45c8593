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

"""Keeps the ids of trusts out of what libraries log of requests.

At level DEBUG they log URLs and what Keystone answered, and a trust's id is
all that the service account needs to act for its giver.
"""

from __future__ import annotations

import logging
import re

# A filter of a logger does not see what its children log.
_LOGGERS = ('urllib3.connectionpool', 'keystoneauth.session',
            'keystoneauth.session.request', 'keystoneauth.session.response',
            'keystoneauth.session.body', 'keystoneauth.session.request-id',
            'keystoneauth.identity.v3.base')
_HIDDEN = '(hidden)'
_URL = re.compile(r'(/OS-TRUST/trusts/)[^/?#"\s]+')
_ERROR = re.compile(r'(\btrust:? )[0-9a-f]{32}\b', re.IGNORECASE)
_BODY = re.compile(r'"(?:OS-TRUST:)?trusts?"\s*:')
_ID = re.compile(r'"id"\s*:\s*"([^"]+)"')


def without_trusts(text: str) -> str:
    """Return what is logged of a request, without the ids of trusts."""
    text = _ERROR.sub(rf'\1{_HIDDEN}', _URL.sub(rf'\1{_HIDDEN}', text))
    if _BODY.search(text):
        # Which of the ids is the trust's does not matter; links repeat it.
        for found in set(_ID.findall(text)):
            text = text.replace(found, _HIDDEN)
    return text


class _Hide(logging.Filter):

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = without_trusts(text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True


def hide_trusts() -> None:
    """Have the HTTP libraries name no trust."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Hide) for known in logger.filters):
            logger.addFilter(_Hide())
