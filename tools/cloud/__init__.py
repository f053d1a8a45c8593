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

"""A complete OpenStack backup cloud on one machine, for trials and tests.

``tools/quickstart`` is its command line; :class:`tools.cloud.cloud.Cloud` is
its Python interface. The package needs only Python 3.11: Keystone, Cinder,
the Freezer service and the command line clients are installed in virtual
environments of their own (:mod:`tools.cloud.environments`).
"""
