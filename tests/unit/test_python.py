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

"""Which Python everything can be installed with."""

from importlib import metadata

from packaging import specifiers
import testtools

#: The oldest that README.rst names. Debian 12 has 3.11.2.
_OLDEST = '3.11.0'


class TestPython(testtools.TestCase):

    def test_what_is_pinned_can_be_installed_with_the_oldest(self):
        # constraints.txt names what is installed here.
        refuse = {
            f'{one.name} {one.version}: {wanted}'
            for one in metadata.distributions()
            if (wanted := one.metadata['Requires-Python'])
            and _OLDEST not in specifiers.SpecifierSet(wanted)}
        self.assertEqual(set(), refuse)
