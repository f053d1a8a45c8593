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

"""The passwords and keys of a cloud, created once and stored in etc/."""

import base64
import dataclasses
import json
import os
import pathlib
import secrets

from tools.cloud import layout


@dataclasses.dataclass(frozen=True)
class Secrets:
    """Passwords of the service accounts, and the key of stored trusts."""

    admin: str = dataclasses.field(repr=False)
    cinder: str = dataclasses.field(repr=False)
    freezer: str = dataclasses.field(repr=False)
    credential_key: str = dataclasses.field(repr=False)
    swift: str = dataclasses.field(repr=False)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def path(where: layout.Layout) -> pathlib.Path:
    """Return the path of the JSON file with the secrets."""
    return where.etc / 'secrets.json'


def load(where: layout.Layout) -> Secrets:
    """Return the secrets of a cloud; the first call creates them."""
    kept = path(where)
    known = json.loads(kept.read_text()) if kept.exists() else {}
    # A file of an earlier version lacks later secrets.
    missing = {field.name for field in dataclasses.fields(Secrets)}.difference(
        known)
    if missing:
        known |= {name: _fernet_key() if name == 'credential_key'
                  else secrets.token_hex(16) for name in missing}
        layout.write_private(kept, json.dumps(known))
    return Secrets(**known)


def key_repository(folder: pathlib.Path) -> None:
    """Create a directory of keys for Keystone, unless it exists.

    Keystone needs the current key and the next one, named by numbers.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in ('0', '1'):
        if not (folder / number).exists():
            layout.write_private(folder / number, _fernet_key())
