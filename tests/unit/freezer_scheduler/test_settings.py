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

"""What is refused at start, and by which name."""

from __future__ import annotations

import pathlib

import fixtures
from oslo_config import cfg
import testtools

from freezer_api.domain import capabilities
from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler import settings
from tests.unit.freezer_scheduler import fakes


class TestSettings(testtools.TestCase):

    def refused(self, *argv, account=fakes.ACCOUNT, hostname='node'):
        conf = fakes.parsed('--service-mode', *account, *argv)
        try:
            settings.load(conf, {}, hostname)
        except settings.Refused as refused:
            return refused.problems
        self.fail(f'not refused: {argv}')

    def test_defaults(self):
        found = fakes.settings()
        self.assertEqual(capabilities.CINDER_NATIVE, found.capabilities)
        self.assertEqual(5, found.claim_interval)
        self.assertEqual(60, found.lease_seconds)
        self.assertEqual((), found.notices)

    def test_bad_values_are_refused_by_name(self):
        for name, value in (
                ('lease-seconds', '30'),
                ('client-id', 'not/an id'), ('client-id', 'a' * 256)):
            problems = self.refused(f'--scheduler-{name}', value)
            self.assertIn(f'[scheduler] {name.replace("-", "_")}:',
                          '\n'.join(problems))

    def test_values_out_of_range_are_refused_by_name(self):
        for name, value in (
                ('claim-interval', '0'), ('claim-interval', '-1'),
                ('claim-interval', '601'),
                ('claim-batch', '0'), ('claim-batch', '1001'),
                ('request-timeout', '0'), ('workers', '0'),
                ('max-in-flight', '0'), ('max-in-flight-per-project', '0'),
                ('poll-interval', '0'), ('heartbeat-interval', '0'),
                ('maintenance-interval', '0'), ('backup-timeout', '1'),
                ('busy-timeout', '-1'), ('token-percent', '96'),
                ('lease-seconds', '9'), ('lease-seconds', '3601'),
                ('concurrent-jobs', '0'), ('agent-grace', '-1'),
                ('interval', '0')):
            option = name.replace('-', '_')
            with self.subTest(option=option, value=value):
                # On the command line oslo.config ends the process.
                output = self.useFixture(fixtures.StringStream('stderr'))
                with fixtures.MonkeyPatch('sys.stderr', output.stream), (
                        testtools.ExpectedException(SystemExit)):
                    self.refused(f'--scheduler-{name}', value)
                output.stream.seek(0)
                self.assertIn(option,
                              output.stream.read().replace('-', '_'))
                # In a file it is named with its group.
                path = pathlib.Path(
                    self.useFixture(fixtures.TempDir()).path, 'wrong.conf')
                path.write_text(f'[scheduler]\n{option} = {value}\n')
                with testtools.ExpectedException(
                        cfg.ConfigFileValueError,
                        rf'.*\[scheduler\] {option}: Should be '):
                    scheduler_conf.parse(
                        scheduler_conf.new(),
                        ['--config-file', str(path), 'start'], '20')

    def test_containers(self):
        for argv, default, accepted in (
                ((), '', None),
                (('--cinder-default-container', 'c-{project_id}'),
                 'c-{project_id}', None),
                (('--cinder-accepted-containers', 'a, b*'), '',
                 ('a', 'b*')),
                (('--cinder-accepted-containers', ''), '', ())):
            found = fakes.settings(*argv)
            self.assertEqual(default, found.default_container)
            self.assertEqual(accepted, found.accepted_containers, str(argv))

    def test_what_is_no_name_of_a_container(self):
        for name in ('default-container', 'accepted-containers'):
            for value in ('a/b', 'x' * 256, 'a\tb'):
                problems = self.refused(f'--cinder-{name}', value)
                self.assertIn(f'[cinder] {name.replace("-", "_")}: ',
                              '\n'.join(problems))

    def test_a_lease_lasts_two_ticks_and_a_request(self):
        problems = self.refused(
            '--scheduler-lease-seconds', '60', '--scheduler-claim-interval',
            '30')
        self.assertIn('[scheduler] lease_seconds: 60', problems[0])
        found = fakes.settings('--scheduler-claim-interval', '30')
        self.assertGreater(found.lease_seconds, 2 * 30 + 30)

    def test_interval_stands_in_for_the_claim_interval(self):
        found = fakes.settings('--interval', '60')
        self.assertEqual(60, found.claim_interval)
        self.assertGreater(found.lease_seconds, 2 * 60 + 30)
        found = fakes.settings('--interval', '60',
                               '--scheduler-claim-interval', '3')
        self.assertEqual(3, found.claim_interval)
        self.assertIn('interval has no effect', found.notices[0])

    def test_a_missing_account_is_named_option_by_option(self):
        problems = self.refused(account=())
        for name in ('auth_url', 'username', 'password', 'user_domain_name',
                     'project_name'):
            self.assertIn(
                f'[service_auth] os_{name}: missing; set it, or '
                f'OS_{name.upper()} in the environment', problems)

    def test_a_project_id_needs_no_domain(self):
        account = [*fakes.ACCOUNT[:6], '--os-project-id', 'p',
                   '--os-user-domain-id', 'default']
        conf = fakes.parsed('--service-mode', *account)
        self.assertEqual('p', settings.load(conf, {}, 'node').auth.project_id)

    def test_an_application_credential_needs_no_user_and_project(self):
        account = [*fakes.ACCOUNT[:2], '--os-application-credential-id', 'i']
        with testtools.ExpectedException(
                settings.Refused,
                '.*os_application_credential_secret: missing'):
            settings.load(fakes.parsed(*account), {}, 'node')
        made = settings.load(fakes.parsed(*account), {
            'OS_APPLICATION_CREDENTIAL_SECRET': 's-1'}, 'node').auth
        self.assertEqual(('s-1',), made.secrets)
        self.assertNotIn('s-1', repr(made))

    def test_an_application_credential_does_not_do_in_service_mode(self):
        [problem] = self.refused(
            '--os-application-credential-id', 'i',
            '--os-application-credential-secret', 's-1')
        self.assertIn('[service_auth] os_application_credential_id:', problem)
        self.assertNotIn('s-1', problem)

    def test_a_token_does_not_do(self):
        account = ['--os-token', 'tk-secret', *fakes.ACCOUNT[:4]]
        problems = '\n'.join(self.refused(account=account))
        self.assertIn('[service_auth] os_token:', problems)
        self.assertNotIn('tk-secret', problems)

    def test_what_cannot_work_in_service_mode(self):
        self.assertIn('[scheduler] no_api:', self.refused('--no-api')[0])
        self.assertIn('[scheduler] enable_v1_api:',
                      self.refused('--enable-v1-api')[0])

    def test_unknown_capabilities(self):
        for noun in ('actions', 'modes', 'storages', 'engines'):
            problems = self.refused(
                f'--capabilities-supported-{noun}', 'nonsense')
            self.assertIn(f"[capabilities] supported_{noun}: 'nonsense'",
                          problems[0])

    def test_wider_capabilities_are_called_a_risk(self):
        found = fakes.settings('--capabilities-supported-modes',
                               'fs,cindernative')
        self.assertEqual(('fs', 'cindernative'), found.capabilities.modes)
        self.assertIn('RISK', found.notices[0])
        self.assertIn('modes fs', found.notices[0])

    def test_disable_exec_takes_exec_out(self):
        found = fakes.settings(
            '--capabilities-supported-actions', 'backup,exec',
            '--disable-exec')
        self.assertEqual(('backup',), found.capabilities.actions)

    def test_options_without_effect_say_so(self):
        found = fakes.settings(
            '-f', '/d',
            '--coordination-backend-url', 'etcd3://x')
        told = '\n'.join(found.notices)
        for name in ('jobs_dir', 'backend_url'):
            self.assertIn(name, told)

    def test_one_project_must_not_be_able_to_fill_it(self):
        found = fakes.settings('--scheduler-max-in-flight', '8')
        self.assertIn('max_in_flight_per_project', found.notices[0])
        for count in ('1', '11'):
            found = fakes.settings('--scheduler-max-in-flight', count)
            self.assertEqual((), found.notices)

    def test_a_host_name_that_no_client_id_can_be_made_of(self):
        for hostname in ('my_host_', '', 'a b'):
            problems = self.refused(hostname=hostname)
            self.assertIn('[scheduler] client_id: must be set', problems[0])
        conf = fakes.parsed('--service-mode', *fakes.ACCOUNT, '-c', 'central')
        self.assertEqual('central',
                         settings.load(conf, {}, 'a b').client_id)

    def test_client_ids(self):
        for client_id in ('central', 'a_host.domain', 'x-1_y-2_node-3'):
            found = fakes.settings('-c', client_id)
            self.assertEqual(client_id, found.client_id)


