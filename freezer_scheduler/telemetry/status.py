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

"""The status of a scheduler, as a document and as text.

It contains IDs of jobs and projects, and no secrets.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import datetime
import os
from typing import Any

from freezer_scheduler.runs import result
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import monitor
from freezer_scheduler import version

# Runs that people are shown; programs get them all.
_SHOWN = 50


def document(scheduler_id: str, claim_interval: float,
             settings: scheduler_settings.Settings, facts: monitor.Facts,
             table: run_table.RunTable,
             limits: run_table.Limits) -> dict[str, object]:
    """Return the status document; times are ISO 8601, UTC.

    :param claim_interval: seconds
    :param settings: the settings at start
    """
    metrics = None
    if settings.metrics_address is not None:
        host, port = settings.metrics_address
        metrics = (f'http://{f"[{host}]" if ":" in host else host}:{port}'
                   '/metrics')
    troubles = facts.maintenance
    suspended = None if troubles is None else troubles.suspended
    return {
        'pid': os.getpid(),
        'version': version.version_string(),
        'mode': 'files' if settings.jobs_dir is not None else
                'service' if settings.service_mode else 'classic',
        'scheduler_id': scheduler_id,
        'started_at': _iso(facts.started_at),
        'client_id': facts.client_id,
        'registered_at': _iso(facts.registered_at),
        'registration_error': facts.registration_error,
        'claim_interval': claim_interval,
        'last_claim_at': _iso(facts.last_claim_at),
        'claim_error': facts.claim_error,
        'claim_error_at': _iso(facts.claim_failed_at),
        'due_waiting_seconds': facts.waiting,
        'jobs_suspended': None if suspended is None else {
            str(cause): count for cause, count in suspended.items()},
        'trusts_pending': troubles and troubles.trusts_pending,
        'trusts_unproven': troubles and troubles.trusts_unproven,
        'api_clock_ahead': troubles and troubles.clock_ahead,
        'in_flight': table.in_flight(),
        'max_in_flight': limits.total,
        'metrics': metrics,
        'runs': [_run(claimed, phase) for claimed, phase in table.phases()],
    }


def _run(claimed: run_table.ClaimedRun,
         phase: run_table.Phase) -> dict[str, object]:
    # A worker may change the run meanwhile: read each value once.
    steps = claimed.progress.known_steps
    current = result.current(steps)
    return {
        'run_id': claimed.run.run_id, 'job_id': claimed.run.job_id,
        'project_id': claimed.run.project_id, 'since': _iso(claimed.since),
        'reclaimed': claimed.run.reclaimed, 'phase': str(phase),
        'action': None if current is None else current + 1,
        'actions': len(steps),
        'state': None if current is None else str(steps[current].state),
        'report_kept': claimed.progress.failures > 0,
    }


def text(shown: Mapping[str, Any], now: float) -> str:
    """Return a status document as text.

    :param now: epoch seconds
    """
    return '\n'.join(_lines(shown, now))


def _lines(shown: Mapping[str, Any], now: float) -> Iterator[str]:
    yield _line('Version', f'{shown["version"]}, {shown["mode"]} mode, '
                           f'started {_ago(shown["started_at"], now)}')
    if shown['mode'] != 'files':
        yield from _service_lines(shown, now)
    if shown['metrics']:
        yield _line('Metrics', shown['metrics'])
    yield _line('In flight', f'{shown["in_flight"]} of '
                             f'{shown["max_in_flight"]}')
    claimed = shown['runs']
    yield _line('Held runs', str(len(claimed)))
    if claimed:
        yield ''
        yield from _table(claimed[:_SHOWN], now)
    if len(claimed) > _SHOWN:
        yield f'... and {len(claimed) - _SHOWN} more: --format json has all'


def _service_lines(shown: Mapping[str, Any], now: float) -> Iterator[str]:
    yield _line('Client', (
        f'{shown["client_id"]}, registered '
        f'{_ago(shown["registered_at"], now)}'
        if shown['client_id'] else 'not registered yet'))
    if shown['registration_error']:
        yield _line('', f'last try: {shown["registration_error"]}')
    yield _line('Last claim', _ago(shown['last_claim_at'], now))
    if shown['claim_error']:
        yield _line('', f'{_ago(shown["claim_error_at"], now)} failed: '
                        f'{shown["claim_error"]}')
    waiting = shown['due_waiting_seconds']
    yield _line('Due runs', (
        'not known' if waiting is None else 'none waits' if not waiting
        else f'the first has waited for {_span(waiting)}'))
    if shown['mode'] == 'service':
        counts = shown['jobs_suspended']
        number = sum(counts.values()) if counts else 0
        yield _line('Suspended', (
            'not known yet' if counts is None else 'no jobs' if not counts
            else f'{number} job{"s" * (number != 1)}: ' + ', '.join(
                f'{cause} {count}' for cause, count in counts.items())))


def _table(claimed: Iterable[Mapping[str, Any]], now: float) -> Iterator[str]:
    rows = [('RUN', 'JOB', 'PROJECT', 'HELD FOR', 'PHASE', 'ACTION')]
    for run in claimed:
        action = '-'
        if run['action'] is not None:
            action = f'{run["action"]}/{run["actions"]} {run["state"]}'
        notes = (', reclaimed' * run['reclaimed']
                 + ', report kept' * run['report_kept'])
        rows.append((run['run_id'], run['job_id'], run['project_id'],
                     _span(_since(run['since'], now)), run['phase'],
                     action + notes))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield '  '.join(cell.ljust(width) for cell, width in zip(
            row, widths, strict=True)).rstrip()


def _line(name: str, value: str) -> str:
    return f'{name + ":" if name else "":12}{value}'


def _iso(epoch: float | None) -> str | None:
    return None if epoch is None else datetime.datetime.fromtimestamp(
        int(epoch), datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


def _since(time: str, now: float) -> float:
    return max(0.0, now - datetime.datetime.fromisoformat(time).timestamp())


def _ago(time: str | None, now: float) -> str:
    return 'never' if time is None else f'{_span(_since(time, now))} ago'


def _span(seconds: float) -> str:
    """Return a duration in one or two units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f'{days} d {hours} h'
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {rest} s' if minutes else f'{rest} s'
