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

"""Where Keystone's catalogue says that a service is."""

from __future__ import annotations

from tools.cloud import cloud


def point(made: cloud.Cloud, kind: str, url: str) -> None:
    """Have a cloud's catalogue name another URL for a type of service."""
    admin, keystone = made.session('admin'), made.settings.auth_url
    [service] = admin.call('GET', f'{keystone}/services?type={kind}')[
        'services']
    for endpoint in admin.call(
            'GET', f'{keystone}/endpoints?service_id={service["id"]}')[
                'endpoints']:
        admin.call('PATCH', f'{keystone}/endpoints/{endpoint["id"]}',
                   {'endpoint': {'url': url}})
