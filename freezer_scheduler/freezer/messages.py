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
from typing import Any

from freezer_api.domain import run_state
from freezer_scheduler.freezer import document_values as values
from freezer_scheduler.runs import claim_timing
from freezer_scheduler.runs import steps as run_steps
from freezer_scheduler.runs import truncation

# Of the text of a report, in characters.
_REASON = 1000

# Other modules know these by the documents that they are in.
Malformed = values.Malformed
shortened = values.shortened
Step = run_steps.Step
StepState = run_state.StepState
RunState = run_state.State
Event = run_state.Event


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
    def reclaimed(self) -> bool:
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
            run_id=values.text(document, 'run_id'),
            fence=values.number(document, 'fence'),
            project_id=values.text(document, 'project_id'),
            job_id=values.text(document, 'job_id'),
            lease_seconds=values.number(document, 'lease_seconds'),
            event=event(document.get('event')),
            steps=tuple(steps), job=document.get('job'),
            trust_id=trust_id if isinstance(trust_id, str) else None,
            problem=problem,
            due_at=claim_timing.epoch(document.get('nominal_at')))


@dataclasses.dataclass(frozen=True)
class ClaimResponse:
    """The answer to one question for work.

    :ivar unreadable: ids (or None) of claimed runs that cannot be read
    :ivar more: whether more runs are due that did not fit into the answer
    """

    runs: tuple[Run, ...]
    held: Mapping[str, Event | None]
    lost: tuple[str, ...]
    unreadable: tuple[str | None, ...] = ()
    timing: claim_timing.ClaimTiming = dataclasses.field(
        default_factory=claim_timing.ClaimTiming)
    more: bool = False

    @classmethod
    def from_document(cls, document: object) -> ClaimResponse:
        """Read the answer.

        :raises Malformed: when it is not an answer to a claim at all
        """
        if not isinstance(document, Mapping):
            raise Malformed('the answer to a claim is not an object')
        runs, unreadable = [], []
        for entry in values.entries(document, 'runs'):
            try:
                runs.append(Run.from_document(entry))
            except Malformed:
                run_id = (entry.get('run_id')
                          if isinstance(entry, Mapping) else None)
                unreadable.append(run_id if isinstance(run_id, str) else None)
        held = {}
        for entry in values.entries(document, 'held'):
            if not isinstance(entry, Mapping):
                raise Malformed('a held run is not an object')
            held[values.text(entry, 'run_id')] = event(entry.get('event'))
        lost = tuple(run_id for run_id in values.entries(document, 'lost')
                     if isinstance(run_id, str))
        return cls(tuple(runs), held, lost, tuple(unreadable),
                   claim_timing.ClaimTiming.from_document(document),
                   document.get('more') is True)


@dataclasses.dataclass(frozen=True)
class Report:
    """What is told to the API about a run.

    :ivar cause: what is the matter with its trust, where it failed for that
    :ivar age: for how many seconds it could not be told
    :ivar lease_seconds: for how long the run is to be kept from now on, if it
        goes on; 0 leaves its lease as it is
    """

    state: RunState
    reason: str | None
    steps: tuple[Step, ...]
    backups: tuple[Backup, ...] = ()
    release: bool = False
    cause: str | None = None
    age: int = 0
    lease_seconds: int = 0

    def to_document(self, scheduler_id: str, fence: int) -> dict[str, Any]:
        return {'scheduler_id': scheduler_id, **self.said(fence)}

    def said(self, fence: int) -> dict[str, Any]:
        """Return all of the document but who says it."""
        document: dict[str, Any] = {
            'fence': fence,
            'state': str(self.state),
            'reason': shortened(self.reason, _REASON),
            'actions': truncation.fitted(
                [step.to_document() for step in self.steps],
                run_state.FINAL_STEPS),
            'backups': [backup.to_document() for backup in self.backups]}
        if self.release:
            document['release'] = True
        elif self.lease_seconds and self.state is RunState.RUNNING:
            document['lease_seconds'] = self.lease_seconds
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
        for step in values.entries(document, 'actions'):
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
