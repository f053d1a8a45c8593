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

"""Figures in the documentation are those of the code.

Each line names a page, words of it that hold a figure, and the figure as the
code has it. Either may change: then the other has to follow.
"""

from __future__ import annotations

import pathlib

import testtools

from freezer_api.api import responses
from freezer_api import conf as configuration
from freezer_api.db import actions
from freezer_api.db import clock_repair
from freezer_api.db import database_clock
from freezer_api.domain import cron_fields
from freezer_api.schemas import budgets

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEDULES = 'doc/source/user/schedules.rst'
VOLUMES = 'doc/source/user/cinder-native.rst'
OPERATING = 'doc/source/admin/operating.rst'
GENERAL = 'api-ref/source/general.rst'
API_ACTIONS = 'api-ref/source/actions.rst'
API_JOBS = 'api-ref/source/jobs.rst'

MINUTE, HOUR, DAY = 60, 3600, 86_400


def _of_code() -> list[tuple[str, str, int, int]]:
    conf = configuration.load(files=[])
    due, api = conf.scheduling, conf.api
    tries = actions.DEFAULT_MAX_RETRIES
    wait = actions.DEFAULT_MAX_RETRIES_INTERVAL
    return [
        (VOLUMES, f'The defaults are {tries} times and {wait} seconds',
         tries, 5),
        (API_ACTIONS, f'how often a failure is tried again; {tries}',
         tries, 5),
        (API_ACTIONS, f'seconds between two tries; {wait}', wait, 6),
        (SCHEDULES, f'A field lists at most {cron_fields.MAX_ENTRIES} values',
         cron_fields.MAX_ENTRIES, 64),
        (API_JOBS, f'list more than {cron_fields.MAX_ENTRIES} values',
         cron_fields.MAX_ENTRIES, 64),
        (SCHEDULES, "need at least a minute between two firings, the "
         "operator's ``[scheduling] minimum_interval``",
         due.minimum_interval, MINUTE),
        (SCHEDULES, "firings within the last hour (the operator's "
         "``[scheduling] catch_up_window``)", due.catch_up_window, HOUR),
        (SCHEDULES, "After a week, the operator's ``[scheduling] "
         "abandoned_after``", due.abandoned_after, 7 * DAY),
        (SCHEDULES, f'keeps runs for {due.keep_runs_days} days, and the '
         f'latest {due.keep_runs_last} of each job', due.keep_runs_days, 90),
        (SCHEDULES, 'one minute at first, twice as long after each further '
         'failure, an hour at most', due.continuous_backoff, MINUTE),
        (SCHEDULES, 'an hour at most. The operator sets this with '
         '``[scheduling] continuous_backoff`` and '
         '``continuous_backoff_max``', due.continuous_backoff_max, HOUR),
        (GENERAL, f'``limit`` ({api.default_limit} if it is absent or 0, '
         f'at most {api.max_limit}', api.default_limit, 10),
        (GENERAL, 'An answer has at most 8 MiB', responses.MOST,
         8 * 1024 * 1024),
        (GENERAL, f'jobs of a session {budgets.SESSION_JOBS}',
         budgets.SESSION_JOBS, 256),
        (OPERATING, f'``[scheduling] clock_tolerance``, {due.clock_tolerance} '
         'seconds by default', due.clock_tolerance, 60),
        (OPERATING, 'reads it every ten seconds',
         int(database_clock.INTERVAL), 10),
        (OPERATING, f'again, {clock_repair.BATCH} jobs in a transaction',
         clock_repair.BATCH, 200),
    ]


class TestFigures(testtools.TestCase):

    def test_pages_say_what_the_code_does(self) -> None:
        for page, words, coded, said in _of_code():
            text = ' '.join((ROOT / page).read_text('utf-8').split())
            self.assertIn(words, text, page)
            self.assertEqual(said, coded, f'{page}: {words}')
