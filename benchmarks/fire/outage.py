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

"""The Freezer API away for an hour, while backups go on in a real Cinder.

Keystone, Cinder, the API and all schedulers are real: two central ones, and
one of a project with the freezer-agent of release 19.0.0. Once their runs are
under way the API is killed. Meanwhile backups end, Cinder itself dies and
comes back, agents end well and badly, and jobs come due. Then the API comes
back, and what it says of each run is held against what really happened.
Status 1: a promise was broken.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import signal
import sqlite3
import sys
import tempfile
import time
from typing import Any

from benchmarks.fire import audit
from benchmarks.fire import evidence
from benchmarks.fire import scheduler
from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import credentials
from tools.cloud import environments
from tools.cloud import progress
from tools.cloud import secrets

SERVERS = ('keystone', 'cinder', 'freezer-api')
CENTRAL, OWN = 'central', 'web-1'

# Seconds by which an end may be noted late: schedulers look at Cinder every
# so often, and the fuller it is, the less often at each backup.
_NOTED_WITHIN = 45
_PATIENCE = 900
_TO_MAKE_JOBS = 90
_VOLUMES = 8
_INTERVAL = 600


class Classic(scheduler.Scheduler):
    """The scheduler of one project, with the agent of 19.0.0."""

    def __init__(self, made: cloud.Cloud, home: pathlib.Path,
                 account: str) -> None:
        stock = made.environments.stock
        self._account: Mapping[str, str] = {
            **credentials.variables(made.account(account),
                                    made.settings.auth_url),
            'PATH': f'{stock.venv}/bin:{os.environ["PATH"]}'}
        super().__init__('own', home, made.environments.service, {
            'scheduler': {'client_id': OWN, 'agent_dir': home / 'agents',
                          'concurrent_jobs': 10}})

    @property
    def _variables(self) -> dict[str, str]:
        return {**super()._variables, **self._account}


class Rows:
    """The API's database."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def rows(self, query: str) -> Sequence[Any]:
        with contextlib.closing(sqlite3.connect(
                f'file:{self._path}?mode=ro', uri=True, timeout=60)) as base:
            return base.execute(query).fetchall()


@dataclasses.dataclass
class Job:
    """A job of the trial.

    :ivar title: what is to be seen with it
    :ivar under_way: whether it runs when the API is killed
    :ivar volume: of which it is a backup, empty for none
    :ivar marks: the file that an agent's command leaves when it ends
    :ivar end: the state its first run is to have, None for what Cinder says
    """

    title: str
    id: str
    under_way: bool
    volume: str = ''
    marks: pathlib.Path | None = None
    end: str | None = None


@dataclasses.dataclass(frozen=True)
class Run(evidence.Run):
    """A run as it stands at the end.

    :ivar fence: how often it was handed out
    """

    fence: int = 0


