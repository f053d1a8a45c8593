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

"""Retention: the backups of a volume that a rule removes, and those that stay.

A chain is removed or stays as a whole, because an increment is useless without
its parents. There is one exception: in a chain with backups of several jobs,
each job's rule removes its own newest backups, until none is left. The
remaining backups can be restored at any time: a backup is deleted only after
all backups that depend on it.

After some deletions of a plan, a new plan contains the others.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
from typing import Generic

from freezer_api.domain import chains as domain_chains
from freezer_api.domain.chains import B
from freezer_api.domain import keep_rules

OWNER = 'freezer'
JOB_MARK = 'freezer_job_id'
HOLD, HOLD_UNTIL = 'freezer_hold', 'freezer_hold_until'

# Cinder deletes a backup in one of these statuses.
_SETTLED = frozenset(('available', 'error'))

# Without this reason, a job that only removes old backups, as is common with
# release 19.0.0, would seem to work and remove nothing.
_OTHERS_ONLY = ('they are of other jobs; "retention_scope": "volume" includes '
                'them')

# Every hold ends later.
_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)

_Chain = domain_chains.Chain


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which chains to remove.

    :ivar keep: number of newest good chains that stay; None to use the age
    :ivar cutoff: chains whose newest backup is not after this time are too
        old; ignored with ``keep``
    :ivar periods: a chain stays while it holds a good backup that one of
        these rules keeps; excludes ``keep`` and ``cutoff``
    :ivar freezer_only: whether backups of other programs stay
    :ivar last_too: whether the newest good chain is also removed if it is too
        old
    """

    keep: int | None = None
    cutoff: datetime.datetime | None = None
    freezer_only: bool = True
    last_too: bool = False
    periods: keep_rules.KeepRules | None = None

    def takes(self, backup: domain_chains.Backup) -> bool:
        """Return whether the rule allows the removal of a backup."""
        return (not self.freezer_only
                or backup.metadata.get('created_by') == OWNER)


@dataclasses.dataclass(frozen=True)
class Scope:
    """The backups of the volume that the rule must not remove.

    :ivar others: marks of jobs whose backups are neither counted nor removed
    :ivar refused: IDs of backups that Cinder does not delete; the backups
        that they depend on stay
    :ivar made: ID of the backup that was just made; its chain stays
    :ivar now: due time of the run; a hold that ends later counts
    :ivar coming: whether the periods of a rule count a backup of this time,
        which is about to be made
    """

    others: Collection[str] = frozenset()
    refused: Collection[str] = frozenset()
    made: str | None = None
    now: datetime.datetime = _FIRST
    coming: bool = False

    def other(self, backup: domain_chains.Backup) -> bool:
        """Return whether a backup belongs to another job's rule."""
        return mark_of(backup) in self.others


@dataclasses.dataclass(frozen=True)
class Kept:
    """A chain that the rule selects but that stays.

    :ivar first: ID of its first backup; None for all chains
    :ivar unclear: whether Cinder's status of it may change soon
    :ivar failed: IDs of backups whose deletion failed in Cinder
    """

    first: str | None
    reason: str
    unclear: bool = False
    failed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan(Generic[B]):
    """The deletions in their order, and the chains that stay, with reasons."""

    deletions: tuple[B, ...] = ()
    kept: tuple[Kept, ...] = ()


def mark_of(backup: domain_chains.Backup) -> str | None:
    """Return the ID of a backup's job according to its metadata.

    Agents of release 19.0.0 write no mark. Users can write any.
    """
    mark = backup.metadata.get(JOB_MARK)
    return str(mark) if mark else None


def held(backup: domain_chains.Backup, now: datetime.datetime) -> str | None:
    """Return why a user holds a backup, or None.

    Users set both keys in the metadata of a backup in Cinder, such as
    ``openstack volume backup set --property freezer_hold=true``. A date that
    cannot be read holds the backup, because the user meant to keep it.
    """
    if str(backup.metadata.get(HOLD, '')).lower() == 'true':
        return f'{HOLD} is true'
    until = backup.metadata.get(HOLD_UNTIL)
    if not until:
        return None
    try:
        date = datetime.datetime.fromisoformat(str(until))
    except ValueError:
        return f'{HOLD_UNTIL} is not a date: {str(until)[:40]!r}'
    if not date.tzinfo:
        date = date.replace(tzinfo=datetime.UTC)
    return f'{HOLD_UNTIL} is {until}' if date > now else None


