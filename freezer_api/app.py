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

"""Assembles the API.

Nothing is global: each application has its own configuration, database and
policy.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import functools
from typing import Any
from wsgiref import types

import falcon
from keystonemiddleware import opts as authtoken_opts
from oslo_config import cfg
from oslo_log import log
from oslo_middleware import cors
from oslo_middleware import healthcheck
from oslo_middleware import http_proxy_to_wsgi

from freezer_api.api import base
from freezer_api.api import context
from freezer_api.api import error_responses
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.api.v2 import actions
from freezer_api.api.v2 import backups
from freezer_api.api.v2 import claims
from freezer_api.api.v2 import clients
from freezer_api.api.v2 import job_events
from freezer_api.api.v2 import jobs
from freezer_api.api.v2 import limits
from freezer_api.api.v2 import maintenance
from freezer_api.api.v2 import reports
from freezer_api.api.v2 import runs
from freezer_api.api.v2 import session_jobs
from freezer_api.api.v2 import sessions
from freezer_api.api import versions
from freezer_api import conf as configuration
from freezer_api.db import database_clock
from freezer_api.db import engine
from freezer_api.db import schema_version
from freezer_api.keystone import crypt
from freezer_api.keystone import preflight
from freezer_api.keystone import token_validation
from freezer_api.keystone import trusts
from freezer_api import policies
from freezer_api.policies import enforcer
from freezer_api import schema_gate
from freezer_api.services import dependencies
from freezer_api.services import quotas
from freezer_api.services import trusts as trust_service

LOG = log.getLogger(__name__)

# Seconds; the validation of a token takes a fraction of one.
_KEYSTONE_TIMEOUT = 10

ROUTES: tuple[tuple[str, type[base.Resource[Any]]], ...] = (
    ('/clients', clients.Clients),
    ('/clients/{client_id}', clients.Client),
    ('/clients/{client_id}/claims', claims.Claims),
    ('/clients/{client_id}/runs/{run_id}', reports.Run),
    ('/clients/{client_id}/runs/{run_id}/jobs', runs.RunJobs),
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
    ('/maintenance', maintenance.Maintenance),
)


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of the API."""
    # It takes more than a MiB, and hardly any process needs it.
    from freezer_api.api.openapi import document
    return document.build(
        [path for path, _ in ROUTES], policies.list_rules())


def make_services(
        conf: cfg.ConfigOpts,
        clock: Callable[[], int] | None = None) -> dependencies.Services:
    """Create the services that the resources call.

    :param clock: returns the current time in epoch seconds; None for the
        clock of the database
    :raises freezer_api.keystone.crypt.CryptError: on an unusable key
    """
    database = engine.Database(conf)
    of_database = database_clock.DatabaseClock(
        database.engine, conf.scheduling.clock_tolerance)
    clock = clock or of_database
    return dependencies.Services(conf, database, trust_service.TrustService(
        database, trusts.configured(conf),
        crypt.Crypt(conf.user_credentials['keys']), clock,
        conf.service_mode.trust_lifetime),
        quotas.Quotas(database, quotas.source_of(conf)), clock,
        preflight.Preflight(conf).again, lambda: of_database.ahead,
        clock_set_back=lambda: of_database.set_back)


def make_resources(made: dependencies.Services) -> falcon.App[Any, Any]:
    """Return the application without authentication."""
    middleware: list[Any] = [
        context.ContextMiddleware(
            enforcer.Enforcer(made.conf),
            made.conf.service_mode.additional_primary_auth_methods,
            made.clock),
        context.AcceptMiddleware(),
        params.BodyLimit(made.conf.oslo_middleware.max_request_body_size),
        params.Ids()]
    app: falcon.App[Any, Any] = falcon.App(middleware=middleware)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_qs_csv = True
    app.req_options.keep_blank_qs_values = False
    responses.install(app)
    error_responses.install(app)
    app.add_route('/', versions.Versions())
    app.add_route('/v2', versions.Home())
    app.add_route(versions.OPENAPI, versions.OpenApi(openapi))
    last, _ = ROUTES[-1]
    for path, resource in ROUTES:
        # Compile the router now, so that the processes of a server share it.
        app.add_route(f'/v2/{{project_id}}{path}', resource(made),
                      compile=path == last)
    return app


def check(conf: cfg.ConfigOpts, schema: bool = True) -> None:
    """Check that the application can work, and log the reasons if it cannot.

    :param schema: whether the database must have the schema of this release.
        The workers of a running server do not require it, so that they
        survive an upgrade by another node
    :raises freezer_api.keystone.preflight.Refused: with the options that
        cannot work
    """
    problems = preflight.before_start(conf, schema)
    for problem in problems:
        LOG.critical('Cannot start: %s', problem)
    if problems:
        raise preflight.Refused(problems)


def start(conf: cfg.ConfigOpts,
          schema: bool = True) -> types.WSGIApplication:
    """Return the whole application, if the configuration can work.

    :param schema: see :func:`check`
    :raises freezer_api.keystone.preflight.Refused: with the options that
        cannot work
    """
    check(conf, schema)
    return make_app(conf)


def set_authtoken_defaults(conf: cfg.ConfigOpts) -> None:
    """Register the options of keystonemiddleware with other defaults.

    By default keystonemiddleware waits for Keystone without a limit, so a
    Keystone that hangs would block each thread that validates a token. It also
    caches the catalogue with each token, which no request needs.
    """
    for group, options in authtoken_opts.list_auth_token_opts():
        conf.register_opts(options, group)
    conf.set_default('http_connect_timeout', _KEYSTONE_TIMEOUT,
                     'keystone_authtoken')
    conf.set_default('include_service_catalog', False, 'keystone_authtoken')


def health_check(conf: cfg.ConfigOpts) -> types.WSGIApplication:
    """Return the health check, with the defaults of this service."""
    configuration.set_health_defaults(conf)
    check_health: types.WSGIApplication = healthcheck.Healthcheck(None, conf)
    return check_health


def make_app(conf: cfg.ConfigOpts) -> types.WSGIApplication:
    """Return the whole application of a configuration.

    :raises freezer_api.keystone.crypt.CryptError: on an unusable key
    """
    resources = make_resources(make_services(conf))
    set_authtoken_defaults(conf)
    watch = schema_gate.SchemaWatch(functools.partial(
        schema_version.read, conf.database.connection))
    # Ask now, so that no request without a token asks the database.
    watch.problem()
    authenticated = schema_gate.SchemaGate(
        token_validation.protect(resources, conf), watch)
    check_health = health_check(conf)

    # Versions, the OpenAPI document and the health check need no token.
    open_to_all: dict[str, types.WSGIApplication] = {
        '': resources, '/': resources, versions.OPENAPI: resources,
        '/healthcheck': check_health}

    def root(environ: types.WSGIEnvironment,
             start_response: types.StartResponse) -> Iterable[bytes]:
        chosen = open_to_all.get(environ.get('PATH_INFO', ''), authenticated)
        return chosen(environ, start_response)

    # Middleware that is not configured is left out, because each slows down
    # all requests.
    app: Any = cors.CORS(root, conf)
    if not app.allowed_origins:
        app = root
    proxied = http_proxy_to_wsgi.HTTPProxyToWSGI(app, conf)
    if conf.oslo_middleware.enable_proxy_headers_parsing:
        app = proxied
    wsgi: types.WSGIApplication = app
    return wsgi