class Outage:
    """One trial.

    :param home: a folder, for what is configured and logged
    """

    def __init__(self, made: cloud.Cloud, home: pathlib.Path,
                 seconds: int, tell: progress.Progress) -> None:
        self._made = made
        self._home = home
        self._seconds = seconds
        self._tell = tell
        self._jobs: list[Job] = []
        self._sessions = {name: made.session(name)
                          for name in ('project-1', 'project-2')}
        self._rows = Rows(made.layout.state / 'freezer/freezer.db')
        self.killed = self.back = 0.0

    def run(self) -> None:
        """Have it all happen."""
        with self._tell.step('making jobs'):
            data = self._make_data()
            begin = time.time() + _TO_MAKE_JOBS
            self._make_jobs(begin, data)
        with self._tell.step('waiting until all runs are under way'):
            self._until(lambda: time.time() > begin and self._under_way())
        self._make_due_jobs()
        self._made.kill('freezer-api')
        self.killed = time.time()
        self._tell.say('the API is killed')
        with self._tell.step('killing Cinder once half of its work is done'):
            self._until(lambda: 2 * self._finished() >= _VOLUMES - 2)
            self._made.kill('cinder')
            self._made.up(names=('cinder',))
        with self._tell.step(f'waiting {self._seconds} seconds'):
            time.sleep(max(0.0, self.killed + self._seconds - time.time()))
        self._made.up(names=('freezer-api',))
        self.back = time.time()
        with self._tell.step('waiting for what goes on'):
            self._until(self._settled)

    def _make_data(self) -> pathlib.Path:
        data = self._home / 'data'
        data.mkdir()
        for number in range(8):
            with data.joinpath(f'{number}').open('wb') as file:
                for _ in range(64):
                    file.write(os.urandom(1 << 20))
        return data

    def _make_jobs(self, begin: float, data: pathlib.Path) -> None:
        volumes = [one['id'] for one in self._made.volumes('project-1')]
        for number, volume in enumerate(volumes[:-2]):
            # Half of them come due again meanwhile.
            again = number % 2 == 0
            self._job('project-1', CENTRAL, Job(
                f'backup {number + 1} by Cinder'
                + (', due again meanwhile' if again else ''), '', True,
                volume), _schedule(begin, self._seconds if again else 0))
        script = self._home / 'command.sh'
        script.write_text('sleep $1; date +%s > "$2"; exit $3\n')
        log = {'log_file': str(self._home / 'agent.log'),
               'storage': 'local', 'container': str(self._home / 'store')}

        def command(seconds: int, status: int, end: str) -> None:
            marks = self._home / f'ended-{seconds}'
            self._job('project-2', OWN, Job(
                f'command for {seconds} s, status {status}', '', True,
                marks=marks, end=end), _schedule(begin, 0), {
                    'action': 'exec', **log, 'command':
                        f'sh {script} {seconds} {marks} {status}'})

        command(120, 0, 'success')
        command(180, 3, 'fail')
        # Still going on when the API comes back.
        command(self._seconds + 240, 0, 'success')
        self._job('project-2', OWN, Job(
            'directory by freezer-agent', '', True, end='success'),
            _schedule(begin, 0), {
                'action': 'backup', 'mode': 'fs', **log,
                'backup_name': 'data', 'path_to_backup': str(data),
                'no_incremental': True, 'engine': 'tar'})

    def _make_due_jobs(self) -> None:
        now = time.time()
        second, last = [
            one['id'] for one in self._made.volumes('project-1')[-2:]]
        self._job('project-1', CENTRAL, Job(
            'due several times meanwhile', '', False, second, end='success'),
            _schedule(now + self._seconds / 12, self._seconds * 5 / 6))
        self._job('project-1', CENTRAL, Job(
            'due just after the kill', '', False, last),
            _schedule(now + 4, 0))

    def _job(self, project: str, client: str, job: Job,
             schedule: dict[str, Any],
             action: dict[str, Any] | None = None) -> None:
        session = self._sessions[project]
        action = action or {'action': 'backup', 'mode': 'cindernative',
                            'cindernative_vol_id': job.volume}
        job.id = session.call(
            'POST', f'{self._made.urls["freezer-api"]}/v2'
                    f'/{session.project_id}/jobs',
            {'client_id': client, 'description': job.title,
             'job_schedule': schedule, 'job_actions': [{
                 'freezer_action': action, 'max_retries': 0}]})['job_id']
        self._jobs.append(job)

    def _until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not what():
            if time.monotonic() > end:
                raise SystemExit('it takes too long')
            time.sleep(0.5)

    def _under_way(self) -> bool:
        states = [step['state'] for (text,) in self._rows.rows(
            "SELECT actions FROM job_runs WHERE state = 'running'") if text
            for step in json.loads(text)]
        return states.count('submitted') == len(
            [job for job in self._jobs if job.under_way])

    def _finished(self) -> int:
        return sum(backup['status'] == 'available'
                   for backup in self._made.backups('project-1'))

    def _settled(self) -> bool:
        return not self._rows.rows(
            'SELECT 1 FROM jobs WHERE run_id IS NOT NULL '
            'OR next_run_at IS NOT NULL')

    # -- what is seen --

    def promises(self) -> dict[str, list[str]]:
        """Return what is promised, and each case in which it was broken."""
        runs = self._runs()
        by_job = {job.id: [run for run in runs if run.job_id == job.id]
                  for job in self._jobs}
        backups = self._made.backups('project-1')
        stood = [job for job in self._jobs if job.under_way]
        found = evidence.Evidence(
            jobs=evidence.jobs(self._rows), runs=[*runs], changes=[],
            reports=[], taken=[], backups=[], windows=[], lives=[],
            records=evidence.records(self._rows))
        limits = audit.Limits(10, 0)
        with_records = {job.id for job in self._jobs if not job.marks}
        return {
            'each firing is exactly one run, or part of one':
                list(audit.chains(found, limits)),
            'each run has an end, and a good one or a reason':
                [f'{run}' for run in runs if run.state == 'running'
                 or run.time_ended is None
                 or (run.state != 'success' and not run.reason)],
            'each run has the end that it really had':
                list(_wrong_ends(self._jobs, by_job, backups)),
            'a run has one backup in Cinder, and no backup is another\'s':
                list(_wrong_backups(self._jobs, by_job, backups)),
            'each good run has exactly one record': list(audit.records(
                dataclasses.replace(found, runs=[
                    run for run in runs if run.job_id in with_records]),
                limits)),
            'what began before began before':
                [f'{job.title}: at {by_job[job.id][0].time_started}'
                 for job in stood
                 if (by_job[job.id][0].time_started or 0) > self.killed],
            'what ended meanwhile ended then':
                list(_wrong_times(stood, by_job, backups)),
            'no run was taken from a scheduler that lived':
                [f'{run}' for run in runs if run.fence > 1],
            'what came due meanwhile was run or says why not':
                [f'{job.title}: no run' for job in self._jobs
                 if not by_job[job.id]]}

    def _runs(self) -> list[Run]:
        return [Run(*row) for row in self._rows.rows(
            'SELECT id, job_id, nominal_at, state, reason, time_started, '
            'time_ended, covers_until, fence FROM job_runs '
            'ORDER BY nominal_at')]

    def table(self) -> Iterator[str]:
        """Yield a line for each run, its times counted from the kill."""
        yield (f'{"job":45}{"due":>7}{"begun":>7}{"ended":>7}  '
               'state, and why')
        runs = self._runs()
        for job in self._jobs:
            for run in [one for one in runs if one.job_id == job.id]:
                times = ''.join(
                    f'{round(moment - self.killed) if moment else "":>7}'
                    for moment in (run.nominal_at, run.time_started,
                                   run.time_ended))
                reason = (run.reason or '').replace(f'{self._home}', 'FOLDER')
                yield (f'{job.title:45}{times}  {run.state}'
                       + (f': {reason[:160]}' if reason else ''))


