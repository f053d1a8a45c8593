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

"""What was found of Freezer 19.0.0 before, on another machine.

On two cores, with ten projects, the API on SQLite under uWSGI with two
processes of two threads, and the scheduler beside stubs of Keystone and the
API that answered at once. A method that finds about the same is right.
"""

#: The unit of a figure, and its values by number of jobs, by its name.
FIGURES: dict[str, tuple[str, dict[int, float]]] = {
    'page of the list': ('ms', {1_000: 2500, 10_000: 21_000}),
    'GET of a job': ('ms', {1_000: 17, 10_000: 19}),
    'PATCH of a job': ('ms', {1_000: 12, 10_000: 13}),
    'POST of a job with a trust': ('ms', {1_000: 590, 10_000: 610}),
    'memory of the API': ('MiB', {1_000: 291, 10_000: 478}),
    'until a job can fire': ('s', {1_000: 14, 10_000: 131}),
    'logins': ('', {1_000: 1_001, 10_000: 10_001}),
    'changes of jobs': ('', {1_000: 1_000, 10_000: 10_000}),
    'memory of the scheduler': ('MiB', {1_000: 76, 10_000: 108}),
    'requests to the API, a run': ('', {1_000: 6}),
    'logins, a run': ('', {1_000: 8}),
    'CPU of the agent, a run': ('s', {1_000: 2.1}),
    'memory of the agent': ('MiB', {1_000: 98}),
    'a look for what is due': ('s', {1_000: 273}),
    'requests of a tick': ('', {1_000: 101, 10_000: 1_001}),
    'CPU of a tick': ('s', {1_000: 0.6, 10_000: 7.7}),
}
