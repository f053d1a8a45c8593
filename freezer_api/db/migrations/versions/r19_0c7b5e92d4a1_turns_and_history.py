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

"""When jobs are due, whose turn it is, and how old runs are."""

from __future__ import annotations

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl

revision = '0c7b5e92d4a1'
down_revision = 'c4a17be9d053'

# MySQL takes names that differ in case alone for the same.
_QUEUES = """
INSERT INTO queues (id, client_id, project_id, deleted)
SELECT MIN(j.id), j.client_id, j.project_id, :deleted FROM jobs j
WHERE j.project_id IS NOT NULL AND j.deleted = :deleted AND NOT EXISTS (
    SELECT 1 FROM queues q
    WHERE q.client_id = j.client_id AND q.project_id = j.project_id)
GROUP BY j.client_id, j.project_id
"""

_JOBS = sa.table('jobs', *map(sa.column, (
    'id', 'run_id', 'due_at', 'next_run_at')))


def _line_up() -> None:
    bind = op.get_bind()
    batches.commit(bind)  # The new columns are there.
    for rows in batches.by_id(bind, _JOBS, [], sa.and_(
            _JOBS.c.run_id.is_(None), _JOBS.c.due_at.is_(None),
            _JOBS.c.next_run_at.is_not(None))):
        bind.execute(_JOBS.update().where(
            _JOBS.c.id.in_([row.id for row in rows])).values(
                due_at=_JOBS.c.next_run_at))
        batches.commit(bind)


def upgrade() -> None:
    for column in (sa.Column('due_at', sa.BigInteger),
                   sa.Column('failures', sa.Integer)):
        ddl.add_column('jobs', column)
    ddl.add_column('job_runs', sa.Column('covers_until', sa.BigInteger))
    ddl.create_table(
        'queues',
        *ddl.common_columns(),
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('client_id', ddl.reference_type('jobs', 'client_id', 255),
                  nullable=False),
        sa.Column('project_id', ddl.reference_type('jobs', 'project_id'),
                  nullable=False),
        sa.UniqueConstraint('client_id', 'project_id',
                            name='uq_queues_client_id_project_id'))
    _line_up()
    op.get_bind().execute(sa.text(_QUEUES).bindparams(
        sa.bindparam('deleted', False, sa.Boolean)))
    ddl.create_index('ix_jobs_due', 'jobs', ['client_id', 'due_at', 'id'])
    ddl.create_index('ix_jobs_project_due', 'jobs',
                     ['client_id', 'project_id', 'due_at', 'id'])
    ddl.create_index('ix_job_runs_open', 'job_runs',
                     ['client_id', 'lease_expires_at', 'id'])
    ddl.create_index('ix_job_runs_project_open', 'job_runs',
                     ['client_id', 'project_id', 'lease_expires_at', 'id'])
    ddl.create_index('ix_job_runs_time_ended', 'job_runs',
                     ['time_ended', 'id'])
