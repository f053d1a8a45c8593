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

"""Every spelling of every option that freezer-scheduler ever had."""

from __future__ import annotations

import configparser
import pathlib
import tempfile

from oslo_config import cfg
import testtools

from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler.conf import service_auth
from tests.unit.freezer_scheduler import fakes

UNITS = pathlib.Path(__file__).parents[3] / 'etc/systemd'

# option, flags that set it, argument (None for a switch), value
FLAGS = (
    ('client_id', ('--scheduler-client-id', '-c', '--client-id'), 'x', 'x'),
    ('no_api', ('--scheduler-no-api', '-n', '--no-api'), None, True),
    ('no_api', ('--scheduler-nono-api',), None, False),
    ('jobs_dir', ('--scheduler-jobs-dir', '-f', '--conf'), '/x', '/x'),
    ('interval', ('--scheduler-interval', '-i', '--interval'), '7', 7),
    ('no_daemon', ('--scheduler-no-daemon', '--no-daemon'), None, True),
    ('no_daemon', ('--scheduler-nono-daemon',), None, False),
    ('insecure', ('--scheduler-insecure',), None, True),
    ('insecure', ('--scheduler-noinsecure',), None, False),
    ('disable_exec', ('--scheduler-disable-exec', '--disable-exec'), None,
     True),
    ('concurrent_jobs', ('--scheduler-concurrent-jobs',
                         '--concurrent_jobs'), '3', 3),
    ('enable_v1_api', ('--scheduler-enable-v1-api', '--enable-v1-api'),
     None, True),
    ('service_mode', ('--scheduler-centralized-scheduler',
                      '--scheduler-service-mode', '--service-mode'), None,
     True),
    ('service_mode', ('--scheduler-nocentralized-scheduler',
                      '--scheduler-noservice-mode', '--noservice-mode'),
     None, False),
)
AUTH = ('username', 'password', 'project-id', 'project-name',
        'project-domain-id', 'project-domain-name', 'user-domain-id',
        'user-domain-name', 'auth-url', 'backup-url', 'region-name', 'token',
        'cert', 'cacert', 'application-credential-id',
        'application-credential-secret')


class TestCommandLine(testtools.TestCase):

    def test_every_flag_of_the_scheduler(self):
        for option, flags, argument, value in FLAGS:
            for flag in flags:
                argv = [flag] if argument is None else [flag, argument]
                conf = fakes.parsed(*argv)
                self.assertEqual(value, conf.scheduler[option], flag)

    def test_every_flag_of_the_capabilities(self):
        for noun in ('actions', 'modes', 'storages', 'engines'):
            conf = fakes.parsed(f'--capabilities-supported-{noun}', 'a,b')
            self.assertEqual(['a', 'b'],
                             conf.capabilities[f'supported_{noun}'])

    def test_every_flag_of_the_account(self):
        for name in AUTH:
            under = name.replace('-', '_')
            for flag in (f'--service_auth-{name}', f'--os-{name}',
                         f'--os_{under}'):
                conf = fakes.parsed(flag, 'public')
                self.assertEqual('public', conf.service_auth['os_' + under])
        conf = fakes.parsed('--os-endpoint-type', 'internalURL')
        self.assertEqual('internal',
                         service_auth.read(conf, {}).endpoint_type)

    def test_the_endpoint_type_has_every_name_of_an_option(self):
        for flag in ('--os-endpoint-type', '--os_endpoint_type',
                     '--service_auth-endpoint-type'):
            conf = fakes.parsed(flag, 'internalURL')
            self.assertEqual('internal',
                             service_auth.read(conf, {}).endpoint_type)

    def test_what_the_unit_file_says(self):
        # Keys may stand more than once in a unit.
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.read(UNITS / 'freezer-scheduler.service')
        _program, *argv = unit['Service']['ExecStart'].split()
        self.assertEqual('start', argv.pop())
        conf = fakes.parsed(*argv)
        self.assertTrue(conf.scheduler.no_daemon)
        self.assertEqual('notify', unit['Service']['Type'])

    def test_both_spellings_of_one_option_in_one_command(self):
        argv = ['--debug', '--scheduler-no-daemon', '-c', 'node', '-f', '/d']
        for name in AUTH:
            argv += [f'--os-{name}', 'v', f'--service_auth-{name}', 'v']
        conf = fakes.parsed(*argv, '--coordination-backend-url', 'x')
        self.assertEqual('v', conf.service_auth.os_username)
        self.assertEqual('x', conf.coordination.backend_url)
        self.assertTrue(conf.debug)

    def test_flags_that_never_were_are_refused(self):
        for flag in ('--jobs-dir', '--insecure', '--concurrent-jobs'):
            with testtools.ExpectedException(SystemExit):
                fakes.parsed(flag, '1')


