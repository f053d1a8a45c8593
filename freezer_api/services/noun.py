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

"""The documents of one noun: how a project lists and reads them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
import dataclasses
from typing import Any
from typing import Generic

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.domain import search as domain_search
from freezer_api import errors
from freezer_api.services import dependencies

_Show = Callable[[rows.Model], search.Document]


@dataclasses.dataclass(frozen=True)
class Noun(Generic[rows.Model]):
    """How the rows of a noun are found and shown.

    :ivar unknown: the beginning of the error for an unknown ID
    :ivar of_project: returns the query of the rows that a project can read
    :ivar find: returns such a row by its ID
    :ivar show: returns the document of a row
    :ivar show_in_list: the same for a list
    """

    unknown: str
    model: type[rows.Model]
    searched: search.Columns
    of_project: Callable[[str], sa.Select[Any]]
    find: Callable[[orm.Session, str, str], rows.Model | None]
    show: _Show[rows.Model]
    show_in_list: _Show[rows.Model]


class NounService(Generic[rows.Model]):
    """Reads the documents of a noun; its subclasses also change them.

    :cvar noun: the noun
    """

    noun: Noun[rows.Model]

    def __init__(self, services: dependencies.Services) -> None:
        self._services = services
        self._database = services.database
        self._quotas = services.quotas
        self._clock = services.clock

    def list(self, project_id: str, wanted: domain_search.ListParams,
             ) -> Generator[search.Document]:
        """Yield the documents of a page.

        :raises freezer_api.domain.search.UnknownMarker: if no item has the ID
            of the marker
        """
        with self._database.read() as session:
            yield from search.page(
                session, self.noun.of_project(project_id), self.noun.model,
                self.noun.searched, wanted,
                lambda found: map(self.noun.show_in_list, found))

    def get(self, project_id: str, document_id: str) -> search.Document:
        """Return one document.

        :raises freezer_api.errors.ApiError: not_found
        """
        with self._database.read() as session:
            return self.noun.show(errors.found(
                self.noun.find(session, project_id, document_id),
                f'{self.noun.unknown} {document_id}'))
