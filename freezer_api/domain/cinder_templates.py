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

"""Templates with marks, for the names of backups, containers and volumes."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import datetime
import string

from freezer_api.domain import cinder_keys

#: The marks of each template.
MARKS: dict[str, tuple[str, ...]] = {
    'backup_name': ('mode', 'backup_media', 'storage', 'container',
                    'project_id', 'resource_id', 'date', 'time'),
    'cindernative_backup_container': (
        'project_id', 'volume_id', 'backup_name'),
    'cindernative_new_volume_name': ('project_id', 'volume_id', 'backup_id'),
}


def date_marks(due: datetime.datetime) -> dict[str, str]:
    """Return the values of ``{date}`` and ``{time}``.

    :param due: due time of the run, so that each try creates the same name
    """
    moment = due.astimezone(datetime.UTC)
    return {'date': f'{moment:%Y-%m-%d}', 'time': f'{moment:%H%M%SZ}'}


def filled(key: str, template: str, values: Mapping[str, str]) -> str:
    """Replace the ``{mark}`` fields of a template.

    An invalid template, or one with an unknown mark, is used without
    substitution, as in earlier releases. :func:`check` refuses it when it is
    new. Marks can have neither attributes nor formats: those could access
    objects of the program, or create very long texts.

    :param key: the key of the template
    :raises freezer_api.domain.cinder_keys.Unusable: if the result is too long
    """
    try:
        result = ''.join(text + ('' if mark is None else values[mark])
                         for text, mark in _parts(template))
    except (KeyError, ValueError):
        result = template
    if len(result) > cinder_keys.LONGEST_TEXT:
        raise cinder_keys.Unusable(
            f'{key}: the resulting name is longer than '
            f'{cinder_keys.LONGEST_TEXT} characters')
    return result


def check(key: str, template: str) -> None:
    """Refuse a template with an unknown mark.

    :param key: the key of the template, see :data:`MARKS`
    :raises freezer_api.domain.cinder_keys.Unusable: if it has one; the text
        lists the known marks
    """
    known = ', '.join(f'{{{mark}}}' for mark in MARKS[key])
    try:
        for _, mark in _parts(template):
            if mark is not None and mark not in MARKS[key]:
                raise cinder_keys.Unusable(
                    f'{key}: {{{mark}}} is unknown; it may contain {known}')
    except ValueError:
        raise cinder_keys.Unusable(
            f'{key}: it has a single brace, or a mark with more than a name; '
            f'it may contain {known}; write {{{{ or }}}} for a brace'
            ) from None


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield pairs of a text and the mark after it, None at the end.

    :raises ValueError: if the template is invalid
    """
    for text, mark, form, conversion in string.Formatter().parse(template):
        if form or conversion:
            raise ValueError('a mark with a format')
        yield text, mark