def other_marks(backups: Iterable[domain_chains.Backup],
                job_id: str) -> frozenset[str]:
    """Return the marks of all jobs of the backups, except one."""
    return frozenset(mark for mark in map(mark_of, backups)
                     if mark is not None and mark != job_id)


def plan(backups: Iterable[B], rule: Rule, scope: Scope = Scope(),
         ) -> Plan[B]:
    """Return the effect of a rule on the backups of a volume.

    :param backups: all of them, in any order and status
    """
    known = list(backups)
    if scope.made is not None and all(
            backup.id != scope.made for backup in known):
        return Plan(kept=(Kept(None, 'the new backup no longer exists'),))
    undated = next((backup for backup in known
                    if backup.created_at is None), None)
    if undated is not None:
        return Plan(kept=(Kept(None, f'Cinder shows no creation time of '
                               f'backup {undated.id}'),))
    return _Planner(domain_chains.link(known), rule, scope).plan()


def of_deleted(rule: Rule | None, backups: Iterable[domain_chains.Backup],
               keep_days: float | None, due: datetime.datetime,
               scope: Scope = Scope(), freezer_only: bool = True,
               ) -> Rule | None:
    """Return the rule for a deleted volume.

    It is the rule for existing volumes until the newest of its backups is old
    enough to remove all of them. The time of the volume's deletion is
    unknown.

    :param keep_days: days from the newest backup; None: no limit
    :param due: the time from which the days count back
    """
    if keep_days is None:
        return rule
    last = Rule(None, due, freezer_only, last_too=True)
    newest = max((domain_chains.created_at(backup) for backup in backups
                  if backup.created_at is not None and last.takes(backup)
                  and not scope.other(backup)), default=None)
    if newest is None or newest > due - datetime.timedelta(keep_days):
        return rule
    return last


def make_room(backups: Iterable[B], rule: Rule, full: bool,
              now: datetime.datetime, scope: Scope = Scope()) -> Plan[B]:
    """Return the backups that can be removed before a new backup.

    The rule still holds after the new backup. The newest good chain stays,
    because it is the only one until the new backup is finished, as does the
    chain that a new increment extends.

    :param full: whether the new backup is a full one, which counts as one
        that the rule keeps; an increment extends an existing chain
    :param now: time of the new backup
    """
    known = list(backups)
    rule = dataclasses.replace(rule, last_too=False)
    scope = dataclasses.replace(scope, now=now, coming=True)
    if rule.keep is not None and full:
        rule = dataclasses.replace(rule, keep=max(1, rule.keep - 1))
    if not full:
        scope = dataclasses.replace(scope, made=_next_parent(known))
    return plan(known, rule, scope)


def _next_parent(backups: Iterable[domain_chains.Backup]) -> str | None:
    """Return the ID of the parent that Cinder uses for an increment."""
    able = [(domain_chains.data_at(backup), domain_chains.created_at(backup),
             backup.id) for backup in backups
            if backup.status == 'available' and backup.created_at is not None]
    return max(able)[-1] if able else None


