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

"""Schedulers that say how many trusts they keep a session of."""

from __future__ import annotations

import pathlib

from benchmarks.fire import scheduler

_INSIDE = pathlib.Path(__file__).resolve().parent / 'inside'


class Scheduler(scheduler.Scheduler):
    """One of them."""

    @property
    def _program(self) -> list[str]:
        return [self._env.python, str(_INSIDE / 'scheduler.py')]

    @property
    def _variables(self) -> dict[str, str]:
        return {**super()._variables, 'SOAK_SESSIONS': str(self._sessions)}

    @property
    def _sessions(self) -> pathlib.Path:
        return self._home / 'sessions'

    @property
    def sessions(self) -> float:
        return float(self._sessions.read_text() or 'nan')
