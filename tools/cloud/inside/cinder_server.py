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

"""Cinder's API, scheduler, volume and backup services in one process.

Each is Cinder's own class; they communicate by oslo.messaging's in-memory
transport.
Usage: cinder_server.py CONFIG-FILE [sync]

"sync" creates the database first.
"""

import os
import sys
import threading
import typing
import warnings

os.environ['OS_CINDER_DISABLE_EVENTLET_PATCHING'] = 'true'
warnings.simplefilter('ignore')

from cinder import monkey_patch  # noqa: E402

monkey_patch.patch()

import cinder.cmd.backup  # noqa: E402
import cinder.cmd.volume  # noqa: E402
from cinder.common import config  # noqa: E402
from cinder.common import constants  # noqa: E402
from cinder import coordination  # noqa: E402
from cinder.db import migration  # noqa: E402
from cinder import i18n  # noqa: E402
from cinder import objects  # noqa: E402
import cinder.privsep  # noqa: E402
from cinder import rpc  # noqa: E402
from cinder import service  # noqa: E402
from cinder import utils  # noqa: E402
from cinder import version  # noqa: E402
from cinder.volume import volume_utils  # noqa: E402
import os_brick  # noqa: E402
import os_brick.privileged  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log as logging  # noqa: E402
from oslo_service import wsgi  # noqa: E402
import server  # noqa: E402
import sqlite_wal  # noqa: E402

_reporting = threading.Lock()


class Service(service.Service):
    """A service that shares its process with others.

    Cinder stores the ID of the service on the class, so each service must set
    its own ID before it reports.
    """

    def report_state(self) -> None:
        with _reporting:
            service.Service.service_id = self.origin_service_id
            super().report_state()


def do_without_root() -> None:
    """Run privileged functions in this process, commands without sudo."""
    for context in (cinder.privsep.sys_admin_pctxt,
                    os_brick.privileged.default,
                    os_brick.privileged.brick_privsep_hide_output):
        context.set_client_mode(False)
    utils.get_root_helper = lambda: ''


def connect_locally(conf: cfg.ConfigOpts) -> None:
    """Skip the commands that search for iSCSI, NVMe and Fibre Channel."""
    properties = {'host': conf.host, 'ip': conf.my_ip, 'multipath': False,
                  'platform': 'x86_64', 'os_type': 'linux'}

    def connector_properties(*_args: typing.Any,
                             **_kwargs: typing.Any) -> dict[str, object]:
        return dict(properties)

    volume_utils.brick_get_connector_properties = connector_properties


def services(conf: cfg.ConfigOpts) -> typing.Iterator[Service]:
    """Yield Cinder's services in the required order of their start."""
    for backend in conf.enabled_backends:
        conf.register_opt(cinder.cmd.volume.host_opt, group=backend)
        yield Service.create(
            host=f'{conf.host}@{backend}', service_name=backend,
            binary=constants.VOLUME_BINARY, coordination=True)
    yield Service.create(
        binary='cinder-backup', service_name='backup', coordination=True,
        process_number=1,
        semaphore=utils.semaphore_factory(conf.backup_max_operations, 1))
    # Last: it waits up to a minute for the volume service's first report.
    yield Service.create(binary='cinder-scheduler')


def main() -> None:
    config_file, *sync = sys.argv[1:]
    sys.argv = ['cinder', '--config-file', config_file]
    conf = cfg.CONF
    sqlite_wal.install()
    i18n.enable_lazy()
    objects.register_all()
    conf(sys.argv[1:], project='cinder', version=version.version_string())
    logging.setup(conf, 'cinder')
    do_without_root()
    connect_locally(conf)
    os_brick.setup(conf)
    config.set_middleware_defaults()
    if sync:
        migration.db_sync()
    rpc.init(conf)
    coordination.COORDINATOR.start()
    for part in list(services(conf)):
        part.start()
    application = wsgi.Loader(conf).load_app(name='osapi_volume')
    server.serve(application, conf.osapi_volume_listen_port, 'cinder')


main()
