#!/bin/sh
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

# The jobs of .zuul.yaml run it before the tests, as root or with sudo. It
# creates the account of the migration tests on both database servers. The
# password is no secret, because the servers belong to the job.
set -eux

: "${DB_USER:=openstack_citest}"
: "${DB_PASSWORD:=openstack_citest}"

sudo mysql <<END
CREATE USER IF NOT EXISTS '$DB_USER'@'%' IDENTIFIED BY '$DB_PASSWORD';
CREATE USER IF NOT EXISTS '$DB_USER'@'localhost' IDENTIFIED BY '$DB_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO '$DB_USER'@'%', '$DB_USER'@'localhost';
END

# From a place that the postgres user may read.
cd /tmp
sudo -u postgres psql -v ON_ERROR_STOP=1 <<END
SELECT 'CREATE ROLE $DB_USER SUPERUSER LOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$DB_USER') \gexec
ALTER ROLE $DB_USER WITH SUPERUSER LOGIN PASSWORD '$DB_PASSWORD';
END
