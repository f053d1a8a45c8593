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

"""Encrypted trusts, and credentials with a foreign key to their job.

A credential whose job does not exist cannot have the foreign key. No job runs
with it, but its trust may still exist in Keystone. So it moves to table
``orphaned_user_credentials``, which exists only if there are such credentials.
"""

from __future__ import annotations

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import migration_quarantine

revision = '19efaf5fa3ab'
down_revision = '7a3b9c1d2e4f'


def upgrade() -> None:
    ddl.create_table(
        'delegations',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('project_id', sa.String(36), nullable=False),
        sa.Column('trustor_user_id', sa.String(64), nullable=False),
        sa.Column('trust_id', sa.String(255), nullable=False),
        sa.Column('decrypt_method', sa.String(64)),
        sa.Column('roles', sa.String(255), nullable=False),
        sa.Column('active_key', sa.String(64)),
        sa.Column('delete_after', sa.BigInteger),
        sa.Column('expires_at', sa.BigInteger),
        sa.Column('renew_at', sa.BigInteger),
        sa.UniqueConstraint('active_key', name='uq_delegations_active_key'))
    ddl.create_index('ix_delegations_delete_after', 'delegations',
                     ['delete_after'])
    ddl.add_column('user_credentials',
                   sa.Column('decrypt_method', sa.String(64)))
    batches.commit(op.get_bind())
    ddl.match_collation('user_credentials', 'job_id', 'jobs', 'id')
    _move_orphans()
    batches.commit(op.get_bind())
    ddl.create_index('ix_user_credentials_job_id', 'user_credentials',
                     ['job_id'])
    batches.commit(op.get_bind())
    ddl.add_column('user_credentials', sa.Column(
        'delegation_id', ddl.reference_type('delegations', 'id')))
    batches.commit(op.get_bind())
    ddl.create_index('ix_user_credentials_delegation_id', 'user_credentials',
                     ['delegation_id'])
    for column, referred in (('job_id', 'jobs'),
                             ('delegation_id', 'delegations')):
        batches.commit(op.get_bind())
        ddl.create_foreign_key('user_credentials', column, referred)


def _move_orphans() -> None:
    bind = op.get_bind()
    side = migration_quarantine.ORPHANED_CREDENTIALS
    credentials = sa.table('user_credentials',
                           *(sa.column(name) for name in side.c.keys()))
    jobs = sa.table('jobs', sa.column('id'))
    orphaned = ~sa.exists().where(jobs.c.id == credentials.c.job_id)
    if bind.execute(sa.select(credentials.c.id).where(orphaned).limit(1)
                    ).first() is None:
        return
    ddl.create_table(side.name, *migration_quarantine.orphaned_columns())
    bind.execute(side.insert().from_select(
        side.c.keys(), sa.select(*credentials.c).where(orphaned)))
    bind.execute(credentials.delete().where(orphaned))
