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

"""The tables, as SQLAlchemy 2 models.

They describe the schema after the last migration; a test holds the two
together on every engine. The first eight tables are those of the published
chain, so names, lengths and looseness (NULL project ids, no foreign key from
jobs to clients) are facts of deployed databases and not choices.

Times of the published columns are naive UTC DATETIME (``created_at`` ...).
The project's own are epoch seconds in BIGINT columns, which every engine
stores and compares alike.
"""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy import orm

from freezer_api.db import json_text


def _search_terms() -> orm.Mapped[str | None]:
    """Of freezer_api.db.search_index; NULL only in rows that others wrote."""
    return orm.mapped_column(
        sa.Text().with_variant(
            mysql.MEDIUMTEXT(charset='ascii', collation='ascii_bin'),
            'mysql', 'mariadb'),
        deferred=True)


def _counter() -> orm.Mapped[int]:
    """A number that begins with 0."""
    return orm.mapped_column(sa.BigInteger, server_default='0', default=0)


def _naive_utcnow() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Base(orm.DeclarativeBase):
    __table_args__: Any = {'mysql_engine': 'InnoDB'}

    # Nobody is shown these, so they are not read with the rest.
    created_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.DateTime, default=_naive_utcnow, deferred=True)
    updated_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.DateTime, onupdate=_naive_utcnow, deferred=True)
    deleted_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.DateTime, deferred=True)
    # Not oslo.db's soft delete: deployed databases hold a plain boolean, and
    # rows in which it is NULL are treated as deleted.
    deleted: orm.Mapped[bool | None] = orm.mapped_column(
        sa.Boolean, default=False)


class Client(Base):
    """A registered scheduler and what it can do."""

    __tablename__ = 'clients'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    client_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    hostname: orm.Mapped[str | None] = orm.mapped_column(sa.String(128))
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    uuid: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    supported_actions: orm.Mapped[list[str] | None] = orm.mapped_column(
        json_text.JSONText(255))
    supported_modes: orm.Mapped[list[str] | None] = orm.mapped_column(
        json_text.JSONText(255))
    supported_storages: orm.Mapped[list[str] | None] = orm.mapped_column(
        json_text.JSONText(255))
    supported_engines: orm.Mapped[list[str] | None] = orm.mapped_column(
        json_text.JSONText(255))
    is_central: orm.Mapped[bool] = orm.mapped_column(
        sa.Boolean, server_default=sa.false(), default=False)
    # Whether its scheduler claims runs. One that does not (a stock 19.0.0
    # scheduler) polls for jobs and must find their events in them.
    supports_claims: orm.Mapped[bool] = orm.mapped_column(
        sa.Boolean, server_default=sa.false(), default=False)
    # See freezer_api.db.adoption; NULL: there is nothing to adopt.
    adoption_cursor: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    # See freezer_api.db.clock_repair; NULL: there is nothing to recompute.
    recompute_cursor: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    # See freezer_api.db.client_heartbeat.
    last_claim_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    search_terms: orm.Mapped[str | None] = _search_terms()

    __table_args__ = (
        sa.Index('ix_clients_client_id', 'client_id'),
        sa.Index('ix_clients_project_id', 'project_id'),
        Base.__table_args__,
    )


class Action(Base):
    """What to do: a freezer_action with its retries."""

    __tablename__ = 'actions'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    action: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    actionmode: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    path_to_backup: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    backup_name: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    container: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    timeout: orm.Mapped[int | None] = orm.mapped_column(sa.Integer)
    priority: orm.Mapped[int | None] = orm.mapped_column(sa.Integer)
    max_retries_interval: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=6)
    max_retries: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=5)
    mandatory: orm.Mapped[bool | None] = orm.mapped_column(
        sa.Boolean, default=False)
    log_file: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    # The whole freezer_action as sent; the columns above are copies of some
    # of its keys.
    backup_metadata: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(
        json_text.JSONText())
    search_terms: orm.Mapped[str | None] = _search_terms()
    # Whether it was made of a job's document, and goes with its last job;
    # NULL in rows of earlier releases, which stay.
    owned_by_job: orm.Mapped[bool | None] = orm.mapped_column(sa.Boolean)

    __table_args__ = (
        sa.Index('ix_actions_project_id', 'project_id', 'created_at', 'id'),
        Base.__table_args__,
    )


class ActionReport(Base):
    """Kept because deployed databases have it; nothing reads it."""

    __tablename__ = 'action_reports'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    result: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    time_elapsed: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    report_date: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.TIMESTAMP)
    log: orm.Mapped[bytes | None] = orm.mapped_column(sa.LargeBinary)


