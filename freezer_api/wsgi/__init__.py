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

Reads freezer-api.conf from the usual places, or the files and folders that
``OS_FREEZER_API_CONFIG_FILES`` and ``OS_FREEZER_API_CONFIG_DIRS`` name,
separated as in PATH. Where that cannot work the import fails, and the log
says why.
"""

from __future__ import annotations

import gc

from freezer_api import app
from freezer_api import conf as configuration
from freezer_config import logging_setup

_conf = configuration.load()
logging_setup.setup(_conf, 'freezer-api')
application = app.start(_conf)
# The garbage collector neither looks at what was imported each time nor
# touches memory that the processes of a server share.
gc.collect()
gc.freeze()
