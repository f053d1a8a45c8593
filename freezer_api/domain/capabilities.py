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

"""What a client can do, and whether a freezer_action stays within it.

The API asks when a job is assigned or changed, the scheduler asks again
before it acts. What counts is what *would be done*: a value that is absent is
the agent's default, never a permission.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

ACTIONS = ('backup', 'restore', 'info', 'admin', 'exec')
MODES = ('fs', 'mongo', 'mysql', 'sqlserver', 'cinder', 'glance',
         'cindernative', 'nova')
STORAGES = ('local', 'swift', 'ssh', 's3', 'ftp', 'ftps')
ENGINES = ('tar', 'rsync', 'rsyncv2', 'nova', 'osbrick', 'glance')

# What the agent does where an action says nothing.
DEFAULT_ACTION = 'backup'
DEFAULT_MODE = 'fs'
DEFAULT_STORAGE = 'swift'
DEFAULT_ENGINE = 'tar'

_CINDER_KEYS = ('cinder_vol_id', 'cinder_vol_name', 'cinderbrick_vol_id')
_CINDERNATIVE_KEYS = ('cindernative_vol_id', 'cindernative_backup_id',
                      'cindernative_volumes')
_FILE_KEYS = ('restore_abs_path', 'remove_older_than', 'remove_before_date',
              'remove_from_date')


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """The four lists of a client; an empty one supports nothing."""

    actions: tuple[str, ...]
    modes: tuple[str, ...]
    storages: tuple[str, ...]
    engines: tuple[str, ...]


EVERYTHING = Capabilities(ACTIONS, MODES, STORAGES, ENGINES)

# Cinder makes, keeps and deletes the backup: no storage and no engine of ours
# is ever used, so none is offered.
CINDER_NATIVE = Capabilities(
    actions=('backup', 'restore', 'admin'), modes=('cindernative',),
    storages=(), engines=())


def unsupported(capabilities: Capabilities,
                freezer_action: object) -> list[str]:
    """Name what an action needs and the client does not offer.

    :param freezer_action: the object as stored; it may hold anything, and
        a value of a wrong type is never supported
    :returns: texts like ``mode: fs``, one for each effective value that is
        not supported; empty when the action stays within the capabilities

    ``exec`` and ``info`` have no mode of their own, yet the agent reads one
    and opens the storage all the same, so they are held to the defaults too.
    In mode cindernative neither storage nor engine is used.
    """
    if not isinstance(freezer_action, Mapping):
        return ['freezer_action: not an object']
    given = _given(freezer_action)
    actions = _effective(given, ('action',), DEFAULT_ACTION)
    modes = _effective(given, ('mode',), DEFAULT_MODE)
    modes += [media for media in _media(given, actions, modes)
              if media not in modes]
    wanted = [('action', actions, capabilities.actions),
              ('mode', modes, capabilities.modes)]
    if modes != ['cindernative']:
        wanted += [
            ('storage', _effective(given, ('storage',), DEFAULT_STORAGE),
             capabilities.storages),
            ('engine',
             _effective(given, ('engine', 'engine_name'), DEFAULT_ENGINE),
             capabilities.engines)]
    return [f'{name}: {_shown(value)}'
            for name, values, supported in wanted for value in values
            if not isinstance(value, str) or value not in supported]


def _given(freezer_action: Mapping[str, object]) -> dict[str, list[object]]:
    """Every value that says something, by the key the agent reads it as.

    An agent's file knows no case and takes a hyphen for an underscore, so
    ``Action`` is an action; of two spellings neither can hide the other.
    """
    given: dict[str, list[object]] = {}
    for key, value in freezer_action.items():
        if value is None or value == '':
            continue
        name = str(key).strip().lower().replace('-', '_')
        given.setdefault(name, []).append(value)
    return given


def _effective(given: Mapping[str, list[object]], keys: Iterable[str],
               default: str) -> list[object]:
    values: list[object] = []
    for key in keys:
        for value in given.get(key, ()):
            # Only texts are compared: documents may be deeply nested.
            if not isinstance(value, str) or value not in values:
                values.append(value)
    return values or [default]


def _media(given: Mapping[str, list[object]], actions: list[object],
           modes: list[object]) -> list[object]:
    """The modes that an action falls into by its other keys.

    The agent checks its arguments by mode but works by what they name: a
    Cinder volume to be copied through the host, a cinder-native one, or, with
    neither, files. Nova and Glance are reached by their engines alone.
    """
    named = {key for key, values in given.items()
             if any(value is not False for value in values)}
    if named.intersection(_CINDER_KEYS):
        return ['cinder']
    if named.intersection(_CINDERNATIVE_KEYS):
        return ['cindernative']
    if ('cindernative' in modes and actions != ['backup']
            and named.intersection(_FILE_KEYS)):
        return ['fs']
    return []


def _shown(value: object) -> str:
    if not isinstance(value, str):
        return f'not a string ({type(value).__name__})'
    text = value if value.isprintable() else ascii(value)
    return text if len(text) <= 64 else text[:61] + '...'
