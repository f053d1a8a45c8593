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

"""Write pip constraints that pin each requirement to its lower bound.

usage: check_lower_bounds.py REQUIREMENTS OUTPUT

It fails with status 1 if a requirement has no lower bound, because such a
bound cannot be tested.
"""

from __future__ import annotations

import pathlib
import re
import sys

REQUIREMENT = re.compile(
    r'^(?P<name>[A-Za-z0-9._-]+)(?:\[[\w,]+\])?>=(?P<bound>[0-9][\w.]*)')


def lower_bounds(text: str) -> list[str]:
    """Return ``name==bound`` for each requirement line of ``text``.

    :raises ValueError: if a line has no lower bound
    """
    pins = []
    for line in text.splitlines():
        requirement = line.split('#')[0].strip()
        if not requirement or requirement.startswith('-'):
            continue
        found = REQUIREMENT.match(requirement)
        if found is None:
            raise ValueError(f'{requirement} has no lower bound')
        pins.append(f'{found["name"]}=={found["bound"]}')
    return pins


def main(requirements: str, output: str) -> int:
    try:
        pins = lower_bounds(
            pathlib.Path(requirements).read_text(encoding='utf-8'))
    except ValueError as error:
        print(f'{requirements}: {error}', file=sys.stderr)
        return 1
    pathlib.Path(output).write_text(
        '\n'.join(pins) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
