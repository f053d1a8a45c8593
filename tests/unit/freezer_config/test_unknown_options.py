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

"""Options that nothing reads are named, and no other."""

from __future__ import annotations

import os
import pathlib
import tempfile
import unittest

from oslo_config import cfg
from oslo_config import types

from freezer_api import conf as api_conf
from freezer_config import unknown_options
from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler.conf import service_auth

SECRET = 'S3CRETword'


class UnknownOptionsTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()), 'it.conf')

    def api(self, text: str) -> list[str]:
        self.path.write_text(text)
        return api_conf.unread(api_conf.load(files=[str(self.path)]))

    def scheduler(self, text: str) -> list[str]:
        self.path.write_text(text)
        conf = scheduler_conf.new()
        scheduler_conf.parse(
            conf, ['--config-file', str(self.path), 'start'], '0')
        return scheduler_conf.unread(conf)

    def test_each_own_option_is_known_by_each_name_that_is_read(self) -> None:
        """A name that a file may hold, and that its value is read by."""
        for options, new, said in (
                (api_conf.list_opts(), api_conf.new, self.api),
                ([*scheduler_conf.list_opts(), (
                    service_auth.GROUP.name, service_auth.plain_opts())],
                 scheduler_conf.new, self.scheduler)):
            for group, opts in options:
                for opt in opts:
                    for section, name in self.names(group, opt):
                        text = (f'[{section}]\n{name} = '
                                f'{self.example(opt)}\n')
                        known = said(text) == []
                        self.assertEqual(
                            self.is_read(new(), group, opt), known, text)

    def names(self, group: str, opt: cfg.Opt) -> list[tuple[str, str]]:
        found = [(group, opt.dest), (group, opt.dest.replace('_', '-'))]
        for old in opt.deprecated_opts:
            found.append((old.group or group, old.name or opt.dest))
        return list(dict.fromkeys(found))

    def example(self, opt: cfg.Opt) -> str:
        if isinstance(opt.type, types.String) and opt.type.choices:
            return str(next(iter(opt.type.choices)))
        if isinstance(opt.type, types.Boolean):
            return 'true'
        if isinstance(opt.type, types.Number):
            return str(opt.type.min or 1)
        return '127.0.0.1'

    def is_read(self, conf: cfg.ConfigOpts, group: str,
                opt: cfg.Opt) -> bool:
        conf(['--config-file', str(self.path), *(
            ['start'] if 'action' in conf else [])], project='freezer',
            default_config_files=[], default_config_dirs=[])
        location = conf.get_location(opt.dest, group)
        return location is not None and (
            location.location is cfg.Locations.user)

    def test_the_nearest_name_is_told_and_no_value(self) -> None:
        for said, text, words in (
                (self.api, f'[user_credentials]\nkey = {SECRET}',
                 'Did you mean keys?'),
                (self.api, f'[User_Credential]\nkeys = {SECRET}',
                 'Did you mean [user_credentials]?'),
                (self.api, '[service_mode]\nzzz = 1', 'Remove it'),
                (self.api, '[keystone_authtoken]\nmemcachd_servers = h',
                 'Did you mean memcached_servers?'),
                (self.api, '[DEFAULT]\nlog_dirr = x', 'Did you mean log_dir?'),
                (self.api, '[storage]\ndriver = sqlalchemy',
                 'set the database with [database] connection'),
                (self.scheduler, '[scheduler]\nservicemode = true',
                 'Did you mean service_mode?'),
                (self.scheduler, f'[service_auth]\npasswort = {SECRET}',
                 'Did you mean password?')):
            with self.subTest(text):
                [line] = said(text)
                self.assertIn(words, line)
                self.assertIn(str(self.path), line)
                self.assertNotIn(SECRET, line)

    def test_what_belongs_to_others_is_left_alone(self) -> None:
        text = ('[oslo_messaging_notifications]\ndriver = x\n'
                '[my_tool]\nx = 1\n[DEFAULT]\ntransport_url = rabbit://\n')
        self.assertEqual([], self.api(
            text + '[scheduler]\nclient_id = x\n[service_auth]\nx = 1\n'))
        self.assertEqual([], self.scheduler(
            text + '[api]\nx = 1\n[keystone_authtoken]\nx = 1\n'))

    def test_options_of_the_login_are_known(self) -> None:
        self.assertEqual([], self.api(
            '[keystone_authtoken]\nauth_type = password\nauth_url = x\n'
            'username = x\nproject_domain_id = x\nregion_name = x\n'
            'interface = internal\ninsecure = true\nservice_type = backup\n'
            'memcache_secret_key = x\n[service_mode]\n'
            'auth_section = trustee\n[trustee]\nusername = x\n'
            'region_name = x\ncafile = x\n'
            '[oslo_limit]\nauth_type = password\nsystem_scope = all\n'
            'endpoint_id = x\n'))

    def test_a_folder_of_files_is_looked_at(self) -> None:
        self.path.write_text('[api]\nmax_limits = 1\n')
        conf = api_conf.new()
        api_conf.parse(conf, [], 'freezer-api', {
            'OS_FREEZER_API_CONFIG_DIRS': str(self.path.parent)})
        [line] = api_conf.unread(conf)
        self.assertIn('Did you mean max_limit?', line)

    def test_the_environment_names_files_and_folders(self) -> None:
        other = self.path.with_name('other.conf')
        self.path.write_text('[api]\nmax_limit = 7\ndefault_limit = 3\n')
        other.write_text('[api]\ndefault_limit = 4\n')
        for environ, argv, expected in (
                ({'OS_FREEZER_API_CONFIG_FILES': str(self.path)}, [], (7, 3)),
                ({'OS_FREEZER_API_CONFIG_FILES': os.pathsep.join(
                    (str(self.path), str(other)))}, [], (7, 4)),
                ({'OS_FREEZER_API_CONFIG_DIRS': str(self.path.parent)}, [],
                 (7, 4)),
                # The command line stands above it.
                ({'OS_FREEZER_API_CONFIG_FILES': str(self.path)},
                 ['--config-file', str(other)], (1000, 4))):
            conf = api_conf.new()
            api_conf.parse(conf, argv, 'freezer-api', environ)
            self.assertEqual(
                expected, (conf.api.max_limit, conf.api.default_limit))

    def test_files_that_cannot_be_parsed_are_left_to_oslo_config(
            self) -> None:
        self.path.write_bytes(b'[api]\n\xff\xfe')
        self.assertEqual([], unknown_options.find([self.path], {}, {}))
