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

# They name the URLs that they ask for.
_URLS = ('urllib3.connectionpool', 'keystoneauth.session',
         'keystoneauth.session.request-id')
_TRUST = re.compile(r'(/OS-TRUST/trusts/)[^/?#"\s]+')

# It tells what a login was answered.
_LOGIN = 'keystoneauth.identity.v3.base'
_SCOPE = 'OS-TRUST:trust'


class _Hide(logging.Filter):

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = _TRUST.sub(r'\1(hidden)', text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True


class _HideAnswer(logging.Filter):

    def filter(self, record: logging.LogRecord) -> bool:
        if _SCOPE in record.getMessage():
            record.msg, record.args = '(a token of a trust)', ()
        return True


def hide_trusts() -> None:
    """Have the libraries name no trust that they log in with or ask for."""
    for name in _URLS:
        _add(name, _Hide())
    _add(_LOGIN, _HideAnswer())


def _add(name: str, hide: logging.Filter) -> None:
    logger = logging.getLogger(name)
    if not any(isinstance(known, type(hide)) for known in logger.filters):
        logger.addFilter(hide)
