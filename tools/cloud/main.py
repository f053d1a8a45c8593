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
A whole backup cloud on this machine: Keystone, Cinder, the Freezer API and a
central freezer-scheduler, from PyPI and this checkout, without root.

Without a command: bring up a cloud with three projects, back up a volume of
each of them as its own user, show what Cinder says, and take it down again.
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
        help='folder of the environments and of clouds without a name '
             f'(default: {home})')
    parser = argparse.ArgumentParser(
        prog='tools/quickstart', description=_DESCRIPTION, parents=[common],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    with_state = argparse.ArgumentParser(add_help=False, parents=[common])
    with_state.add_argument(
        '--state', type=pathlib.Path, metavar='DIR',
        help="the cloud's directory (default: cloud in the home)")
    up = commands.add_parser(
        'up', parents=[with_state],
        help='make a cloud, or start what does not run of one')
    for option, least, most, text in (
            ('--projects', 1, 1000, 'projects with a user each (3)'),
            ('--volumes', 0, 1000, 'volumes of each project (2)'),
            ('--keystone-port', 1, 65535, 'port of Keystone (15000)'),
            ('--cinder-port', 1, 65535, 'port of Cinder (15776)'),
            ('--api-port', 1, 65535, 'port of the Freezer API (19090)'),
            ('--mib-per-gb', 1, 1024,
             'MiB of data behind each GB of a volume (4)'),
            ('--token-seconds', 10, 86400, 'lifetime of tokens (3600)')):
        up.add_argument(option, type=_number(least, most), metavar='N',
                        help=text)
    commands.add_parser('status', parents=[with_state],
                        help='tell which processes of a cloud run')
    down = commands.add_parser('down', parents=[with_state],
                               help='stop a cloud')
    down.add_argument('--purge', action='store_true',
                      help='remove its data too')
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


def _up(made: cloud.Cloud, arguments: argparse.Namespace,
        tell: progress.Progress) -> int:
    made.up(cloud.Options(
        arguments.projects, arguments.volumes, arguments.keystone_port,
        arguments.cinder_port, arguments.api_port, arguments.mib_per_gb,
        arguments.token_seconds))
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
        return demonstration.main(home, tell)
    made = cloud.Cloud(arguments.state or home / 'cloud', home=home,
                       tell=tell)
    if arguments.command == 'up':
        return _up(made, arguments, tell)
    if arguments.command == 'status':
        return _status(made)
    made.down(purge=arguments.purge)
    return 0


def _interrupt(signum: int, frame: types.FrameType | None) -> None:
    # What is being cleaned up must not be cut short by a second signal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise errors.Interrupted(signum)


def main() -> int:
    """Do what the command line says.

    :returns: the exit status: 0 if all went well, 1 if something failed or
        is down, 128 and the signal's number if a signal ended it
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
