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

"""The configuration as checked values.

Whatever cannot work is refused here, by the name of the option, before
anything is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import os
import pathlib
import re
import shutil
from typing import Any

from oslo_config import cfg

from freezer_api.domain import capabilities
from freezer_scheduler import conf as scheduler_conf
from freezer_scheduler.conf import scheduler as scheduler_options
from freezer_scheduler.conf import service_auth
from freezer_scheduler.process import pidfile

# A submit is only begun while the lease outlasts the request by this much.
LEASE_MARGIN = 5

_LABEL = r'[a-zA-Z\d](?:[a-zA-Z\d-]{0,61}[a-zA-Z\d])?'
_CLIENT_ID = re.compile(rf'(?:[\w-]+_)?{_LABEL}(?:\.{_LABEL})*')

_KNOWN = {'actions': capabilities.ACTIONS, 'modes': capabilities.MODES,
          'storages': capabilities.STORAGES, 'engines': capabilities.ENGINES}


class Refused(Exception):
    """The configuration cannot work; the text names the options."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__('\n'.join(problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True)
class Settings:
    """The checked values of the options; times in seconds.

    :ivar jobs_dir: folder of the job files; None if the API has the jobs
    :ivar default_container: see :class:`.containers.Containers`, also for
        the accepted containers
    :ivar metrics_address: host and port of the metrics; None if disabled
    """

    service_mode: bool
    jobs_dir: pathlib.Path | None
    client_id: str | None
    auth: service_auth.ServiceAuth
    capabilities: capabilities.Capabilities
    insecure: bool
    claim_interval: int
    claim_batch: int
    lease_seconds: int
    request_timeout: int
    poll_interval: int
    workers: int
    max_in_flight: int
    max_in_flight_per_project: int
    heartbeat_interval: int
    maintenance_interval: int
    backup_timeout: int
    busy_timeout: int
    concurrent_jobs: int
    token_percent: int
    agent_command: str
    agent_dir: pathlib.Path
    agent_grace: int
    metrics_address: tuple[str, int] | None
    notices: tuple[str, ...]
    default_container: str = ''
    accepted_containers: tuple[str, ...] | None = None

    @property
    def token_part(self) -> float:
        """Part of a token's life that a backup needs at its start."""
        return self.token_percent / 100

    @property
    def lease_needed(self) -> int:
        """Seconds a lease must have left for a request that creates."""
        return self.request_timeout + LEASE_MARGIN


def load(conf: cfg.ConfigOpts, environ: Mapping[str, str],
         hostname: str) -> Settings:
    """Read and check the configuration.

    :param hostname: part of the default client ID
    :raises Refused: naming every option that cannot be used
    """
    if problems := scheduler_conf.problems(conf):
        raise Refused(problems)
    group = conf.scheduler
    # The options of [scheduler] that are settings as they are, and those that
    # are replaced below.
    values: dict[str, Any] = {
        field.name: group[field.name]
        for field in dataclasses.fields(Settings) if field.name in group}
    if not _explicit(conf, 'claim_interval') and _explicit(conf, 'interval'):
        values['claim_interval'] = min(
            group.interval, scheduler_options.LONGEST_CLAIM_INTERVAL)
    if not group.service_mode:
        # The only project may use all slots.
        values['max_in_flight_per_project'] = group.max_in_flight
    try:
        values['auth'] = auth = service_auth.read(conf, environ)
        problems += _account_problems(conf, auth)
    except ValueError as error:
        problems.append(str(error))
    offered = _capabilities(conf, problems)
    problems += _problems(conf, hostname)
    # After two failed claims a request must still be able to begin.
    least = (2 * values['claim_interval'] + group.request_timeout
             + LEASE_MARGIN)
    lease = group.lease_seconds
    if lease is None:
        lease = max(60, least + values['claim_interval'])
    elif lease < least:
        problems.append(
            f'[scheduler] lease_seconds: {lease} is less than {least}, two '
            'claim intervals and a request timeout: raise it, or lower '
            'claim_interval or request_timeout')
    if problems:
        raise Refused(problems)
    accepted = conf.cinder.accepted_containers
    return Settings(**values | {
        'jobs_dir': _jobs_dir(conf, environ) if group.no_api else None,
        'client_id': group.client_id or None,
        'capabilities': offered,
        'lease_seconds': lease,
        'agent_dir': pathlib.Path(
            group.agent_dir or pidfile.default_path().parent / 'agents'),
        'metrics_address': (
            (conf.metrics.bind_host, conf.metrics.port)
            if conf.metrics.enabled else None),
        'notices': (*scheduler_conf.unread(conf), *_notices(conf, offered)),
        'default_container': conf.cinder.default_container or '',
        'accepted_containers': None if accepted is None else tuple(
            filter(None, accepted))})


def _explicit(conf: cfg.ConfigOpts, name: str) -> bool:
    location = conf.get_location(name, 'scheduler')
    return location is not None and location.location.is_user_controlled


def _jobs_dir(conf: cfg.ConfigOpts,
              environ: Mapping[str, str]) -> pathlib.Path:
    given = conf.scheduler.jobs_dir
    if not _explicit(conf, 'jobs_dir'):
        given = environ.get('FREEZER_SCHEDULER_CONF_D') or given
    return pathlib.Path(given)


