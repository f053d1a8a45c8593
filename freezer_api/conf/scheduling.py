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

from __future__ import annotations

from oslo_config import cfg

from freezer_api.domain import plans

GROUP = cfg.OptGroup('scheduling', title='When jobs become due')

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'autostart_delay', default=5, min=0, max=3600,
        help='Seconds until a new job that was given no event can become due. '
             'A client that creates a job and then reads it back sees it '
             'untouched meanwhile, and has time to send an event.'),
    cfg.IntOpt(
        'catch_up_window', default=3600, min=1,
        help='Seconds within which a firing that no scheduler claimed in time '
             'is still run. An older one is recorded as missed and not run. '
             'A start that a user asked for is run however late.'),
    cfg.BoolOpt(
        'coalesce', default=True,
        help='Whether the late firings of a job that are still run become one '
             'run. Otherwise each is a run of its own, one after the other.'),
    cfg.StrOpt(
        'overlap', default=plans.Overlap.SKIP.value,
        choices=[
            (plans.Overlap.SKIP.value,
             'They are recorded as skipped and not run.'),
            (plans.Overlap.WAIT.value,
             'They are late firings once that run is over.')],
        help='What becomes of the firings of a job that come while a run of '
             'it goes on. There are never two runs of a job at one time.'),
    cfg.IntOpt(
        'jitter', default=0, min=0, max=86400,
        help='Seconds by which a job with an interval or cron fields becomes '
             'due later than its schedule says, at the most, so that not all '
             'jobs of one time start at once. How many they are follows from '
             "the job's id, and never exceeds a tenth of the time until its "
             'next firing. A run is still named after the time of the '
             'schedule. 0: no jitter.'),
    cfg.IntOpt(
        'minimum_interval', default=60, min=0, max=43200,
        help='Seconds that a job of a central client leaves between two '
             'firings at the least. A new schedule that fires more often is '
             'refused. A stored one is run, and each run stands for the '
             'firings of so many seconds. A job with the interval '
             '"continuous" starts again no earlier than so many seconds after '
             'its last start. A run of a central client that fails within so '
             'many seconds of its start makes its job wait as '
             'continuous_backoff says. 0: any schedule is accepted, and only '
             'continuous jobs wait after a failure. Jobs of other clients are '
             'not limited.'),
    cfg.IntOpt(
        'continuous_backoff', default=60, min=0, max=86400,
        help='Seconds until a job with the interval "continuous" runs again '
             'whose run was no success, and until another job of a central '
             'client runs again whose run failed within minimum_interval. '
             'They double with each further one, and after a success the job '
             'runs as its schedule says.'),
    cfg.IntOpt(
        'continuous_backoff_max', default=3600, min=0, max=86400,
        help='The most seconds that continuous_backoff grows to.'),
    cfg.IntOpt(
        'abandoned_after', default=604800, min=0,
        help='Seconds for which a run waits for a scheduler to go on with it '
             'after its lease has expired. Then it is a failure, and its job '
             'goes on with its next firing. It is looked after by the '
             'maintenance that central schedulers ask for. 0: for ever.'),
    cfg.IntOpt(
        'keep_runs_days', default=90, min=0, max=36500,
        help='Days for which runs are kept after their end. Older ones are '
             'removed, a batch at a time, by the maintenance that schedulers '
             'ask for once a minute. The latest run of a job is kept in any '
             'case. 0: for ever.'),
    cfg.IntOpt(
        'keep_runs_last', default=1000, min=0,
        help='How many runs of a job are kept, the latest ones; older ones '
             'are removed even if they are younger than keep_runs_days. 0: '
             'any number.'),
]


def rules(conf: cfg.ConfigOpts, central: bool = False) -> plans.Rules:
    """Return the options as the rule of the next firing takes them.

    :param central: whether they are for the runs of a central client
    """
    group = conf[GROUP.name]
    return plans.Rules(
        delay=group.autostart_delay, window=group.catch_up_window,
        coalesce=group.coalesce, overlap=plans.Overlap(group.overlap),
        jitter=group.jitter, backoff=group.continuous_backoff,
        backoff_max=group.continuous_backoff_max,
        minimum=group.minimum_interval if central else 0)
