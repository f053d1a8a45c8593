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

"""A database full of jobs, written by the database itself.

Everything follows from the number of a job: its project, its schedule and
when it fires first. One project has a hundredth of all jobs. A third fires at
full hours, and two in three at night; every second is written as an interval,
the others with cron fields.
"""

from __future__ import annotations

import sqlalchemy as sa

from benchmarks.environment import database
from benchmarks.stages.simulation import plan

CLIENT = 'central'
DATABASE = 'freezer'
CROWD = 'p0000000'

_CREATED = plan.BEGIN - plan.DAY

# What is drawn for a job: CRC32 of its number and a word.
_KIND = ("CASE WHEN n % 1000 < :hourly THEN 'hourly' "
         "WHEN n % 1000 < :hourly + :daily THEN 'daily' "
         "WHEN n % 1000 < :hourly + :daily + :monthly THEN 'monthly' "
         "ELSE 'weekly' END")
_NUMBERS = f'''
CREATE TABLE drawn (
    n INT PRIMARY KEY, id CHAR(32), project_id CHAR(8), kind CHAR(7),
    cron BOOL, day INT, hour INT, minute INT, first BIGINT) AS
SELECT n, id, project_id, kind, cron, day, hour, minute,
       {plan.BEGIN} + CASE kind
           WHEN 'hourly' THEN 60 * minute
           WHEN 'daily' THEN 3600 * hour + 60 * minute
           ELSE 86400 * day + 3600 * hour + 60 * minute END AS first
FROM (SELECT seq AS n, LPAD(LOWER(HEX(seq)), 32, '0') AS id,
             IF(seq % 100 = 99, '{CROWD}', CONCAT('p', LPAD(
                 1 + CRC32(CONCAT('p', seq)) % :projects, 7, '0')))
                 AS project_id,
             {_KIND.replace('n %', 'seq %')} AS kind,
             seq DIV 1000 % 2 = 1 AS cron,
             CRC32(CONCAT('d', seq)) % IF({_KIND.replace('n %', 'seq %')}
                 = 'monthly', 28, 7) AS day,
             IF(CRC32(CONCAT('a', seq)) % 3 < 2,
                CRC32(CONCAT('h', seq)) % 8,
                8 + CRC32(CONCAT('h', seq)) % 16) AS hour,
             IF(CRC32(CONCAT('b', seq)) % 3 < 1, 0,
                CRC32(CONCAT('m', seq)) % 60) AS minute
      FROM {{sequence}}) AS numbers
'''

_SCHEDULE = '''
CASE WHEN cron AND kind = 'weekly' THEN JSON_OBJECT(
        'schedule_day_of_week', CAST(day AS CHAR),
        'schedule_hour', CAST(hour AS CHAR),
        'schedule_minute', CAST(minute AS CHAR))
     WHEN cron AND kind = 'monthly' THEN JSON_OBJECT(
        'schedule_day', DATE_FORMAT(
            '1970-01-01' + INTERVAL first SECOND, '%e'),
        'schedule_hour', CAST(hour AS CHAR),
        'schedule_minute', CAST(minute AS CHAR))
     WHEN cron AND kind = 'daily' THEN JSON_OBJECT(
        'schedule_hour', CAST(hour AS CHAR),
        'schedule_minute', CAST(minute AS CHAR))
     WHEN cron THEN JSON_OBJECT('schedule_minute', CAST(minute AS CHAR))
     ELSE JSON_OBJECT(
        'schedule_interval', CASE kind WHEN 'monthly' THEN '4 weeks'
            WHEN 'weekly' THEN '1 weeks' WHEN 'daily' THEN '1 days'
            ELSE '1 hours' END,
        'schedule_start_date', DATE_FORMAT(
            '1970-01-01' + INTERVAL first SECOND, '%Y-%m-%dT%H:%i:%SZ'))
END'''

_ACTION = '''JSON_OBJECT(
    'action', 'backup', 'mode', 'cindernative', 'backup_name', 'nightly',
    'cindernative_vol_id', CONCAT('volume-', n))'''

_FROM = 'FROM drawn'
_MADE = f"FROM_UNIXTIME({_CREATED})"
_STATEMENTS = (
    f'''INSERT INTO jobs (id, project_id, user_id, client_id, schedule,
        description, session_id, session_tag, time_created, time_started,
        time_ended, next_run_at, due_at, created_at, deleted)
        SELECT id, project_id, CONCAT('u-', project_id), '{CLIENT}',
        {_SCHEDULE}, 'nightly', '', 0, {_CREATED}, -1, -1, first, first,
        {_MADE}, 0 {_FROM}''',
    f'''INSERT INTO actions (id, action, project_id, user_id, actionmode,
        backup_name, max_retries, max_retries_interval, mandatory,
        backup_metadata, created_at, deleted)
        SELECT id, 'backup', project_id, CONCAT('u-', project_id),
        'cindernative', 'nightly', 5, 6, 0, {_ACTION}, {_MADE}, 0 {_FROM}''',
    f'''INSERT INTO job_actions (id, job_id, action_id, position, created_at,
        deleted) SELECT id, id, id, 0, {_MADE}, 0 {_FROM}''',
    f'''INSERT INTO delegations (id, project_id, trustor_user_id, trust_id,
        decrypt_method, roles, active_key, created_at, deleted)
        SELECT MD5(project_id), project_id, CONCAT('u-', project_id), :trust,
        :method, 'member', SHA2(project_id, 256), {_MADE}, 0
        FROM (SELECT DISTINCT project_id {_FROM}) AS projects''',
    f'''INSERT INTO user_credentials (id, trust_id, trustor_user_id, job_id,
        decrypt_method, delegation_id, created_at, deleted)
        SELECT id, :trust, CONCAT('u-', project_id), id, :method,
        MD5(project_id), {_MADE}, 0 {_FROM}''',
    f'''INSERT INTO queues (id, client_id, project_id, created_at, deleted)
        SELECT MD5(project_id), '{CLIENT}', project_id, {_MADE}, 0
        FROM (SELECT DISTINCT project_id {_FROM}) AS projects''',
)


def fill(engine: sa.Engine, jobs: int, projects: int, mix: plan.Mix,
         trust: str, method: str) -> None:
    """Write jobs with all that belongs to them.

    :param trust: as it is stored; all jobs have the same
    :param method: how it is encrypted
    """
    values = {'hourly': mix.hourly, 'daily': mix.daily,
              'monthly': mix.monthly,
              'projects': projects, 'trust': trust, 'method': method}
    # MariaDB has a table of all numbers.
    numbers = _NUMBERS.format(sequence=f'seq_0_to_{jobs - 1}')
    with engine.begin() as connection:
        for statement in (numbers, *_STATEMENTS, 'DROP TABLE drawn'):
            connection.execute(sa.text(statement), {
                name: value for name, value in values.items()
                if f':{name}' in statement})
    database.analyze(engine, ('jobs', 'job_runs', 'queues', 'actions',
                              'job_actions', 'user_credentials'))
