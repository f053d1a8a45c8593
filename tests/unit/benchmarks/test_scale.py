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

"""Whether benchmarks/scale counts, reckons and shows what it says it does."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys

import testtools

from benchmarks import processes
from benchmarks.scale import counting
from benchmarks.scale import figure
from benchmarks.scale import known
from benchmarks.scale import options
from benchmarks.scale import report
from benchmarks.scale import settling
from benchmarks.scale import stage
from benchmarks.scale import stages


def a_figure(side, value, jobs=1_000, aim=None, note=''):
    return figure.Figure('CPU', side, jobs, 'mariadb', value, 's', aim, note)


def rendered(*figures):
    """The cells of each row of a table of one stage."""
    text = report.render(report.Report({}, [report.Part(
        'idle', 'idle', 'mariadb', 1_000, (0.5, 2.0), 1, figures)], 1))
    return text, [row.split() for row in text.splitlines()
                  if row.startswith('CPU')]


class OptionsTests(testtools.TestCase):

    def test_stages_and_engines_keep_their_order(self):
        backwards = ','.join(reversed(stages.NAMES))
        chosen = options.read(['--stages', backwards,
                               '--engines', 'postgresql,sqlite'])
        self.assertEqual(stages.NAMES, chosen.stages)
        self.assertEqual(('sqlite', 'postgresql'), chosen.engines)

    def test_an_unknown_name_is_refused(self):
        with (contextlib.redirect_stderr(io.StringIO()) as said,
              testtools.ExpectedException(SystemExit)):
            options.read(['--stages', 'idle,idel'])
        self.assertIn('idel', said.getvalue())

    def test_most_leaves_out_larger_numbers(self):
        self.assertEqual((1_000, 10_000),
                         options.read(['--most', '99999']).sizes)

    def test_each_job_may_have_a_trust(self):
        chosen = options.read(['--trusts', '300'])
        self.assertEqual(((300,), 300, True), (
            chosen.sizes, chosen.projects, chosen.ours_only))
        chosen = options.read([])
        self.assertEqual((options.PROJECTS, False), (
            chosen.projects, chosen.ours_only))


class StageTests(testtools.TestCase):

    def test_each_is_there(self):
        for name in stages.NAMES:
            self.assertTrue(stage.load(name).TITLE)

    def test_an_aim_is_met_on_one_side_of_it(self):
        self.assertEqual([True, True, False], [
            figure.Aim(2).met(value) for value in (1, 2, 3)])
        self.assertEqual([False, True, True], [
            figure.Aim(2, least=True).met(value) for value in (1, 2, 3)])

    def test_known_figures_are_of_sizes_that_are_measured(self):
        for _, values in known.FIGURES.values():
            self.assertLessEqual(set(values), set(options.SIZES))


class CountingTests(testtools.TestCase):

    def test_ids_and_searches_are_no_part_of_a_kind(self):
        hexadecimal = 'a' * 32
        for path, kind in (
                (f'/v2/{hexadecimal}/jobs/?limit=10&offset=0', settling.PAGE),
                (f'/v2/{hexadecimal}/clients/central/claims',
                 settling.CLAIM.removeprefix('POST ')),
                (f'/v2/{hexadecimal}/jobs/{hexadecimal}',
                 settling.CHANGE.removeprefix('PATCH '))):
            self.assertEqual(kind.rpartition(' ')[2],
                             counting.kind('GET', path).partition(' ')[2])
        self.assertEqual(
            'GET /v3/backups/*', counting.kind(
                'GET', '/v3/backups/4d9d40a4-50b3-4f5f-8f0f-d3d7c5bb1d0e'))

    def test_a_stock_scheduler_reads_until_a_page_is_not_full(self):
        self.assertEqual([1, 2, 101],
                         [settling.pages(jobs) for jobs in (9, 10, 1_000)])


class ReportTests(testtools.TestCase):

    def test_a_ratio_needs_both_sides(self):
        _, [both] = rendered(a_figure('ours', 2), a_figure('upstream', 9))
        self.assertEqual(['CPU', 's', '1,000', '2', '9', '4.5', 'x'], both)
        _, [alone] = rendered(a_figure('upstream', 9))
        self.assertEqual(['CPU', 's', '1,000', '9', '-'], alone)
        _, [nothing] = rendered(a_figure('ours', 0), a_figure('upstream', 9))
        self.assertEqual('-', nothing[-1])

    def test_an_aim_that_is_missed_is_told(self):
        _, rows = rendered(a_figure('ours', 1, aim=figure.Aim(1)),
                           a_figure('ours', 1.1, 10_000, figure.Aim(1)))
        self.assertEqual([['<=', '1', 'yes'], ['<=', '1', 'NO']],
                         [row[-3:] for row in rows])

    def test_the_load_is_in_the_title_and_a_note_in_its_row(self):
        text, [row] = rendered(a_figure('upstream', 9, note='reckoned'))
        self.assertIn('(load of the machine 0.5 to 2.0)', text)
        self.assertEqual(['upstream:', 'reckoned'], row[-2:])

    def test_a_stage_that_ended_early_says_why(self):
        text = report.render(report.Report({}, [report.Part(
            'idle', 'idle', 'mariadb', 1_000, (0, 0), 1,
            [a_figure('ours', 2)], 'no answer')], 1))
        self.assertIn('Ended early with 1,000 jobs: no answer', text)


class ProcessesTests(testtools.TestCase):

    def test_a_process_and_its_child_are_seen(self):
        child = subprocess.Popen(
            [sys.executable, '-c', 'import sys; sys.stdin.read()'],
            stdin=subprocess.PIPE)
        try:
            self.assertIn(child.pid, processes.family(os.getpid()))
            one = processes.Use.of(os.getpid())
            both = processes.Use.of_all([os.getpid(), child.pid])
        finally:
            child.communicate()
        self.assertGreater(one.cpu, 0)
        self.assertGreaterEqual(one.most, one.resident)
        self.assertGreater(both.resident, one.resident)
