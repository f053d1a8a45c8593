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

"""Kinds of answers that are none, as bytes on the wire."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import gzip
import json

from tests.unit import byte_server

REDIRECTS = (301, 302, 303, 307, 308)
PAGE = b'<!DOCTYPE html><html><body>Please log in</body></html>'
# The parts that answers of Keystone, Cinder and our API have.
_PARTS = ('token', 'trust', 'backup', 'backups', 'volume', 'volumes',
          'restore', 'resources', 'runs', 'held', 'lost', 'reports',
          'client_id', 'run_id')
_WRONG: tuple[object, ...] = (
    None, 7, True, 1.5, 'text', {}, [7], [[]], [{}], {'id': 7},
    {'id': '../../x'}, {'id': None}, [{'id': {}}], [{'run_id': []}],
    {'catalog': 7, 'expires_at': 'never'},
    {'expires_at': '2090-01-01T00:00:00Z', 'roles': 7, 'catalog': []},
    {'expires_at': '2090-01-01T00:00:00Z', 'roles': [],
     'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'd'}},
     'catalog': [{'type': 'backup', 'endpoints': 7}]})
_FAULTS: tuple[object, ...] = (
    {'error': {'code': 500, 'message': 'broken', 'title': 'Error'}},
    {'itemNotFound': {'code': 404, 'message': 'not here'}},
    {'title': 'Not Found', 'description': 'not here', 'code': 'nowhere'})

_DOCUMENTS: tuple[object, ...] = (None, 7, 'text', [], {}, [{}])

Kind = Callable[[int], Iterable[bytes]]


def kinds(trap: str) -> dict[str, Kind]:
    """Return kinds by name; each takes the status of a sane answer.

    :param trap: the URL of a server that nobody may ask
    """
    found: dict[str, Kind] = {}
    for status in REDIRECTS:
        found[f'redirect {status}'] = _whole(
            lambda _ok, status=status: byte_server.plain(
                status, PAGE, 'text/html', Location=trap + '/elsewhere'))
    for location in ('http://[', '\xff\xfe', ''):
        found[f'redirect to {location!r}'] = _whole(
            lambda _ok, location=location: byte_server.plain(
                302, Location=location))
    for status in (300, 304, 305, 306, 399):
        found[f'status {status}'] = _whole(
            lambda _ok, status=status: byte_server.plain(
                status, Location=trap + '/elsewhere'))
    found['a page'] = _whole(
        lambda ok: byte_server.plain(ok, PAGE, 'text/html'))
    found['a page as JSON'] = _whole(lambda ok: byte_server.plain(ok, PAGE))
    for status in (400, 401, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413,
                   414, 421, 422, 429, 431, 451, 499, 500, 501, 502, 503, 504,
                   599):
        found[f'a page with {status}'] = _whole(
            lambda _ok, status=status: byte_server.plain(
                status, PAGE, 'text/html'))
        found[f'nothing with {status}'] = _whole(
            lambda _ok, status=status: byte_server.plain(status))
    found['nothing'] = _whole(byte_server.plain)
    found['nothing, with 200'] = _whole(lambda _ok: byte_server.plain(200))
    found['half of JSON'] = _whole(
        lambda ok: byte_server.plain(ok, b'{"token": {"a": ['))
    found['half of an answer'] = _whole(
        lambda ok: byte_server.plain(ok, b'{"a": 1}', length=900))
    found['deep JSON'] = _whole(
        lambda ok: byte_server.plain(ok, b'[' * 200_000))
    for value in _DOCUMENTS:
        found[f'JSON {value!r}'] = _whole(
            lambda ok, value=value: byte_server.document(ok, value))
    for value in _WRONG:
        found[f'parts {value!r}'] = _whole(
            lambda ok, value=value: byte_server.document(
                ok, dict.fromkeys(_PARTS, value), X_Subject_Token='t0'))
    for fault in _FAULTS:
        found[f'success with {json.dumps(fault)}'] = _whole(
            lambda ok, fault=fault: byte_server.document(ok, fault))
    found['not UTF-8'] = _whole(
        lambda ok: byte_server.plain(ok, b'{"token": "\xff"}'))
    found['a page in gzip'] = _whole(
        lambda ok: byte_server.zipped(ok, PAGE))
    found['no gzip'] = _whole(lambda ok: byte_server.plain(
        ok, b'{}', Content_Encoding='gzip'))
    found['half of gzip'] = _whole(lambda ok: byte_server.plain(
        ok, gzip.compress(b'{}' * 9)[:-12], Content_Encoding='gzip'))
    bomb = gzip.compress(bytes(2 ** 25))
    found['a bomb'] = _whole(lambda ok: byte_server.plain(
        ok, bomb, Content_Encoding='gzip'))
    found['no HTTP'] = _whole(lambda _ok: b'SSH-2.0-OpenSSH_9.2\r\n\r\n')
    found['no answer'] = _whole(lambda _ok: b'')
    found['a long line'] = _whole(lambda _ok: b'HTTP/1.1 ' + b'2' * 100_000)
    found['no status'] = _whole(lambda _ok: b'HTTP/1.1 okay\r\n\r\n')
    found['a dripping head'] = lambda ok: byte_server.dripping(
        byte_server.plain(ok, b' ' * 4000), 8)
    found['a dripping body'] = lambda ok: byte_server.dripping(
        byte_server.plain(ok, b' ' * 4000), 3800)
    found['no end'] = lambda ok: byte_server.chunked(ok, _for_ever())
    return found


def _whole(answer: Callable[[int], bytes]) -> Kind:
    def pieces(status: int) -> Iterator[bytes]:
        yield answer(status)

    return pieces


def _for_ever() -> Iterator[bytes]:
    while True:
        yield b'[' * 65536
