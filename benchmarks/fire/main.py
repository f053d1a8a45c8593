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

"""One trial from its beginning to its report."""

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
from benchmarks.fire import firings
from benchmarks.fire import options
from benchmarks.fire import plan
from benchmarks.fire import report
from benchmarks.fire import scene
from benchmarks.fire import servers
from benchmarks.fire import trial
from benchmarks.fire import upstream
from tools.cloud import cloud
from tools.cloud import environments as cloud_environments
from tools.cloud import progress


def main() -> int:
    chosen = options.read()
    tell = progress.Progress(sys.stdout)
    if chosen.keep is not None:
        chosen.keep.mkdir(parents=True)
        text, held = _trial(chosen, chosen.keep.resolve(), tell)
    else:
        # 19.0.0 takes its commands apart at blanks.
        with tempfile.TemporaryDirectory(
                prefix='fire-' if chosen.upstream else 'fire ') as folder:
            text, held = _trial(chosen, pathlib.Path(folder), tell)
    print(text, flush=True)
    if chosen.output is not None:
        chosen.output.write_text(text + '\n')
    if not held:
        print('\nA promise was broken. The same goes wrong with --seed '
              f'{chosen.seed}.')
    return 0 if held else 1


def _trial(chosen: argparse.Namespace, home: pathlib.Path,
           tell: progress.Progress) -> tuple[str, bool]:
    envs = cloud_environments.default_home()
    with scene.keystone(home / 'cloud', chosen.projects, envs, tell) as made:
        return conduct(chosen, made, home, tell)


def conduct(chosen: argparse.Namespace, made: cloud.Cloud,
            home: pathlib.Path, tell: progress.Progress) -> tuple[str, bool]:
    """Carry out one trial.

    :param chosen: see benchmarks.fire.options
    :param made: a cloud of which Keystone is up
    :param home: a folder, for what is configured and logged
    :returns: the report, and whether all promises were kept
    """
    size = scene.Size(chosen.jobs, chosen.projects, chosen.schedulers,
                      chosen.interval, busy=1)
    timings = scene.SHIPPED if chosen.shipped else scene.TUNED
    seconds, lease = 60 * chosen.minutes, timings['lease_seconds']
    envs = cloud_environments.default_home()
    env = environments.make(environments.Environments(envs).ours, tell)
    stock = environments.make(
        upstream.environment(envs), tell) if chosen.upstream else None
    with contextlib.ExitStack() as stack:
        server = (stack.enter_context(servers.made(chosen.database))
                  if chosen.own_server else None)
        team = stack.enter_context(
            scene.own_team(made, home, env, timings) if stock is None
            else scene.stock_team(made, home, stock))
        stage = stack.enter_context(scene.scene(
            made, chosen.database,
            server.url if server is not None else
            chosen.server or options.SERVERS[chosen.database], home, size,
            env, team))
        stage.server = server
        with tell.step(f'seed {chosen.seed}; {chosen.jobs} jobs'):
            begin = stage.make_jobs(size, chosen.seed, seconds)
        one = trial.Trial(stage, begin, tell)
        one.run(plan.draw(chosen.seed, seconds, one.names, stage.guest,
                          lease, chosen.pause, chosen.only,
                          chosen.stopped), seconds)
        ended = time.time()
        with tell.step('waiting for what goes on'):
            if chosen.upstream:
                time.sleep(2 * lease)
                one.stop()
                return report.of_upstream(
                    chosen, firings.of_starts(
                        evidence.jobs(stage.database),
                        upstream.starts(home, stage.jobs))), True
            one.drain(6 * lease)
            one.stop()
        found = one.evidence(ended)
    limits = audit.Limits(timings['claim_interval'], chosen.patience)
    broken = {promise: list(rule(found, limits))
              for promise, rule in audit.PROMISES.items()}
    return (report.of_own(chosen, found, broken),
            not any(broken.values()))
