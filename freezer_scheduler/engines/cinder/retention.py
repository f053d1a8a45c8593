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

"""Which of a volume's backups a rule of retention removes, and why not.

An incremental backup is of no use without what it was made upon, so a full
one and all that depends on it, a *chain*, goes or stays as a whole. Cinder
does not show what a backup was made upon, only that something was made upon
it; the rest is found out the way Cinder decides it.

Nothing here asks Cinder or the clock. To plan again after some of a plan's
deletions, in their order, gives the rest of them.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime

from freezer_scheduler.engines.cinder import client as cinder_client

OWNER = 'freezer'

# Cinder deletes what is in one of these.
_SETTLED = frozenset(('available', 'error'))

# Nothing can have been made upon what is in one of these.
_NO_BASE = frozenset(('creating', 'error', 'deleting', 'error_deleting'))


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is to be removed.

    :ivar keep: as many of the newest good chains stay; None: age decides
    :ivar cutoff: chains whose newest backup is from then or before are too
        old; not looked at beside ``keep``
    :ivar freezer_only: what others made is not touched
    :ivar last_too: the newest good chain goes too when it is too old
    """

    keep: int | None = None
    cutoff: datetime.datetime | None = None
    freezer_only: bool = True
    last_too: bool = False

    def takes(self, backup: cinder_client.CinderBackup) -> bool:
        """Whether a backup is one that may be removed at all."""
        return (not self.freezer_only
                or backup.metadata.get('created_by') == OWNER)


@dataclasses.dataclass(frozen=True)
class Kept:
    """A chain that the rule names and that stays all the same.

    :ivar first: id of its first backup; None where it is about all of them
    :ivar unclear: whether Cinder's own account of it may be about to change
    """

    first: str | None
    reason: str
    unclear: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be deleted, in this order, and what stays and why."""

    deletions: tuple[cinder_client.CinderBackup, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclasses.dataclass(eq=False)
class _Chain:
    """A full backup and what depends on it, oldest first.

    :ivar upon: ids that another backup of the chain was made upon
    """

    backups: list[cinder_client.CinderBackup]
    upon: set[str] = dataclasses.field(default_factory=set)

    @property
    def first(self) -> cinder_client.CinderBackup:
        return self.backups[0]

    def good(self, rule: Rule) -> bool:
        """Whether it counts as one that can be restored from."""
        return (not self.first.is_incremental
                and self.first.status == 'available'
                and rule.takes(self.first))


def plan(backups: Iterable[cinder_client.CinderBackup], rule: Rule,
         made: str | None = None) -> Plan:
    """Return what the rule removes of a volume's backups.

    :param backups: all of them, in any order and status
    :param made: the backup after which this is done: its chain is not
        touched, and where it is not there nothing is
    """
    known = list(backups)
    if made is not None and all(backup.id != made for backup in known):
        return Plan(kept=(Kept(None, 'the new backup is not there any more'),))
    undated = next((backup for backup in known
                    if backup.created_at is None), None)
    if undated is not None:
        return Plan(kept=(Kept(None, f'Cinder does not say when backup '
                               f'{undated.id} was made'),))
    chains = _chains(known)
    good = [chain for chain in chains if chain.good(rule)]
    newest = good[-1].first.id if good else None
    deletions: list[cinder_client.CinderBackup] = []
    kept = []
    for chain in _named(chains, good, rule):
        if any(backup.id == made for backup in chain.backups):
            continue
        obstacle = _obstacle(chain, rule, newest)
        if obstacle is None:
            deletions += reversed(chain.backups)
        else:
            kept.append(obstacle)
    return Plan(tuple(deletions), tuple(kept))


def _named(chains: list[_Chain], good: list[_Chain],
           rule: Rule) -> Iterator[_Chain]:
    """Yield the chains that the rule is about, oldest first."""
    if rule.keep is not None:
        # What is older than all that are to be kept, good or not.
        end = (chains.index(good[-rule.keep]) if len(good) >= rule.keep
               else 0)
        old = chains[:end]
    else:
        old = [chain for chain in chains
               if rule.cutoff is not None
               and _made_at(chain.backups[-1]) <= rule.cutoff]
    for chain in old:
        if any(map(rule.takes, chain.backups)):
            yield chain


def _obstacle(chain: _Chain, rule: Rule, newest: str | None) -> Kept | None:
    """Return why a chain has to stay, None when it can go."""
    first = chain.first.id
    if chain.first.is_incremental:
        return Kept(first, f'what backup {first} was made upon is not there')
    for backup in chain.backups:
        if not rule.takes(backup):
            return Kept(first, f'backup {backup.id} is not one of Freezer\'s')
    for backup in chain.backups:
        if backup.status not in _SETTLED:
            return Kept(first, f'backup {backup.id} is {backup.status}',
                        unclear=backup.status == 'deleting')
    for backup in chain.backups:
        if backup.has_dependents and backup.id not in chain.upon:
            return Kept(first, f'something unknown depends on backup '
                        f'{backup.id}', unclear=True)
    if rule.last_too:
        return None
    if first == newest:
        return Kept(first, 'it is the newest good one')
    if newest is None:
        return Kept(first, f'backup {first} is in error, and there is no good '
                    'one in its place')
    return None


def _chains(backups: list[cinder_client.CinderBackup]) -> list[_Chain]:
    """Return a volume's chains, that with the oldest full backup first.

    Cinder makes an incremental backup upon the one with the newest data of
    those available then. One that is in error now is not taken for the base
    of another, unless Cinder says that it is. ``has_dependents`` alone does
    not tell: Cinder counts wrong after an increment that failed.
    """
    chains: list[_Chain] = []
    chain_of: dict[str, _Chain] = {}
    bases: list[tuple[datetime.datetime, bool, int]] = []
    ordered = sorted(backups, key=_order)
    for number, backup in enumerate(ordered):
        base = None
        if backup.is_incremental:
            end = (bisect.bisect_left(bases, (_data_at(backup),))
                   if backup.of_snapshot else len(bases))
            base = ordered[bases[end - 1][-1]] if end else None
        if base is None:
            chain = _Chain([])
            chains.append(chain)
        else:
            chain = chain_of[base.id]
            chain.upon.add(base.id)
        chain.backups.append(backup)
        chain_of[backup.id] = chain
        if backup.has_dependents or backup.status not in _NO_BASE:
            bisect.insort(bases, (_data_at(backup), backup.has_dependents,
                                  number))
    return chains


def _order(backup: cinder_client.CinderBackup) -> tuple[object, ...]:
    """Order by creation; at one moment what others were made upon first."""
    return (_made_at(backup), backup.is_incremental,
            not backup.has_dependents, backup.id)


def _made_at(backup: cinder_client.CinderBackup) -> datetime.datetime:
    assert backup.created_at is not None
    return backup.created_at


def _data_at(backup: cinder_client.CinderBackup) -> datetime.datetime:
    """Return from when its data is: that of a snapshot may be old."""
    return backup.data_at or _made_at(backup)
