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

"""What is measured: the stages, which find figures.

A stage is a module of :mod:`benchmarks.scale.stages` with a ``TITLE``, with
``DRAWN`` and a function ``measure``, see :class:`Stage`. To add one:

1. write ``stages/NAME.py``::

       TITLE = 'nothing is due'
       DRAWN = ('CPU of the scheduler',)

       def measure(scene: scene.Scene, chosen: options.Options,
                   tell: progress.Progress) -> Iterator[figure.Figure]:
           for one in scene.deployments:          # ours, and upstream's
               settling.settle(one, chosen.patience)      # a scheduler of it
               before = one.read()
               time.sleep(chosen.window)
               spent = one.read().since(before)
               one.stop()
               yield scene.figure('CPU of the scheduler', one.name,
                                  spent.schedulers, 's', figure.Aim(1))

2. name it in :data:`benchmarks.scale.stages.NAMES`, in the order in which
   stages are to follow each other; ``--stages`` takes it then.

It is called for each engine and each number of jobs, from few to many, with
that many jobs in the databases, all of them scheduled and none due. It hands
back nothing where it has nothing to measure, keeps to the times of
:class:`~benchmarks.scale.options.Options`, and leaves nothing due. It may find
a scheduler running that the stage before has left, and stops it if it has no
use for it. What it yields is shown at once.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
import importlib
import typing
from typing import Protocol

from benchmarks.scale import figure
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from tools.cloud import progress


class Stage(Protocol):
    """A module of :mod:`benchmarks.scale.stages`."""

    #: The title of its table.
    TITLE: str
    #: Names of the figures that are drawn over the number of jobs.
    DRAWN: Collection[str]

    def measure(self, scene: scenes.Scene, chosen: options.Options,
                tell: progress.Progress) -> Iterator[figure.Figure]:
        """Measure with the jobs that there are.

        :raises tools.cloud.errors.QuickstartError: something does not start
        :raises benchmarks.api.load.Refused: an API answered with an error
        """


def load(name: str) -> Stage:
    """Return the stage of a name."""
    return typing.cast(Stage, importlib.import_module(
        f'benchmarks.scale.stages.{name}'))