class TestFile(testtools.TestCase):

    def read(self, text):
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
            file.write(text)
            file.flush()
            conf = scheduler_conf.new()
            conf(['start'], default_config_files=[file.name],
                 default_config_dirs=[])
            # Values are only looked up when they are asked for.
            auth = service_auth.read(conf, {'OS_USERNAME': 'env'})
            return conf, auth

    def test_the_account_with_and_without_os(self):
        for text in ('[service_auth]\nos_username = x',
                     '[service_auth]\nusername = x',
                     '[DEFAULT]\nos_username = x'):
            self.assertEqual('x', self.read(text)[1].username, text)

    def test_the_old_name_of_service_mode(self):
        conf, _auth = self.read('[scheduler]\ncentralized_scheduler = true')
        self.assertTrue(conf.scheduler.service_mode)

    def test_names_from_before_there_were_groups(self):
        conf, _auth = self.read('[DEFAULT]\nclient_id = x\nno_api = true\n'
                                'conf = /d\ninterval = 9')
        self.assertEqual('x', conf.scheduler.client_id)
        self.assertTrue(conf.scheduler.no_api)
        self.assertEqual('/d', conf.scheduler.jobs_dir)
        self.assertEqual(9, conf.scheduler.interval)


class TestGroups(testtools.TestCase):

    def test_one_configuration_is_nothing_to_the_next(self):
        first = fakes.parsed('--client-id', 'one', '--os-username', 'alice')
        second = fakes.parsed('--client-id', 'two')
        self.assertEqual('one', first.scheduler.client_id)
        self.assertEqual('two', second.scheduler.client_id)
        self.assertEqual('alice', first.service_auth.os_username)
        self.assertIsNone(second.service_auth.os_username)
        self.assertIsNone(fakes.parsed().scheduler.client_id)


class TestEnvironment(testtools.TestCase):

    def test_it_stands_in_for_what_is_not_given(self):
        environ = {'OS_' + name.upper().replace('-', '_'): 'env'
                   for name in AUTH}
        auth = service_auth.read(fakes.parsed('--os-username', 'flag'),
                                 environ)
        self.assertEqual('flag', auth.username)
        self.assertEqual('env', auth.password)
        self.assertEqual('env', auth.backup_url)

    def test_a_dollar_in_a_password_is_taken_as_it_stands(self):
        auth = service_auth.read(fakes.parsed(), {'OS_PASSWORD': 'a$b%c'})
        self.assertEqual('a$b%c', auth.password)

    def test_secrets_are_not_shown(self):
        auth = service_auth.read(
            fakes.parsed(), {'OS_PASSWORD': 'pw-1', 'OS_TOKEN': 'tk-1'})
        self.assertNotIn('pw-1', repr(auth))
        self.assertNotIn('tk-1', repr(auth))

    def test_an_unknown_endpoint_type_is_refused(self):
        with testtools.ExpectedException(ValueError, 'OS_ENDPOINT_TYPE'):
            service_auth.read(fakes.parsed(), {'OS_ENDPOINT_TYPE': 'x'})


class TestSample(testtools.TestCase):

    def test_each_option_has_help_and_is_in_a_group(self):
        listed = scheduler_conf.list_opts()
        self.assertEqual(
            {'scheduler', 'cinder', 'capabilities', 'service_auth',
             'coordination', 'metrics'},
            {group for group, _opts in listed})
        for _group, opts in listed:
            for opt in opts:
                self.assertIsInstance(opt, cfg.Opt)
                self.assertTrue(opt.help, opt.name)

    def test_nothing_of_the_environment_gets_into_it(self):
        for _group, opts in scheduler_conf.list_opts():
            for opt in opts:
                self.assertNotEqual(str(pathlib.Path.home()), opt.default)
                if opt.dest.startswith('os_'):
                    self.assertIsNone(opt.default)
