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

"""Telling an operator which server gave a useless answer, and what to check.

Such an answer is often one of a proxy, or of another service at a URL that
was configured wrongly: a redirect, a page for people, somebody else's JSON.
"""

from __future__ import annotations

import urllib.parse

from keystoneauth1 import exceptions as ks_exceptions
import requests

from freezer_http import adapter
from freezer_http import responses
from freezer_scheduler.freezer import messages

_LONGEST = 300

KEYSTONE = 'check [service_auth] os_auth_url'
FREEZER = ('check the endpoint of type backup in Keystone\'s catalogue, or '
           '[service_auth] os_backup_url where it is set')


def explained(error: ks_exceptions.ClientException) -> str:
    """Return one line about a request that had no useful answer.

    :param error: of a request to Keystone or to the Freezer API
    """
    original = getattr(error, 'original', None)
    response: requests.Response | None
    if isinstance(original, adapter.Redirected | adapter.TooLarge):
        response = original.response
        if response is not None:
            return _line(response, str(original))
    response = getattr(error, 'response', None)
    if response is not None:
        message = responses.fault(response)
        return _line(response, f'answered {response.status_code}' + (
            f': {message}' if message else f' with {content(response)}'))
    # What the HTTP library says after that repeats it at length.
    text = str(error).partition(': HTTP')[0]
    return (f'{type(error).__name__}: '
            f'{messages.shortened(text, _LONGEST)}')


def content(response: requests.Response) -> str:
    """Return what an answer holds, in words."""
    if not response.content:
        return 'no content'
    kind = response.headers.get('Content-Type', '').partition(';')[0]
    return f'{kind or "content of no type"} that is of no use'


def _line(response: requests.Response, what: str) -> str:
    request = response.request
    url = urllib.parse.urlsplit(request.url or '')
    login = url.path.endswith('/auth/tokens')
    # Without a user name or a query, which may be secret.
    server = url.netloc.rpartition('@')[2]
    text = f'{request.method} {url.scheme}://{server}{url.path} {what}'
    return (f'{messages.shortened(text, _LONGEST)}; '
            f'{KEYSTONE if login else FREEZER}')
