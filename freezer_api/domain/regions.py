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

"""The region of the endpoints, if a catalogue has several.

A region is never chosen arbitrarily: an option must set it.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses

_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An entry of Keystone's catalogue, without its URL."""

    service: str
    interface: str
    region: str | None


@dataclasses.dataclass(frozen=True)
class Choice:
    """The required endpoints, and the names of their options.

    :ivar region: None if the option is not set
    """

    region: str | None
    region_option: str
    interface: str
    interface_option: str


def problems(endpoints: Collection[Endpoint], services: Iterable[str],
             choice: Choice) -> list[str]:
    """Return a line for each option that does not select one endpoint.

    A service without any endpoint in the catalogue is not reported, because
    options cannot correct that.

    :param endpoints: the whole catalogue
    :param services: types of the required services
    """
    known = {one.region for one in endpoints if one.region}
    if choice.region is None and len(known) > 1:
        return [f'{choice.region_option}: must be set, because the catalogue '
                f'of Keystone has the regions {_names(known)}']
    if choice.region is not None and known and choice.region not in known:
        return [f'{choice.region_option}: the catalogue of Keystone has no '
                f'region {choice.region}; it has {_names(known)}']
    return [problem for service in services
            if (problem := _problem(endpoints, service, choice)) is not None]


def _problem(endpoints: Collection[Endpoint], service: str,
             choice: Choice) -> str | None:
    everywhere = [one for one in endpoints if one.service == service]
    here = [one for one in everywhere
            if choice.region in (None, one.region)]
    if everywhere and not here:
        return (f'{choice.region_option}: the catalogue of Keystone has no '
                f'endpoint of type {service} in region {choice.region}; it '
                f'has {_names(one.region or "none" for one in everywhere)}')
    interfaces = {one.interface for one in here}
    if here and choice.interface not in interfaces:
        return (f'{choice.interface_option}: the catalogue of Keystone has no '
                f'{choice.interface} endpoint of type {service}; it has '
                f'{_names(interfaces)}')
    return None


def _names(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
    return ', '.join(found[:_SHOWN]) + more
