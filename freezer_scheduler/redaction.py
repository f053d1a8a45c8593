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

"""Keeps the ids of trusts out of what a library logs of requests."""

from __future__ import annotations

import logging
import re

_LOGGER = 'urllib3.connectionpool'
_TRUST = re.compile(r'(/OS-TRUST/trusts/)[^/?#"\s]+')


class _Hide(logging.Filter):

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = _TRUST.sub(r'\1(hidden)', text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True


def hide_trusts() -> None:
    """Have the HTTP library name no trust whose URL it asks for."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(known, _Hide) for known in logger.filters):
        logger.addFilter(_Hide())
