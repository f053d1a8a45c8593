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

"""The figures as plots, one for each thing that was measured."""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import pathlib
import re

from benchmarks.scale import figure
from benchmarks.scale import report
from benchmarks.scale import stage


def draw(parts: Sequence[report.Part], folder: pathlib.Path) -> None:
    """Draw what was measured with several numbers of jobs, as SVG.

    :param folder: is made; a file is named after its stage and figure
    """
    # Only the environment of this benchmark has it.
    import matplotlib as mpl
    from matplotlib import pyplot
    mpl.use('svg')
    # The same figures make the same file, with text that can be searched.
    mpl.rcParams.update({'svg.hashsalt': 'scale', 'svg.fonttype': 'none'})
    folder.mkdir(parents=True, exist_ok=True)
    every = [(part.name, one) for part in parts for one in part.figures
             # The axes are logarithmic.
             if one.name in stage.load(part.name).DRAWN and one.value > 0]
    for (name, what), some in itertools.groupby(
            sorted(every, key=lambda pair: (pair[0], pair[1].name)),
            lambda pair: (pair[0], pair[1].name)):
        figures = [one for _, one in some]
        if len({one.jobs for one in figures}) < 2:
            continue
        canvas, axes = pyplot.subplots(figsize=(6, 3.6))
        for (side, engine), line in itertools.groupby(
                sorted(figures, key=lambda one: (
                    figure.SIDES.index(one.side), one.engine, one.jobs)),
                lambda one: (one.side, one.engine)):
            points = list(line)
            axes.plot([one.jobs for one in points],
                      [one.value for one in points], marker='o',
                      label=side if side == figure.KNOWN
                      else f'{side}, {report.NAMES[engine]}')
        aim = next((one.aim for one in figures if one.aim), None)
        if aim is not None:
            axes.axhline(aim.value, linestyle=':', color='gray', label='aim')
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xlabel('jobs')
        axes.set_ylabel(figures[0].unit)
        axes.set_title(f'{name}: {what}')
        axes.legend()
        canvas.tight_layout()
        canvas.savefig(folder / f'{name}-{_slug(what)}.svg',
                       metadata={'Date': None})
        pyplot.close(canvas)


def _slug(text: str) -> str:
    return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')
