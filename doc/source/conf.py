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

"""How Sphinx builds the documentation."""

extensions = [
    'openstackdocstheme',
    'oslo_config.sphinxconfiggen',
    'oslo_config.sphinxext',
    'oslo_policy.sphinxpolicygen',
    'oslo_policy.sphinxext',
]

# The samples are written into _static before the pages are read.
config_generator_config_file = [
    ('../../etc/oslo-config-generator/freezer-api.conf',
     '_static/freezer-api'),
    ('../../etc/oslo-config-generator/freezer-scheduler.conf',
     '_static/scheduler'),
]
policy_generator_config_file = [
    ('../../etc/oslo-policy-generator/freezer-api.conf', '_static/policy'),
]

project = 'Freezer service mode'
copyright = 'OpenStack contributors'  # noqa: A001
exclude_patterns = []

html_theme = 'openstackdocs'
html_static_path = ['_static']
openstackdocs_repo_name = 'openstack/freezer-service-mode'
openstackdocs_bug_project = 'freezer'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
pygments_style = 'native'
