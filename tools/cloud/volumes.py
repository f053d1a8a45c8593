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

"""The volumes of each project of a cloud."""

import time

from tools.cloud import commands
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import rest


def seed(settings: layout.Settings, number: int, first: int,
         run: commands.Commands) -> None:
    """Create volumes of 1 GB in a project, up to the number in the settings.

    Existing volumes of an interrupted attempt are used.

    :param number: of the project
    :param first: number of the first volume
    :raises errors.QuickstartError: if they do not become available
    """
    if first > settings.volumes:
        return
    user, project = f'user-{number}', f'project-{number}'
    session = rest.Session(settings.auth_url, user, user, project)
    base = f'{settings.cinder_url}/v3/{session.project_id}/volumes'
    there = {volume['name']
             for volume in session.call('GET', base + '/detail')['volumes']}
    wanted = [f'volume-{count}'
              for count in range(first, settings.volumes + 1)]
    for name in wanted:
        if name not in there:
            session.call('POST', base, {'volume': {'name': name, 'size': 1}})
    end = time.monotonic() + 120
    while True:
        states = {volume['name']: volume['status'] for volume in
                  session.call('GET', base + '/detail')['volumes']}
        if all(states.get(name) == 'available' for name in wanted):
            return
        if 'error' in states.values() or time.monotonic() > end:
            raise errors.QuickstartError(
                f'volumes of {project} are not available: {states}')
        run.pause(0.2)
