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

"""What the scheduler and the API tell each other, as dataclasses.

A claimed run's envelope is written by the API and is read strictly. The job
inside was written by a user and is passed on as it came, to be judged when
the run starts: a job that cannot be read fails its own run and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum
from typing import Any

from freezer_scheduler import fitting
from freezer_scheduler import lateness

# Texts of a report, in characters; one report holds many of them.
_REASON = 1000
_STEP_REASON = 400

# As many parts as fit, each told whole but for its reason. Actions and parts
# together are no more than a job may have actions.
MOST_PARTS = 200
MOST_STEPS = 256


class Event(enum.StrEnum):
    """What a user wants of a run that goes on."""

    ABORT = 'abort'
    STOP = 'stop'


class StepState(enum.StrEnum):
    """How far one action of a run has come."""

    PENDING = 'pending'
    SUBMITTING = 'submitting'
    SUBMITTED = 'submitted'
    PRUNING = 'pruning'
    SUCCESS = 'success'
    FAIL = 'fail'
    SKIPPED = 'skipped'
    ABORTED = 'aborted'

    @property
    def final(self) -> bool:
        return self in (StepState.SUCCESS, StepState.FAIL,
                        StepState.SKIPPED, StepState.ABORTED)


_FINAL = frozenset(str(state) for state in StepState if state.final)


class RunState(enum.StrEnum):
    """What a report says of the whole run."""

    RUNNING = 'running'
    SUCCESS = 'success'
    FAIL = 'fail'
    ABORTED = 'aborted'


class Malformed(Exception):
    """A document that the API sent cannot be read."""


# Of a step: what a part has of its action, and what is only stored where it
# says something.
_OF_ACTION = ('action_id', 'position')
_ADDED = ('retry_at', 'removing', 'removing_record', 'removed', 'chosen_by',
          'parts')


@dataclasses.dataclass(frozen=True)
class Step:
    """One action of a run as it is stored; times are epoch seconds.

    :ivar retry_at: when the next try is due, while it waits for one
    :ivar removing: Cinder's id of an old backup that is being deleted
    :ivar removing_record: the id of its record, if it has one
    :ivar removed: how many old backups are deleted so far
    :ivar chosen_by: a digest of what the volumes of ``parts`` were chosen by
    :ivar parts: the steps of an action of several volumes, a volume each;
        they have the action's id and position
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
    chosen_by: str | None = None
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
        return dataclasses.replace(self, tries=self.tries + 1, retry_at=None)

    @property
    def leaves(self) -> tuple[Step, ...]:
        """The steps of single volumes: the parts, or the step itself."""
        return self.parts or (self,)

    def to_document(self) -> dict[str, Any]:
        document = {field.name: getattr(self, field.name)
                    for field in dataclasses.fields(self)}
        document['state'] = str(self.state)
        # Where there are parts, it holds the reasons of several.
        document['reason'] = shortened(
            self.reason, _REASON if self.parts else _STEP_REASON)
        document['parts'] = [part.to_part() for part in self.parts]
        for key in _ADDED:
            if not document[key]:
                del document[key]
        return document

    def to_part(self) -> dict[str, Any]:
        """Return it as one of the parts of an action."""
        return {key: value for key, value in self.to_document().items()
                if value is not None and key not in _OF_ACTION}

    @classmethod
    def from_document(cls, document: object) -> Step:
        """Read a stored step.

        :raises Malformed: when it is not what a scheduler stores
        """
        if not isinstance(document, Mapping):
            raise Malformed('a step is not an object')
        of_action = {key: document.get(key) for key in _OF_ACTION}
        parts = _list(document, 'parts') if 'parts' in document else []
        return dataclasses.replace(
            cls._read(document),
            parts=tuple(cls._read({**part, **of_action})
                        if isinstance(part, Mapping) else cls._read({})
                        for part in parts))

    @classmethod
    def _read(cls, document: Mapping[str, Any]) -> Step:
        try:
            return cls(
                action_id=_text(document, 'action_id'),
                position=_number(document, 'position'),
                state=StepState(_text(document, 'state')),
                tries=_optional_number(document, 'tries') or 0,
                reason=_optional_text(document, 'reason'),
                volume_id=_optional_text(document, 'volume_id'),
                backup_id=_optional_text(document, 'backup_id'),
                cinder_backup_id=_optional_text(document, 'cinder_backup_id'),
                started_at=_optional_number(document, 'started_at'),
                ended_at=_optional_number(document, 'ended_at'),
                retry_at=_optional_number(document, 'retry_at'),
                removing=_optional_text(document, 'removing'),
                removing_record=_optional_text(document, 'removing_record'),
                removed=_optional_number(document, 'removed') or 0,
                chosen_by=_optional_text(document, 'chosen_by'))
        except ValueError:
            raise Malformed('a step has an unknown state') from None


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup record of the API, as a report creates or updates it."""

    backup_id: str
    status: str
    metadata: Mapping[str, Any]

    def to_document(self) -> dict[str, Any]:
        return {'backup_id': self.backup_id, 'status': self.status,
                'backup_metadata': dict(self.metadata)}


@dataclasses.dataclass(frozen=True)
class Run:
    """A claimed run. ``job`` is whatever the user wrote.

    :ivar problem: why the run cannot be gone on with, or None
    :ivar due_at: the time of the firing, in epoch seconds by the API's clock
    """

    run_id: str
    fence: int
    project_id: str
    job_id: str
    lease_seconds: int
    event: Event | None
    steps: tuple[Step, ...]
    job: object
    trust_id: str | None = dataclasses.field(repr=False)
    problem: str | None = None
    due_at: float | None = None

    @property
    def taken_over(self) -> bool:
        """Whether another scheduler may have worked on it before."""
        return self.fence > 1

    @classmethod
    def from_document(cls, document: object) -> Run:
        """Read a claimed run.

        :raises Malformed: when the API's own part of it cannot be read
        """
        if not isinstance(document, Mapping):
            raise Malformed('a run is not an object')
        credentials = document.get('credentials')
        trust_id = (credentials.get('trust_id')
                    if isinstance(credentials, Mapping) else None)
        steps, problem = _stored_steps(document)
        return cls(
            run_id=_text(document, 'run_id'),
            fence=_number(document, 'fence'),
            project_id=_text(document, 'project_id'),
            job_id=_text(document, 'job_id'),
            lease_seconds=_number(document, 'lease_seconds'),
            event=event(document.get('event')),
            steps=tuple(steps), job=document.get('job'),
            trust_id=trust_id if isinstance(trust_id, str) else None,
            problem=problem,
            due_at=lateness.epoch(document.get('nominal_at')))


@dataclasses.dataclass(frozen=True)
class Tick:
    """The answer to one question for work.

    :ivar unreadable: ids (or None) of claimed runs that cannot be read
    :ivar more: whether more runs are due that did not fit into the answer
    """

    runs: tuple[Run, ...]
    held: Mapping[str, Event | None]
    lost: tuple[str, ...]
    unreadable: tuple[str | None, ...] = ()
    lateness: lateness.Lateness = dataclasses.field(
        default_factory=lateness.Lateness)
    more: bool = False

    @classmethod
    def from_document(cls, document: object) -> Tick:
        """Read the answer.

        :raises Malformed: when it is not an answer to a claim at all
        """
        if not isinstance(document, Mapping):
            raise Malformed('the answer to a claim is not an object')
        runs, unreadable = [], []
        for entry in _list(document, 'runs'):
            try:
                runs.append(Run.from_document(entry))
            except Malformed:
                run_id = (entry.get('run_id')
                          if isinstance(entry, Mapping) else None)
                unreadable.append(run_id if isinstance(run_id, str) else None)
        held = {}
        for entry in _list(document, 'held'):
            if not isinstance(entry, Mapping):
                raise Malformed('a held run is not an object')
            held[_text(entry, 'run_id')] = event(entry.get('event'))
        lost = tuple(run_id for run_id in _list(document, 'lost')
                     if isinstance(run_id, str))
        return cls(tuple(runs), held, lost, tuple(unreadable),
                   lateness.Lateness.from_document(document),
                   document.get('more') is True)


@dataclasses.dataclass(frozen=True)
class Report:
    """What is told to the API about a run.

    :ivar cause: what is the matter with its trust, where it failed for that
    :ivar age: for how many seconds it could not be told
    """

    state: RunState
    reason: str | None
    steps: tuple[Step, ...]
    backups: tuple[Backup, ...] = ()
    release: bool = False
    cause: str | None = None
    age: int = 0

    def to_document(self, scheduler_id: str, fence: int) -> dict[str, Any]:
        return {'scheduler_id': scheduler_id, **self.said(fence)}

    def said(self, fence: int) -> dict[str, Any]:
        """Return all of the document but who says it."""
        document: dict[str, Any] = {
            'fence': fence,
            'state': str(self.state),
            'reason': shortened(self.reason, _REASON),
            'actions': fitting.fitted(
                [step.to_document() for step in self.steps], _FINAL),
            'backups': [backup.to_document() for backup in self.backups]}
        if self.release:
            document['release'] = True
        if self.cause is not None:
            document['cause'] = self.cause
        if self.age:
            document['age'] = self.age
        return document


def _stored_steps(document: Mapping[str, Any],
                  ) -> tuple[list[Step], str | None]:
    """Return what earlier holders stored, as far as it can be read.

    :returns: the steps, and why the run cannot be gone on with or None
    """
    steps, problem = [], None
    try:
        for step in _list(document, 'actions'):
            try:
                steps.append(Step.from_document(step))
            except Malformed as error:
                problem = error
    except Malformed as error:
        problem = error
    if problem is None:
        return steps, None
    # To begin anew could do twice what was done already.
    return steps, f'what was done so far cannot be read: {problem}'


def event(value: object) -> Event | None:
    """Read an event; one that is not known is none."""
    return next((known for known in Event if known == value), None)


def shortened(text: str | None, length: int) -> str | None:
    """Cut a text for people to a length, and replace what is not text."""
    if text is None:
        return None
    # Lone surrogates cannot be sent, and control characters are not shown.
    text = ''.join(letter if letter.isprintable() else ' ' for letter in text)
    return text if len(text) <= length else text[:length - 3] + '...'


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise Malformed(f'{key} is not a list')
    return value


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f'{key} is not a text')
    return value


def _number(document: Mapping[str, Any], key: str) -> int:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f'{key} is not a number')
    return value


def _optional_text(document: Mapping[str, Any], key: str) -> str | None:
    return None if document.get(key) is None else _text(document, key)


def _optional_number(document: Mapping[str, Any], key: str) -> int | None:
    return None if document.get(key) is None else _number(document, key)
