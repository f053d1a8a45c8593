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

"""The capabilities of a client, and whether a freezer_action needs others.

The API checks an action when a job is assigned or changed, and the scheduler
checks it again before it acts. The effective values count: an absent value
means the agent's default, never a permission.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from freezer_api.domain import near_keys

# The actions of freezer-agent, in each mode, and those of Cinder, only in its
# own mode. An action that only Cinder has must be configured by name.
AGENT_ACTIONS = ('backup', 'restore', 'info', 'admin', 'exec')
NATIVE_ACTIONS = ('backup', 'restore', 'admin')
NATIVE_MODE = 'cindernative'

ACTIONS = tuple(dict.fromkeys(AGENT_ACTIONS + NATIVE_ACTIONS))
MODES = ('fs', 'mongo', 'mysql', 'sqlserver', 'cinder', 'glance',
         'cindernative', 'nova')
STORAGES = ('local', 'swift', 'ssh', 's3', 'ftp', 'ftps')
ENGINES = ('tar', 'rsync', 'rsyncv2', 'nova', 'osbrick', 'glance')

# The agent's behaviour if an action sets no value.
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
    """The four lists of a client; an empty one supports nothing.

    An action and a mode count as a pair, see :meth:`supports`.
    """

    actions: tuple[str, ...]
    modes: tuple[str, ...]
    storages: tuple[str, ...]
    engines: tuple[str, ...]

    def supports(self, action: str, mode: str) -> bool:
        """Return whether an action may be carried out in a mode."""
        return action in self.actions and mode in self.modes and (
            action in AGENT_ACTIONS or mode == NATIVE_MODE)


# What a scheduler with an agent offers, and a client that does not say.
EVERYTHING = Capabilities(AGENT_ACTIONS, MODES, STORAGES, ENGINES)

# Cinder creates, stores and deletes the backup: no storage and no engine of
# Freezer is used, so none is supported.
CINDER_NATIVE = Capabilities(
    actions=NATIVE_ACTIONS, modes=(NATIVE_MODE,), storages=(), engines=())


@dataclasses.dataclass(frozen=True)
class Need:
    """One capability that an action needs.

    :ivar name: action, mode, storage or engine; another name is never
        supported
    :ivar why: the reason, empty if the action sets the value itself
    """

    name: str
    value: object
    why: str = ''

    @property
    def text(self) -> str:
        """The need in words, such as ``mode: fs``."""
        value = (self.value if isinstance(self.value, str)
                 else f'not a string ({type(self.value).__name__})')
        return f'{self.name}: {near_keys.shown(value)}'


@dataclasses.dataclass(frozen=True)
class Needs:
    """The capabilities that an action needs; see :func:`read_needs`.

    Their comparison with a client takes no time, independent of the size of
    the document.

    :ivar names_mode: whether the action sets a mode
    """

    every: tuple[Need, ...]
    names_mode: bool = True

    @property
    def actions(self) -> list[Need]:
        """The needed actions."""
        return [need for need in self.every if need.name == 'action']

    def unsupported(self, capabilities: Capabilities) -> list[str]:
        """Return the unsupported values; see :func:`unsupported`."""
        return [need.text for need in self._lacks(capabilities)]

    def reasons(self, capabilities: Capabilities) -> list[str]:
        """Return the unsupported values, and why the action needs them.

        The reason tells a default, or a value that follows from another key,
        from one that the action sets. The defaults of an unsupported mode are
        omitted, because another mode makes them irrelevant.

        :returns: texts like ``mode: fs (the default; the action has no
            mode)``; empty if and only if :meth:`unsupported` returns no text
        """
        lacks = self._lacks(capabilities)
        if any(need.name == 'mode' for need in lacks):
            lacks = [need for need in lacks
                     if need.name not in ('storage', 'engine') or not need.why]
        return [f'{need.text} ({need.why})' if need.why else need.text
                for need in lacks]

    def lacks_mode(self, capabilities: Capabilities) -> bool:
        """Return whether a missing cindernative mode is the problem."""
        return (not self.names_mode
                and DEFAULT_MODE not in capabilities.modes
                and NATIVE_MODE in capabilities.modes)

    def _lacks(self, capabilities: Capabilities) -> list[Need]:
        supported = {
            'action': capabilities.actions, 'mode': capabilities.modes,
            'storage': capabilities.storages, 'engine': capabilities.engines}
        lacks = [need for need in self.every
                 if not isinstance(need.value, str)
                 or need.value not in supported.get(need.name, ())]
        return lacks or [
            Need('action', action.value, f'not in mode {mode.value}')
            for action in self.actions for mode in self.every
            if mode.name == 'mode' and not capabilities.supports(
                str(action.value), str(mode.value))]


def read_needs(freezer_action: object) -> Needs:
    """Return the capabilities that an action needs.

    ``exec`` and ``info`` have no mode, but the agent reads one and opens the
    storage, so the defaults apply to them too. Mode cindernative uses neither
    storage nor engine.

    :param freezer_action: the object as stored, with any content; a value of
        a wrong type is never supported
    """
    if not isinstance(freezer_action, Mapping):
        return Needs((Need('freezer_action', 'not an object'),))
    given = _given(freezer_action)
    actions = _effective(given, 'action', ('action',), DEFAULT_ACTION)
    modes = _effective(given, 'mode', ('mode',), DEFAULT_MODE)
    values = [need.value for need in modes]
    modes += [need for need in _media(
        given, [need.value for need in actions], values)
        if need.value not in values]
    needs = actions + modes
    if [need.value for need in modes] != [NATIVE_MODE]:
        needs += _effective(given, 'storage', ('storage',), DEFAULT_STORAGE)
        needs += _effective(
            given, 'engine', ('engine', 'engine_name'), DEFAULT_ENGINE)
    return Needs(tuple(needs), bool(given.get('mode')))


def unsupported(capabilities: Capabilities,
                freezer_action: object) -> list[str]:
    """Return the values that an action needs and a client does not support.

    :param freezer_action: see :func:`read_needs`
    :returns: texts like ``mode: fs``, one for each unsupported effective
        value; empty if the client supports the action
    """
    return read_needs(freezer_action).unsupported(capabilities)


def _given(freezer_action: Mapping[str, object]) -> dict[str, list[object]]:
    """Return the non-empty values by the key that the agent uses.

    The agent ignores case and treats a hyphen as an underscore, so ``Action``
    is ``action``. With two spellings of a key, both values are checked.
    """
    given: dict[str, list[object]] = {}
    for key, value in freezer_action.items():
        if value is None or value == '':
            continue
        name = str(key).strip().lower().replace('-', '_')
        given.setdefault(name, []).append(value)
    return given


def _effective(given: Mapping[str, list[object]], name: str,
               keys: Iterable[str], default: str) -> list[Need]:
    values: list[object] = []
    for key in keys:
        for value in given.get(key, ()):
            # Compare texts only: documents may be deeply nested.
            if not isinstance(value, str) or value not in values:
                values.append(value)
    return [Need(name, value) for value in values] or [
        Need(name, default, f'the default; the action has no {name}')]


def _media(given: Mapping[str, list[object]], actions: list[object],
           modes: list[object]) -> list[Need]:
    """Return the modes that follow from other keys of an action.

    The agent checks its arguments by mode, but works according to its keys: it
    copies a Cinder volume through the host, uses a cinder-native one, or
    without either, files. Only the engines lead to Nova and Glance.
    """
    named = {key for key, values in given.items()
             if any(value is not False for value in values)}
    for keys, mode in ((_CINDER_KEYS, 'cinder'),
                       (_CINDERNATIVE_KEYS, 'cindernative')):
        for key in keys:
            if key in named:
                return [_implied(mode, key)]
    if 'cindernative' in modes and actions != ['backup']:
        for key in _FILE_KEYS:
            if key in named:
                return [_implied('fs', key)]
    return []


def _implied(mode: str, key: str) -> Need:
    return Need('mode', mode, f'because the action has {key}')