class Session(Base):
    """Jobs of several clients that run together."""

    __tablename__ = 'sessions'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    session_tag: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=0)
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    hold_off: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=30)
    schedule: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(
        json_text.JSONText())
    job: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(
        json_text.JSONText())
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    time_start: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=-1)
    time_end: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=-1)
    time_started: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=-1)
    time_ended: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=-1)
    status: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    result: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    search_terms: orm.Mapped[str | None] = _search_terms()

    __table_args__ = (
        sa.Index('ix_sessions_project_id', 'project_id', 'created_at', 'id'),
        Base.__table_args__,
    )


class Job(Base):
    """A schedule, its actions, and where it stands."""

    __tablename__ = 'jobs'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    # What the user wrote of job_schedule, and nothing else.
    schedule: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(
        json_text.JSONText())
    client_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    session_id: orm.Mapped[str | None] = orm.mapped_column(
        sa.String(36), default='')
    session_tag: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=0)
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    # Runtime, merged into job_schedule on output. NULL: the key is absent.
    event: orm.Mapped[str | None] = orm.mapped_column(sa.String(16))
    status: orm.Mapped[str | None] = orm.mapped_column(sa.String(16))
    result: orm.Mapped[str | None] = orm.mapped_column(sa.String(16))
    time_created: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    time_started: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    time_ended: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    current_pid: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    # Why the job stands as it does, where there is something to say.
    status_reason: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    # The next firing: epoch seconds, NULL for none.
    next_run_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    # The one authority on what is due: from when on the job may be claimed.
    # NULL for never, and while a run goes on.
    due_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    # The run that is going on; none other starts meanwhile.
    run_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    search_terms: orm.Mapped[str | None] = _search_terms()
    # What is wrong with its trust, NULL for nothing, and since when.
    suspension_reason: orm.Mapped[str | None] = orm.mapped_column(
        sa.String(32))
    suspended_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    # The run that the job is due for once more.
    retry_run_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    # How many runs in a row were no success.
    consecutive_failures: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer)
    # Of the run before the current one: shown again if that is undone.
    previous_started_at: orm.Mapped[int | None] = orm.mapped_column(
        sa.BigInteger)
    previous_ended_at: orm.Mapped[int | None] = orm.mapped_column(
        sa.BigInteger)

    __table_args__ = (
        sa.Index('ix_jobs_client_id_next_run_at', 'client_id', 'next_run_at'),
        # With the id, since many are due in one second.
        sa.Index('ix_jobs_due', 'client_id', 'due_at', 'id'),
        sa.Index('ix_jobs_project_due',
                 'client_id', 'project_id', 'due_at', 'id'),
        sa.Index('ix_jobs_client_id_created_at',
                 'client_id', 'created_at', 'id'),
        sa.Index('ix_jobs_created_at', 'created_at', 'id'),
        sa.Index('ix_jobs_suspension_reason', 'suspension_reason'),
        sa.Index('ix_jobs_project_id', 'project_id', 'created_at', 'id'),
        Base.__table_args__,
    )


class Queue(Base):
    """A project that has, or had, jobs for a client.

    The table of the jobs says which of them are due. This one is for finding
    the jobs of other projects behind the many jobs of one, and for the turns
    that the projects take.
    """

    __tablename__ = 'queues'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    client_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    # When runs of the project were handed out last. NULL: never.
    last_turn_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.UniqueConstraint('client_id', 'project_id',
                            name='uq_queues_client_id_project_id'),
        Base.__table_args__,
    )


class JobAction(Base):
    """One action of a job, in its place."""

    __tablename__ = 'job_actions'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    job_id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36), sa.ForeignKey('jobs.id'))
    action_id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36), sa.ForeignKey('actions.id'))
    position: orm.Mapped[int | None] = orm.mapped_column(
        sa.Integer, default=0)

    # For the order of new rows alone: nobody reads them.
    job: orm.Mapped[Job] = orm.relationship(lazy='raise')
    action: orm.Mapped[Action] = orm.relationship(lazy='raise')

    __table_args__ = (
        sa.Index('ix_job_actions_job_id', 'job_id'),
        sa.Index('ix_job_actions_action_id', 'action_id'),
        Base.__table_args__,
    )


class Delegation(Base):
    """A Keystone trust of our own making: one live per project and trustor.

    ``active_key`` names project and trustor while new jobs may share the
    trust, and is NULL from the moment it is on its way out; being unique, it
    lets one of two concurrent creations win.
    """

    __tablename__ = 'delegations'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    project_id: orm.Mapped[str] = orm.mapped_column(sa.String(36))
    trustor_user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    trust_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    decrypt_method: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    # Sorted names, comma-separated: another set of configured roles makes
    # another trust.
    roles: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    active_key: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    # Epoch seconds: not NULL means to be deleted in Keystone, not before then.
    delete_after: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    # When Keystone ends it, and from when on its giver's changes renew it.
    expires_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    renew_at: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.UniqueConstraint('active_key', name='uq_delegations_active_key'),
        sa.Index('ix_delegations_delete_after', 'delete_after'),
        Base.__table_args__,
    )


