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

"""What an agent gets to read is what its user wrote, or nothing."""

from __future__ import annotations

import configparser
import string

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import agent_keys
from freezer_scheduler.engines.agent import action as agent_action

PROJECT = 'a' * 32

KEYS = st.sampled_from(sorted(agent_keys.AGENT))
# What means something to one of the parsers, more often than by chance.
TEXTS = st.one_of(
    st.text(), st.text('$%{}()[]=:;#\\"\' \n\r\tas\x85\u2028', max_size=12),
    st.sampled_from(['False', 'none', '%(x)s', '$container', '${a}', '[a]',
                     '\n[exec]\ncommand = id', '\ncommand=id', '%%', '$$',
                     '\\$', '= x', ': x', '', 'rem x', '\ud800']))
VALUES = st.one_of(TEXTS, TEXTS, st.none(), st.booleans(), st.integers(),
                   st.floats(), st.lists(st.integers(), max_size=2))
DOCUMENTS = st.dictionaries(st.one_of(KEYS, KEYS, TEXTS), VALUES, max_size=6)


def agent_reads(text):
    """Read a file as freezer-agent 19.0.0 does, before oslo.config."""
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return {section: dict(parser.items(section))
            for section in parser.sections()}


def agent_means(text):
    """Replace $ as oslo.config does."""
    class Template(string.Template):
        idpattern = r'[_a-z][\._a-z0-9]*'

    values = dict.fromkeys(agent_keys.AGENT, 'of another option')
    return Template(text.replace(r'\$', '$$')).safe_substitute(values)


class TestProperties(testtools.TestCase):

    @hypothesis.given(DOCUMENTS)
    @hypothesis.settings(max_examples=400)
    def test_exactly_what_was_written_or_refused(self, document):
        try:
            action = agent_action.read(document, False, PROJECT)
            text = action.text()
        except agent_action.Unusable:
            return
        [(section, found)] = agent_reads(text).items()
        self.assertEqual('action', section)
        self.assertEqual(set(action.values), set(found))
        for key, value in action.values.items():
            self.assertIn(key, agent_keys.AGENT)
            if key in agent_keys.TEXTS:
                self.assertEqual(value, agent_means(found[key]))
                self.assertNotIn(found[key], ('False', 'None', 'True'))
            elif key in agent_keys.NUMBERS:
                self.assertEqual(value, float(found[key])
                                 if isinstance(value, float)
                                 else int(found[key]))

    @hypothesis.given(KEYS, TEXTS)
    @hypothesis.settings(max_examples=200)
    def test_a_text_is_a_text_s_value(self, key, value):
        if key not in agent_keys.TEXTS:
            return
        try:
            action = agent_action.read({key: value}, False, PROJECT)
        except agent_action.Unusable:
            return
        self.assertEqual(value, action.values[key])

    @hypothesis.given(DOCUMENTS)
    def test_a_shared_host_s_files_are_not_named(self, document):
        try:
            action = agent_action.read(document, True, PROJECT)
        except agent_action.Unusable:
            return
        for key in agent_action.NOT_SHARED:
            self.assertFalse(action.values.get(key))


class TestReading(testtools.TestCase):

    def read(self, shared=False, **keys):
        return agent_action.read(keys, shared, PROJECT)

    def refused(self, *words, shared=False, **keys):
        error = self.assertRaises(
            agent_action.Unusable,
            lambda: self.read(shared, **keys).text())
        for word in words:
            self.assertIn(word, str(error))

    def test_an_action_of_the_stock_client(self):
        self.assertEqual('''\
[action]
action = backup
mode = fs
storage = local
backup_name = nightly
path_to_backup = /srv/a b
container = /backups
max_level = 3
''', self.read(
            action='backup', mode='fs', storage='local',
            backup_name='nightly', path_to_backup='/srv/a b',
            container='/backups', max_level='3', no_such=1,
            restore_from_date=None).text())

    def test_what_is_absent_is_what_was_checked(self):
        self.assertEqual({'action': 'backup', 'mode': 'fs'},
                         self.read().values)

    def test_false_is_not_zero(self):
        """It removed every backup once."""
        action = self.read(remove_older_than=False, max_level=False,
                           overwrite=False, restore_from_date=False)
        self.assertEqual({'action': 'backup', 'mode': 'fs',
                          'overwrite': False}, action.values)
        for wrong in (True, 'false', 'False', 'None', [1], float('nan')):
            self.refused('remove_older_than', remove_older_than=wrong)
        self.assertEqual(0, self.read(
            remove_older_than=0).values['remove_older_than'])

    def test_unknown_keys_are_left_out(self):
        action = self.read(no_incremental=True, priority='x', unset=None)
        self.assertEqual(('no_incremental', 'priority'), action.dropped)
        self.assertNotIn('priority', action.text())

    def test_keys_of_the_scheduler_are_not_taken_from_jobs(self):
        for key in ('config', 'metadata_out', 'os_trust_id', 'backup_id',
                    'osrc', 'log_config_append', 'config_file', 'Metadata-Out',
                    ' metadata_out'):
            action = agent_action.read({key: '/tmp/x'}, False, PROJECT)
            self.assertNotIn('/tmp/x', action.text(), key)

    def test_two_spellings_of_one_key(self):
        self.assertEqual('/x', agent_action.read(
            {'path-to-backup': '/x', 'Path_To_Backup': '/x'}, False,
            PROJECT).values['path_to_backup'])
        error = self.assertRaises(
            agent_action.Unusable, agent_action.read,
            {'mode': 'cindernative', 'Mode': 'fs'}, False, PROJECT)
        self.assertIn('mode: given twice', str(error))

    def test_engine_is_engine_name(self):
        self.assertEqual('rsync', self.read(
            engine='rsync').values['engine_name'])
        self.refused('engine_name: given twice', engine='rsync',
                     engine_name='tar')

    def test_what_ini_files_cannot_hold(self):
        for value in ('a\nb', 'a\rb', ' a', 'a ', 'x\0', '\u2028', 'None',
                      'true', 'a\\$b', '\ud800'):
            self.refused('backup_name', backup_name=value)
        self.refused('the action is longer', command='x' * 70_000)

    def test_on_a_shared_host(self):
        for keys in ({'log_file': '/etc/cron.d/x'}, {'ssh_key': '/root/k'},
                     {'proxy': 'http://evil'}, {'insecure': True},
                     {'mysql_conf': '/etc/my.cnf'},
                     {'mode': 'nova', 'path_to_backup': '/etc'},
                     {'mode': 'glance', 'restore_abs_path': '/etc'}):
            [key] = set(keys) - {'mode'}
            self.refused(f'{key}: not taken from jobs in service mode',
                         shared=True, **keys)
            self.assertIn(key, self.read(**keys).values)
        # The mode is about files, and had to be named to be offered.
        self.read(shared=True, mode='fs', path_to_backup='/srv')
        self.read(shared=True, mode='nova', project_id=PROJECT)
        self.refused('project_id', shared=True, mode='nova',
                     project_id='b' * 32)
