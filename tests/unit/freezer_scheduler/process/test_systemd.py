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

from __future__ import annotations

import pathlib
import socket

import fixtures
import testtools

from freezer_scheduler.process import systemd


class TestNotifier(testtools.TestCase):

    def listen(self, address):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.settimeout(10)
        return listener

    def path(self):
        return str(pathlib.Path(self.useFixture(fixtures.TempDir()).path, 's'))

    def test_notifications_from_start_to_stop(self):
        path = self.path()
        listener = self.listen(path)
        notifier = systemd.Notifier({'NOTIFY_SOCKET': path})
        notifier.ready()
        notifier.status('cannot register:\nno answer')
        notifier.reloading()
        notifier.stopping()
        sent = [listener.recv(1000).decode() for _ in range(4)]
        self.assertEqual(
            ['READY=1', 'STATUS=cannot register: no answer'], sent[:2])
        self.assertRegex(sent[2], r'\ARELOADING=1\nMONOTONIC_USEC=\d+\Z')
        self.assertEqual('STOPPING=1', sent[3])

    def test_an_abstract_socket(self):
        name = self.path()
        listener = self.listen('\0' + name)
        systemd.Notifier({'NOTIFY_SOCKET': '@' + name}).ready()
        self.assertEqual(b'READY=1', listener.recv(1000))

    def test_a_socket_without_a_listener_does_no_harm(self):
        for environ in ({}, {'NOTIFY_SOCKET': ''},
                        {'NOTIFY_SOCKET': self.path()},
                        {'NOTIFY_SOCKET': 'x' * 1000}):
            systemd.Notifier(environ).ready()