class _Planner(Generic[B]):
    """Applies a rule to the chains of a volume.

    :param chains: as :func:`.chains.link` returns them
    """

    def __init__(self, chains: list[_Chain[B]], rule: Rule,
                 scope: Scope) -> None:
        self._chains = chains
        self._rule = rule
        self._scope = scope
        self._good = [chain for chain in chains if self._is_good(chain)]

    def plan(self) -> Plan[B]:
        deletions: list[B] = []
        kept = []
        for chain in self._named():
            obstacle = self._obstacle(chain)
            going = list(self._going(chain))
            if obstacle is None and len(going) < len(chain.backups):
                obstacle = self._rest(chain, going)
            elif obstacle is not None:
                going = []
            deletions += going
            if obstacle is not None:
                kept.append(obstacle)
        if self._is_about_none():
            kept.append(Kept(None, _OTHERS_ONLY))
        return Plan(tuple(deletions), tuple(kept))

    def _is_about_none(self) -> bool:
        """Return whether there are backups, and all are of other jobs."""
        backups = [backup for chain in self._chains
                   for backup in chain.backups]
        return (any(map(self._scope.other, backups))
                and not any(map(self._own, backups)))

    def _is_good(self, chain: _Chain[B]) -> bool:
        """Return whether a chain counts as one to restore from.

        A chain that another job began counts if this job added to it.
        """
        if chain.first.is_incremental or chain.first.status != 'available':
            return False
        if self._scope.other(chain.first):
            return any(backup.status == 'available' and self._own(backup)
                       for backup in chain.backups)
        return self._rule.takes(chain.first)

    def _own(self, backup: B) -> bool:
        """Return whether the rule applies to a backup."""
        return self._rule.takes(backup) and not self._scope.other(backup)

    def _named(self) -> Iterator[_Chain[B]]:
        """Yield the chains that the rule selects, oldest first."""
        keep, cutoff = self._rule.keep, self._rule.cutoff
        if self._rule.periods is not None:
            stay = self._kept_by(self._rule.periods)
            # A chain that is newer than all good ones may become good.
            old = [chain for chain in self._chains[
                       :self._chains.index(self._good[-1])
                       if self._good else 0]
                   if stay.isdisjoint(backup.id for backup in chain.backups)]
        elif keep is not None:
            # Chains older than all that are kept, good or not.
            old = self._chains[:self._chains.index(self._good[-keep])
                               if len(self._good) >= keep else 0]
        else:
            old = [chain for chain in self._chains
                   if cutoff is not None and self._age(chain) <= cutoff]
        for chain in old:
            if any(map(self._own, chain.backups)) and not any(
                    backup.id == self._scope.made
                    for backup in chain.backups):
                yield chain

    def _kept_by(self, periods: keep_rules.KeepRules) -> set[str]:
        """Return the IDs of the backups that the periods keep."""
        moments = {backup.id: domain_chains.data_at(backup)
                   for chain in self._good for backup in chain.backups
                   if backup.status == 'available' and self._own(backup)}
        if self._scope.coming:
            moments[''] = self._scope.now
        return set(periods.kept(moments))

    def _age(self, chain: _Chain[B]) -> datetime.datetime:
        """Return the creation time of the newest backup that counts."""
        if not self._scope.other(chain.first):
            return chain.newest_at
        return max((domain_chains.created_at(backup)
                    for backup in chain.backups if self._own(backup)),
                   default=chain.newest_at)

    def _obstacle(self, chain: _Chain[B]) -> Kept | None:
        """Return why a whole chain must stay, or None."""
        first = chain.first.id
        if chain.first.is_incremental:
            return Kept(first, f'the parent of backup {first} does not exist')
        for backup in chain.backups:
            if not (self._rule.takes(backup) or self._scope.other(backup)):
                return Kept(first, f'backup {backup.id} was not made by '
                            'Freezer')
        held_why = next((
            f'of backup {backup.id}, {why}' for backup in chain.backups
            if (why := held(backup, self._scope.now))), None)
        if held_why is not None:
            return Kept(first, held_why)
        for backup in chain.backups:
            if self._own(backup) and backup.status not in _SETTLED:
                return Kept(first, f'backup {backup.id} is {backup.status}',
                            unclear=backup.status == 'deleting',
                            failed=(backup.id,) * (
                                backup.status == 'error_deleting'))
        parents = set(chain.parents.values())
        for backup in chain.backups:
            if backup.has_dependents and backup.id not in parents:
                return Kept(first, f'an unknown backup depends on backup '
                            f'{backup.id}', unclear=True)
        return None if self._rule.last_too else self._as_last(chain)

    def _as_last(self, chain: _Chain[B]) -> Kept | None:
        """Return why a chain stays if no good one would be left, or None."""
        first = chain.first.id
        if self._good and chain is self._good[-1]:
            return Kept(first, 'it is the newest good chain')
        if not self._good:
            return Kept(first, f'backup {first} is in error, and there is no '
                        'good chain')
        return None

    def _going(self, chain: _Chain[B]) -> Iterator[B]:
        """Yield the backups of a chain that can be removed, newest first.

        No backup that must stay depends on them.
        """
        needed: set[str | None] = set()
        for backup in reversed(chain.backups):
            if (backup.id in needed or backup.id in self._scope.refused
                    or not self._own(backup)):
                needed.add(chain.parents.get(backup.id))
            else:
                yield backup

    def _rest(self, chain: _Chain[B], going: list[B]) -> Kept | None:
        """Return why a part of a chain stays; None if Cinder refused it."""
        stays = [backup for backup in chain.backups if backup not in going]
        for backup in stays:
            if backup.id in self._scope.refused:
                # Cinder's own reason is reported for it.
                return None
        other = next(backup for backup in stays if self._scope.other(backup))
        return Kept(chain.first.id, f'backup {other.id} is of job '
                    f'{mark_of(other)}')
