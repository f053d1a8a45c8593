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

"""[scheduler]: who this scheduler is, how it works and how much at once."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup('scheduler', title='The scheduler itself')


def _old(name: str) -> cfg.DeprecatedOpt:
    """Name an option as it was spelled before there were groups."""
    return cfg.DeprecatedOpt(name, group='DEFAULT')


OPTS = [
    cfg.BoolOpt(
        'service-mode', default=False,
        deprecated_opts=[
            _old('service-mode'),
            cfg.DeprecatedOpt('centralized-scheduler', group='scheduler')],
        help='Back up every project that gives its jobs to this client, each '
             'with its own authority through a Keystone trust. Otherwise, in '
             'classic mode, the client is that of one project, and acts '
             'with the account of [service_auth].'),
    cfg.StrOpt(
        'client-id', short='c', deprecated_opts=[_old('client-id')],
        help='Name under which users find this scheduler. Schedulers with '
             'the same name share the work. Default: project id and host '
             'name, joined by an underscore.'),
    cfg.IntOpt(
        'claim-interval', default=5,
        help='Most seconds between two questions for due runs: each waits '
             '0.8 to 1 of it, by chance, so that schedulers of one client do '
             'not always ask in one order, or until the API has said that '
             'the next job comes due, but a second at least. Where only '
             '"interval" is set, that is taken.'),
    cfg.IntOpt(
        'claim-batch', default=50, mutable=True,
        help='Most runs to take over with one question.'),
    cfg.IntOpt(
        'lease-seconds',
        help='Seconds for which a run is ours without renewal; another '
             'scheduler goes on with it after that. Default: 60, or more '
             'where the claim interval asks for it.'),
    cfg.IntOpt(
        'request-timeout', default=30,
        help='Seconds to wait for an answer of Keystone, Cinder or the '
             'Freezer API.'),
    cfg.IntOpt(
        'poll-interval', default=10, mutable=True,
        help='Most seconds between two looks at a backup that is being made. '
             'The first looks follow each other faster.'),
    cfg.IntOpt(
        'workers', default=8,
        help='Threads that talk to Cinder. A backup that is being made '
             'and an agent that runs hold none of them.'),
    cfg.IntOpt(
        'max-in-flight', default=50, mutable=True,
        help='Most runs worked on at one time. One that waits for another '
             'try, for a busy volume, or for longer than 30 seconds does not '
             'count. One of several volumes counts once for each that is '
             'being backed up.'),
    cfg.IntOpt(
        'max-in-flight-per-project', default=10, mutable=True,
        help='Most runs of one project going on at one time, waiting ones '
             'included, over all schedulers of this client, and most volumes '
             'of one project being backed up by this one. To be smaller '
             'than max_in_flight, so that no project keeps out the others.'),
    cfg.IntOpt(
        'heartbeat-interval', default=60,
        help='Seconds between two registrations of this client.'),
    cfg.IntOpt(
        'maintenance-interval', default=60,
        help='Seconds between two requests to the API to try pending '
             'deletions of trusts again.'),
    cfg.IntOpt(
        'backup-timeout', default=86400, mutable=True,
        help='Seconds after which an unfinished backup or restore counts as '
             'failed. A scheduler that takes a run over counts anew. An '
             'agent is ended after them.'),
    cfg.IntOpt(
        'busy-timeout', default=3600, mutable=True,
        help='Seconds to wait for a volume that Cinder is busy with.'),
    cfg.StrOpt(
        'pid-file',
        help='File that names the running scheduler. Default: '
             '/run/freezer/scheduler.pid for root, else '
             '~/.freezer/scheduler.pid. In the foreground one is written '
             'only where this option is set.'),
    cfg.BoolOpt(
        'no-daemon', default=False, deprecated_opts=[_old('no-daemon')],
        help='Stay in the foreground and log to standard error.'),
    cfg.BoolOpt(
        'insecure', default=False,
        help='Do not check the certificates of servers.'),
    cfg.BoolOpt(
        'disable-exec', default=False, deprecated_opts=[_old('disable-exec')],
        help='Take "exec" out of the supported actions.'),
    cfg.IntOpt(
        'interval', short='i', default=60, deprecated_opts=[_old('interval')],
        help='Stands in for claim_interval where it alone is set.'),
    cfg.BoolOpt(
        'no-api', short='n', default=False, deprecated_opts=[_old('no-api')],
        help='Run jobs from the files in jobs_dir, without the Freezer API. '
             'Refused in service mode.'),
    cfg.StrOpt(
        'jobs-dir', short='f', default='/etc/freezer/scheduler/conf.d',
        deprecated_opts=[_old('conf')],
        help='With no_api: a job file, or a folder in which files that end '
             'in .conf count. The variable FREEZER_SCHEDULER_CONF_D sets '
             'another default.'),
    cfg.IntOpt(
        'concurrent-jobs', default=1, mutable=True,
        deprecated_opts=[_old('concurrent_jobs')],
        help='Most agents that run at one time. Further runs wait.'),
    cfg.StrOpt(
        'agent-command', default='freezer-agent',
        help='The freezer-agent of release 19.0.0: a name to be found on '
             'PATH, or a path. It lives in an environment of its own.'),
    cfg.StrOpt(
        'agent-dir',
        help='Folder for what agents are told, which is removed with each '
             'agent. Default: "agents", beside the default of pid_file.'),
    cfg.IntOpt(
        'agent-grace', default=30, mutable=True,
        help='Seconds between asking an agent to end and killing it, with '
             'all that it started.'),
    cfg.BoolOpt(
        'enable-v1-api', default=False,
        deprecated_opts=[_old('enable-v1-api')],
        help='Refused: version 1 of the API is gone.'),
]
