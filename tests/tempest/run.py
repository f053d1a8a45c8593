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

"""Runs the tests of freezer-tempest-plugin on a cloud of their own.

``tox -e tempest`` calls it in an environment that holds the plugin and the
stock ``freezer`` command. Arguments are regular expressions that choose among
the tests; without any, all are run but those of ``exclude.txt``.
"""

from __future__ import annotations

import collections
import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import types

from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import errors
from tools.cloud import locks
from tools.cloud import progress

PLUGIN = 'freezer_tempest_plugin'
EXCLUDE = pathlib.Path(__file__).with_name('exclude.txt')

#: Where the plugin keeps documents and backups, on whichever machine.
FIXED_FILES = (pathlib.Path('/tmp/test_action.json'),
               pathlib.Path('/tmp/test_client.json'),
               pathlib.Path('/tmp/freezer_test'),
               pathlib.Path('/tmp/freezer_central_test'),
               pathlib.Path('/tmp/freezer_no_trust'))

#: The plugin's tests put this folder in front of PATH.
PREFERRED = pathlib.Path('/usr/local/bin')

#: Seconds until a job that was given no event becomes due. A test takes the
#: delegation of such a job away with the next command: by default it has no
#: more than five for that.
AUTOSTART_DELAY = 9

#: In the ids of tests that run schedulers of their own.
_SCENARIO = '.freezer.scenario.'

#: How stestr shows the end of a test.
_ENDED = re.compile(r'\{\d+\} (\S+) \[.*\] \.\.\. (\w+)')


class Refused(errors.QuickstartError):
    """The tests cannot be run, or not in a way that says anything."""


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """Why some tests are left out.

    :ivar pattern: what their ids are searched for
    :ivar reason: a sentence
    """

    pattern: re.Pattern[str]
    reason: str


