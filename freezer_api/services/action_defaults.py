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

"""Defaults that a job's document gives for all of its actions."""

from __future__ import annotations

from typing import Any

from freezer_api import errors


def filled_in(sent: Any) -> Any:
    """Fill ``action_defaults`` into each action of a document.

    :raises freezer_api.errors.ApiError: 400 when they are no object
    """
    if not isinstance(sent, dict) or 'action_defaults' not in sent:
        return sent
    sent = dict(sent)
    defaults = sent.pop('action_defaults')
    if not isinstance(defaults, dict):
        raise errors.ApiError(
            'bad_request', 'action_defaults must be an object')
    entries = sent.get('job_actions')
    if isinstance(entries, list):
        sent['job_actions'] = [_filled(entry, defaults) for entry in entries]
    return sent


def _filled(entry: Any, defaults: dict[str, Any]) -> Any:
    if not isinstance(entry, dict) or not isinstance(
            entry.get('freezer_action', {}), dict):
        return entry
    if entry.get('action_id') and 'freezer_action' not in entry:
        return entry  # it names an action, and says nothing of its own
    given = {key: value for key, value in entry.get(
        'freezer_action', {}).items() if value is not None}
    return {**entry, 'freezer_action': {**defaults, **given}}
