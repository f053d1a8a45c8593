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

"""The command line of ``tools/quickstart``."""

import argparse
import collections.abc
import dataclasses
import pathlib
import signal
import sys
import types

from tools.cloud import cloud
from tools.cloud import demonstration
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import progress

_DESCRIPTION = """\
A complete backup cloud on this machine: Keystone, Cinder, the Freezer API and
a central freezer-scheduler, from PyPI and this checkout, without root.

Without a command: start a cloud with three projects, back up a volume of each
as its user, show the backups in Cinder, and remove the cloud. The options
below change the cloud, here and for the command "up". Here the default ports
are free ones.
"""


def _number(least: int, most: int) -> collections.abc.Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f'{value} is not between {least} and {most}')
        return value
    return number


def _parser(home: pathlib.Path) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        '--home', type=pathlib.Path, default=argparse.SUPPRESS,
        help='directory of the environments and of clouds without a name '
             f'(default: {home})')
    chosen = argparse.ArgumentParser(add_help=False)
    for option, least, most, text in (
            ('--projects', 1, 1000, 'projects, with one user each (3)'),
            ('--volumes', 0, 1000, 'volumes of each project (2)'),
            ('--keystone-port', 1, 65535, 'port of Keystone (15000)'),
            ('--cinder-port', 1, 65535, 'port of Cinder (15776)'),
            ('--api-port', 1, 65535, 'port of the Freezer API (19090)'),
            ('--ceph-port', 1, 65535,
             'port of a Ceph monitor: store volumes and backups in a Ceph of '
             "the cloud, from the system's packages (no Ceph)"),
            ('--mib-per-gb', 1, 1024,
             'MiB of data for each GB of a volume (4)'),
            ('--token-seconds', 10, 86400, 'lifetime of tokens (3600)')):
        chosen.add_argument(
            option, type=_number(least, most), metavar='N', help=text,
            # Accept the option before and after the command.
            default=argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog='tools/quickstart', description=_DESCRIPTION,
        parents=[common, chosen],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    with_state = argparse.ArgumentParser(add_help=False, parents=[common])
    with_state.add_argument(
        '--state', type=pathlib.Path, metavar='DIR',
        help="the cloud's directory (default: cloud in the home)")
    commands.add_parser(
        'up', parents=[with_state, chosen],
        help='create a cloud, or start its processes that do not run')
    commands.add_parser('status', parents=[with_state],
                        help='show which processes of a cloud run')
    down = commands.add_parser('down', parents=[with_state],
                               help='stop a cloud')
    down.add_argument('--purge', action='store_true',
                      help='also remove its data')
    return parser


def _status(made: cloud.Cloud) -> int:
    urls = made.urls
    status = 0
    for name, process in made.processes.items():
        pid = process.pid
        if pid is None:
            status = 1
            print(f'{name:18} DOWN')
        else:
            print(f"{name:18} up    pid {pid:<8} "
                  f"{process.mebibytes:4} MiB  {urls.get(name, '')}".rstrip())
    return status


def _options(arguments: argparse.Namespace) -> cloud.Options:
    return cloud.Options(**{
        field.name: getattr(arguments, field.name, None)
        for field in dataclasses.fields(cloud.Options)})


def _up(made: cloud.Cloud, arguments: argparse.Namespace,
        tell: progress.Progress) -> int:
    is_new = not made.layout.settings.exists()
    try:
        made.up(_options(arguments))
    except BaseException as error:
        if is_new:
            if isinstance(error, errors.QuickstartError):
                error.keep_log()
            made.discard()
        raise
    where = made.layout
    tell.say('ready')
    print(f"""\
cloud     {where.state}
Keystone  {made.settings.auth_url}
use it    . '{where.openrc("project-1")}'
          '{where.bin}/freezer' client-list
or        export OS_CLIENT_CONFIG_FILE='{where.clouds_yaml}'
          '{where.bin}/openstack' --os-cloud project-1 volume list""")
    return 0


def _run(arguments: argparse.Namespace, home: pathlib.Path,
         tell: progress.Progress) -> int:
    if arguments.command is None:
        return demonstration.main(home, tell, _options(arguments))
    made = cloud.Cloud(arguments.state or home / 'cloud', home=home,
                       tell=tell)
    if arguments.command == 'up':
        return _up(made, arguments, tell)
    if arguments.command == 'status':
        return _status(made)
    made.down(purge=arguments.purge)
    return 0


def _interrupt(signum: int, frame: types.FrameType | None) -> None:
    # A second signal must not interrupt the clean-up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise errors.Interrupted(signum)


def main() -> int:
    """Run the command line.

    :returns: the exit status: 0 on success, 1 if a step failed or a process
        is down, 128 plus the signal's number if a signal ended it
    """
    home = environments.default_home()
    arguments = _parser(home).parse_args()
    home = getattr(arguments, 'home', home).expanduser().resolve()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    tell = progress.Progress()
    try:
        return _run(arguments, home, tell)
    except errors.QuickstartError as error:
        tell.say(f'error: {error}')
        if error.log is not None:
            print(f'--- the last lines of {error.log}\n'
                  f'{errors.last_lines(error.log)}\n'
                  f'--- see {error.log}', file=sys.stderr)
        return 1
    except OSError as error:
        tell.say(f'error: {error}')
        return 1
    except errors.Interrupted as interrupted:
        tell.say(f'ended by {signal.Signals(interrupted.signum).name}')
        return 128 + interrupted.signum
