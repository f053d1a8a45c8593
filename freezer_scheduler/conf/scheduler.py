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

"""[scheduler]: the client, its mode, limits and intervals."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('scheduler', title='The scheduler itself')


def _old(name: str) -> cfg.DeprecatedOpt:
    """Name an option as it was spelled before there were groups."""
    return cfg.DeprecatedOpt(name, group='DEFAULT')


# Seconds. The API accepts no longer lease than an hour.
LONGEST_CLAIM_INTERVAL = 600

OPTS = [
    cfg.BoolOpt(
        'service-mode', default=False,
        deprecated_opts=[
            _old('service-mode'),
            cfg.DeprecatedOpt('centralized-scheduler', group='scheduler')],
        help='Serve all projects that assign jobs to this client, each with '
             'the authority of the job\'s user through a Keystone trust. '
             'Otherwise, in classic mode, the client serves one project, '
             'with the account of [service_auth].'),
    cfg.StrOpt(
        'client-id', short='c', deprecated_opts=[_old('client-id')],
        help='Name under which users find this scheduler. Schedulers with '
             'the same name share the work. Default: project id and host '
             'name, joined by an underscore.'),
    cfg.IntOpt(
        'claim-interval', default=5, min=1, max=LONGEST_CLAIM_INTERVAL,
        help='Longest time between two claims, in seconds. The scheduler '
             'waits a random 0.8 to 1 of it, so that the order of the '
             'schedulers of a client varies. It claims earlier when the API '
             'has announced an earlier due job, but not within a second. '
             'Default: "interval", if that is set.'),
    cfg.IntOpt(
        'claim-batch', default=50, min=1, max=1000, mutable=True,
        help='Largest number of runs in one claim.'),
    cfg.IntOpt(
        'lease-seconds', min=10, max=3600,
        help='Seconds for which a run stays claimed without a renewal. After '
             'that, another scheduler can continue it. Default: 60, or more '
             'if the claim interval needs it.'),
    cfg.IntOpt(
        'request-timeout', default=30, min=1, max=600,
        help='Seconds to wait for an answer of Keystone, Cinder or the '
             'Freezer API.'),
    cfg.IntOpt(
        'poll-interval', default=10, min=1, max=3600, mutable=True,
        help='Longest time between two requests for the state of a backup in '
             'progress, in seconds. The first requests follow faster.'),
    cfg.IntOpt(
        'workers', default=8, min=1, max=128,
        help='Number of concurrent requests to Cinder, and of concurrent '
             'logins at Keystone. Requests that take longer than 2 seconds '
             'continue in threads of their own and do not delay others. In '
             'service mode one project uses at most a quarter of the '
             'workers. A backup in progress and a running agent use none.'),
    cfg.IntOpt(
        'max-in-flight', default=50, min=1, max=10_000, mutable=True,
        help='Largest number of runs in progress at one time. A run does not '
             'count while it waits for a retry, for a busy volume or for '
             'longer than 30 seconds, or while it waits longer than 2 seconds '
             'for an answer; of the runs that Cinder works on, at most half '
             'of this number are left out in this way. A run of several '
             'volumes counts once for each volume in progress.'),
    cfg.IntOpt(
        'max-in-flight-per-project', default=10, min=1, max=10_000,
        mutable=True,
        help='Largest number of runs of one project in progress, including '
             'waiting ones, over all schedulers of this client; and largest '
             'number of volumes of one project that this scheduler backs up '
             'at one time. Set it lower than max_in_flight, so that one '
             'project cannot block the others.'),
    cfg.IntOpt(
        'heartbeat-interval', default=60, min=5, max=86400,
        help='Seconds between two registrations of this client.'),
    cfg.IntOpt(
        'maintenance-interval', default=60, min=5, max=86400,
        help='Seconds between two calls for maintenance, in which the API '
             'retries pending deletions of trusts.'),
    cfg.IntOpt(
        'backup-timeout', default=86400, min=60, max=30 * 86400, mutable=True,
        help='Seconds after which an unfinished backup or restore fails. The '
             'time begins again when another scheduler continues the run. An '
             'agent is ended after this time.'),
    cfg.IntOpt(
        'token-percent', default=90, min=0, max=95,
        help='Least remaining life of the token, in percent, when the '
             'scheduler requests a backup, a restore or a deletion from '
             'Cinder. If less remains, the scheduler logs in again first. '
             'The Swift driver of Cinder uses this token as long as the '
             'backup takes, unless Cinder and Swift use service tokens.'),
    cfg.IntOpt(
        'busy-timeout', default=3600, min=0, max=30 * 86400, mutable=True,
        help='Seconds to wait for a volume that Cinder is busy with, or for '
             'Cinder and Keystone to be available again.'),
    cfg.StrOpt(
        'pid-file',
        help='File with the process ID of the running scheduler. Default: '
             '/run/freezer/scheduler.pid for root, else '
             '~/.freezer/scheduler.pid. In the foreground the file is written '
             'only if this option is set.'),
    cfg.BoolOpt(
        'no-daemon', default=False, deprecated_opts=[_old('no-daemon')],
        help='Stay in the foreground and log to standard error.'),
    cfg.BoolOpt(
        'insecure', default=False,
        help='Do not verify the certificates of servers.'),
    cfg.BoolOpt(
        'disable-exec', default=False, deprecated_opts=[_old('disable-exec')],
        help='Remove "exec" from the supported actions.'),
    cfg.IntOpt(
        'interval', short='i', default=60, min=1,
        deprecated_opts=[_old('interval')],
        help='Value of claim_interval if only this option is set.'),
    cfg.BoolOpt(
        'no-api', short='n', default=False, deprecated_opts=[_old('no-api')],
        help='Run jobs from the files in jobs_dir, without the Freezer API. '
             'Refused in service mode.'),
    cfg.StrOpt(
        'jobs-dir', short='f', default='/etc/freezer/scheduler/conf.d',
        deprecated_opts=[_old('conf')],
        help='With no_api: a job file, or a folder with job files that end in '
             '.conf. The variable FREEZER_SCHEDULER_CONF_D sets another '
             'default.'),
    cfg.IntOpt(
        'concurrent-jobs', default=1, min=1, max=2500, mutable=True,
        deprecated_opts=[_old('concurrent_jobs')],
        help='Largest number of agents at one time. Further runs wait.'),
    cfg.StrOpt(
        'agent-command', default='freezer-agent',
        help='The freezer-agent of release 19.0.0: a name on PATH, or a path. '
             'Install it in an environment of its own.'),
    cfg.StrOpt(
        'agent-dir',
        help='Folder for the configuration files of agents, which are removed '
             'when the agent ends. Default: "agents", beside the default of '
             'pid_file.'),
    cfg.IntOpt(
        'agent-grace', default=30, min=0, max=3600, mutable=True,
        help='Seconds between SIGTERM and SIGKILL for an agent and all '
             'processes that it started.'),
    cfg.BoolOpt(
        'enable-v1-api', default=False,
        deprecated_opts=[_old('enable-v1-api')],
        help='Refused: version 1 of the API no longer exists.'),
]