def _schedule(begin: float, seconds: float) -> dict[str, Any]:
    """Due once, or every ten minutes for a while."""
    if not seconds:
        return {'schedule_date': _date(begin)}
    return {'schedule_start_date': _date(begin),
            'schedule_end_date': _date(begin + seconds),
            'schedule_interval': f'{_INTERVAL} seconds'}


def _date(epoch: float) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(epoch))


_ByJob = Mapping[str, Sequence[Run]]
_Backups = Sequence[Mapping[str, Any]]


def _backups_of(job: Job, backups: _Backups) -> list[Mapping[str, Any]]:
    return [one for one in backups if one['volume_id'] == job.volume]


def _wrong_ends(jobs: Sequence[Job], by_job: _ByJob,
                backups: _Backups) -> Iterator[str]:
    for job in jobs:
        for run in by_job[job.id]:
            wanted = job.end
            if wanted is None or run.nominal_at != by_job[
                    job.id][0].nominal_at:
                states = {one['metadata']['freezer_run_id']: one['status']
                          for one in _backups_of(job, backups)}
                wanted = {'available': 'success', 'error': 'fail'}.get(
                    states.get(run.id, ''), '')
            if wanted and run.state != wanted:
                yield f'{job.title}: {run.state}, and it was {wanted}'


