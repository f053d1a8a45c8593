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

"""The dependencies of services; :mod:`freezer_api.app` creates them once."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from oslo_config import cfg

from freezer_api.db import engine
from freezer_api.services import parsed_documents
from freezer_api.services import quotas as quota_service
from freezer_api.services import trusts as trust_service


@dataclasses.dataclass(frozen=True)
class Services:
    """The objects that exist longer than a request.

    :ivar clock: returns the current time, in epoch seconds
    :ivar known: the parsed documents of earlier requests
    :ivar clock_ahead: returns by how many seconds the clock of the host is
        ahead of ``clock``
    :ivar clock_set_back: returns how often ``clock`` was set back while this
        process ran, and by how many seconds the last time
    :ivar self_test: checks Keystone, unless it has been checked
    """

    conf: cfg.ConfigOpts
    database: engine.Database
    trusts: trust_service.TrustService
    quotas: quota_service.Quotas
    clock: Callable[[], int]
    self_test: Callable[[], None] = lambda: None
    clock_ahead: Callable[[], int] = lambda: 0
    known: parsed_documents.Known = dataclasses.field(
        default_factory=parsed_documents.Known)
    clock_set_back: Callable[[], tuple[int, int]] = lambda: (0, 0)
