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

"""The scheduler of a trial under fire, which counts its sessions.

SOAK_SESSIONS names the file that says how many trusts it keeps one of.
"""

import os
import pathlib
import runpy
import threading
import time

from freezer_scheduler import identity

_FILE = pathlib.Path(os.environ['SOAK_SESSIONS'])
_FIRE = pathlib.Path(__file__).resolve().parents[2] / 'fire/inside'


class CountedIdentity(identity.Identity):
    """Writes down how many sessions there are."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self):
        while True:
            written = _FILE.with_suffix('.new')
            written.write_text(str(len(self._trusts)))
            written.replace(_FILE)
            time.sleep(2)


identity.Identity = CountedIdentity
runpy.run_path(str(_FIRE / 'scheduler.py'))
