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

"""A freezer_action as the file that freezer-agent reads.

The agent reads it by configparser, with interpolation, and puts each value
through oslo.config, which has an interpolation of its own. Everything in an
action was written by a user: so only known keys are written, each value such
that exactly it comes out in the end, and what cannot be written is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
import configparser
import dataclasses

from freezer_api.domain import capabilities
from freezer_scheduler.engines.agent import keys as agent_keys

_Kind = agent_keys.Kind

# In bytes of the whole file; a job may hold no more, either.
_LARGEST = 64 * 1024

# What the agent takes for something else than a text.
_WORDS = ('False', 'false', 'None', 'True', 'true')

# So that no text on its own could be a section, a comment or a key.
_SECTION = 'action'


class Unusable(Exception):
    """An action cannot be handed to the agent; the text says why."""


@dataclasses.dataclass(frozen=True)
class AgentAction:
    """An action that was read.

    :ivar values: what the agent gets to see, by the agent's names
    :ivar dropped: keys that it does not know
    """

    values: Mapping[str, str | bool | int | float]
    dropped: tuple[str, ...]

    def text(self, **more: str) -> str:
        """Return the file.

        :param more: what the scheduler itself has to say
        :raises Unusable: when it would not be read as it was meant
        """
        lines = [f'[{_SECTION}]'] + [
            f'{key} = {_written(key, value)}'
            for key, value in {**self.values, **more}.items()]
        text = '\n'.join(lines) + '\n'
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise Unusable('a value holds what is not text') from None
        if size > _LARGEST:
            raise Unusable(f'the action is longer than {_LARGEST} bytes')
        self._check(text, more)
        return text

    def _check(self, text: str, more: Mapping[str, str]) -> None:
        """Read it back as the agent does."""
        parser = configparser.ConfigParser()
        try:
            parser.read_string(text)
            read = {section: dict(parser.items(section))
                    for section in parser.sections()}
        except configparser.Error:
            read = {}
        wanted = {key: _written(key, value).replace('%%', '%')
                  for key, value in {**self.values, **more}.items()}
        if read != {_SECTION: wanted}:
            raise Unusable('the action cannot be written to the file of '
                           'freezer-agent')


def read(document: Mapping[str, object], shared: bool,
         project_id: str) -> AgentAction:
    """Read a freezer_action.

    Null says nothing, and neither does false where no flag is meant: the
    agent would take it for the number 0.

    :param shared: whether other projects' jobs run on this host, too
    :param project_id: the project of the job
    :raises Unusable: when it cannot be carried out; the text names the key
    """
    values: dict[str, str | bool | int | float] = {}
    dropped = []
    for given, value in document.items():
        key = str(given).strip().lower().replace('-', '_')
        key = agent_keys.SYNONYMS.get(key, key)
        kind = agent_keys.KNOWN.get(key)
        if kind is None:
            if value is not None:
                dropped.append(key)
            continue
        if value is None or (value is False and kind is not _Kind.FLAG):
            continue
        if value == '' and kind is not _Kind.TEXT:
            continue
        read_value = _value(key, kind, value)
        if values.setdefault(key, read_value) != read_value:
            raise Unusable(f'{key}: given twice, and not the same')
    # The agent has defaults of its own, the capabilities have ours: what was
    # checked is what is done.
    values.setdefault('action', capabilities.DEFAULT_ACTION)
    values.setdefault('mode', capabilities.DEFAULT_MODE)
    if shared:
        _check_shared(values, project_id)
    return AgentAction(values, tuple(dropped))


def _value(key: str, kind: agent_keys.Kind,
           value: object) -> str | bool | int | float:
    match kind:
        case _Kind.FLAG:
            return _flag(key, value)
        case _Kind.NUMBER:
            return _number(key, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Unusable(f'{key}: must be a text')
    if value in _WORDS:
        raise Unusable(f'{key}: freezer-agent does not take {value!r} for a '
                       f'text')
    if value != value.strip():
        raise Unusable(f'{key}: blanks at the ends would be lost')
    if not all(letter.isprintable() or letter == '\t' for letter in value):
        raise Unusable(f'{key}: holds line breaks or other characters that '
                       f'cannot be written to the file of freezer-agent')
    if '\\$' in value:
        raise Unusable(f'{key}: a backslash before a dollar sign would be '
                       f'lost')
    return value


def _flag(key: str, value: object) -> bool:
    if isinstance(value, str) and value.lower() in ('true', 'false'):
        return value.lower() == 'true'
    if not isinstance(value, bool):
        raise Unusable(f'{key}: must be true or false')
    return value


def _number(key: str, value: object) -> int | float:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
        try:
            value = float(value)
        except ValueError:
            raise Unusable(f'{key}: must be a number') from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f'{key}: must be a number')
    if not -2 ** 63 < value < 2 ** 63:
        # Not a number is in no range either.
        raise Unusable(f'{key}: must be a number that is not as large')
    return value


def _written(key: str, value: str | bool | int | float) -> str:
    """Return a value so that the two interpolations leave it alone."""
    text = str(value)
    if agent_keys.KNOWN.get(key) is _Kind.TEXT:
        text = text.replace('$', '$$')
    return text.replace('%', '%%')


def _check_shared(values: Mapping[str, object], project_id: str) -> None:
    refused = dict(agent_keys.NOT_SHARED)
    if values['mode'] not in agent_keys.HOST_MODES:
        refused.update(agent_keys.NOT_SHARED_OUTSIDE_HOST_MODES)
    for key in values:
        if key in refused and values[key] is not False:
            raise Unusable(f'{key}: not taken from jobs in service mode: '
                           f'{refused[key]}')
    if values.get('project_id', project_id) != project_id:
        raise Unusable('project_id: is not the project of the job')
