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

"""The OpenAPI document in the API reference.

``python -m tools.openapi`` writes it; a test compares it with the API.
"""

from __future__ import annotations

import json
import pathlib

from freezer_api import app

FILE = (pathlib.Path(__file__).resolve().parents[1]
        / 'api-ref/source/openapi.json')


def text() -> str:
    """Return the content of the file."""
    return json.dumps(app.openapi(), indent=1) + '\n'


if __name__ == '__main__':
    FILE.write_text(text(), encoding='utf-8')
