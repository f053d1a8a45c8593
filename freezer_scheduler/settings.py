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

from collections.abc import Mapping
import dataclasses
import os
import pathlib
import re
import shutil

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

# Options of [scheduler] that are settings as they stand.
_PLAIN = (
    'claim_interval', 'claim_batch', 'request_timeout', 'poll_interval',
    'workers', 'max_in_flight', 'max_in_flight_per_project',
    'heartbeat_interval', 'maintenance_interval', 'backup_timeout',
    'busy_timeout', 'token_percent', 'concurrent_jobs', 'agent_grace')


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
    values = {name: group[name] for name in _PLAIN}
    if not _explicit(conf, 'claim_interval') and _explicit(conf, 'interval'):
        values['claim_interval'] = min(
            group.interval, scheduler_options.LONGEST_CLAIM_INTERVAL)
    auth, auth_problems = _auth(conf, environ)
    problems += auth_problems
    if not group.service_mode:
        # The only project may use all slots.
        values['max_in_flight_per_project'] = values['max_in_flight']
    offered, capability_problems = _capabilities(conf)
    problems += capability_problems + _modes(conf)
    default_container, accepted_containers = _containers(conf, problems)
    lease = _lease(group.lease_seconds, values, problems)
    if not group.no_api:
        problems += _client_id(group.client_id, hostname)
    if problems or auth is None:
        raise Refused(problems)
    return Settings(
        service_mode=group.service_mode,
        jobs_dir=_jobs_dir(conf, environ) if group.no_api else None,
        agent_command=group.agent_command,
        agent_dir=pathlib.Path(
            group.agent_dir or pidfile.default_path().parent / 'agents'),
        client_id=group.client_id or None, auth=auth, capabilities=offered,
        insecure=group.insecure, lease_seconds=lease,
        metrics_address=(
            (conf.metrics.bind_host, conf.metrics.port)
            if conf.metrics.enabled else None),
        notices=tuple(_notices(conf, offered)),
        default_container=default_container,
        accepted_containers=accepted_containers, **values)


def _client_id(given: str | None, hostname: str) -> list[str]:
    if not given and not _CLIENT_ID.fullmatch(f'project_{hostname}'):
        return [f'[scheduler] client_id: must be set, because {hostname!r} '
                f'is no host name that it could be made of']
    if given and (not _CLIENT_ID.fullmatch(given) or len(given) > 255):
        return ['[scheduler] client_id: must be a host name, which may have '
                'a prefix of letters, digits and hyphens before an '
                'underscore']
    return []


def _explicit(conf: cfg.ConfigOpts, name: str) -> bool:
    location = conf.get_location(name, 'scheduler')
    return location is not None and location.location.is_user_controlled


def _auth(conf: cfg.ConfigOpts, environ: Mapping[str, str],
          ) -> tuple[service_auth.ServiceAuth | None, list[str]]:
    try:
        auth = service_auth.read(conf, environ)
    except ValueError as error:
        return None, [str(error)]
    problems: list[str] = []
    if conf.scheduler.no_api:
        # Agents that need one say so.
        return auth, problems
    needed = ([('auth_url', auth.auth_url)]
              + (_application_credential(auth)
                 if auth.application_credential_id
                 or auth.application_credential_secret else _user(auth)))
    for name, value in needed:
        if not value:
            problems.append(
                f'[service_auth] os_{name}: missing; set it, or '
                f'OS_{name.upper()} in the environment')
    if auth.application_credential_id and conf.scheduler.service_mode:
        problems.append(
            '[service_auth] os_application_credential_id: Keystone gives it '
            'no token of a trust, which service mode needs; give '
            'os_username and os_password')
    if auth.token and not auth.password:
        problems.append('[service_auth] os_token: a token expires too soon '
                        'for a scheduler; give os_username and os_password')
    for name, path in (('cacert', auth.cacert), ('cert', auth.cert)):
        if path and not os.access(path, os.R_OK):
            problems.append(f'[service_auth] os_{name}: {path} cannot be '
                            'read; name a file that the user of the process '
                            'can read')
    for name, url in (('auth_url', auth.auth_url),
                      ('backup_url', auth.backup_url)):
        if url and not re.match(r'https?://[^/\s]+', url):
            problems.append(f'[service_auth] os_{name}: not an http URL; '
                            'write it as http://HOST:PORT')
    return auth, problems


def _application_credential(auth: service_auth.ServiceAuth,
                            ) -> list[tuple[str, str | None]]:
    return [
        ('application_credential_id', auth.application_credential_id),
        ('application_credential_secret', auth.application_credential_secret)]


def _user(auth: service_auth.ServiceAuth) -> list[tuple[str, str | None]]:
    needed = [('username', auth.username), ('password', auth.password),
              ('user_domain_name', auth.user_domain_name
               or auth.user_domain_id),
              ('project_name', auth.project_name or auth.project_id)]
    if auth.project_name and not auth.project_id:
        needed.append(('project_domain_name', auth.project_domain_name
                       or auth.project_domain_id))
    return needed


