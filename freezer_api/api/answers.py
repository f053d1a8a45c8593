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

"""What is answered: JSON, in ASCII.

Rows of former releases hold half surrogate pairs, which no other encoding
can.
"""

from __future__ import annotations

from collections.abc import Iterable
import io
import json
from typing import Any

import falcon
from falcon import media


def install(app: falcon.App[Any, Any]) -> None:
    """Have documents written as lists are."""
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = media.JSONHandler(
        dumps=json.dumps)


def show_list(resp: falcon.Response, name: str,
              documents: Iterable[dict[str, Any]]) -> None:
    """Answer with a list, of which one document at a time is made.

    A list of a thousand takes several times as much memory as its text.
    """
    text = io.BytesIO()
    text.write(b'{"%s": [' % name.encode())
    for number, document in enumerate(documents):
        if number:
            text.write(b', ')
        text.write(json.dumps(document).encode())
    text.write(b']}')
    resp.content_type = falcon.MEDIA_JSON
    resp.data = text.getvalue()
