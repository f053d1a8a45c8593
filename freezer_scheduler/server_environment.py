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

"""What the environment says of a server: its proxy, its certificates.

``requests`` asks it for each request, which is nearly a third of the CPU of
one, and looks for its files, which is another one. None of that changes while
the process lives, so it is asked once for each server. A tenth of the rest
went into cookies, of which there are none.
"""

from __future__ import annotations

from typing import Any
import urllib.parse

from keystoneauth1 import session as ks_session
import requests


class Session(requests.Session):
    """Sends requests as its base does, but with no account of a .netrc."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[Any, ...], Any] = {}
        # Only keystoneauth knows by which authority something is asked.
        self.auth = _nobody

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any,
                                   verify: Any, cert: Any) -> Any:
        """Return what a request is sent with, as the base does."""
        if proxies:
            return super().merge_environment_settings(
                url, proxies, stream, verify, cert)
        key = (_server(url), stream, verify, cert)
        if key not in self._known:
            self._known[key] = super().merge_environment_settings(
                url, proxies, stream, verify, cert)
        return self._known[key]

    def prepare_request(
            self, request: requests.Request) -> requests.PreparedRequest:
        """Return what the base does of a request without a cookie."""
        if request.auth or request.cookies or len(self.cookies):
            return super().prepare_request(request)
        made = requests.PreparedRequest()
        made.prepare_method(request.method)
        made.prepare_url(request.url, request.params)
        made.prepare_headers({
            name: value for name, value in {
                **self.headers, **(request.headers or {})}.items()
            if value is not None})
        made.prepare_body(request.data, request.files, request.json)
        made.prepare_hooks(request.hooks)
        return made


class Adapter(ks_session.TCPKeepAliveAdapter):
    """Sends requests as its base does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._known: dict[tuple[Any, ...], Any] = {}

    def build_connection_pool_key_attributes(
            self, request: requests.PreparedRequest, verify: Any,
            cert: Any = None) -> Any:
        """Return what tells connections apart, as the base does."""
        key = (_server(request.url), verify, cert)
        if key not in self._known:
            self._known[key] = super().build_connection_pool_key_attributes(
                request, verify, cert)
        return self._known[key]


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _server(url: Any) -> tuple[str, str]:
    scheme, server, *_ = urllib.parse.urlsplit(str(url))
    return scheme, server