def _capabilities(conf: cfg.ConfigOpts,
                  ) -> tuple[capabilities.Capabilities, list[str]]:
    """Read the lists, with the defaults of the mode for absent ones."""
    default = (capabilities.CINDER_NATIVE if conf.scheduler.service_mode
               else capabilities.EVERYTHING)
    known = {'actions': capabilities.ACTIONS, 'modes': capabilities.MODES,
             'storages': capabilities.STORAGES,
             'engines': capabilities.ENGINES}
    problems, lists = [], {}
    for noun, words in known.items():
        given = conf.capabilities[f'supported_{noun}']
        if given is None:
            lists[noun] = getattr(default, noun)
            continue
        given = [word.strip() for word in given]
        for word in given:
            if word not in words:
                problems.append(
                    f'[capabilities] supported_{noun}: {word!r} is not one '
                    f'of {", ".join(words)}')
        if not given and noun in ('actions', 'modes'):
            problems.append(f'[capabilities] supported_{noun}: empty, so '
                            f'that no job could run')
        # Order and repetition mean nothing: use the order of the vocabulary.
        lists[noun] = tuple(word for word in words if word in given)
    if conf.scheduler.disable_exec:
        lists['actions'] = tuple(
            word for word in lists['actions'] if word != 'exec')
    return capabilities.Capabilities(**lists), problems


def _modes(conf: cfg.ConfigOpts) -> list[str]:
    problems = []
    if conf.scheduler.no_api and conf.scheduler.service_mode:
        problems.append('[scheduler] no_api: service mode works through the '
                        'API')
    if conf.scheduler.enable_v1_api:
        problems.append('[scheduler] enable_v1_api: version 1 of the API is '
                        'gone')
    return problems


def _containers(conf: cfg.ConfigOpts, problems: list[str],
                ) -> tuple[str, tuple[str, ...] | None]:
    """Return the default container and the accepted ones."""
    default = conf.cinder.default_container or ''
    given = conf.cinder.accepted_containers
    for name, values in (('default_container', [default]),
                         ('accepted_containers', given or [])):
        for value in values:
            if '/' in value or not value.isprintable() or len(value) > 255:
                problems.append(f'[cinder] {name}: {value!r} is no name of a '
                                f'container')
    return default, None if given is None else tuple(
        value for value in given if value)


def _lease(given: int | None, values: Mapping[str, int],
           problems: list[str]) -> int:
    tick, timeout = values['claim_interval'], values['request_timeout']
    # After two failed claims a request must still be able to begin.
    least = 2 * tick + timeout + LEASE_MARGIN
    lease = max(60, least + tick) if given is None else given
    if lease < least:
        problems.append(
            f'[scheduler] lease_seconds: {lease} is less than {least}, two '
            'claim intervals and a request timeout: raise it, or lower '
            'claim_interval or request_timeout')
    return lease


def _notices(conf: cfg.ConfigOpts,
             offered: capabilities.Capabilities) -> list[str]:
    """Return the warnings that an operator should read at start."""
    notices = scheduler_conf.unread(conf)
    narrow = capabilities.CINDER_NATIVE
    more = [f'{noun} {", ".join(extra)}'
            for noun, extra in (
                ('actions', _beyond(offered.actions, narrow.actions)),
                ('modes', _beyond(offered.modes, narrow.modes)),
                ('storages', _beyond(offered.storages, narrow.storages)),
                ('engines', _beyond(offered.engines, narrow.engines)))
            if extra]
    group = conf.scheduler
    if more and group.service_mode:
        notices.append(
            'RISK: [capabilities] offers more than cinder-native work to '
            'every project: ' + '; '.join(more) + '. Users of any project '
            'can run it on this host.')
    if ((set(offered.modes) - {'cindernative'} or 'exec' in offered.actions)
            and shutil.which(group.agent_command) is None):
        notices.append(
            f'[scheduler] agent_command: there is no {group.agent_command}, '
            'so only cinder-native jobs can run: install freezer-agent into '
            'an environment of its own and name its path, or offer less in '
            '[capabilities]')
    if _explicit(conf, 'jobs_dir') and not group.no_api:
        notices.append('[scheduler] jobs_dir has no effect without no_api: '
                       'no job is ever written to a file.')
    if group.service_mode and (
            1 < group.max_in_flight <= group.max_in_flight_per_project):
        notices.append('[scheduler] max_in_flight_per_project is not below '
                       'max_in_flight: one project can keep out the others.')
    if _explicit(conf, 'interval') and _explicit(conf, 'claim_interval'):
        notices.append('[scheduler] interval has no effect beside '
                       'claim_interval.')
    if conf.service_auth.os_token or conf.service_auth.token:
        notices.append('[service_auth] os_token has no effect beside '
                       'os_password.')
    if conf.coordination.backend_url:
        notices.append('[coordination] backend_url has no effect: claims '
                       'need no coordination service.')
    if conf.scheduler.insecure:
        notices.append('[scheduler] insecure: the certificates of servers '
                       'are not checked.')
    return notices


def _jobs_dir(conf: cfg.ConfigOpts,
              environ: Mapping[str, str]) -> pathlib.Path:
    given = conf.scheduler.jobs_dir
    if not _explicit(conf, 'jobs_dir'):
        given = environ.get('FREEZER_SCHEDULER_CONF_D') or given
    return pathlib.Path(given)


def _beyond(given: tuple[str, ...], narrow: tuple[str, ...]) -> list[str]:
    return [word for word in given if word not in narrow]
