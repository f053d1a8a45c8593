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

"""The policy rules: one rule for each operation, and those that they refer to.

Roles are Keystone's personas. ``project_id:%(project_id)s`` compares the
project of the token with that of the URL, so each operation is enforced with
a target that contains ``project_id``. The service role has no check of the
project, because the service acts in every project. For the clients of its own
project, use ``admin_or_project_service``.
"""

from __future__ import annotations

from oslo_policy import policy

PROJECT_SCOPE = ['project']

CONTEXT_IS_ADMIN = 'rule:context_is_admin'
ADMIN_OR_SERVICE = 'rule:admin_or_service'
ADMIN_OR_PROJECT_SERVICE = 'rule:admin_or_project_service'
PROJECT_MEMBER = 'rule:project_member'
PROJECT_READER = 'rule:project_reader'
ADMIN_OR_OWNER = 'rule:admin_or_owner'
ADMIN_OR_OWNER_OR_SERVICE = 'rule:admin_or_owner_or_service'
ADMIN_OR_READER_OR_SERVICE = 'rule:admin_or_reader_or_service'

# Name, rule, description.
_PERSONAS = (
    ('context_is_admin', 'role:admin', 'The cloud administrator.'),
    ('admin_or_service', 'role:admin or role:service',
     'The administrator or a service account.'),
    ('admin_or_project_service',
     'role:admin or (role:service and project_id:%(project_id)s)',
     'The administrator, or a service account in its own project.'),
    ('project_member', 'role:member and project_id:%(project_id)s',
     'A member of the project.'),
    ('project_reader', 'role:reader and project_id:%(project_id)s',
     'A reader of the project.'),
    ('admin_or_owner', f'{CONTEXT_IS_ADMIN} or {PROJECT_MEMBER}',
     'The administrator or a member of the project.'),
    ('admin_or_owner_or_service', f'{ADMIN_OR_SERVICE} or {PROJECT_MEMBER}',
     'The administrator, a service account or a member of the project.'),
    ('admin_or_reader_or_service',
     f'{ADMIN_OR_OWNER_OR_SERVICE} or {PROJECT_READER}',
     'The administrator, a service account, or a member or reader of the '
     'project.'),
)

# The routes that report a run.
_REPORTS = ('PATCH /clients/{client_id}/runs/{run_id}',
            'POST /clients/{client_id}/reports',
            'POST /clients/{client_id}/runs/{run_id}/jobs')

