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

"""The output of an agent is checked before the API is told of it."""

from __future__ import annotations

import json
import unittest

import hypothesis
from hypothesis import strategies as st

from freezer_api.schemas import claims as schema
from freezer_scheduler.engines.agent import report

_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(),
    st.text(st.characters(codec=None)), st.sampled_from(
        (10 ** 400, -2 ** 64, float('nan'), float('inf'), 'x' * 2000)))
_KEYS = st.one_of(
    st.text(st.characters(codec=None)), st.sampled_from(
        ('k' * 300, 'a\0b', '\ud800', 'backup_name', 'status', 'backup_id')))


class ReportTests(unittest.TestCase):

    @hypothesis.given(said=st.dictionaries(_KEYS, st.one_of(
        _VALUES, st.lists(_VALUES, max_size=2)), max_size=20))
    def test_the_api_accepts_the_report_of_any_output(
            self, said: dict[str, object]) -> None:
        """Else the run could not end."""
        document = report.metadata(json.dumps({**said, 'action': 'backup'}))
        assert document is not None
        backups = [backup.to_document()
                   for backup in report.backups(document, True)]
        sent = json.dumps({
            'scheduler_id': 's', 'fence': 1, 'state': 'success',
            'backups': backups}, allow_nan=False)
        schema.validate_report(json.loads(sent))
        kept = backups[0]['backup_metadata']
        for key, value in said.items():
            if key.isidentifier() and key.isascii() and len(key) < 50 and (
                    isinstance(value, bool)) and key not in (
                        'action', 'status', 'backup_id'):
                self.assertIs(value, kept[key])
