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

"""The steps of a run, as a scheduler stores them with the API."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from freezer_api.domain import run_state
from freezer_scheduler.freezer import document_values as values

# Texts of a report, in characters; one report holds many of them.
_REASON = 1000
_STEP_REASON = 400


StepState = run_state.StepState

# Of a step: what a part has of its action, and what is only stored where it
# says something.
_OF_ACTION = ('action_id', 'position', 'engine')
_ADDED = ('engine', 'action', 'posts', 'retry_at', 'removing',
          'removing_record', 'removed', 'full_because',
          'volume_deleted', 'new_volume', 'parts')

# The optional keys, by the type of their value.
_TEXTS = ('engine', 'action', 'reason', 'volume_id', 'backup_id',
          'cinder_backup_id', 'removing', 'removing_record', 'full_because')
_NUMBERS = ('tries', 'posts', 'started_at', 'ended_at', 'retry_at', 'removed')
_FLAGS = ('volume_deleted', 'new_volume')


@dataclasses.dataclass(frozen=True)
class Step:
    """One action of a run as it is stored; times are epoch seconds.

    :ivar retry_at: when the next try is due, while it waits for one
    :ivar removing: Cinder's id of an old backup that is being deleted
    :ivar removing_record: the id of its record, if it has one
    :ivar removed: how many old backups are deleted so far
    :ivar full_because: why a full backup is made although the action asks
        for increments: a value of :class:`.increment.FullReason`, and
        Cinder's words behind a colon where there are some
    :ivar volume_deleted: whether it removes old backups of a volume that is
        deleted. Where it was to back it up, ``reason`` says that it failed.
    :ivar new_volume: whether it restores into a volume that it makes
    :ivar engine: the name of the engine that carries it out; empty before it
        has begun
    :ivar action: what is done, as the engine knows it; empty likewise
    :ivar posts: how often, within this try, the intent of a POST to Cinder
        was stored that may have been sent and was not refused, by all holders
        of the run together
    :ivar parts: the steps of an action of several volumes, a volume each;
        they have the action's id, position and engine
    """

    action_id: str
    position: int
    state: StepState = StepState.PENDING
    tries: int = 0
    reason: str | None = None
    volume_id: str | None = None
    backup_id: str | None = None
    cinder_backup_id: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    retry_at: int | None = None
    removing: str | None = None
    removing_record: str | None = None
    removed: int = 0
    full_because: str | None = None
    volume_deleted: bool = False
    new_volume: bool = False
    engine: str = ''
    action: str = ''
    posts: int = 0
    parts: tuple[Step, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether Cinder may be at work for it."""
        return not self.state.final and self.state is not StepState.PENDING

    def begun(self) -> Step:
        """Return it with a try begun.

        One that waited for something else, such as a busy volume, goes on
        with the try that it was at.
        """
        if self.tries and self.retry_at is None:
            return self
        return dataclasses.replace(self, tries=self.tries + 1, posts=0,
                                   retry_at=None)

    @property
    def leaves(self) -> tuple[Step, ...]:
        """The steps of single volumes: the parts, or the step itself."""
        return self.parts or (self,)

    def to_document(self) -> dict[str, Any]:
        document = {field.name: getattr(self, field.name)
                    for field in dataclasses.fields(self)}
        document['state'] = str(self.state)
        # Where there are parts, it holds the reasons of several.
        document['reason'] = values.shortened(
            self.reason, _REASON if self.parts else _STEP_REASON)
        document['parts'] = [part.to_part(self) for part in self.parts]
        for key in _ADDED:
            if not document[key]:
                del document[key]
        return document

    def to_part(self, whole: Step) -> dict[str, Any]:
        """Return it as one of the parts of an action.

        What it has of the whole is left out.
        """
        return {key: value for key, value in self.to_document().items()
                if value is not None and key not in _OF_ACTION
                and (key != 'action' or value != whole.action)}

    @classmethod
    def from_document(cls, document: object) -> Step:
        """Read a stored step.

        :raises Malformed: when it is not what a scheduler stores
        """
        if not isinstance(document, Mapping):
            raise values.Malformed('a step is not an object')
        of_action = {key: document.get(key) for key in _OF_ACTION}
        parts = (values.entries(document, 'parts') if 'parts' in document
                 else [])
        return dataclasses.replace(
            cls._read(document),
            parts=tuple(cls._read({'action': document.get('action'), **part,
                                   **of_action})
                        if isinstance(part, Mapping) else cls._read({})
                        for part in parts))

    @classmethod
    def _read(cls, document: Mapping[str, Any]) -> Step:
        try:
            state = StepState(values.text(document, 'state'))
        except ValueError:
            raise values.Malformed('a step has an unknown state') from None
        more: dict[str, Any] = {
            key: document.get(key) is True for key in _FLAGS}
        for keys, read in ((_TEXTS, values.optional_text),
                           (_NUMBERS, values.optional_number)):
            for key in keys:
                value = read(document, key)
                if value is not None:
                    more[key] = value
        return cls(values.text(document, 'action_id'),
                   values.number(document, 'position'), state, **more)