# Name, rule, description, and each route below the project.
_OPERATIONS: tuple[tuple[str, ...], ...] = (
    # Clients: registered schedulers.
    ('clients:create', ADMIN_OR_OWNER,
     'Register a client of the project, or register it again.',
     'POST /clients'),
    ('clients:create_central', ADMIN_OR_PROJECT_SERVICE,
     'Register a central client, which every project can use (``is_central`` '
     'is true), register it again, or delete it. Also checked if the stored '
     'client is central. Checked instead of clients:create and '
     'clients:delete.', 'POST /clients', 'DELETE /clients/{client_id}'),
    ('clients:get', ADMIN_OR_READER_OR_SERVICE, 'Show a client.',
     'GET /clients/{client_id}'),
    ('clients:get_all', ADMIN_OR_READER_OR_SERVICE,
     'List the clients of the project and all central ones.', 'GET /clients'),
    ('clients:delete', ADMIN_OR_OWNER, 'Delete a client.',
     'DELETE /clients/{client_id}'),
    ('clients:claim', ADMIN_OR_OWNER,
     'Claim due runs of a client, and renew its leases.',
     'POST /clients/{client_id}/claims'),
    ('clients:claim_central', ADMIN_OR_PROJECT_SERVICE,
     'Claim due runs of a central client. They are runs of every project and '
     'include their credentials. Checked instead of clients:claim.',
     'POST /clients/{client_id}/claims'),
    # Jobs: a schedule and its actions, for one client.
    ('jobs:create', ADMIN_OR_OWNER, 'Create a job, or replace one.',
     'POST /jobs', 'POST /jobs/{job_id}'),
    ('jobs:get', ADMIN_OR_READER_OR_SERVICE, 'Show a job.',
     'GET /jobs/{job_id}'),
    ('jobs:get_all', ADMIN_OR_READER_OR_SERVICE,
     'List the jobs of the project.', 'GET /jobs'),
    ('jobs:get_all_projects', ADMIN_OR_SERVICE,
     'List or show the jobs of every project (``all_projects=True``).',
     'GET /jobs', 'GET /jobs/{job_id}'),
    ('jobs:update', ADMIN_OR_OWNER, 'Update a job.', 'PATCH /jobs/{job_id}'),
    ('jobs:delete', ADMIN_OR_OWNER, 'Delete a job.', 'DELETE /jobs/{job_id}'),
    ('jobs:event:create', ADMIN_OR_OWNER, 'Start, stop or abort a job.',
     'POST /jobs/{job_id}/event'),
    # Runs: the firings of a job.
    ('runs:get_all', ADMIN_OR_READER_OR_SERVICE, 'List the runs of a job.',
     'GET /jobs/{job_id}/runs'),
    ('runs:update', ADMIN_OR_OWNER, 'Report a claimed run.', *_REPORTS),
    ('runs:update_central', ADMIN_OR_PROJECT_SERVICE,
     'Report a run that a central client claimed. Checked instead of '
     'runs:update.', *_REPORTS),
    # Actions: the steps of a job.
    ('actions:create', ADMIN_OR_OWNER, 'Create an action.', 'POST /actions'),
    ('actions:get', ADMIN_OR_READER_OR_SERVICE, 'Show an action.',
     'GET /actions/{action_id}'),
    ('actions:get_all', ADMIN_OR_READER_OR_SERVICE,
     'List the actions of the project.', 'GET /actions'),
    ('actions:update', ADMIN_OR_OWNER, 'Update an action.',
     'PATCH /actions/{action_id}'),
    ('actions:replace', ADMIN_OR_OWNER,
     'Replace an action, or create it with this ID.',
     'POST /actions/{action_id}'),
    ('actions:delete', ADMIN_OR_OWNER, 'Delete an action.',
     'DELETE /actions/{action_id}'),
    # Sessions: jobs of several clients that run together.
    ('sessions:create', ADMIN_OR_OWNER, 'Create a session.', 'POST /sessions'),
    ('sessions:get', ADMIN_OR_READER_OR_SERVICE, 'Show a session.',
     'GET /sessions/{session_id}'),
    ('sessions:get_all', ADMIN_OR_READER_OR_SERVICE,
     'List the sessions of the project.', 'GET /sessions'),
    ('sessions:update', ADMIN_OR_OWNER, 'Update a session.',
     'PATCH /sessions/{session_id}'),
    ('sessions:replace', ADMIN_OR_OWNER,
     'Replace a session, or create it with this ID.',
     'POST /sessions/{session_id}'),
    ('sessions:delete', ADMIN_OR_OWNER, 'Delete a session.',
     'DELETE /sessions/{session_id}'),
    ('sessions:action:create', ADMIN_OR_OWNER,
     "Start a run of a session, or end a job's part in it.",
     'POST /sessions/{session_id}/action'),
    ('sessions:job:add', ADMIN_OR_OWNER, 'Add a job to a session.',
     'PUT /sessions/{session_id}/jobs/{job_id}'),
    ('sessions:job:remove', ADMIN_OR_OWNER, 'Remove a job from a session.',
     'DELETE /sessions/{session_id}/jobs/{job_id}'),
    # Backups: the records of backups.
    ('backups:create', ADMIN_OR_OWNER_OR_SERVICE, 'Create a backup record.',
     'POST /backups'),
    ('backups:get', ADMIN_OR_READER_OR_SERVICE, 'Show a backup record.',
     'GET /backups/{backup_id}'),
    ('backups:get_all', ADMIN_OR_READER_OR_SERVICE,
     'List the backup records of the project.', 'GET /backups'),
    ('backups:update', ADMIN_OR_OWNER_OR_SERVICE, 'Update a backup record.',
     'PATCH /backups/{backup_id}'),
    ('backups:delete', ADMIN_OR_OWNER_OR_SERVICE,
     'Delete a backup record; the backup itself stays.',
     'DELETE /backups/{backup_id}'),
    # Limits: the quotas of a project.
    ('limits:get', ADMIN_OR_READER_OR_SERVICE,
     'Show the limits of a project and its usage.', 'GET /limits'),
    # Maintenance: background work of the service.
    ('maintenance:run', ADMIN_OR_SERVICE,
     'Retry the deletion of trusts that no job needs.', 'POST /maintenance'),
)


def _operation(name: str, rule: str, description: str,
               *routes: str) -> policy.DocumentedRuleDefault:
    return policy.DocumentedRuleDefault(
        name, rule, description,
        [{'method': method, 'path': '/v2/{project_id}' + path}
         for method, path in map(str.split, routes)],
        scope_types=PROJECT_SCOPE)


def list_rules() -> list[policy.RuleDefault]:
    """Return all rules with their defaults, for oslo.policy.policies."""
    return [*(policy.RuleDefault(*rule, scope_types=PROJECT_SCOPE)
              for rule in _PERSONAS),
            *(_operation(*rule) for rule in _OPERATIONS)]