def read_exclusions(text: str) -> list[Exclusion]:
    """The exclusions of a file.

    :raises Refused: one has no reason
    """
    found = []
    for line in text.splitlines():
        pattern, _, reason = line.partition(' # ')
        if not line.strip() or line.startswith('#'):
            continue
        if not reason.strip():
            raise Refused(f'{EXCLUDE.name} gives no reason for {line}')
        found.append(Exclusion(re.compile(pattern.strip()), reason.strip()))
    return found


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which tests are run.

    :ivar chosen: their ids
    :ivar excluded: the ids of others, by the reason
    """

    chosen: list[str]
    excluded: dict[str, list[str]]


def select(ids: list[str], exclusions: list[Exclusion],
           patterns: list[str]) -> Selection:
    """Choose among all the tests there are.

    :param patterns: what ids are searched for; none for all
    :raises Refused: an exclusion excludes nothing, or nothing is chosen
    """
    excluded = {}
    left = ids
    for exclusion in exclusions:
        hit = [name for name in ids if exclusion.pattern.search(name)]
        if not hit:
            raise Refused(f'{EXCLUDE.name}: no test matches '
                          f'{exclusion.pattern.pattern}')
        excluded[exclusion.reason] = hit
        left = [name for name in left if name not in hit]
    chosen = [name for name in left
              if not patterns or any(re.search(pattern, name)
                                     for pattern in patterns)]
    if not chosen:
        raise Refused('there is no such test')
    return Selection(chosen, excluded)


class Workspace:
    """A folder with what tempest wants to find: configuration and results.

    :param folder: to be made
    :param made: the cloud that is tested
    """

    def __init__(self, folder: pathlib.Path, made: cloud.Cloud) -> None:
        self.folder = folder
        self._made = made
        self._child: subprocess.Popen[str] | None = None

    def write(self) -> None:
        """Write the configuration of tempest and of its test runner."""
        for name in ('home/.freezer', 'tmp', 'locks', 'scheduler', 'bin'):
            self.folder.joinpath(name).mkdir(parents=True)
        envs = self._made.environments
        for env, name in ((envs.service, 'freezer-scheduler'),
                          (envs.stock, 'freezer-agent')):
            self.folder.joinpath('bin', name).symlink_to(env.script(name))
        self.folder.joinpath('home/.freezer/scheduler.conf').write_text(
            config.render(self._scheduler()))
        conf = self.folder / 'tempest.conf'
        conf.touch(mode=0o600)
        conf.write_text(config.render(self._tempest()))
        spec = importlib.util.find_spec(PLUGIN)
        if spec is None or spec.origin is None:
            raise Refused(f'{PLUGIN} is not installed in {sys.prefix}')
        plugin = pathlib.Path(spec.origin).parent
        # One class after the other, in one process: tests of the command
        # line show a client that another test of their class registered.
        self.folder.joinpath('.stestr.conf').write_text(
            f"[DEFAULT]\ntest_path={plugin / 'tests'}\n"
            f'top_dir={plugin.parent}\n'
            'group_regex=([^\\.]*\\.)*\n')

    def _scheduler(self) -> config.Options:
        # Tests start and stop a daemon: not the one of this machine.
        return {'scheduler': {'pid_file': self.folder / 'scheduler.pid'}}

    def stop(self) -> None:
        """End the tests, and the scheduler that they may have left running.
        """
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)
        subprocess.run(
            [str(self.folder / 'bin/freezer-scheduler'), 'stop'],
            env=self._env, stdout=subprocess.DEVNULL, check=True)

    def _tempest(self) -> config.Options:
        admin = self._made.account('admin')
        absent = dict.fromkeys(('cinder', 'nova', 'glance', 'neutron',
                                'swift', 'horizon'), False)
        return {
            'DEFAULT': {'log_file': self._made.layout.log / 'tempest.log'},
            'auth': {
                'use_dynamic_credentials': True,
                'admin_username': admin.user,
                'admin_password': admin.password,
                'admin_project_name': admin.project,
                'admin_domain_name': 'Default',
                'tempest_roles': 'member',
                'create_isolated_networks': False,
            },
            'identity': {
                'auth_version': 'v3',
                'uri_v3': self._made.settings.auth_url,
                'region': config.REGION,
                'v3_endpoint_type': 'public',
            },
            'identity-feature-enabled': {'api_v2': False, 'api_v3': True},
            'service_available': {'freezer-api': True, **absent},
            'backup': {'catalog_type': 'backup',
                       'endpoint_type': 'publicURL',
                       'region': config.REGION},
            'oslo_concurrency': {'lock_path': self.folder / 'locks'},
        }

    @property
    def _env(self) -> dict[str, str]:
        scripts = pathlib.Path(sys.executable).parent
        return commands.clean_environment(
            PATH=os.pathsep.join((str(scripts), str(self.folder / 'bin'),
                                  os.environ['PATH'])),
            LOGDIR=str(self._made.layout.log),
            HOME=str(self.folder / 'home'),
            TMPDIR=str(self.folder / 'tmp'),
            PYTHONUNBUFFERED='1',
            # stestr would call it by its path, which may have a blank in it.
            PYTHON='python',
            TEMPEST_CONFIG_DIR=str(self.folder),
            TEMPEST_CONFIG='tempest.conf',
            FREEZER_SCHEDULER_CONF_D=str(self.folder / 'scheduler'),
            OS_AUTH_URL=self._made.settings.auth_url,
            OS_IDENTITY_API_VERSION='3',
            OS_ENDPOINT_TYPE='publicURL',
            OS_BACKUP_URL=self._made.settings.api_url)

    def ids(self) -> list[str]:
        """The ids of all tests of the plugin.

        :raises Refused: they cannot be listed
        """
        done = [subprocess.run(
            [sys.executable, '-m', 'stestr', command], cwd=self.folder,
            env=self._env, capture_output=True, text=True, check=False)
            for command in ('init', 'list')]
        listed = done[-1].stdout.splitlines()
        if any(one.returncode for one in done) or not listed:
            raise Refused(''.join(one.stdout + one.stderr for one in done))
        return listed

    def run(self, ids: list[str]) -> collections.Counter[str]:
        """Run tests, show how they end, then what else there is to say.

        :returns: numbers by what stestr says, ``ok`` for those that passed
        """
        chosen = self.folder / 'chosen.txt'
        chosen.write_text(''.join(f'{name}\n' for name in ids))
        ended: collections.Counter[str] = collections.Counter()
        with subprocess.Popen(
                [sys.executable, '-m', 'stestr', 'run', '--serial',
                 '--load-list', str(chosen)],
                cwd=self.folder, env=self._env, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors='replace',
                start_new_session=True) as child:
            assert child.stdout is not None
            self._child = child
            said = []
            for line in child.stdout:
                if found := _ENDED.match(line):
                    ended[found.group(2)] += 1
                    print(line, end='', flush=True)
                else:
                    said.append(line)
            self._child = None
        # Others run at the same time: it would be among what they say.
        print(''.join(said), end='', flush=True)
        if child.returncode and ended['ok'] == len(ids):
            ended[f'status {child.returncode}'] += 1
        return ended


class ScenarioWorkspace(Workspace):
    """One for tests that run schedulers of their own.

    The central one has to log in as the trustee of the API. The tests take
    the administrator's account for it, so that is who it is here. Several
    run at one time, so none keeps a pid file.
    """

    def _scheduler(self) -> config.Options:
        return {'scheduler': {'claim_interval': 1}}

    def _tempest(self) -> config.Options:
        accounts = self.folder / 'accounts.yaml'
        accounts.touch(mode=0o600)
        accounts.write_text(json.dumps([
            {'username': account.user, 'password': account.password,
             'project_name': account.project, 'domain_name': 'Default',
             **more} for account, more in (
                (self._made.account('project-1'), {'roles': ['member']}),
                (self._made.account('service'),
                 {'types': ['admin'], 'roles': ['service']}))]))
        options = super()._tempest()
        options['auth'] |= {'use_dynamic_credentials': False,
                            'test_accounts_file': accounts}
        return options


@contextlib.contextmanager
def fixed_files(tell: progress.Progress) -> collections.abc.Iterator[None]:
    """Have the files in /tmp for ourselves, and leave none of them.

    :raises Refused: they belong to another program
    """
    lock = pathlib.Path(tempfile.gettempdir(),
                        f'freezer-tempest-{os.getuid()}.lock')
    with locks.held(lock, commands.Commands(), tell):
        try:
            _remove_fixed_files()
            yield
            _remove_fixed_files()
        except PermissionError as error:
            raise Refused(f'the tests need {error.filename}, which belongs '
                          'to another user') from None


def leave_time(made: cloud.Cloud) -> None:
    """Have new jobs wait for :data:`AUTOSTART_DELAY`."""
    path = made.layout.etc / 'freezer-api.conf'
    path.write_text(path.read_text() + config.render(
        {'scheduling': {'autostart_delay': AUTOSTART_DELAY}}))
    made.processes['freezer-api'].stop()
    made.up()


def _remove_fixed_files() -> None:
    for path in FIXED_FILES:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def report(selection: Selection,
           ended: collections.Counter[str]) -> bool:
    """Print the totals.

    :returns: whether every chosen test was run and passed
    """
    passed = ended['ok']
    print(f'\n=== left out by tests/tempest/{EXCLUDE.name}')
    for reason, ids in selection.excluded.items():
        print(f'{len(ids):3} tests: {reason}')
    others = ', '.join(f'{count} {word}' for word, count in ended.items()
                       if word != 'ok')
    print(f'\nTempest: {passed} of {len(selection.chosen)} tests passed'
          + (f', {others}' if others else ''))
    return passed == len(selection.chosen) and not others


def test(patterns: list[str], tell: progress.Progress) -> bool:
    """Bring up a cloud, run the tests, take it down.

    The logs of a cloud whose tests failed are kept.

    :returns: whether all passed
    :raises errors.QuickstartError: they could not be run
    """
    if PREFERRED.joinpath('freezer').exists():
        raise Refused(f'{PREFERRED}/freezer would be tested instead of that '
                      f'of {sys.prefix}')
    exclusions = read_exclusions(EXCLUDE.read_text())
    folder = pathlib.Path(tempfile.mkdtemp(prefix='freezer-tempest-'))
    made = cloud.Cloud(folder / 'cloud', tell=tell)
    good = False
    try:
        made.environments.stock.make(commands.Commands(), tell)
        made.up(cloud.Options.on_free_ports(projects=1, volumes=0))
        try:
            leave_time(made)
            workspace = Workspace(folder / 'api', made)
            scenarios = ScenarioWorkspace(folder / 'scenarios', made)
            workspace.write()
            scenarios.write()
            selection = select(workspace.ids(), exclusions, patterns)
            scenarios.ids()
            tell.say(f'{len(selection.chosen)} tests')
            with fixed_files(tell):
                good = report(selection, _run(
                    selection.chosen, workspace, scenarios))
        finally:
            made.down(purge=True, keep_logs=not good)
    finally:
        if good or not made.layout.log.exists():
            shutil.rmtree(folder)
        else:
            tell.say(f'the logs are in {made.layout.log}')
    return good


def _run(ids: list[str], workspace: Workspace,
         scenarios: ScenarioWorkspace) -> collections.Counter[str]:
    """Run each test where it belongs.

    Those of the scenarios wait most of the time, so that the others take
    hardly longer beside them.
    """
    ended: collections.Counter[str] = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            for done in [pool.submit(where.run, here) for where, here in (
                    (workspace, [one for one in ids if _SCENARIO not in one]),
                    (scenarios, [one for one in ids if _SCENARIO in one]),
                    ) if here]:
                ended += done.result()
        finally:
            for where in (workspace, scenarios):
                where.stop()
    return ended


def _interrupt(signum: int, frame: types.FrameType | None) -> None:
    # What is being cleaned up must not be cut short by a second signal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise errors.Interrupted(signum)


def main() -> int:
    """Run the tests that the command line names.

    :returns: the exit status: 0 only if all of them passed
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    tell = progress.Progress()
    try:
        return 0 if test(sys.argv[1:], tell) else 1
    except errors.QuickstartError as error:
        tell.say(f'error: {error}')
        if error.log is not None:
            print(errors.last_lines(error.log), file=sys.stderr)
        return 1
    except errors.Interrupted as interrupted:
        tell.say(f'ended by {signal.Signals(interrupted.signum).name}')
        return 128 + interrupted.signum


if __name__ == '__main__':
    sys.exit(main())
