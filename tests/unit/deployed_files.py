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

"""What deployment tools write for Freezer: the groups, options and commands.

Not their templates, but what those set, with values that work here. In angle
brackets stand the values that a test fills in. Where two releases of a tool
differ, both are here.
"""

from __future__ import annotations

# openstack-ansible-os_freezer, templates/freezer-api.conf.j2.
ANSIBLE_API = """
[DEFAULT]
use_stderr = False
debug = False
use_journal = True

[centralized_scheduler]
enabled = True
enforce_trusts = False
service_user = freezer
service_user_domain = Default

[database]
connection = <database>

[keystone_authtoken]
insecure = False
project_domain_name = Default
user_domain_name = Default
project_name = service
username = freezer
password = <secret>
region_name = r
auth_url = <keystone>
www_authenticate_uri = <keystone>
interface = internal
auth_type = password
service_token_roles_required = True
service_token_roles = service
service_type = backup
memcached_servers = 127.0.0.1:1
memcache_security_strategy = ENCRYPT
memcache_secret_key = <secret>
token_cache_time = 300

[paste_deploy]
config_file = /etc/freezer/freezer-paste.ini

[storage]
driver = sqlalchemy
backend = sqlalchemy
"""

# ... without uWSGI.
ANSIBLE_API_ALONE = ANSIBLE_API.replace(
    'use_journal = True\n',
    'use_journal = True\nbind_host = 127.0.0.1\nbind_port = <port>\n')

# ... templates/scheduler.conf.j2.
ANSIBLE_SCHEDULER = """
[DEFAULT]
debug = False
use_journal = True
use_stderr = False
client_id = host-1
conf = /etc/freezer/scheduler/conf.d
enable_v1_api = False

[capabilities]
supported_actions = admin,backup,restore,info
supported_modes = cinder,cindernative,glance,nova
supported_storages =
supported_engines = nova,osbrick,glance

[scheduler]
centralized_scheduler = True
client_id = host-1
jobs_dir = /etc/freezer/scheduler/conf.d
concurrent_jobs = 4
insecure = False
disable_exec = True

[service_auth]
insecure = False
os_auth_url = <keystone>
os_endpoint_type = internal
os_password = <secret>
os_project_domain_name = Default
os_project_name = service
os_region_name = r
os_user_domain_name = Default
os_username = freezer
"""

# ... what it starts. Its policy.yaml holds the overrides, of which there are
# none: an empty document.
ANSIBLE_POLICY = '{}\n'
ANSIBLE_COMMANDS = ('freezer-manage db sync',)
ANSIBLE_START = '--no-daemon --config-file <file> start'

# openstack-helm, freezer/values.yaml and templates/configmap-etc.yaml.
HELM_API = """
[DEFAULT]
bind_host = 127.0.0.1
bind_port = <port>
debug = true
log_config_append = <folder>/logging.conf

[database]
connection = <database>
max_retries = -1

[keystone_authtoken]
auth_type = password
auth_uri = <keystone>
auth_url = <keystone>
auth_version = v3
password = <secret>
project_domain_name = service
project_name = service
region_name = r
user_domain_name = service
username = freezer

[oslo_policy]
policy_file = <folder>/policy.yaml

[paste_deploy]
config_file = api-paste.ini

[storage]
backend = sqlalchemy
driver = sqlalchemy
"""

HELM_LOGGING = """
[loggers]
keys = root,freezer

[handlers]
keys = stdout,stderr,null

[formatters]
keys = context,default

[logger_root]
handlers = null
level = WARNING

[logger_freezer]
handlers = stdout
level = INFO
qualname = freezer

[handler_null]
args = ()
class = logging.NullHandler
formatter = default

[handler_stdout]
args = (sys.stdout,)
class = StreamHandler
formatter = context

[handler_stderr]
args = (sys.stderr,)
class = StreamHandler
formatter = context

[formatter_context]
class = oslo_log.formatters.ContextFormatter
datefmt = %Y-%m-%d %H:%M:%S

[formatter_default]
datefmt = %Y-%m-%d %H:%M:%S
format = %(message)s
"""

# A document that the chart's values lack.
HELM_POLICY = 'null\n'
HELM_SYNC = '--config-file <file> db sync'
HELM_START = '--config-file <file>'

# kolla-ansible, roles/freezer/templates/freezer.conf.j2, of the API.
KOLLA_API = """
[DEFAULT]
debug = False
log_dir = <folder>
bind_host = 127.0.0.1
bind_port = <port>

[keystone_authtoken]
www_authenticate_uri = <keystone>
auth_url = <keystone>
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
username = freezer
password = <secret>
cafile =
memcache_security_strategy = ENCRYPT
memcache_secret_key = <secret>
memcached_servers = 127.0.0.1:1

[oslo_middleware]
enable_proxy_headers_parsing = True

[paste_deploy]
config_file = /etc/freezer/freezer-paste.ini

[storage]
backend = sqlachemy
driver = sqlalchemy

[database]
connection = <database>
max_retries = -1
"""

# ... and of the scheduler, in classic mode.
KOLLA_SCHEDULER = """
[DEFAULT]
debug = False
log_dir = <folder>
client_id = host-1
jobs_dir = /etc/freezer/scheduler/conf.d
os_username = freezer
os_password = <secret>
os_auth_url = <keystone>
os_project_name = service
os_project_domain_name = Default
os_user_domain_name = Default
"""
KOLLA_SYNC = '--config-file <file> db update'

# puppet-freezer.
PUPPET_SYNC = '--config-file <file> db_sync'
