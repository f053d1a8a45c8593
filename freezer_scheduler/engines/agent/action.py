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

"""A freezer_action as the file that freezer-agent 19.0.0 reads.

The agent reads it by configparser, with interpolation, and puts each value
through oslo.config, which has an interpolation of its own. Users write the
actions. So only known keys are written, in such a form that the agent gets
exactly the value, and an action that cannot be written is refused.

The agent stops at a key that it does not know. Keys that only the scheduler
may set are not taken from an action either.
"""

from __future__ import annotations

from collections.abc import Mapping
import configparser
import contextlib
import dataclasses

from freezer_api.domain import agent_keys
from freezer_api.domain import capabilities

# Other names of keys in jobs.
_SYNONYMS = {'engine': 'engine_name'}

_FILE = 'it names a file of the scheduler\'s host'
_ACCOUNT = 'the service account\'s password would go another way'

# Keys refused on a host that projects share. An operator allows a mode, a
# storage or the action exec by name in [capabilities]; no name there allows
# what these keys do.
NOT_SHARED = {
    'log_file': _FILE, 'ssh_key': _FILE, 'encrypt_pass_file': _FILE,
    'mysql_conf': _FILE, 'sql_server_conf': _FILE, 'ftp_certfile': _FILE,
    'ftp_keyfile': _FILE, 'lvm_dirmount': _FILE, 'lvm_srcvol': _FILE,
    'lvm_volgroup': 'it names a disk of the scheduler\'s host',
    'lvm_snapname': 'it names a disk of the scheduler\'s host',
    'snapshot': 'it takes a snapshot of a disk of the scheduler\'s host',
    'proxy': _ACCOUNT, 'insecure': _ACCOUNT,
    'os_identity_api_version': _ACCOUNT,
    'max_priority': 'it takes the processor from other projects',
    'debug': 'it writes what other projects do not need to the log',
}

# Keys refused there too, except in the modes for files of the host. An
# operator has to allow these modes by name.
_NOT_SHARED_OUTSIDE_HOST_MODES = {
    'path_to_backup': _FILE, 'restore_abs_path': _FILE}
_HOST_MODES = ('fs', 'mongo', 'mysql', 'sqlserver')

# In bytes of the whole file; a job may hold no more, either.
_LARGEST = 64 * 1024

# Values that the agent does not read as texts.
_WORDS = ('False', 'false', 'None', 'True', 'true')

_SECTION = 'action'


class Unusable(Exception):
    """An action cannot be handed to the agent; the text says why."""


@dataclasses.dataclass(frozen=True)
class AgentAction:
    """An action that was read.

    :ivar values: of the agent's options, by their names
    :ivar dropped: keys that the agent does not know
    """

    values: Mapping[str, str | bool | int | float]
    dropped: tuple[str, ...]

    def text(self, **more: str) -> str:
        """Return the file.

        :param more: options that the scheduler sets
        :raises Unusable: if the agent would read something else
        """
        written = {key: _written(key, value)
                   for key, value in {**self.values, **more}.items()}
        text = '\n'.join((f'[{_SECTION}]', *(
            f'{key} = {value}' for key, value in written.items()), ''))
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise Unusable('a value holds what is not text') from None
        if size > _LARGEST:
            raise Unusable(f'the action is longer than {_LARGEST} bytes')
        if _as_the_agent_reads(text) != {_SECTION: {
                key: value.replace('%%', '%')
                for key, value in written.items()}}:
            raise Unusable('the action cannot be written to the file of '
                           'freezer-agent')
        return text


def _as_the_agent_reads(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
        return {section: dict(parser.items(section))
                for section in parser.sections()}
    except configparser.Error:
        return {}


def read(document: Mapping[str, object], shared: bool,
         project_id: str) -> AgentAction:
    """Read a freezer_action.

    Null counts as absent, and so does false for an option that is no flag: the
    agent would read it as the number 0.

    :param shared: whether other projects' jobs run on this host, too
    :param project_id: the project of the job
    :raises Unusable: if it cannot be carried out; the text names the key
    """
    values: dict[str, str | bool | int | float] = {}
    dropped = []
    for given, value in document.items():
        key = str(given).strip().lower().replace('-', '_')
        key = _SYNONYMS.get(key, key)
        if value is None:
            continue
        if key not in agent_keys.AGENT:
            dropped.append(key)
            continue
        if (value is False and key not in agent_keys.FLAGS) or (
                value == '' and key not in agent_keys.TEXTS):
            continue
        read_value = _value(key, value)
        if values.setdefault(key, read_value) != read_value:
            raise Unusable(f'{key}: given twice, and not the same')
    # The agent has other defaults than the capabilities, which were checked.
    values.setdefault('action', capabilities.DEFAULT_ACTION)
    values.setdefault('mode', capabilities.DEFAULT_MODE)
    if shared:
        _check_shared(values, project_id)
    return AgentAction(values, tuple(dropped))


def _value(key: str, value: object) -> str | bool | int | float:
    if key in agent_keys.FLAGS:
        return _flag(key, value)
    if key in agent_keys.NUMBERS:
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
    for kind in (int, float):
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = kind(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f'{key}: must be a number')
    if not -2 ** 63 < value < 2 ** 63:
        # NaN fails this check too.
        raise Unusable(f'{key}: must be a number that is not as large')
    return value


def _written(key: str, value: str | bool | int | float) -> str:
    """Return a value in the form that both interpolations turn into it."""
    text = str(value)
    if key in agent_keys.TEXTS:
        text = text.replace('$', '$$')
    return text.replace('%', '%%')


def _check_shared(values: Mapping[str, object], project_id: str) -> None:
    refused = dict(NOT_SHARED)
    if values['mode'] not in _HOST_MODES:
        refused.update(_NOT_SHARED_OUTSIDE_HOST_MODES)
    for key in values:
        if key in refused and values[key] is not False:
            raise Unusable(f'{key}: not taken from jobs in service mode: '
                           f'{refused[key]}')
    if values.get('project_id', project_id) != project_id:
        raise Unusable('project_id: is not the project of the job')
