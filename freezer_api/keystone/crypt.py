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

"""Encryption of stored trust IDs with a list of Fernet keys."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import fernet

FERNET = 'fernet'


class CryptError(Exception):
    """A stored secret cannot be read, or none can be stored."""


class Crypt:
    """Encrypt and decrypt short texts.

    :param keys: urlsafe base64 Fernet keys, newest first; without keys only
        the plain text of an adopted database is readable
    :raises CryptError: if a key is not a Fernet key; the text of the error
        does not contain the key
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._keys = [fernet.Fernet(key.encode()) for key in keys]
        except ValueError:
            raise CryptError(
                '[user_credentials] keys contains a value that is not a '
                'Fernet key: create keys with freezer-manage credential '
                'generate-key, and separate them with commas') from None
        self._fernet = fernet.MultiFernet(self._keys) if self._keys else None

    @property
    def usable(self) -> bool:
        """Whether there is a key to encrypt with."""
        return self._fernet is not None

    def encrypt(self, text: str) -> tuple[str, str]:
        """Encrypt with the first key.

        :returns: the ciphertext, and the name of the method for
            ``decrypt_method``
        :raises CryptError: if no key is configured
        """
        if self._fernet is None:
            raise CryptError('[user_credentials] keys is not set')
        return self._fernet.encrypt(text.encode()).decode(), FERNET

    def decrypt(self, text: str, method: str | None) -> str:
        """Return the text that :meth:`encrypt` received.

        :param method: the stored ``decrypt_method``; None for plain text,
            which upstream stores
        :raises CryptError: if the method is unknown, no key fits, or the
            plaintext is not UTF-8
        """
        if method is None:
            return text
        if method != FERNET:
            raise CryptError('unknown decrypt_method')
        if self._fernet is None:
            raise CryptError('[user_credentials] keys is not set')
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except fernet.InvalidToken:
            raise CryptError(
                'none of [user_credentials] keys fits') from None
        except UnicodeDecodeError:
            raise CryptError('the stored secret is not text') from None

    def key_number(self, text: str, method: str | None) -> int | None:
        """Return the number of the key that decrypts a text; the first is 1.

        :param method: the stored ``decrypt_method``
        :returns: None for plain text
        :raises CryptError: see :meth:`decrypt`
        """
        self.decrypt(text, method)
        for number, key in enumerate(self._keys, start=1):
            if method is not None and _fits(key, text):
                return number
        return None


def _fits(key: fernet.Fernet, text: str) -> bool:
    try:
        key.decrypt(text.encode())
    except fernet.InvalidToken:
        return False
    return True
