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

It reads freezer-api.conf in the usual directories, or the files and
directories in ``OS_FREEZER_API_CONFIG_FILES`` and
``OS_FREEZER_API_CONFIG_DIRS``, which are separated as in PATH. If the
configuration cannot work, the import fails, and the log has the reason.
"""

from __future__ import annotations

import gc

from freezer_api import app
from freezer_api import conf as configuration
from freezer_config import logging_setup

_conf = configuration.load()
logging_setup.setup(_conf, 'freezer-api')
application = app.start(_conf)
# From now on the garbage collector ignores the imported objects, and does not
# write to memory that the processes of a server share.
gc.collect()
gc.freeze()
