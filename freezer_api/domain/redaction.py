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

"""Hide the IDs of trusts in the log lines of libraries.

At level DEBUG they log URLs and answers of Keystone. With the ID of a trust
the service account can act for its trustor.
"""

from __future__ import annotations

import logging
import re

# The filter of a logger does not apply to its child loggers.
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
    """Return a log line of a request without the IDs of trusts."""
    text = _ERROR.sub(rf'\1{_HIDDEN}', _URL.sub(rf'\1{_HIDDEN}', text))
    if _BODY.search(text):
        # Hide all IDs: links repeat them too.
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
    """Make the HTTP libraries log no IDs of trusts."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Hide) for known in logger.filters):
            logger.addFilter(_Hide())
