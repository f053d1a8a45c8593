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

"""Set-up of the log, with errors that name the wrong option."""

from __future__ import annotations

from oslo_config import cfg
from oslo_log import log

from freezer_config import errors
from freezer_config import packages
from freezer_config import unknown_options

_JOURNAL = packages.Need('[DEFAULT] use_journal', 'systemd.journal',
                         'systemd-python', 'journal')
_DEV_LOG = '/dev/log'


class LogRefused(Exception):
    """The log cannot be set up; the text names the options."""


def setup(conf: cfg.ConfigOpts, product: str, version: str = 'unknown',
          ) -> None:
    """Set up the log according to the options.

    :param product: name of the program
    :param version: its version, for the log format
    :raises LogRefused: if an option cannot work; the text names the option
    """
    if problems := errors.unreadable(
            conf, unknown_options.declared('oslo.log')):
        raise LogRefused('; '.join(problems))
    try:
        if conf.use_journal and (problem := _JOURNAL.problem()):
            raise LogRefused(problem)
        log.setup(conf, product, version)
    except log.LogConfigError as error:
        raise LogRefused(
            '[DEFAULT] log_config_append cannot be used: '
            + ' '.join(str(error).split())) from None
    except ImportError as error:
        raise LogRefused(
            f'[DEFAULT] log_config_append: {conf.log_config_append} needs the '
            f'module {error.name}, which is not installed: install it, or '
            'remove its name from that file') from None
    except (AttributeError, TypeError, ValueError) as error:
        if conf.log_config_append:
            raise LogRefused(
                f'[DEFAULT] log_config_append: {conf.log_config_append} '
                f'cannot be used: {error}. Correct that file') from None
        raise LogRefused('[DEFAULT] syslog_log_facility is not a facility of '
                         'syslog: set it to one, such as LOG_USER') from None
    except OSError as error:
        if conf.use_syslog and error.filename in (None, _DEV_LOG):
            raise LogRefused(
                f'[DEFAULT] use_syslog needs the socket {_DEV_LOG}: '
                f'{error.strerror}. Start the syslog daemon, or remove '
                'the option') from None
        raise LogRefused(
            f'[DEFAULT] log_dir or log_file: {error.filename} cannot be '
            f'written: {error.strerror}. Create the directory, and give the '
            'user of the process write access to it') from None
