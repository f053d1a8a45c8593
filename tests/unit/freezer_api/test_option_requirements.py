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

"""What options need beside this package is looked for at start, by name."""

from __future__ import annotations

import contextlib
import io
import pathlib
import sys
import tempfile
from typing import NamedTuple
import unittest
from unittest import mock

from cryptography import fernet
import webtest

from freezer_api import app as api_app
from freezer_api.cmd import api
from freezer_api import conf as configuration
from freezer_api.db.admin import upgrade
from freezer_scheduler.cmd import scheduler
from tests import fake_keystone

GOOD = f"""
[user_credentials]
keys = {fernet.Fernet.generate_key().decode()}
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
username = freezer
password = SECRET
user_domain_name = Default
project_name = service
project_domain_name = Default
"""
SCHEDULER = """
[scheduler]
client_id = central
service_mode = true
[service_auth]
os_auth_url = http://127.0.0.1:1/v3
os_username = freezer
os_password = SECRET
os_user_domain_name = Default
os_project_name = service
os_project_domain_name = Default
"""
FLUENT = """
[loggers]
keys = root
[handlers]
keys = fluent
[formatters]
keys =
[logger_root]
handlers = fluent
[handler_fluent]
class = fluent.handler.FluentHandler
args = ()
"""


class Need(NamedTuple):
    """An option that cannot work without something.

    :ivar option: as the refusal names it
    :ivar lines: of the configuration, with {folder}
    :ivar module: that is taken away
    :ivar cure: words of the refusal
    """

    option: str
    lines: str
    module: str
    cure: str


SQLITE = '[database]\nconnection = sqlite:///{folder}/freezer.db\n'
MEMCACHED = SQLITE + '[keystone_authtoken]\nmemcached_servers = h:11211\n'

OF_THE_API = (
    Need('[database] connection',
         '[database]\nconnection = mysql+pymysql://u:SECRET@h/d\n',
         'pymysql', "pip install 'freezer-service-mode[mysql]'"),
    Need('[database] connection',
         '[database]\nconnection = postgresql+psycopg://u:SECRET@h/d\n',
         'psycopg', "pip install 'freezer-service-mode[postgresql]'"),
    Need('[database] connection',
         '[database]\nconnection = mysql://u:SECRET@h/d\n',
         'MySQLdb', "pip install 'mysqlclient'"),
    Need('[database] connection',
         '[database]\nconnection = postgresql+psycopg2://u:SECRET@h/d\n',
         'psycopg2', "pip install 'psycopg2-binary'"),
    Need('[keystone_authtoken] memcached_servers', MEMCACHED, 'memcache',
         "pip install 'freezer-service-mode[memcache]'"),
    Need('[keystone_authtoken] memcached_servers',
         MEMCACHED + 'memcache_use_advanced_pool = false\n', 'memcache',
         "pip install 'freezer-service-mode[memcache]'"),
    Need('[keystone_authtoken] memcached_servers',
         MEMCACHED + 'memcache_sasl_enabled = true\n', 'bmemcached',
         "pip install 'freezer-service-mode[memcache]'"),
    Need('[keystone_authtoken] memcached_servers',
         MEMCACHED + 'memcache_tls_enabled = true\n', 'bmemcached',
         "pip install 'freezer-service-mode[memcache]'"),
    Need('[keystone_authtoken] auth_type',
         SQLITE + '[keystone_authtoken]\nauth_type = v3kerberos\n'
         '[service_mode]\nenabled = false\n', 'requests_kerberos',
         'or use password'),
)
OF_BOTH = (
    Need('[DEFAULT] use_journal', '[DEFAULT]\nuse_journal = true\n',
         'systemd', "pip install 'freezer-service-mode[journal]'"),
    Need('[DEFAULT] log_config_append',
         '[DEFAULT]\nlog_config_append = {folder}/logging.conf\n', 'fluent',
         'needs the module fluent'),
)


class OptionNeedsTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.folder.joinpath('logging.conf').write_text(FLUENT)
        # What is not refused must not run on.
        for server in ('cotyledon.ServiceManager',
                       'freezer_scheduler.process.service.Service'):
            self.enterContext(mock.patch(server, autospec=True))

    def refused(self, need: Need, base: str, *words: str) -> str:
        """Start a program without the module; return what it printed."""
        path = self.folder / 'it.conf'
        path.write_text(base + need.lines.format(folder=self.folder))
        without = {name: None for name in sys.modules
                   if name.partition('.')[0] == need.module}
        with contextlib.redirect_stderr(io.StringIO()) as said, \
                mock.patch.dict(sys.modules, {**without, need.module: None}):
            program = scheduler if words else api
            status = program.main(['--config-file', str(path), *words])
        text = said.getvalue()
        self.assertEqual(1, status, text)
        self.assertIn(need.option, text)
        self.assertIn(need.cure, text)
        self.assertNotIn('SECRET', text)
        self.assertNotIn('Traceback', text)
        return text

    def test_the_api_refuses_an_option_whose_package_is_missing(self) -> None:
        for need in (*OF_THE_API, *OF_BOTH):
            with self.subTest(need.lines):
                self.refused(need, GOOD)

    def test_the_scheduler_does(self) -> None:
        for need in OF_BOTH:
            with self.subTest(need.lines):
                self.refused(need, SCHEDULER, '--scheduler-no-daemon',
                             'start')

    def test_with_the_package_requests_are_answered(self) -> None:
        """Also while no memcached answers."""
        keystone = fake_keystone.FakeKeystone()
        self.addCleanup(keystone.close)
        path = self.folder / 'it.conf'
        path.write_text(GOOD.replace(
            'http://127.0.0.1:1/v3', keystone.url) + SQLITE.format(
                folder=self.folder) + '[keystone_authtoken]\n'
            'memcached_servers = 127.0.0.1:1\n'
            'memcache_security_strategy = ENCRYPT\n'
            'memcache_secret_key = SECRET\n')
        upgrade.sync(f'sqlite:///{self.folder}/freezer.db')
        app = webtest.TestApp(api_app.start(
            configuration.load(files=[str(path)])))
        app.get('/v2/p1/jobs', status=401)
        for _ in range(2):
            app.get('/v2/p1/jobs', status=200, headers={
                'X-Auth-Token': fake_keystone.MEMBER_TOKEN})
