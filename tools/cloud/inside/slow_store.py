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

"""A filter for Swift's proxy that makes a store slow.

It delays the data of objects until a time, which a file contains in epoch
seconds. The file is read repeatedly, so that a change can end the delay.
"""

import collections.abc
import pathlib
import time
import typing

import eventlet

_Application = collections.abc.Callable[
    [dict[str, typing.Any], typing.Any], typing.Any]

# /v1/ACCOUNT/CONTAINER/OBJECT
_SLASHES = 4

# Seconds between two reads of the file.
_LOOKS = 0.2


def filter_factory(_global: object, *, until_file: str, **_: str,
                   ) -> collections.abc.Callable[[_Application], _Application]:
    """Return the filter, for paste.deploy.

    Swift passes its own options to every filter.

    :param until_file: path of the file with the time
    """
    path = pathlib.Path(until_file)

    def wrap(application: _Application) -> _Application:
        def slow(environ: dict[str, typing.Any], start: typing.Any,
                 ) -> typing.Any:
            if (environ['REQUEST_METHOD'] in ('PUT', 'GET')
                    and environ['PATH_INFO'].count('/') >= _SLASHES):
                while time.time() < float(path.read_text()):
                    eventlet.sleep(_LOOKS)
            return application(environ, start)
        return slow
    return wrap
