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

"""The IDs in the log lines of a worker: those of the run it works on."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import uuid

from oslo_context import context

from freezer_scheduler.freezer import messages

# Default of [DEFAULT] logging_context_format_string, for lines of runs.
FORMAT = ('%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s '
          '[%(request_id)s job %(job_id)s run %(run_id)s '
          'project %(project_id)s] %(message)s')


class RunContext(context.RequestContext):
    """The context of a run.

    Its request ID is the ID of the run in another form. So it is the same in
    each scheduler that works on the run, and in the logs of the services that
    get its requests.

    :ivar trouble: the last request of this move that was refused or failed
    """

    def __init__(self, run: messages.Run) -> None:
        super().__init__(request_id=_request_id(run.run_id),
                         project_id=run.project_id, overwrite=True)
        self.run_id = run.run_id
        self.job_id = run.job_id
        self.trouble: str | None = None

    def get_logging_values(self) -> dict[str, object]:
        return {**super().get_logging_values(), 'run_id': self.run_id,
                'job_id': self.job_id}


@contextlib.contextmanager
def of(run: messages.Run,
       begun: RunContext | None = None) -> Iterator[None]:
    """Have this thread log as working on a run.

    :param begun: the context of another thread, to continue with
    """
    before = context.get_current()
    if begun is None:
        RunContext(run)
    else:
        begun.update_store()
    try:
        yield
    finally:
        if before is None:
            # A line without a request ID is no line of a run.
            context.RequestContext(overwrite=True).request_id = ''
        else:
            before.update_store()


def current() -> RunContext | None:
    """Return the context of the run that this thread works on, if any."""
    found = context.get_current()
    return found if isinstance(found, RunContext) else None


def _request_id(run_id: str) -> str:
    try:
        return f'req-{uuid.UUID(run_id)}'
    except ValueError:
        # Not an ID of the API, but of a job in a file.
        return f'req-{uuid.uuid5(uuid.NAMESPACE_OID, run_id)}'