def _wrong_backups(jobs: Sequence[Job], by_job: _ByJob,
                   backups: _Backups) -> Iterator[str]:
    for job in jobs:
        made = [one['metadata']['freezer_run_id']
                for one in _backups_of(job, backups)]
        begun = [run.id for run in by_job[job.id]
                 if job.volume and run.state in ('success', 'fail')]
        if sorted(made) != sorted(begun):
            yield f'{job.title}: runs {begun}, backups {made}'


def _wrong_times(jobs: Sequence[Job], by_job: _ByJob,
                 backups: _Backups) -> Iterator[str]:
    for job in jobs:
        run = by_job[job.id][0]
        if job.marks is not None:
            ended = int(job.marks.read_text())
        elif job.volume:
            [moment] = [one['updated_at']
                        for one in _backups_of(job, backups)
                        if one['metadata']['freezer_run_id'] == run.id]
            ended = int(datetime.datetime.fromisoformat(moment).replace(
                tzinfo=datetime.UTC).timestamp())
        else:
            continue
        late = (run.time_ended or 0) - ended
        if not -2 <= late <= _NOTED_WITHIN:
            yield f'{job.title}: noted {late} s after it ended'


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='benchmarks/fire/run-outage', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=int, default=3600,
                        help='for which the API is away')
    parser.add_argument('--output', type=pathlib.Path,
                        help='file for the report, too')
    parser.add_argument('--keep', type=pathlib.Path, metavar='FOLDER',
                        help='where logs and configurations stay')
    chosen = parser.parse_args()
    # 19.0.0 takes its commands apart at blanks.
    with tempfile.TemporaryDirectory(prefix='outage-') as folder:
        if chosen.keep is not None:
            chosen.keep.mkdir(parents=True)
        text, held = _trial(chosen.seconds,
                            (chosen.keep or pathlib.Path(folder)).resolve(),
                            progress.Progress(sys.stdout))
    print(text, flush=True)
    if chosen.output is not None:
        chosen.output.write_text(text + '\n')
    return 0 if held else 1


def _trial(seconds: int, home: pathlib.Path,
           tell: progress.Progress) -> tuple[str, bool]:
    made = cloud.Cloud(home / 'cloud', home=environments.default_home(),
                       tell=tell)
    made.environments.stock.make(commands.Commands(), tell)
    options = cloud.Options.on_free_ports(projects=2, volumes=_VOLUMES)
    with contextlib.ExitStack() as stack:
        made.up(dataclasses.replace(options, mib_per_gb=512), SERVERS)
        stack.callback(made.down)
        central = config.scheduler(made.layout, made.settings,
                                   secrets.load(made.layout))
        # As operators have it by default.
        del central['scheduler']['claim_interval']
        del central['scheduler']['poll_interval']
        team: list[scheduler.Scheduler] = [
            scheduler.Scheduler(name, home / name, made.environments.service,
                                central) for name in ('s1', 's2')]
        team.append(Classic(made, home / 'own', 'project-2'))
        for one in team:
            stack.callback(one.end, signal.SIGKILL)
            one.start()
        session = made.session('project-2')
        end = time.monotonic() + 60
        while len(session.call(
                'GET', f'{made.urls["freezer-api"]}/v2/{session.project_id}'
                       '/clients')['clients']) < 2:
            if time.monotonic() > end:
                raise SystemExit('the schedulers have not registered')
            time.sleep(0.5)
        trial = Outage(made, home, seconds, tell)
        trial.run()
        promises = trial.promises()
        lines = [
            f'The API was away for {trial.back - trial.killed:.0f} seconds; '
            'times in seconds from the kill on.', '', *trial.table(), '']
        for one in team:
            one.end(signal.SIGTERM)
        promises['all schedulers end well'] = [
            f'{one.name}: {status}' for one in team
            for _pid, status in one.bad_ends]
    for promise, cases in promises.items():
        lines.append(f'{"BROKEN" if cases else "held":8} {promise}')
        lines += [f'         {case}' for case in cases]
    return '\n'.join(lines), not any(promises.values())
