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

"""What documents may look like: one module per noun.

Each validator is compiled once and offered as a plain function that returns
nothing or raises InvalidDocument. Nothing else is raised, whatever the JSON:
a document that passes fits its columns on every database engine.
"""

from __future__ import annotations

from freezer_api.schemas import common

InvalidDocument = common.InvalidDocument
check_stored_size = common.check_stored_size
storable = common.storable
