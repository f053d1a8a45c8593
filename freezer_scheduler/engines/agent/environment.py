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

"""The environment of an agent: ours, with the account in OS_* variables.

The account reaches an agent in no other way: command lines can be seen by
everybody on the host.
"""

from __future__ import annotations

from collections.abc import Mapping

from requests import adapters

from freezer_scheduler.conf import service_auth
from freezer_scheduler.process import systemd

# Of the account, what is a project's. A trust has its own.
_OF_PROJECT = ('OS_PROJECT_ID', 'OS_PROJECT_NAME', 'OS_PROJECT_DOMAIN_ID',
               'OS_PROJECT_DOMAIN_NAME')


def of_agent(environ: Mapping[str, str], auth: service_auth.ServiceAuth,
             insecure: bool, trust_id: str) -> dict[str, str]:
    """Return the whole environment of an agent.

    :param environ: our own; its OS_* variables are the account's only where
        the configuration did not name others
    :param trust_id: empty without a trust
    """
    made = {name: value for name, value in environ.items()
            if not name.startswith('OS_') and name != systemd.VARIABLE}
    made.update(service_auth.variables(auth))
    made['OS_IDENTITY_API_VERSION'] = '3'
    if insecure:
        made['OS_INSECURE'] = 'True'
    elif auth.cacert is None:
        # Without one an agent checks no certificate at all.
        made['OS_CACERT'] = (environ.get('REQUESTS_CA_BUNDLE')
                             or adapters.DEFAULT_CA_BUNDLE_PATH)
    if trust_id:
        for name in _OF_PROJECT:
            made.pop(name, None)
        made['OS_TRUST_ID'] = trust_id
    return made
