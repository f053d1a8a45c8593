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

"""One soak from its beginning to its report."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time

from benchmarks.api import environments
from benchmarks.fire import audit
from benchmarks.fire import evidence
from benchmarks.fire import options as fire_options
from benchmarks.fire import plan
from benchmarks.fire import scene
from benchmarks.fire import trial
from benchmarks.soak import looks
from benchmarks.soak import options
from benchmarks.soak import report
from benchmarks.soak import scheduler
from tools.cloud import cloud
from tools.cloud import config
from tools.cloud import environments as cloud_environments
from tools.cloud import progress
from tools.cloud import secrets

# Nothing that is measured ends by these.
_KINDS = (plan.Kind.NAP, plan.Kind.SLEEP, plan.Kind.JOIN, plan.Kind.DATABASE,
          plan.Kind.CINDER, plan.Kind.KEYSTONE)

# Backups are this old when they are pruned, in days: three minutes.
_AGE = 0.002

#: What can be told where runs are trimmed.
_PROMISES = [name for name, rule in audit.PROMISES.items() if rule in (
    audit.leases, audit.stale, audit.complaints)]


def main() -> int:
    chosen = options.read()
    tell = progress.Progress(sys.stdout)
    with tempfile.TemporaryDirectory(prefix='soak ') as folder:
        text, held = _soak(chosen, pathlib.Path(folder), tell)
    print(text, flush=True)
    if chosen.output is not None:
        chosen.output.write_text(text + '\n')
    return 0 if held else 1


def _soak(chosen: argparse.Namespace, home: pathlib.Path,
          tell: progress.Progress) -> tuple[str, bool]:
    envs = cloud_environments.default_home()
    env = environments.make(environments.Environments(envs).ours, tell)
    seconds = 60 * chosen.minutes
    interval = max(1, round(
        chosen.interval * seconds / (3600 * chosen.hours)))
    size = scene.Size(chosen.jobs, chosen.projects, chosen.schedulers,
                      interval, busy=1, prunes=1, keep_days=_AGE)
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(scene.keystone(
            home / 'cloud', chosen.projects, envs, tell))
        stage = stack.enter_context(scene.scene(
            made, chosen.database,
            chosen.server or fire_options.SERVERS[chosen.database], home,
            size, env, _team(made, home, env),
            {'keep_runs_last': chosen.keep_runs}))
        with tell.step(f'{chosen.jobs} jobs, one firing of each in '
                       f'{interval} s'):
            begin = stage.make_jobs(size, chosen.seed, seconds)
        one = trial.Trial(stage, begin, tell)
        time.sleep(max(0.0, begin - time.time()))
        with looks.Looks(lambda: _look(stage, one.names),
                         chosen.every, _limits(chosen, interval)) as seen:
            one.run(plan.draw(
                chosen.seed, seconds, one.names, stage.guest,
                scene.TUNED['lease_seconds'], chosen.pause, _KINDS), seconds)
        ended = time.time()
        with tell.step('waiting for what goes on'):
            one.drain(6 * scene.TUNED['lease_seconds'])
            one.stop()
        found = one.evidence(ended)
    verdicts = seen.verdicts()
    broken = _broken(chosen, found)
    return (report.text(chosen, interval, found, verdicts, broken),
            all(one.flat for one in verdicts.values())
            and not any(broken.values()))


def _limits(chosen: argparse.Namespace, interval: int) -> dict[str, float]:
    """Return what the rules of retention leave, and three of each job more.

    What is too old or too many goes with the next backup, or the next pass.
    """
    return {'backups': chosen.jobs * (86_400 * _AGE / interval + 3),
            'job_runs': chosen.jobs * (chosen.keep_runs + 3)}


def _team(made: cloud.Cloud, home: pathlib.Path,
          env: cloud_environments.Environment) -> scene.Team:
    settings = config.scheduler(made.layout, made.settings,
                                secrets.load(made.layout))
    settings['scheduler'] |= {'client_id': scene.CLIENT, **scene.TUNED}
    return lambda name: scheduler.Scheduler(name, home / name, env, settings)


def _look(stage: scene.Scene, names: list[str]) -> looks.Figures:
    found: looks.Figures = {}
    for name, value in looks.of_processes(stage.api.pids).items():
        found['API', name] = value
    for name in names:
        one = stage.schedulers[name]
        assert isinstance(one, scheduler.Scheduler)
        for what, value in looks.of_processes([one.lives[-1].pid]).items():
            found[name, what] = value
        found[name, 'trust sessions'] = one.sessions
    for table, value in looks.of_tables(stage.database).items():
        found[table, 'rows'] = value
    return found


def _broken(chosen: argparse.Namespace,
            found: evidence.Evidence) -> dict[str, list[str]]:
    limits = audit.Limits(scene.TUNED['claim_interval'], chosen.patience)
    return {name: list(audit.PROMISES[name](found, limits))
            for name in _PROMISES}
