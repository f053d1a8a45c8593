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

"""Backups and volumes as Cinder shows them.

A document with a value of a wrong type does not come from Cinder: it must not
count as news of a backup.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import re

from freezer_scheduler.freezer import messages

_TEXT = 300
_STATUS = 64
_ID = re.compile('[A-Za-z0-9_.-]{1,255}')


class Malformed(Exception):
    """A document is not what Cinder documents."""


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup as Cinder shows it.

    :ivar size: in GiB
    :ivar data_at: the time of its data: for a backup of a snapshot, that of
        the snapshot
    """

    id: str
    status: str
    volume_id: str
    fail_reason: str | None
    is_incremental: bool
    size: int | None
    created_at: datetime.datetime | None
    container: str | None
    availability_zone: str | None
    metadata: Mapping[str, str]
    has_dependents: bool = False
    of_snapshot: bool = False
    data_at: datetime.datetime | None = None
    object_count: int | None = None
    description: str = ''

    @property
    def is_snapshot_in_ceph(self) -> bool:
        """Whether it is of a snapshot, and Cinder's Ceph driver made it.

        That driver keeps all such backups of a volume under one name. Where
        an increment upon one fails, or a backup is deleted that has no image
        of its own, it deletes the image of that name. Other drivers count the
        objects of a backup (cinder/backup/drivers/ceph.py, 29.0.0).
        """
        return self.of_snapshot and not self.object_count


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume as Cinder shows it; its size is in GiB."""

    id: str
    status: str
    name: str
    metadata: Mapping[str, str]
    volume_type: str | None = None
    size: int | None = None
    availability_zone: str | None = None
    is_bootable: bool = False
    server_ids: frozenset[str] = frozenset()


def part(answer: object, noun: str, wanted_id: str | None = None,
         ) -> Mapping[str, object]:
    """Return the object that an answer is about.

    :param wanted_id: the id that was asked for
    :raises Malformed: if the object is missing or has another id
    """
    found = _document(answer).get(noun)
    if not isinstance(found, dict):
        raise Malformed(f'there is no {noun}')
    if wanted_id is not None and not same(id_of(found), wanted_id):
        raise Malformed(f'it is another {noun}')
    return found


def same(one: str, other: str) -> bool:
    """Return whether two ids name one thing, however they are written."""
    return one.replace('-', '').lower() == other.replace('-', '').lower()


def id_of(document: Mapping[str, object], key: str = 'id') -> str:
    """Return an id, which may become a part of a URL.

    :raises Malformed: if there is none
    """
    found = document.get(key)
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise Malformed(f'{key} is no id')
    return found


def page(answer: object,
         nouns: str) -> tuple[list[Mapping[str, object]], bool]:
    """Return one page of a list, and whether there are more.

    :raises Malformed: if there is no list
    """
    document = _document(answer)
    found = document.get(nouns)
    if not isinstance(found, list) or not all(
            isinstance(entry, dict) for entry in found):
        raise Malformed(f'there is no list of {nouns}')
    return found, bool(document.get(f'{nouns}_links'))


def count(answer: object) -> int:
    """Return the length of the whole list that a page is from.

    :raises Malformed: if the page does not say
    """
    found = _document(answer).get('count')
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise Malformed('there is no count')
    return found


def _document(answer: object) -> Mapping[str, object]:
    return answer if isinstance(answer, dict) else {}


def own_backup(document: Mapping[str, object]) -> Backup:
    """Read a backup that is to be judged by its metadata.

    :raises Malformed: if it cannot be read, or if its metadata holds values
        that Cinder does not store
    """
    found = backup(document)
    values: Iterable[object] = found.metadata.values()
    if not all(value is None or isinstance(value, str) for value in values):
        raise Malformed('metadata holds what is no text')
    return found


def backup(document: Mapping[str, object]) -> Backup:
    """Read a backup.

    :raises Malformed: if it cannot be read
    """
    return Backup(
        id=id_of(document),
        status=_status(document),
        volume_id=id_of(document, 'volume_id'),
        # A driver's words, which may be a whole traceback.
        fail_reason=messages.shortened(
            str(document.get('fail_reason') or ''), _TEXT) or None,
        is_incremental=document.get('is_incremental') is True,
        size=_number(document, 'size'),
        created_at=_date(document.get('created_at')),
        container=_optional(document, 'container'),
        availability_zone=_optional(document, 'availability_zone'),
        metadata=_metadata(document),
        has_dependents=document.get('has_dependent_backups') is True,
        of_snapshot=document.get('snapshot_id') is not None,
        data_at=_date(document.get('data_timestamp')),
        object_count=_number(document, 'object_count'),
        description=_optional(document, 'description') or '')


def volume(document: Mapping[str, object]) -> Volume:
    """Read a volume.

    :raises Malformed: if it cannot be read
    """
    return Volume(
        id=id_of(document), status=_status(document),
        name=_optional(document, 'name') or '',
        metadata=_metadata(document),
        volume_type=_optional(document, 'volume_type'),
        size=_number(document, 'size'),
        availability_zone=_optional(document, 'availability_zone'),
        # Cinder shows this flag as a text.
        is_bootable=document.get('bootable') in ('true', True),
        server_ids=frozenset(_servers(document)))


def _servers(document: Mapping[str, object]) -> Iterator[str]:
    """Yield the IDs of the servers to which a volume is attached."""
    attachments = document.get('attachments')
    if attachments is None:
        return
    if not isinstance(attachments, list):
        raise Malformed('attachments is no list')
    for attachment in attachments:
        if not isinstance(attachment, dict):
            raise Malformed('an attachment is no object')
        # An attachment by a host alone has none.
        server = _optional(attachment, 'server_id')
        if server:
            yield server


def _status(document: Mapping[str, object]) -> str:
    status = document.get('status')
    if not isinstance(status, str) or not status:
        raise Malformed('there is no status')
    return str(messages.shortened(status, _STATUS))


def _number(document: Mapping[str, object], key: str) -> int | None:
    number = document.get(key)
    return number if isinstance(number, int) and number > 0 else None


def _optional(document: Mapping[str, object], key: str) -> str | None:
    text = document.get(key)
    if text is not None and not isinstance(text, str):
        raise Malformed(f'{key} is no text')
    return text


def _metadata(document: Mapping[str, object]) -> Mapping[str, str]:
    """Return the metadata, which alone shows whose a backup is."""
    found = document.get('metadata')
    if not isinstance(found, dict):
        raise Malformed('metadata is no object')
    return found


def _date(value: object) -> datetime.datetime | None:
    if value is None:
        return None
    try:
        date = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        raise Malformed('a date is none') from None
    # Cinder shows UTC without a zone.
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
