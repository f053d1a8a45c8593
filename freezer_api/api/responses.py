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

"""Documents as answers: JSON in ASCII.

Rows of earlier releases contain half surrogate pairs, which no other encoding
can represent.
"""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Sequence
import contextlib
import io
import json
from typing import Any
from urllib import parse

import falcon
from falcon import media

from freezer_api.api import params

#: Maximum bytes of a page of a list with more than one item.
MOST = 8 * 1024 * 1024

# Bytes for the link to the next page; servers refuse longer lines.
_ROOM_TO_END = 64 * 1024


def install(app: falcon.App[Any, Any]) -> None:
    """Make an application write documents in the same way as lists."""
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = media.JSONHandler(
        dumps=json.dumps)


def show_list(req: falcon.Request, resp: falcon.Response, name: str,
              documents: Generator[dict[str, Any]], *marker: str) -> None:
    """Answer with a list, and make one document at a time.

    The documents of a long list take several times as much memory as its text.
    A page of more than :data:`MOST` bytes ends early, with a link to the next
    one. A single document is never too large for a page.

    :param documents: is closed, which ends its transaction
    :param marker: the path to the ID in a document after which a page can
        begin; without it, the link has an offset
    """
    resp.content_type = falcon.MEDIA_JSON
    with contextlib.closing(documents):
        resp.data = _page(req, name, documents, marker)


def _page(req: falcon.Request, name: str, documents: Iterable[dict[str, Any]],
          marker: Sequence[str]) -> bytes:
    text = io.BytesIO()
    text.write(b'{"%s": [' % name.encode())
    last: Any = None
    count = 0
    for document in documents:
        encoded = json.dumps(document).encode()
        if count and text.tell() + len(encoded) > MOST - _ROOM_TO_END:
            text.write(b'], "%s_links": %s}' % (name.encode(), json.dumps(
                [_next(req, count, last, marker)]).encode()))
            break
        if count:
            text.write(b', ')
        text.write(encoded)
        last = document
        count += 1
    else:
        text.write(b']}')
    return text.getvalue()


def _next(req: falcon.Request, count: int, last: Any,
          marker: Sequence[str]) -> dict[str, str]:
    """Return the link to the page after the last item of a page."""
    query = {name: value for name in ('limit', 'all_projects', 'sort_dir')
             if (value := params.last(req, name)) is not None}
    if marker:
        for key in marker:
            last = last[key]
        query['marker'] = last
    else:
        query['offset'] = str(int(params.last(req, 'offset') or 0) + count)
    return {'rel': 'next',
            'href': f'{req.root_path}{req.path}?{parse.urlencode(query)}'}