class TestClassicMode(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.agent: str | None = '/usr/bin/freezer-agent'
        self.useFixture(fixtures.MonkeyPatch(
            'shutil.which', lambda name: self.agent))

    def test_an_agent_that_is_not_there_is_named(self):
        self.agent = None
        for argv, said in (
                ('', True), ('--disable-exec', True),
                ('--capabilities-supported-modes cindernative '
                 '--disable-exec', False)):
            notices = self.load(*argv.split()).notices
            self.assertEqual(
                said, any('[scheduler] agent_command' in notice
                          for notice in notices), f'{argv} {notices}')

    def load(self, *argv, environ=None):
        return settings.load(fakes.parsed(*fakes.ACCOUNT, *argv),
                             environ or {}, 'node')

    def test_defaults(self):
        found = self.load()
        self.assertFalse(found.service_mode)
        self.assertEqual(capabilities.EVERYTHING, found.capabilities)
        self.assertEqual((), found.notices)
        self.assertIsNone(found.jobs_dir)
        self.assertEqual(1, found.concurrent_jobs)
        self.assertEqual('freezer-agent', found.agent_command)

    def test_one_project_may_have_it_all(self):
        found = self.load('--scheduler-max-in-flight', '7')
        self.assertEqual((7, 7), (found.max_in_flight,
                                  found.max_in_flight_per_project))

    def test_narrower_capabilities_are_no_risk(self):
        found = self.load('--capabilities-supported-modes', 'fs',
                          '--disable-exec')
        self.assertEqual(('fs',), found.capabilities.modes)
        self.assertNotIn('exec', found.capabilities.actions)
        self.assertEqual((), found.notices)

    def test_a_long_interval_of_an_old_file(self):
        self.assertEqual(600, self.load('-i', '86400').claim_interval)

    def test_where_the_job_files_are(self):
        variable = {'FREEZER_SCHEDULER_CONF_D': '/env'}
        for wanted, argv, environ in (
                ('/etc/freezer/scheduler/conf.d', (), {}),
                ('/env', (), variable), ('/flag', ('-f', '/flag'), variable)):
            found = self.load('--no-api', *argv, environ=environ)
            self.assertEqual(wanted, str(found.jobs_dir))

    def test_files_need_no_account(self):
        found = settings.load(fakes.parsed('--no-api'), {}, 'node')
        self.assertIsNone(found.auth.auth_url)
