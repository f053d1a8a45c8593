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

"""The schemas of documents: one module for each noun.

Each validator is compiled once. It returns nothing, or raises InvalidDocument
and no other error, for any JSON. A valid document fits into its columns on
each database engine.
"""

from __future__ import annotations

from freezer_api.schemas import common

InvalidDocument = common.InvalidDocument
check_stored_size = common.check_stored_size
storable = common.storable
