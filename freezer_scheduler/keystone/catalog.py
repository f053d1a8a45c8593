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

"""Whether the options fit Keystone's catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from keystoneauth1.access import service_catalog

from freezer_api.domain import regions

CINDER = 'block-storage'


def problems(catalogue: service_catalog.ServiceCatalog, interface: str,
             region_name: str | None, services: Iterable[str]) -> list[str]:
    """Name the options by which no endpoint, or any, would be found.

    :param services: types of services that are needed besides Cinder
    """
    found = []
    # By its official type, whatever the catalogue calls it.
    needed = (CINDER, *services)
    for kind in (None, *needed):
        data = catalogue.get_endpoints_data(service_type=kind)
        found += [regions.Endpoint(kind or own_kind, str(one.interface),
                                   one.region_name)
                  for own_kind, listed in data.items() for one in listed]
    return regions.problems(found, needed, regions.Choice(
        region_name, '[service_auth] os_region_name',
        interface, '[service_auth] os_endpoint_type'))
