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

"""[scheduling]: due times and runs of jobs."""

from __future__ import annotations

from oslo_config import cfg

from freezer_api.domain import firing_plan

GROUP = cfg.OptGroup('scheduling', title='Due times and runs of jobs')

# Upper bound of periods, in seconds: keeps times within four-digit years.
_CENTURY = 36500 * 86400

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'autostart_delay', default=5, min=0, max=3600,
        help='Seconds until a new job without an event can become due. In '
             'this time a client that creates a job and reads it back sees '
             'it unchanged, and can send an event.'),
    cfg.IntOpt(
        'catch_up_window', default=3600, min=1, max=_CENTURY,
        help='Maximum delay, in seconds, at which a late firing is still run. '
             'An older firing is recorded as missed. A start that a user '
             'requested is run after any delay.'),
    cfg.BoolOpt(
        'coalesce', default=True,
        help='Combine all late firings of a job within catch_up_window into '
             'one run. Otherwise each firing has its own run, one after the '
             'other.'),
    cfg.StrOpt(
        'overlap', default=firing_plan.Overlap.SKIP.value,
        choices=[
            (firing_plan.Overlap.SKIP.value,
             'The firings are recorded as skipped.'),
            (firing_plan.Overlap.WAIT.value,
             'The firings become late firings when the run ends.')],
        help='Treatment of the firings of a job that occur during a run of '
             'the job. A job never has two runs at the same time.'),
    cfg.IntOpt(
        'jitter', default=0, min=0, max=86400,
        help='Maximum number of seconds by which a job with an interval or '
             'cron fields becomes due later than its schedule says, so that '
             'jobs of the same time do not all start at once. The delay of a '
             'job is derived from its id, and never exceeds a tenth of the '
             'time until its next firing. A run keeps the nominal time of the '
             'schedule. 0: no jitter.'),
    cfg.IntOpt(
        'minimum_interval', default=60, min=0, max=43200,
        help='Minimum number of seconds between two firings of a job of a '
             'central client. A new schedule that fires more often is '
             'refused. For a stored one, each run combines the firings of '
             'this period. A job with the interval "continuous" starts at '
             'least this many seconds after its last start. If a run of a '
             'central client fails within this time after its start, its job '
             'waits according to continuous_backoff. 0: every schedule is '
             'accepted, and only continuous jobs wait after a failure. Jobs '
             'of other clients have no minimum.'),
    cfg.IntOpt(
        'continuous_backoff', default=60, min=0, max=86400,
        help='Seconds until the next run of a job after an unsuccessful run, '
             'if the job has the interval "continuous", or if it is a job of '
             'a central client whose run failed within minimum_interval. '
             'Each further failure doubles the delay. A success ends it.'),
    cfg.IntOpt(
        'continuous_backoff_max', default=3600, min=0, max=86400,
        help='Maximum of the delay of continuous_backoff, in seconds.'),
    cfg.IntOpt(
        'abandoned_after', default=604800, min=0, max=_CENTURY,
        help='Seconds that a run waits for a scheduler after its lease has '
             'expired. Then the run fails, and its job continues with its '
             'next firing. The maintenance that central schedulers request '
             'does this. 0: no limit.'),
    cfg.IntOpt(
        'clock_tolerance', default=60, min=5, max=3600,
        help='Difference between clocks, in seconds, that is accepted. The '
             'clock of the database determines when jobs are due, for all API '
             'hosts. If the clock of an API host differs by more, the host '
             'logs a warning, and the status of the schedulers shows it. If '
             'the clock of the database was ahead by more and has been '
             'corrected, the next firings of all jobs are computed again.'),
    cfg.IntOpt(
        'keep_runs_days', default=90, min=0, max=36500,
        help='Days to keep runs after their end. The maintenance that '
             'schedulers request once a minute removes older ones in batches. '
             'The latest run of a job is always kept. 0: no limit.'),
    cfg.IntOpt(
        'keep_runs_last', default=1000, min=0,
        help='Number of runs of a job to keep. The maintenance removes older '
             'runs even within keep_runs_days. 0: no limit.'),
]


def rules(conf: cfg.ConfigOpts, central: bool = False) -> firing_plan.Rules:
    """Return the options as rules for the next firing.

    :param central: whether the rules are for a job of a central client
    """
    group = conf[GROUP.name]
    return firing_plan.Rules(
        delay=group.autostart_delay, window=group.catch_up_window,
        coalesce=group.coalesce, overlap=firing_plan.Overlap(group.overlap),
        jitter=group.jitter, backoff=group.continuous_backoff,
        backoff_max=group.continuous_backoff_max,
        minimum=group.minimum_interval if central else 0)
