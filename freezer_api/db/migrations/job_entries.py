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

"""Parse the former column ``jobs.job_actions``.

Until 18.0.0 a job had its own copy of each action as JSON. These functions use
no database. They return the values of a cell, and a reason for each value that
the new tables cannot hold.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

# The scheduler's defaults for missing keys of an entry. They take precedence
# over the action row, because schedulers up to 18.0.0 read only the entry.
DEFAULT_MAX_RETRIES = 0
DEFAULT_MAX_RETRIES_INTERVAL = 60

# Keys of a freezer_action that have a column, and the column's name.
TEXT_COLUMNS = {
    'action': 'action',
    'mode': 'actionmode',
    'path_to_backup': 'path_to_backup',
    'backup_name': 'backup_name',
    'container': 'container',
    'log_file': 'log_file',
}
INTEGER_COLUMNS = {'timeout': 'timeout', 'priority': 'priority'}

_ENTRY_KEYS = frozenset(('action_id', 'freezer_action', 'max_retries',
                         'max_retries_interval', 'mandatory', 'user_id',
                         'project_id'))
_IGNORED = frozenset(('_version', 'user_id'))
_ID = re.compile(r'[0-9A-Za-z_-]{1,36}')


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of a cell.

    :ivar definition: its freezer_action, None if missing
    """

    position: int
    action_id: str | None
    definition: dict[str, Any] | None
    max_retries: int
    max_retries_interval: int
    mandatory: bool
    user_id: str | None
    project_id: str | None


@dataclasses.dataclass(frozen=True)
class Parsed:
    """The entries of a cell.

    :ivar reasons: why the cell must be kept aside; empty if it need not be
    """

    entries: list[Entry]
    reasons: list[str]


def load(cell: bytes | str | None) -> Any:
    """Return the JSON of a cell; None for an empty one.

    :raises ValueError: if it is not JSON
    """
    if not cell:
        return None
    try:
        return json.loads(cell)
    except RecursionError:
        raise ValueError('nested too deeply') from None


def parse(cell: bytes | str | None) -> Parsed:
    """Parse a cell of ``jobs.job_actions``."""
    try:
        value = load(cell)
    except ValueError:
        return Parsed([], ['not JSON'])
    if value is None or value == '' or value == []:
        return Parsed([], [])
    if not isinstance(value, list):
        return Parsed([], ['not a list'])
    entries: list[Entry] = []
    reasons: list[str] = []
    for position, item in enumerate(value):
        if isinstance(item, dict):
            entries.append(_entry(position, item, reasons))
        else:
            reasons.append('an entry is not an object')
    return Parsed(entries, reasons)


def _entry(position: int, item: dict[str, Any],
           reasons: list[str]) -> Entry:
    if not _ENTRY_KEYS.issuperset(item):
        reasons.append('an entry has unknown keys')
    definition = item.get('freezer_action')
    if definition is not None and not isinstance(definition, dict):
        reasons.append('a freezer_action is not an object')
        definition = None
    mandatory = item.get('mandatory')
    if mandatory is not None and not isinstance(mandatory, bool):
        # Schedulers up to 18.0.0 tested its truth value in Python.
        reasons.append('mandatory is not a boolean')
    elif mandatory is None and definition:
        mandatory = definition.get('mandatory')
        if mandatory is not None and not isinstance(mandatory, bool):
            # They ignored it there.
            reasons.append('mandatory of a freezer_action is not a boolean')
            mandatory = None
    return Entry(
        position=position,
        action_id=_text(item, 'action_id', reasons, _ID),
        definition=definition,
        max_retries=_number(item, 'max_retries', DEFAULT_MAX_RETRIES,
                            reasons),
        max_retries_interval=_number(item, 'max_retries_interval',
                                     DEFAULT_MAX_RETRIES_INTERVAL, reasons),
        mandatory=bool(mandatory),
        user_id=_text(item, 'user_id', reasons),
        project_id=_text(item, 'project_id', reasons))


def is_integer(value: Any) -> bool:
    """Return whether a value fits an INTEGER column."""
    return (isinstance(value, int) and not isinstance(value, bool)
            and -2 ** 31 <= value < 2 ** 31)


def _number(item: dict[str, Any], key: str, default: int,
            reasons: list[str]) -> int:
    value = item.get(key)
    if value is None:
        return default
    if not is_integer(value):
        reasons.append(f'{key} is no number that fits')
        return default
    return int(value)


def _text(item: dict[str, Any], key: str, reasons: list[str],
          pattern: re.Pattern[str] | None = None) -> str | None:
    value = item.get(key)
    if value is None or value == '':
        return None
    if not isinstance(value, str) or (
            pattern is not None and pattern.fullmatch(value) is None):
        reasons.append(f'{key} cannot be used')
        return None
    return value


def overlaid(stored: Any, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the freezer_action of an action row, as the API reads it.

    :param stored: the JSON of the row, which is ignored if it is no object
    :param columns: values by column, which take precedence over the JSON
    """
    document = dict(stored) if isinstance(stored, dict) else {}
    for key, column in (TEXT_COLUMNS | INTEGER_COLUMNS).items():
        document[key] = columns[column]
    return document


def same_definition(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two freezer_actions are equal.

    A key with the value null is equal to a missing key.
    """
    return _significant(one) == _significant(other)


def _significant(definition: dict[str, Any]) -> str:
    # Compare them as JSON, in which 1, 1.0 and true differ.
    return json.dumps({key: value for key, value in definition.items()
                       if value is not None and key not in _IGNORED},
                      sort_keys=True)


def fits(value: str, charset: str | None, length: int = 255) -> bool:
    """Return whether a text column can hold a value.

    :param charset: name of the character set in MySQL; None on other engines
    :param length: of the column, in characters
    """
    if len(value) > length or '\0' in value:
        return False
    if any('\ud800' <= character <= '\udfff' for character in value):
        return False
    highest = {None: 0x10FFFF, 'utf8mb4': 0x10FFFF, 'utf8mb3': 0xFFFF,
               'utf8': 0xFFFF}.get(charset, 0x7F)
    return all(ord(character) <= highest for character in value)


def action_columns(definition: dict[str, Any], charset: str | None,
                   reasons: list[str]) -> dict[str, Any] | None:
    """Return the columns of an action row.

    A value that does not fit its column remains only in the JSON.

    :param charset: see :func:`fits`
    :param reasons: gets the reasons to keep the cell aside
    :returns: None if the definition cannot be an action row
    """
    action = definition.get('action')
    if not isinstance(action, str) or not action or not fits(action, charset):
        reasons.append('a freezer_action names no action')
        return None
    columns: dict[str, Any] = {}
    for key, column in (TEXT_COLUMNS | INTEGER_COLUMNS).items():
        value = definition.get(key)
        if value is not None and not (
                is_integer(value) if key in INTEGER_COLUMNS
                else isinstance(value, str) and fits(value, charset)):
            reasons.append(f'{key} does not fit its column')
            value = None
        columns[column] = value
    return columns
