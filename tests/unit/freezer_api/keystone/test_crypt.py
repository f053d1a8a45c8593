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

"""A stored secret comes back whole, or the answer is that it does not."""

from __future__ import annotations

import base64
import unittest

from cryptography import fernet
import hypothesis
from hypothesis import strategies as st

from freezer_api.keystone import crypt

KEYS = [fernet.Fernet.generate_key().decode() for _ in range(2)]


class CryptTests(unittest.TestCase):

    @hypothesis.given(st.text(st.characters(exclude_categories=['Cs'])))
    def test_what_was_stored_comes_back(self, text: str) -> None:
        stored, method = crypt.Crypt(KEYS[1:]).encrypt(text)
        box = crypt.Crypt(KEYS)
        self.assertEqual(text, box.decrypt(stored, method))
        self.assertEqual(2, box.key_number(stored, method))

    @hypothesis.given(
        st.integers(0, 200), st.integers(0, 200),
        st.text(st.characters(exclude_categories=['Cs']), max_size=40))
    def test_a_damaged_row_is_a_named_error(self, start: int, end: int,
                                            between: str) -> None:
        """Cut off, as a column too narrow leaves it, or written over."""
        box = crypt.Crypt(KEYS)
        stored, method = box.encrypt('0123456789abcdef')
        damaged = stored[:start] + between + stored[end:]
        try:
            # The base64 of one token can be written in more than one way.
            hypothesis.assume(base64.urlsafe_b64decode(damaged.encode())
                              != base64.urlsafe_b64decode(stored))
        except ValueError:
            pass
        for read in (box.decrypt, box.key_number):
            self.assertRaises(crypt.CryptError, read, damaged, method)

    def test_what_the_key_opens_and_is_no_text(self) -> None:
        """Whoever has the key wrote it, and not this program."""
        stored = fernet.Fernet(KEYS[0].encode()).encrypt(b'\xff').decode()
        for read in (crypt.Crypt(KEYS).decrypt, crypt.Crypt(KEYS).key_number):
            self.assertRaises(crypt.CryptError, read, stored, crypt.FERNET)