def _account_problems(conf: cfg.ConfigOpts,
                      auth: service_auth.ServiceAuth) -> Iterator[str]:
    if conf.scheduler.no_api:
        # Agents that need one say so.
        return
    needed = ['auth_url']
    if (auth.application_credential_id
            or auth.application_credential_secret):
        needed += ['application_credential_id',
                   'application_credential_secret']
    else:
        needed += ['username', 'password', 'user_domain_name', 'project_name']
        if auth.project_name and not auth.project_id:
            needed.append('project_domain_name')
    for name in needed:
        # An ID does as well as a name.
        if not (getattr(auth, name) or (name.endswith('_name') and getattr(
                auth, name.removesuffix('name') + 'id'))):
            yield (f'[service_auth] os_{name}: missing; set it, or '
                   f'OS_{name.upper()} in the environment')
    if auth.application_credential_id and conf.scheduler.service_mode:
        yield ('[service_auth] os_application_credential_id: Keystone gives '
               'it no token of a trust, which service mode needs; give '
               'os_username and os_password')
    if auth.token and not auth.password:
        yield ('[service_auth] os_token: a token expires too soon for a '
               'scheduler; give os_username and os_password')
    for name, path in (('cacert', auth.cacert), ('cert', auth.cert)):
        if path and not os.access(path, os.R_OK):
            yield (f'[service_auth] os_{name}: {path} cannot be read; name a '
                   'file that the user of the process can read')
    for name, url in (('auth_url', auth.auth_url),
                      ('backup_url', auth.backup_url)):
        if url and not re.match(r'https?://[^/\s]+', url):
            yield (f'[service_auth] os_{name}: not an http URL; write it as '
                   'http://HOST:PORT')


def _capabilities(conf: cfg.ConfigOpts,
                  problems: list[str]) -> capabilities.Capabilities:
    """Read the lists, with the defaults of the mode for absent ones."""
    default = (capabilities.CINDER_NATIVE if conf.scheduler.service_mode
               else capabilities.EVERYTHING)
    lists = {}
    for noun, words in _KNOWN.items():
        given = conf.capabilities[f'supported_{noun}']
        if given is None:
            lists[noun] = getattr(default, noun)
            continue
        given = [word.strip() for word in given]
        problems += (f'[capabilities] supported_{noun}: {word!r} is not one '
                     f'of {", ".join(words)}'
                     for word in given if word not in words)
        if not given and noun in ('actions', 'modes'):
            problems.append(f'[capabilities] supported_{noun}: empty, so '
                            f'that no job could run')
        # Order and repetition mean nothing: use the order of the vocabulary.
        lists[noun] = tuple(word for word in words if word in given)
    if conf.scheduler.disable_exec:
        lists['actions'] = tuple(
            word for word in lists['actions'] if word != 'exec')
    return capabilities.Capabilities(**lists)


def _problems(conf: cfg.ConfigOpts, hostname: str) -> Iterator[str]:
    """Yield what cannot work in [scheduler] and [cinder]."""
    group = conf.scheduler
    if group.no_api and group.service_mode:
        yield '[scheduler] no_api: service mode works through the API'
    if group.enable_v1_api:
        yield '[scheduler] enable_v1_api: version 1 of the API is gone'
    for name, values in (
            ('default_container', [conf.cinder.default_container or '']),
            ('accepted_containers', conf.cinder.accepted_containers or [])):
        for value in values:
            if '/' in value or not value.isprintable() or len(value) > 255:
                yield (f'[cinder] {name}: {value!r} is no name of a '
                       'container')
    given = '' if group.no_api else group.client_id or f'project_{hostname}'
    if given and (not _CLIENT_ID.fullmatch(given) or len(given) > 255):
        yield ('[scheduler] client_id: must be a host name, which may have a '
               'prefix of letters, digits and hyphens before an underscore'
               if group.client_id else
               f'[scheduler] client_id: must be set, because {hostname!r} is '
               'no host name that it could be made of')


def _notices(conf: cfg.ConfigOpts,
             offered: capabilities.Capabilities) -> Iterator[str]:
    """Yield the warnings that an operator should read at start."""
    group = conf.scheduler
    more = []
    for noun in _KNOWN:
        narrow = getattr(capabilities.CINDER_NATIVE, noun)
        if extra := [word for word in getattr(offered, noun)
                     if word not in narrow]:
            more.append(f'{noun} {", ".join(extra)}')
    needs_agent = (set(offered.modes) - {'cindernative'}
                   or 'exec' in offered.actions)
    for applies, text in (
            (more and group.service_mode,
             'RISK: [capabilities] offers more than cinder-native work to '
             f'every project: {"; ".join(more)}. Users of any project can run '
             'it on this host.'),
            (needs_agent and shutil.which(group.agent_command) is None,
             f'[scheduler] agent_command: there is no {group.agent_command}, '
             'so only cinder-native jobs can run: install freezer-agent into '
             'an environment of its own and name its path, or offer less in '
             '[capabilities]'),
            (_explicit(conf, 'jobs_dir') and not group.no_api,
             '[scheduler] jobs_dir has no effect without no_api: no job is '
             'ever written to a file.'),
            (group.service_mode and (
                1 < group.max_in_flight <= group.max_in_flight_per_project),
             '[scheduler] max_in_flight_per_project is not below '
             'max_in_flight: one project can keep out the others.'),
            (_explicit(conf, 'interval') and _explicit(conf, 'claim_interval'),
             '[scheduler] interval has no effect beside claim_interval.'),
            (conf.service_auth.os_token or conf.service_auth.token,
             '[service_auth] os_token has no effect beside os_password.'),
            (conf.coordination.backend_url,
             '[coordination] backend_url has no effect: claims need no '
             'coordination service.'),
            (group.insecure,
             '[scheduler] insecure: the certificates of servers are not '
             'checked.')):
        if applies:
            yield text