class UserCredential(Base):
    """The trust that a job runs with."""

    __tablename__ = 'user_credentials'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    trust_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    trustor_user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    job_id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36),
        sa.ForeignKey('jobs.id', name='fk_user_credentials_job_id'))
    # How trust_id is to be read; NULL is plain text, from upstream's days.
    decrypt_method: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    # NULL: a trust that upstream made, and that is left to its maker.
    delegation_id: orm.Mapped[str | None] = orm.mapped_column(
        sa.String(36),
        sa.ForeignKey('delegations.id',
                      name='fk_user_credentials_delegation_id'))

    __table_args__ = (
        sa.Index('ix_user_credentials_job_id', 'job_id'),
        sa.Index('ix_user_credentials_delegation_id', 'delegation_id'),
        Base.__table_args__,
    )


class RunDocument(Base):
    """What runs of a job carry out; see freezer_api.db.run_documents."""

    __tablename__ = 'run_documents'

    # A digest of job and content.
    id: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    job_id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36),
        sa.ForeignKey('jobs.id', name='fk_run_documents_job_id'))
    content: orm.Mapped[str] = orm.mapped_column(
        sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb'))

    __table_args__ = (
        sa.Index('ix_run_documents_job_id', 'job_id'),
        Base.__table_args__,
    )


class JobRun(Base):
    """One firing of a job: unique per job and nominal time."""

    __tablename__ = 'job_runs'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    job_id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36), sa.ForeignKey('jobs.id', name='fk_job_runs_job_id'))
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    client_id: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    nominal_at: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)
    # The run stands for each firing from nominal_at until before this time.
    # NULL: for its own alone.
    coalesced_until: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    trigger: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    # NULL for a run that no scheduler was given. No foreign key: the document
    # of a run that has ended may be gone, and to check the key, InnoDB would
    # lock gaps, and claims of other jobs would wait.
    document_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    reason: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    # What was wrong with the trust, and with which.
    trust_error: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    delegation_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    actions: orm.Mapped[list[dict[str, Any]] | None] = orm.mapped_column(
        json_text.JSONText())
    # What the holder is to be told; see freezer_api.domain.run_state.Event.
    event: orm.Mapped[str | None] = orm.mapped_column(sa.String(16))
    scheduler_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    # Grows with each holder; a report that bears an older one is refused.
    fence: orm.Mapped[int] = orm.mapped_column(sa.Integer, default=0)
    # NULL once the run has ended.
    lease_expires_at: orm.Mapped[int | None] = orm.mapped_column(
        sa.BigInteger)
    time_started: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    time_ended: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.UniqueConstraint(
            'job_id', 'nominal_at', name='uq_job_runs_job_id_nominal_at'),
        sa.Index('ix_job_runs_open', 'client_id', 'lease_expires_at', 'id'),
        sa.Index('ix_job_runs_project_open',
                 'client_id', 'project_id', 'lease_expires_at', 'id'),
        sa.Index('ix_job_runs_time_ended', 'time_ended', 'id'),
        sa.Index('ix_job_runs_document_id', 'document_id'),
        Base.__table_args__,
    )


class Backup(Base):
    """The record of a backup; the data is elsewhere."""

    __tablename__ = 'backups'

    id: orm.Mapped[str] = orm.mapped_column(sa.String(36), primary_key=True)
    job_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    project_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    backup_metadata: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(
        json_text.JSONText())
    status: orm.Mapped[str] = orm.mapped_column(
        sa.String(64), server_default='available', default='available')
    search_terms: orm.Mapped[str | None] = _search_terms()

    __table_args__ = (
        sa.Index('ix_backups_project_id', 'project_id', 'created_at', 'id'),
        Base.__table_args__,
    )


class ProjectUsage(Base):
    """How much a project has; the id is the project's.

    Only freezer_api.db.usage writes it, in the transactions that change the
    other tables.
    """

    __tablename__ = 'project_usage'

    id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36).with_variant(
            mysql.VARCHAR(36, charset='utf8mb4', collation='utf8mb4_bin'),
            'mysql', 'mariadb'), primary_key=True)
    jobs: orm.Mapped[int] = _counter()
    actions: orm.Mapped[int] = _counter()
    clients: orm.Mapped[int] = _counter()
    sessions: orm.Mapped[int] = _counter()
    backups: orm.Mapped[int] = _counter()
    stored_bytes: orm.Mapped[int] = _counter()
