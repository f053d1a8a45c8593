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


#: Most bytes of a page of a list that has more than one item.
MOST = 8 * 1024 * 1024

# For the link to the next page; servers take no longer lines.
_ROOM_TO_END = 64 * 1024


def install(app: falcon.App[Any, Any]) -> None:
    """Have documents written as lists are."""
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = media.JSONHandler(
        dumps=json.dumps)


def show_list(req: falcon.Request, resp: falcon.Response, name: str,
              documents: Generator[dict[str, Any]], *marker: str) -> None:
    """Answer with a list, of which one document at a time is made.

    A list of a thousand takes several times as much memory as its text.
    A page of more than :data:`MOST` bytes ends early, and links to the next.
    A single document is never too large for a page.

    :param documents: is closed, with the transaction that it reads in
    :param marker: where a document has the id that a page can begin after;
        without it the next page is asked for with an offset
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
        one = json.dumps(document).encode()
        if count and text.tell() + len(one) > MOST - _ROOM_TO_END:
            text.write(b'], "%s_links": %s}' % (name.encode(), json.dumps(
                [_next(req, count, last, marker)]).encode()))
            break
        if count:
            text.write(b', ')
        text.write(one)
        last = document
        count += 1
    else:
        text.write(b']}')
    return text.getvalue()


def _next(req: falcon.Request, count: int, last: Any,
          marker: Sequence[str]) -> dict[str, str]:
    """Return the link to what follows the last item of a page."""
    query = {name: value for name in ('limit', 'all_projects', 'sort_dir')
             if (value := _parameter(req, name)) is not None}
    if marker:
        for key in marker:
            last = last[key]
        query['marker'] = last
    else:
        query['offset'] = str(int(_parameter(req, 'offset') or 0) + count)
    return {'rel': 'next',
            'href': f'{req.root_path}{req.path}?{parse.urlencode(query)}'}


def _parameter(req: falcon.Request, name: str) -> str | None:
    values = req.get_param_as_list(name)
    return values[-1] if values else None
