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

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
import testtools

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows


class SameTextTests(testtools.TestCase):

    def compiled(self, *conditions: sa.ColumnElement[bool]) -> str:
        query = sa.select(models.Job.id).where(*conditions)
        return str(query.compile(dialect=mysql.dialect()))

    def test_an_index_serves_on_mysql(self) -> None:
        """A condition that is compared with a number hides its columns."""
        same = collation.same_text(models.Job.id, 'x')
        for conditions in ([same], [rows.live(models.Job), same],
                           [sa.or_(same, models.Job.run_id.is_(None))],
                           [sa.and_(models.Job.id.is_not(None), same)]):
            compiled = self.compiled(*conditions)
            self.assertIn('(jobs.id = ', compiled)
            self.assertNotIn(' = 1', compiled)
