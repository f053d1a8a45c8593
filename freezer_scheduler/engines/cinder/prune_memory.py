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

"""What a process knows of a removal of old backups, beyond the stored step.

All of it can be found out again by whoever takes the run over.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from freezer_api.domain import retention
from freezer_scheduler.engines.cinder import volume_step

# Backups that stay of which the reason is told.
_TOLD = 3


@dataclasses.dataclass(frozen=True)
class Known:
    """What was found out since the removal began.

    :ivar refused: why Cinder does not delete a backup, by its id
    :ivar gone_jobs: whether a job is gone, by the mark of its backups
    :ivar kept: chains of the action's volume that the rule names, and that
        stay
    :ivar volumes: deleted volumes whose turn it is, one after the other;
        None until the action's own volume is done
    """

    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    gone_jobs: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    kept: tuple[retention.Kept, ...] = ()
    volumes: tuple[str, ...] | None = None

    @property
    def volume(self) -> str | None:
        """The deleted volume whose turn it is."""
        return self.volumes[0] if self.volumes else None

    def asked(self, marks: frozenset[str],
              gone: Callable[[frozenset[str]], frozenset[str]]) -> Known:
        """Return it with all marks known.

        :param gone: returns those of some marks whose jobs are gone
        """
        new = marks - self.gone_jobs.keys()
        if not new:
            return self
        found = gone(new)
        return dataclasses.replace(self, gone_jobs={
            **self.gone_jobs, **{mark: mark in found for mark in new}})

    def living(self, marks: frozenset[str]) -> frozenset[str]:
        """Return the marks of jobs that count as living."""
        return frozenset(mark for mark in marks
                         if not self.gone_jobs.get(mark, False))

    def without(self, backup_id: str, why: str) -> Known:
        """Return it with a backup that Cinder does not delete."""
        return dataclasses.replace(
            self, refused={**self.refused, backup_id: why})

    def after_volume(self, kept: tuple[retention.Kept, ...]) -> Known:
        """Return it after there is nothing more to remove of a volume.

        What stays of a deleted volume is told where it went wrong only.
        """
        told = tuple(one for one in kept if one.failed or not self.volume)
        return dataclasses.replace(self, kept=self.kept + told)

    def told(self) -> str | None:
        """Return why backups stay that the rule names."""
        words = [f'backup {backup_id} stays: {why}' for backup_id, why
                 in list(self.refused.items())[:_TOLD]]
        if len(self.refused) > _TOLD:
            words.append(f'{len(self.refused) - _TOLD} more stay')
        if self.kept:
            first = min(self.kept, key=lambda one: not one.failed)
            what = ('all stay' if first.first is None
                    else f'the chain of backup {first.first} stays')
            more = (f', and {len(self.kept) - 1} more'
                    if len(self.kept) > 1 else '')
            words.append(f'{what}{more}: {first.reason}')
        return '; '.join(words) or None


@dataclasses.dataclass(frozen=True)
class EngineState(volume_step.EngineState):
    """Where the deletion of one backup stands, and what is known.

    :ivar sent: Cinder took the deletion on
    :ivar asked: how often it was asked for without an answer that tells
    :ivar trouble: what came instead of such an answer
    :ivar gone_at: when the last backup was found gone
    """

    sent: bool = False
    asked: int = 0
    trouble: str = ''
    gone_at: float | None = None
    known: Known = dataclasses.field(default_factory=Known)
