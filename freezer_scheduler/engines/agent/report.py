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

"""The output of an agent, as the report to the API about its action."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import json
import math
import re
import uuid

from freezer_scheduler.freezer import messages

_RECORD_ID = re.compile(r'[0-9a-f]{32}')
_STATUSES = ('creating', 'available', 'error', 'deleted')

# Keys of the document that have another place in the report.
_NOT_OF_RECORD = ('status', 'backup_id', 'deleted_freezer_backup_ids')

# Of a record. The API accepts 16 KiB for all of it.
_MOST_KEYS = 100
_LONGEST_KEY = 255
_INTEGERS = range(-2 ** 63, 2 ** 63)
_LONGEST_TEXT = 1000
_MOST_CHARACTERS = 14_000

# Maximum number of deleted records in one report.
_MOST_DELETED = 200

_LONGEST_REASON = 350
_CRITICAL = 'Critical Error: '


def metadata(output: str) -> dict[str, object] | None:
    """Return the JSON document on an agent's standard output.

    :returns: None if there is none
    """
    try:
        document = json.loads(output)
    # RecursionError: the document is nested too deeply.
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def backups(document: Mapping[str, object],
            succeeded: bool) -> tuple[messages.Backup, ...]:
    """Return the records in an agent's document.

    That is the backup that it made, under a new id, and those that it removed.
    """
    gone = document.get('deleted_freezer_backup_ids')
    told = [messages.Backup(backup_id, 'deleted', {})
            for backup_id in (gone if isinstance(gone, list) else ())
            if isinstance(backup_id, str) and _RECORD_ID.fullmatch(backup_id)]
    if document.get('action'):
        status = document.get('status')
        if not succeeded:
            status = 'error'
        elif status not in _STATUSES:
            status = 'available'
        told.insert(0, messages.Backup(uuid.uuid4().hex, str(status),
                                       _record(document)))
    return tuple(told[:_MOST_DELETED])


def _record(document: Mapping[str, object]) -> dict[str, object]:
    record: dict[str, object] = {}
    left = _MOST_CHARACTERS
    for key, said in list(document.items())[:_MOST_KEYS]:
        if key in _NOT_OF_RECORD or not _can_be_kept(key, said):
            continue
        value = (messages.shortened(said, _LONGEST_TEXT)
                 if isinstance(said, str) else said)
        left -= len(json.dumps({key: value}))
        if left < 0:
            break
        record[key] = value
    return record


def _can_be_kept(key: str, said: object) -> bool:
    """Return whether the API accepts a pair.

    With a pair that it refuses, the run could not end.
    """
    if len(key) > _LONGEST_KEY or not key.isprintable():
        return False
    match said:
        case float():
            return math.isfinite(said)
        case int():
            return said in _INTEGERS
    return said is None or isinstance(said, str)


def reason(errors: str, secrets: Sequence[str]) -> str:
    """Return the last error of an agent, for users.

    :param errors: the end of its standard error
    :param secrets: texts to hide
    """
    for secret in secrets:
        errors = errors.replace(secret, '***')
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    critical = [line for line in lines if line.startswith(_CRITICAL)]
    said = (critical or lines or [''])[-1].removeprefix(_CRITICAL)
    return messages.shortened(said, _LONGEST_REASON) or ''
