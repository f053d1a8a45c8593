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

"""What a process of the API does about its memory before it answers."""

from __future__ import annotations

import ctypes
import gc


def settle() -> None:
    """Give memory back to the system, and keep what was imported apart.

    What a page of a thousand jobs took is to go back to the system. The C
    library would keep it, for each thread of its own: M_ARENA_MAX,
    M_MMAP_THRESHOLD, M_TRIM_THRESHOLD.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        for option, value in ((-8, 1), (-3, 2 ** 17), (-1, 2 ** 17)):
            mallopt(option, value)
    # What there is stays. Collecting garbage need not look at it each time,
    # nor touch the memory that the processes of a server share.
    gc.collect()
    gc.freeze()
