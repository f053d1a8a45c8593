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

"""How documents may read otherwise after an upgrade, and why that is right.

What is not in this list is a loss. Each entry is met by some document of some
release; a test makes sure.
"""

from __future__ import annotations

from freezer_api.db import actions
from freezer_api.db.migrations.versions import r03_23c8ad2655a6_capabilities
from tests.migrations.upstream import comparison

_ABSENT = comparison.ABSENT
_NEW_KEYS = {
    ('clients', 'is_central'): False,
    ('backups', 'status'): 'available',
    **{('clients', name): supported for name, supported
       in r03_23c8ad2655a6_capabilities.EVERYTHING.items()},
}


def _new_key(change: comparison.Change) -> bool:
    return change.theirs is _ABSENT and (
        change.ours == _NEW_KEYS.get((change.noun, str(change.name)), _ABSENT)
        or (change.noun == 'jobs' and len(change.path) == 1
            and change.name in ('trust_id', 'trustor_user_id'))
        or (change.noun == 'backups' and change.path == ('backup_uuid',)
            and change.ours == change.beside['backup_id']))


def _mandatory(change: comparison.Change) -> bool:
    inside = change.beside.get('freezer_action') or {}
    return (change.name == 'mandatory' and change.theirs is _ABSENT
            and change.ours is (inside.get('mandatory') is True))


def _retries(change: comparison.Change) -> bool:
    return (change.in_entry and change.had_copies
            and change.theirs is _ABSENT and change.ours == {
                'max_retries': 0, 'max_retries_interval': 60
            }.get(str(change.name)))


def _whose(change: comparison.Change) -> bool:
    return (change.in_entry and change.had_copies
            and change.theirs is _ABSENT
            and change.name in ('project_id', 'user_id', 'action_id'))


PERMITTED = (
    comparison.Permitted(
        'A key that later releases show, too.', _new_key),
    comparison.Permitted(
        'A freezer_action shows each of its usual keys, null where it is '
        'not set, as 19.0.0 does.',
        lambda change: change.theirs is _ABSENT and change.ours is None
        and change.path[-2:-1] == ('freezer_action',)
        and change.name in actions.COLUMNS),
    comparison.Permitted(
        'Whether an action is mandatory was not shown everywhere. It counts '
        'where users wrote it.', _mandatory),
    comparison.Permitted(
        'What an entry did not say of retries is shown as the schedulers of '
        'then took it.', _retries),
    comparison.Permitted(
        'Null retries, which a PATCH made that did not name them, stop every '
        'known scheduler. They are shown as the defaults of the API.',
        lambda change: change.theirs is None and change.ours == {
            'max_retries': actions.DEFAULT_MAX_RETRIES,
            'max_retries_interval': actions.DEFAULT_MAX_RETRIES_INTERVAL,
        }.get(str(change.name))),
    comparison.Permitted(
        'The copy of an action that a job had, where it says otherwise than '
        'the action, is an action of its own.',
        lambda change: change.in_entry and change.had_copies
        and change.name == 'action_id' and change.theirs is not _ABSENT),
    comparison.Permitted(
        'An entry is shown with its owner and its id.', _whose),
    comparison.Permitted(
        'Backups have no user name any more; freezer-manage db report shows '
        'it.', lambda change: change.noun == 'backups'
        and change.path == ('user_name',) and change.ours is _ABSENT),
)
