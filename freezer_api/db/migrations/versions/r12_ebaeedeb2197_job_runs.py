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

"""Each firing of a job is a row, which a scheduler claims.

A run refers to what it carries out: the content of its job as of the claim.

Clients whose schedulers already claim runs adopt their jobs again, because
19.0.0 may have created jobs after a downgrade.
"""

from __future__ import annotations

import uuid

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl

revision = 'ebaeedeb2197'
down_revision = '4f8917efba5b'

_RUN_INDEXES = {
    'ix_job_runs_open': ['client_id', 'lease_expires_at', 'id'],
    'ix_job_runs_project_open': [
        'client_id', 'project_id', 'lease_expires_at', 'id'],
    'ix_job_runs_time_ended': ['time_ended', 'id'],
    'ix_job_runs_document_id': ['document_id'],
}
_JOBS = sa.table('jobs', sa.column('client_id', sa.String),
                 sa.column('project_id', sa.String),
                 sa.column('deleted', sa.Boolean))
_QUEUES = sa.table('queues', sa.column('id', sa.String),
                   sa.column('client_id', sa.String),
                   sa.column('project_id', sa.String),
                   sa.column('deleted', sa.Boolean))
_CLIENTS = sa.table('clients', sa.column('supports_claims', sa.Boolean),
                    sa.column('adoption_cursor', sa.String))


def upgrade() -> None:
    ddl.create_table(
        'run_documents',
        sa.Column('id', sa.String(64), primary_key=True),
        sa.Column('job_id', ddl.reference_type('jobs', 'id'),
                  sa.ForeignKey('jobs.id', name='fk_run_documents_job_id'),
                  nullable=False),
        sa.Column('content', sa.Text().with_variant(
            mysql.MEDIUMTEXT(), 'mysql', 'mariadb'), nullable=False))
    batches.commit(op.get_bind())
    ddl.create_index('ix_run_documents_job_id', 'run_documents', ['job_id'])
    ddl.create_table(
        'job_runs',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('job_id', ddl.reference_type('jobs', 'id'),
                  sa.ForeignKey('jobs.id', name='fk_job_runs_job_id'),
                  nullable=False),
        sa.Column('project_id', sa.String(36)),
        sa.Column('client_id', sa.String(255), nullable=False),
        sa.Column('nominal_at', sa.BigInteger, nullable=False),
        sa.Column('coalesced_until', sa.BigInteger),
        sa.Column('trigger', sa.String(16), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('document_id', sa.String(64)),
        sa.Column('reason', sa.Text),
        sa.Column('trust_error', sa.String(32)),
        sa.Column('delegation_id', sa.String(36)),
        sa.Column('actions', sa.Text),
        sa.Column('event', sa.String(16)),
        sa.Column('scheduler_id', sa.String(255)),
        sa.Column('fence', sa.Integer, nullable=False),
        sa.Column('lease_expires_at', sa.BigInteger),
        sa.Column('time_started', sa.BigInteger),
        sa.Column('time_ended', sa.BigInteger),
        sa.UniqueConstraint('job_id', 'nominal_at',
                            name='uq_job_runs_job_id_nominal_at'))
    batches.commit(op.get_bind())
    for name, columns in _RUN_INDEXES.items():
        ddl.create_index(name, 'job_runs', columns)
    ddl.create_table(
        'queues',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('client_id', ddl.reference_type('jobs', 'client_id', 255),
                  nullable=False),
        sa.Column('project_id', ddl.reference_type('jobs', 'project_id'),
                  nullable=False),
        sa.Column('last_turn_at', sa.BigInteger),
        sa.UniqueConstraint('client_id', 'project_id',
                            name='uq_queues_client_id_project_id'))
    batches.commit(op.get_bind())
    _add_queues()
    ddl.add_column('clients', sa.Column(
        'supports_claims', sa.Boolean, nullable=False,
        server_default=sa.false()))
    ddl.add_column('clients', sa.Column('adoption_cursor', sa.String(36)))
    batches.commit(op.get_bind())
    op.execute(_CLIENTS.update().where(_CLIENTS.c.supports_claims == sa.true())
               .values(adoption_cursor=''))
    ddl.add_column('clients', sa.Column('recompute_cursor', sa.String(36)))
    ddl.add_column('clients', sa.Column('last_claim_at', sa.BigInteger))


def _add_queues() -> None:
    """Add a queue for each project with jobs of a client.

    One statement reads the projects and others insert the queues, because
    INSERT ... SELECT would lock each job on MariaDB.
    """
    bind = op.get_bind()
    missing = bind.execute(
        sa.select(_JOBS.c.client_id, _JOBS.c.project_id).where(
            _JOBS.c.project_id.is_not(None), _JOBS.c.deleted == sa.false(),
            ~sa.exists().where(
                _QUEUES.c.client_id == _JOBS.c.client_id,
                _QUEUES.c.project_id == _JOBS.c.project_id))
        .group_by(_JOBS.c.client_id, _JOBS.c.project_id)).all()
    batches.commit(bind)
    for start in range(0, len(missing), batches.SIZE):
        bind.execute(_QUEUES.insert(), [
            {'id': uuid.uuid4().hex, 'client_id': row.client_id,
             'project_id': row.project_id, 'deleted': False}
            for row in missing[start:start + batches.SIZE]])
        batches.commit(bind)
