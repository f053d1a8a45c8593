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

"""Actions as callers see them, alone and in their jobs."""

from __future__ import annotations

from typing import Any

from freezer_api.db import actions
from freezer_api.db import models


def document(action: models.Action) -> dict[str, Any]:
    """Return an action as callers see it."""
    return {
        'project_id': action.project_id,
        'action_id': action.id,
        'user_id': action.user_id,
        **actions.retries_of(action),
        'mandatory': bool(action.mandatory),
        'freezer_action': actions.freezer_action(action),
    }
