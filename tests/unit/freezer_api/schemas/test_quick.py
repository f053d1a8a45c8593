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

import copy
from typing import Any

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.schemas import actions
from freezer_api.schemas import backups
from freezer_api.schemas import clients
from freezer_api.schemas import common
from freezer_api.schemas import jobs
from freezer_api.schemas import quick
from freezer_api.schemas import reasons
from freezer_api.schemas import runs
from freezer_api.schemas import sessions
from tests.unit.freezer_api.schemas import base
from tests.unit.freezer_api.schemas import test_actions
from tests.unit.freezer_api.schemas import test_backups
from tests.unit.freezer_api.schemas import test_clients
from tests.unit.freezer_api.schemas import test_jobs
from tests.unit.freezer_api.schemas import test_runs

_ACTION = {'freezer_action': {
    'action': 'backup', 'mode': 'fs', 'storage': None, 'backup_name': 'b'},
    'max_retries': 2, 'mandatory': False}
_SCHEDULE = {'schedule_interval': '2 days', 'schedule_timezone': 'UTC',
             'schedule_date': '2030-01-01T00:00:00', 'status': 'completed'}
_JOB = {'client_id': 'n1', 'description': None, 'job_schedule': _SCHEDULE,
        'job_actions': [_ACTION, {'action_id': 'a1'}]}
_GOOD = (
    (runs.CLAIM, test_runs.CLAIM), (runs.REPORT, test_runs.REPORT),
    (runs.REPORTS, {'scheduler_id': 's', 'reports': [
        {**test_runs.REPORT, 'run_id': 'r'}]}),
    (jobs.CREATE, _JOB), (jobs.UPDATE, {'description': 'd'}),
    (jobs.UPDATE, _JOB),
    (actions.CREATE, _ACTION), (actions.UPDATE, _ACTION),
    (clients.CREATE, {'client_id': 'n1'}),
    (sessions.CREATE, {'schedule': _SCHEDULE}),
    (sessions.UPDATE, {'schedule': _SCHEDULE}),
    *((sessions._ACTION, {'start': {'job_id': 'j', 'current_tag': tag}})
      for tag in (1, '1')),
    (sessions._ACTION, {'end': {
        'job_id': 'j', 'current_tag': 1, 'result': 'success'}}),
    (backups.CREATE, test_backups.BACKUP),
    (backups.CREATE, {**test_backups.BACKUP, 'status': 'creating'}),
    (backups.UPDATE, {'status': 'available'}))
_SCHEMAS = [schema for schema, _ in _GOOD]
_KEYS = sorted({
    *test_runs.KEYS, *test_jobs.KEYS, *test_actions.KEYS,
    *test_backups.KEYS, *test_clients.KEYS, 'schedule', 'start', 'end'})
_ODD = base.json_values | st.sampled_from([
    True, False, 0, 1, -1, 1.0, 2 ** 31, 'running', 'a\n', 'x' * 256,
    'x' * 1025, '0123456789abcdef' * 2])


@st.composite
def _damaged(draw: st.DrawFn) -> tuple[common.Compiled, Any]:
    """A schema, and a document of it in which one place is another."""
    schema, good = draw(st.sampled_from(_GOOD))
    whole = copy.deepcopy({'': good})
    place: Any = whole
    key: Any = ''
    while isinstance(place[key], dict | list) and place[key] and draw(
            st.integers(0, 9)):
        place = place[key]
        key = draw(st.sampled_from(
            sorted(place) if isinstance(place, dict)
            else range(len(place))))
    if draw(st.booleans()) and not isinstance(place, list):
        del place[key]
    else:
        place[key] = draw(_ODD)
    return schema, whole.get('')


class TestQuick(testtools.TestCase):

    @hypothesis.given(_damaged() | st.tuples(
        st.sampled_from(_SCHEMAS), base.documents_of(_KEYS)))
    def test_it_says_what_jsonschema_says(self, given: Any) -> None:
        schema, document = given
        check = quick.compiled(schema.schema)
        assert check is not None
        self.assertEqual(
            reasons.Validator(schema.schema).is_valid(document),
            check(document))

    def test_good_documents(self) -> None:
        for schema, document in _GOOD:
            check = quick.compiled(schema.schema)
            assert check is not None
            self.assertTrue(check(document))

    def test_it_knows_every_schema(self) -> None:
        for module in (actions, backups, clients, jobs, runs, sessions):
            for name, schema in vars(module).items():
                if isinstance(schema, common.Compiled):
                    self.assertIsNotNone(
                        quick.compiled(schema.schema), f'{module} {name}')

    def test_what_it_does_not_know(self) -> None:
        schemas: tuple[common.Schema, ...] = (
            {'oneOf': []}, {'type': 'number'}, {'enum': [1]},
            {'type': ['string', 'number']}, {'items': {'const': 1}},
            {'properties': {'a': {'not': {}}}},
            {'additionalProperties': {'type': 'string'}},
            {'anyOf': [{'not': {}}]}, {'propertyNames': {'not': {}}},
            {'if': {'not': {}}}, {'if': {}, 'then': {'not': {}}},
            {'if': {}, 'else': {'not': {}}})
        for schema in schemas:
            self.assertIsNone(quick.compiled(schema))
