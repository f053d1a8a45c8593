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

"""The WSGI application: ``freezer_api.wsgi:application``.

Reads freezer-api.conf from the usual places, or the files that
``OS_FREEZER_API_CONFIG_FILES`` names, separated as in PATH. Where that cannot
work the import fails, and the log says why.
"""

from __future__ import annotations

import ctypes
import gc
import os

from oslo_log import log

from freezer_api import conf as configuration
from freezer_api import deploy

_files = os.environ.get('OS_FREEZER_API_CONFIG_FILES')
_conf = configuration.load(
    files=_files.split(os.pathsep) if _files else None)
log.setup(_conf, 'freezer-api')
application = deploy.start(_conf)

# What a page of a thousand jobs took is to go back to the system. The C
# library would keep it, for each thread of its own: M_ARENA_MAX,
# M_MMAP_THRESHOLD, M_TRIM_THRESHOLD.
_mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
if _mallopt is not None:
    for _option, _value in ((-8, 1), (-3, 2 ** 17), (-1, 2 ** 17)):
        _mallopt(_option, _value)

# All of that stays. Collecting garbage need not look at it each time, nor
# touch the memory that the processes of a server share.
gc.collect()
gc.freeze()
