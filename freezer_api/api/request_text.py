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

"""The characters of a request, all of them."""

from __future__ import annotations

import falcon
from falcon import uri


def keep(req: falcon.Request, body: bytes) -> None:
    """Note the body of a request, which can be read only once."""
    req.context.body = body


def is_ascii(req: falcon.Request) -> bool:
    """Return whether a request has ASCII in its path, query and body only.

    A character that its JSON escapes counts as what it stands for.
    """
    body: bytes = getattr(req.context, 'body', b'')
    return (req.path.isascii()
            and uri.decode(req.query_string or '').isascii()
            and body.isascii() and b'\\u' not in body)
