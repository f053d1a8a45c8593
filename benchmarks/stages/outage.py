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

"""The Freezer API is down for an hour, while backups go on in a real Cinder.

Keystone, Cinder, the API and all schedulers are real: two central ones, and
one of a project with the freezer-agent of release 19.0.0. Once their runs are
under way the API is killed. Meanwhile backups end, Cinder is killed and
restarted, agents end well and badly, and jobs become due. Then the API is
restarted, and its runs are compared with what Cinder and the agents' commands
say.
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
import time
from typing import Any

from benchmarks.environment import database
from benchmarks.environment import keystone
from benchmarks.environment import scheduler
from benchmarks.environment import virtualenvs
from benchmarks.load import documents
from benchmarks.observation import firings
from benchmarks import report
from benchmarks.stages.chaos import invariants
from benchmarks.stages.chaos import observations
from tools.cloud import cloud
from tools.cloud import credentials
from tools.cloud import errors
from tools.cloud import progress

_SERVERS = ('keystone', 'cinder', 'freezer-api')
_OWN = 'web-1'

# Seconds by which an end may be noted late: schedulers look at Cinder every
# so often, and the fuller it is, the less often at each backup.
_NOTED_WITHIN = 45
_PATIENCE = 900
_TO_MAKE_JOBS = 90
_VOLUMES = 8
_INTERVAL = 600


class ProjectScheduler(scheduler.Scheduler):
    """The scheduler of one project, with the agent of 19.0.0."""

    def __init__(self, made: cloud.Cloud, home: pathlib.Path,
                 account: str) -> None:
        upstream = virtualenvs.upstream()
        self._account: Mapping[str, str] = {
            **credentials.variables(made.account(account),
                                    made.settings.auth_url),
            'PATH': f'{upstream.venv}/bin:{os.environ["PATH"]}'}
        super().__init__('own', home, made.environments.service, {
            'scheduler': {'client_id': _OWN, 'agent_dir': home / 'agents',
                          'concurrent_jobs': 10}})

    @property
    def _variables(self) -> dict[str, str]:
        return {**super()._variables, **self._account}


@dataclasses.dataclass
class Job:
    """A job of the trial.

    :ivar title: what it shows
    :ivar under_way: whether it runs when the API is killed
    :ivar volume: of which it is a backup, empty for none
    :ivar marks: the file that an agent's command leaves when it ends
    :ivar end: expected state of its first run, None for what Cinder says
    """

    title: str
    id: str
    under_way: bool
    volume: str = ''
    marks: pathlib.Path | None = None
    end: str | None = None


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
        self._rows = database.Database(
            f'sqlite:///{made.layout.state}/freezer/freezer.db')
        self.killed = self.back = 0.0

    def run(self) -> None:
        """Let it all happen."""
        with self._tell.step('creating jobs'):
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
        with self._tell.step('waiting for the last runs'):
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
            # Half of them become due again meanwhile.
            again = number % 2 == 0
            self._job('project-1', documents.CENTRAL, Job(
                f'backup {number + 1} by Cinder'
                + (', due again meanwhile' if again else ''), '', True,
                volume), _schedule(begin, self._seconds if again else 0))
        script = self._home / 'command.sh'
        script.write_text('sleep $1; date +%s > "$2"; exit $3\n')
        log = {'log_file': str(self._home / 'agent.log'),
               'storage': 'local', 'container': str(self._home / 'store')}

        def command(seconds: int, status: int, end: str) -> None:
            marks = self._home / f'ended-{seconds}'
            self._job('project-2', _OWN, Job(
                f'command for {seconds} s, status {status}', '', True,
                marks=marks, end=end), _schedule(begin, 0), {
                    'action': 'exec', **log, 'command':
                        f'sh {script} {seconds} {marks} {status}'})

        command(120, 0, 'success')
        command(180, 3, 'fail')
        # Still running when the API is back.
        command(self._seconds + 240, 0, 'success')
        self._job('project-2', _OWN, Job(
            'directory by freezer-agent', '', True, end='success'),
            _schedule(begin, 0), {
                'action': 'backup', 'mode': 'fs', **log,
                'backup_name': 'data', 'path_to_backup': str(data),
                'no_incremental': True, 'engine': 'tar'})

    def _make_due_jobs(self) -> None:
        now = time.time()
        second, last = [
            one['id'] for one in self._made.volumes('project-1')[-2:]]
        self._job('project-1', documents.CENTRAL, Job(
            'due several times meanwhile', '', False, second, end='success'),
            _schedule(now + self._seconds / 12, self._seconds * 5 / 6))
        self._job('project-1', documents.CENTRAL, Job(
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
                raise errors.QuickstartError('it takes too long')
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

    def invariants(self) -> dict[str, list[str]]:
        """Return each invariant, and the cases in which it was broken."""
        runs = firings.runs(self._rows)
        by_job = {job.id: [run for run in runs if run.job_id == job.id]
                  for job in self._jobs}
        backups = self._made.backups('project-1')
        stood = [job for job in self._jobs if job.under_way]
        found = observations.Observations(
            jobs=firings.jobs(self._rows), runs=[*runs], changes=[],
            reports=[], taken=[], backups=[], windows=[], lives=[],
            records=observations.records(self._rows))
        limits = invariants.Limits(10, 0)
        with_records = {job.id for job in self._jobs if not job.marks}
        return {
            'each firing is exactly one run, or part of one':
                list(invariants.chains(found, limits)),
            'each run has an end, and a good one or a reason':
                [f'{run}' for run in runs if run.state == 'running'
                 or run.time_ended is None
                 or (run.state != 'success' and not run.reason)],
            'each run has the end that it really had':
                list(_wrong_ends(self._jobs, by_job, backups)),
            'each run has one backup in Cinder':
                list(_wrong_backups(self._jobs, by_job, backups)),
            'each good run has exactly one record': list(invariants.records(
                dataclasses.replace(found, runs=[
                    run for run in runs if run.job_id in with_records]),
                limits)),
            'a run that started before the kill has kept its start':
                [f'{job.title}: at {by_job[job.id][0].time_started}'
                 for job in stood
                 if (by_job[job.id][0].time_started or 0) > self.killed],
            'a run that ended meanwhile has its real end':
                list(_wrong_times(stood, by_job, backups)),
            'no run was reclaimed from a healthy scheduler':
                [f'{run}' for run in runs if run.fence > 1],
            'a job that was due meanwhile has a run':
                [f'{job.title}: no run' for job in self._jobs
                 if not by_job[job.id]]}

    def table(self) -> report.Table:
        """Return a row for each run, its times counted from the kill."""
        rows = [('job', 'due', 'started', 'ended', 'state', 'reason')]
        runs = firings.runs(self._rows)
        for job in self._jobs:
            for run in [one for one in runs if one.job_id == job.id]:
                due, started, ended = (
                    f'{moment - self.killed:.0f}' if moment else ''
                    for moment in (run.nominal_at, run.time_started,
                                   run.time_ended))
                reason = (run.reason or '').replace(f'{self._home}', 'FOLDER')
                rows.append((job.title, due, started, ended, run.state,
                             reason[:160]))
        return report.Table('Times in seconds after the kill', rows)


def _schedule(begin: float, seconds: float) -> dict[str, Any]:
    """Due once, or every ten minutes for a while."""
    if not seconds:
        return {'schedule_date': documents.utc(begin)}
    return {'schedule_start_date': documents.utc(begin),
            'schedule_end_date': documents.utc(begin + seconds),
            'schedule_interval': f'{_INTERVAL} seconds'}


_ByJob = Mapping[str, Sequence[firings.Run]]
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


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--seconds', type=int, default=3600,
                        help='for which the API is down (%(default)s)')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    made = cloud.Cloud(home / 'cloud', tell=tell)
    virtualenvs.create(virtualenvs.upstream(), tell)
    options = cloud.Options.on_free_ports(projects=2, volumes=_VOLUMES)
    with contextlib.ExitStack() as stack:
        made.up(dataclasses.replace(options, mib_per_gb=512), _SERVERS)
        stack.callback(made.down)
        central = keystone.scheduler_options(made, documents.CENTRAL)
        team: list[scheduler.Scheduler] = [
            scheduler.Scheduler(name, home / name, made.environments.service,
                                central) for name in ('s1', 's2')]
        team.append(ProjectScheduler(made, home / 'own', 'project-2'))
        for one in team:
            stack.callback(one.end, signal.SIGKILL)
            one.start()
        _await_clients(made)
        trial = Outage(made, home, 600 if chosen.quick else chosen.seconds,
                       tell)
        trial.run()
        found = trial.invariants()
        yield report.Figure('API down', trial.back - trial.killed, 's')
        yield trial.table()
        for one in team:
            one.end(signal.SIGTERM)
    found['all schedulers end well'] = [
        f'{one.name}: {status}' for one in team
        for _pid, status in one.bad_ends]
    for name, violations in found.items():
        yield report.Invariant(name, violations)


def _await_clients(made: cloud.Cloud) -> None:
    session = made.session('project-2')
    url = f'{made.urls["freezer-api"]}/v2/{session.project_id}/clients'
    end = time.monotonic() + 60
    while len(session.call('GET', url)['clients']) < 2:
        if time.monotonic() > end:
            raise errors.QuickstartError('the schedulers have not registered')
        time.sleep(0.5)
