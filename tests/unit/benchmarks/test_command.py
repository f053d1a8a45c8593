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

"""The program counts, extrapolates and reports what it says it does."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys

import testtools

from benchmarks import command
from benchmarks.environment import deployment
from benchmarks.observation import processes
from benchmarks.observation import proxy
from benchmarks import report


def a_figure(side, value, jobs=1_000, aim=None, note=''):
    return report.Figure('CPU', value, 's', side, jobs, aim, note)


def a_report(*items, error=''):
    return report.Report('idle', {}, list(items), (0.5, 2.0), 1, error)


def rendered(*figures):
    """The cells of each row of a report."""
    text = str(a_report(*figures))
    return text, [row.split() for row in text.splitlines()
                  if row.startswith('CPU')]


class CommandTests(testtools.TestCase):

    def test_an_unknown_stage_is_refused(self):
        with (contextlib.redirect_stderr(io.StringIO()) as said,
              testtools.ExpectedException(SystemExit)):
            command.main(['idel'])
        self.assertIn('idel', said.getvalue())

    def test_each_stage_has_options_and_a_title(self):
        for name in (*command.SERVED, *command.IN_PROCESS):
            self.assertTrue(command.load(name).__doc__, name)
            self.assertFalse(command.read(name, []).quick, name)

    def test_secrets_are_no_part_of_a_report(self):
        chosen = command.read('idle', ['--server', 'mysql://root:secret@db/'])
        self.assertNotIn('secret', str(command.machine(chosen)))


class CountingTests(testtools.TestCase):

    def test_ids_and_searches_are_no_part_of_a_kind(self):
        hexadecimal = 'a' * 32
        for path, kind in (
                (f'/v2/{hexadecimal}/jobs/?limit=10&offset=0',
                 deployment.PAGE),
                (f'/v2/{hexadecimal}/clients/central/claims',
                 deployment.CLAIM.removeprefix('POST ')),
                (f'/v2/{hexadecimal}/jobs/{hexadecimal}',
                 deployment.CHANGE.removeprefix('PATCH '))):
            self.assertEqual(kind.rpartition(' ')[2],
                             proxy.kind('GET', path).partition(' ')[2])
        self.assertEqual(
            'GET /v3/backups/*', proxy.kind(
                'GET', '/v3/backups/4d9d40a4-50b3-4f5f-8f0f-d3d7c5bb1d0e'))

    def test_a_stock_scheduler_reads_until_a_page_is_not_full(self):
        self.assertEqual([1, 2, 101],
                         [deployment.pages(jobs) for jobs in (9, 10, 1_000)])


class ReportTests(testtools.TestCase):

    def test_an_aim_is_met_on_one_side_of_it(self):
        self.assertEqual([True, True, False], [
            report.Aim(2).met(value) for value in (1, 2, 3)])
        self.assertEqual([False, True, True], [
            report.Aim(2, least=True).met(value) for value in (1, 2, 3)])

    def test_a_ratio_needs_both_sides(self):
        _, [both] = rendered(a_figure('ours', 2), a_figure('upstream', 9))
        self.assertEqual(['CPU', 's', '1,000', '2', '9', '4.5', 'x'], both)
        _, [alone] = rendered(a_figure('upstream', 9))
        self.assertEqual(['CPU', 's', '1,000', '9'], alone)
        _, [nothing] = rendered(a_figure('ours', 0), a_figure('upstream', 9))
        self.assertEqual('9', nothing[-1])

    def test_an_aim_that_is_missed_is_told(self):
        _, rows = rendered(a_figure('ours', 1, aim=report.Aim(1)),
                           a_figure('ours', 1.1, 10_000, report.Aim(1)))
        self.assertEqual([['<=', '1', 'yes'], ['<=', '1', 'NO']],
                         [row[-3:] for row in rows])

    def test_the_load_is_in_the_title_and_a_note_in_its_row(self):
        text, [row] = rendered(a_figure('upstream', 9, note='reckoned'))
        self.assertIn('(load of the machine 0.5 to 2.0', text)
        self.assertEqual(['upstream:', 'reckoned'], row[-2:])

    def test_a_stage_that_ended_early_says_why(self):
        found = a_report(a_figure('ours', 2), error='no answer')
        self.assertIn('Ended early: no answer', str(found))
        self.assertTrue(found.failed)

    def test_a_broken_invariant_or_a_required_aim_fails(self):
        for item, failed in (
                (report.Invariant('it holds', []), False),
                (report.Invariant('it holds', ['not here']), True),
                (a_figure('ours', 2, aim=report.Aim(1)), False),
                (a_figure('ours', 2, aim=report.Aim(1, required=True)), True),
                (a_figure('upstream', 2, aim=report.Aim(1, required=True)),
                 False)):
            self.assertEqual(failed, a_report(item).failed, str(item))


class ProcessesTests(testtools.TestCase):

    def test_a_process_and_its_child_are_seen(self):
        child = subprocess.Popen(
            [sys.executable, '-c', 'import sys; sys.stdin.read()'],
            stdin=subprocess.PIPE)
        try:
            self.assertIn(child.pid, processes.family(os.getpid()))
            one = processes.Usage.of(os.getpid())
            both = processes.Usage.of_all([os.getpid(), child.pid])
        finally:
            child.communicate()
        self.assertGreater(one.cpu, 0)
        self.assertGreaterEqual(one.most, one.resident)
        self.assertGreater(both.resident, one.resident)
