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

"""Commands. This module imports nothing that takes time."""

import signal


def main() -> int:
    """Run freezer-scheduler; returns the exit status.

    SIGUSR2 and SIGHUP wait until the scheduler can handle them: by default
    they would end the process. The signals that end it are unblocked: some
    process managers block them for the processes that they start.
    """
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGHUP})
    from freezer_scheduler.cmd import scheduler
    return scheduler.main()
