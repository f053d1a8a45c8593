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

"""The one place where the API is put together.

Nothing here is global: each application has its own configuration, database
and policy.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import datetime
import functools
from typing import Any

import falcon
from keystonemiddleware import auth_token
from keystonemiddleware import opts as authtoken_opts
from oslo_config import cfg
from oslo_log import log
from oslo_middleware import cors
from oslo_middleware import healthcheck
from oslo_middleware import http_proxy_to_wsgi

from freezer_api.api import answers
from freezer_api.api import context
from freezer_api.api import errors
from freezer_api.api import known_tokens
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import actions
from freezer_api.api.v2 import backups
from freezer_api.api.v2 import claims
from freezer_api.api.v2 import clients
from freezer_api.api.v2 import job_events
from freezer_api.api.v2 import jobs
from freezer_api.api.v2 import limits
from freezer_api.api.v2 import reports
from freezer_api.api.v2 import runs
from freezer_api.api.v2 import session_jobs
from freezer_api.api.v2 import sessions
from freezer_api.api import versions
from freezer_api import crypt
from freezer_api.db import engine
from freezer_api import delegations
from freezer_api import policies
from freezer_api import policy
from freezer_api import quotas
from freezer_api import self_test
from freezer_api import service_account
from freezer_api import trusts

LOG = log.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Seconds. Validating a token takes a fraction of one.
_KEYSTONE_TIMEOUT = 10

_ROUTES: tuple[tuple[str, type[services.Resource]], ...] = (
    ('/clients', clients.Clients),
    ('/clients/{client_id}', clients.Client),
    ('/clients/{client_id}/claims', claims.Claims),
    ('/clients/{client_id}/runs/{run_id}', reports.Run),
    ('/clients/{client_id}/reports', reports.Reports),
    ('/jobs', jobs.Jobs),
    ('/jobs/{job_id}', jobs.Job),
    ('/jobs/{job_id}/event', job_events.JobEvent),
    ('/jobs/{job_id}/runs', runs.JobRuns),
    ('/actions', actions.Actions),
    ('/actions/{action_id}', actions.Action),
    ('/backups', backups.Backups),
    ('/backups/{backup_id}', backups.Backup),
    ('/sessions', sessions.Sessions),
    ('/sessions/{session_id}', sessions.Session),
    ('/sessions/{session_id}/action', session_jobs.SessionAction),
    ('/sessions/{session_id}/jobs/{job_id}', session_jobs.SessionJob),
    ('/limits', limits.Limits),
    ('/maintenance', claims.Maintenance),
)


def utc_clock() -> int:
    """Return now, in epoch seconds."""
    return int(datetime.datetime.now(datetime.UTC).timestamp())


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of the API."""
    # More than a MiB, of use to hardly any process.
    from freezer_api.api.openapi import document
    return document.build(
        [path for path, _ in _ROUTES], policies.list_rules())


def make_services(conf: cfg.ConfigOpts,
                  clock: Callable[[], int] = utc_clock) -> services.Services:
    """Return what the resources work with.

    :raises freezer_api.crypt.CryptError: on an unusable key
    """
    database = engine.Database(conf)
    account = service_account.ServiceAccount(
        conf, conf.service_mode.auth_section)
    keystone = trusts.Trusts(
        account, conf.service_mode.trusts_delegated_roles)
    box = crypt.Crypt(conf.user_credentials['keys'])
    return services.Services(conf, database, delegations.Delegations(
        database, keystone, box, clock, conf.service_mode.trust_lifetime),
        quotas.Quotas(database, quotas.source_of(conf)), clock,
        self_test.SelfTest(conf).again)


def make_resources(made: services.Services) -> falcon.App[Any, Any]:
    """Return the application behind authentication."""
    middleware: list[Any] = [
        context.ContextMiddleware(
            policy.Enforcer(made.conf),
            made.conf.service_mode.additional_primary_auth_methods,
            made.clock),
        context.AcceptMiddleware(),
        request.BodyLimit(made.conf.oslo_middleware.max_request_body_size),
        request.Ids()]
    app: falcon.App[Any, Any] = falcon.App(middleware=middleware)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_qs_csv = True
    app.req_options.keep_blank_qs_values = False
    answers.install(app)
    errors.install(app)
    app.add_route('/', versions.Versions())
    app.add_route('/v2', versions.Home())
    app.add_route(versions.OPENAPI, versions.OpenApi(openapi))
    last, _ = _ROUTES[-1]
    for path, resource in _ROUTES:
        # Compiled at once: the processes of a server then share that.
        app.add_route(f'/v2/{{project_id}}{path}', resource(made),
                      compile=path == last)
    return app


def check(conf: cfg.ConfigOpts) -> None:
    """Log what keeps the application from starting.

    :raises freezer_api.self_test.Refused: naming the options that cannot work
    """
    try:
        if problems := (self_test.of_options(conf)
                        or self_test.of_policies(conf)):
            raise self_test.Refused(problems)
        self_test.SelfTest(conf).start()
    except self_test.Refused as error:
        for problem in error.problems:
            LOG.critical('Cannot start: %s', problem)
        raise


def start(conf: cfg.ConfigOpts) -> Wsgi:
    """Return the whole application, if the configuration can work.

    :raises freezer_api.self_test.Refused: naming the options that cannot
    """
    check(conf)
    return make_app(conf)


def bound_keystone(conf: cfg.ConfigOpts) -> None:
    """Limit how long a token is validated, unless the operator does.

    keystonemiddleware waits without an end by default, so that a Keystone
    that hangs would hold each thread that asks it about a token.
    """
    for group, options in authtoken_opts.list_auth_token_opts():
        conf.register_opts(options, group)
    conf.set_default('http_connect_timeout', _KEYSTONE_TIMEOUT,
                     'keystone_authtoken')


def make_app(conf: cfg.ConfigOpts) -> Wsgi:
    """Return the whole application of a configuration.

    :raises freezer_api.crypt.CryptError: on an unusable key
    """
    resources = make_resources(make_services(conf))
    bound_keystone(conf)
    authenticated: Any = functools.partial(
        auth_token.AuthProtocol, conf={'oslo_config_config': conf})
    # An operator may have each request asked about at Keystone.
    if conf.keystone_authtoken.token_cache_time > 0:
        authenticated = known_tokens.KnownTokens(
            authenticated, resources, utc_clock)
    else:
        authenticated = authenticated(resources)

    # For everybody: what the API is, and whether this process answers.
    open_to_all: dict[str, Any] = {
        '': resources, '/': resources, versions.OPENAPI: resources,
        '/healthcheck': healthcheck.Healthcheck(None, conf)}

    def root(environ: dict[str, Any],
             start_response: Callable[..., Any]) -> Iterable[bytes]:
        chosen = open_to_all.get(environ.get('PATH_INFO', ''), authenticated)
        answer: Iterable[bytes] = chosen(environ, start_response)
        return answer

    # What is not configured is left out: each takes its time of a request.
    app: Any = cors.CORS(root, conf)
    if not app.allowed_origins:
        app = root
    proxied = http_proxy_to_wsgi.HTTPProxyToWSGI(app, conf)
    if conf.oslo_middleware.enable_proxy_headers_parsing:
        app = proxied
    wsgi: Wsgi = app
    return wsgi
