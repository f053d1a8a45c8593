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

"""Describe errors in configuration files without repeating secret values."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
import pathlib
import re

from oslo_config import cfg
from oslo_config import iniparser

# Pairs of a group and its options, as oslo-config-generator takes them.
Declared = Iterable[tuple[str | cfg.OptGroup | None, Iterable[cfg.Opt]]]

# The position of an unreadable line in a message of oslo.config.
_PLACE = re.compile(r'at (?P<path>.+):(?P<line>\d+), (?P<what>[^:]+)')
# The file of a value in a message of oslo.config.
_LOCATION = re.compile(r' from LocationInfo\([^)]*detail=\'(?P<path>[^\']*)'
                       r'\'\)')

# A literal dollar sign is doubled, or follows a backslash.
_DOLLAR = re.compile(r'(?<![$\\])(?:\$\$)*\$(?!\$)')
_NO_SUCH = ('the value contains a $ that refers to no option: write $$ for a '
            'dollar sign')


def describe(error: Exception) -> str:
    """Return an error of oslo.config as one line.

    A line that cannot be parsed, and the name after a dollar sign, may be
    parts of a password, so the result contains neither.
    """
    text = ' '.join(str(error).split())
    if isinstance(error, cfg.ConfigFileParseError):
        place = _PLACE.search(text)
        if place is None:
            return f'{error.config_file} cannot be parsed'
        return (f'{place["path"]}, line {place["line"]}, cannot be parsed: '
                'write each option as "name = value", below its [group]')
    if isinstance(error, (cfg.NoSuchOptError, cfg.TemplateSubstitutionError)):
        return _NO_SUCH
    return _LOCATION.sub(r' in \g<path>', text)


def unreadable(conf: cfg.ConfigOpts, declared: Declared) -> list[str]:
    """Return a line for each option whose value is invalid.

    oslo.config parses a value only when a program reads it.

    :param declared: options by group; options that are not registered are
        ignored
    """
    found = []
    for given, options in declared:
        group = getattr(given, 'name', given)
        view = (conf if group in (None, 'DEFAULT') else conf[str(group)])
        for opt in options:
            if opt.dest not in view:
                continue  # not registered
            try:
                view[opt.dest]
            except (cfg.Error, ValueError) as error:
                found.append(f'[{group or "DEFAULT"}] '
                             f'{opt.dest}: {describe(error)}')
    return found


def wrong_values(paths: Iterable[pathlib.Path], declared: Declared,
                 ) -> list[str]:
    """Return a line for each option in files whose value has a wrong type.

    For options that are also on the command line, oslo.config exits without
    the group of the option in its message.

    :param paths: configuration files
    :param declared: options by group
    """
    known = {(getattr(given, 'name', given), opt.dest): opt
             for given, options in declared for opt in options}
    found = []
    for group, name, value in _written(paths):
        opt = known.get((group, name))
        if opt is None or _DOLLAR.search(value):
            continue
        try:
            opt.type(value)
        except ValueError as error:
            found.append(f'[{group}] {name}: {error}')
    return found


def with_dollar(paths: Iterable[pathlib.Path]) -> list[str]:
    """Return a line for each value in files that refers to other options.

    :param paths: configuration files
    """
    return [f'[{group}] {name}: {_NO_SUCH}'
            for group, name, value in _written(paths)
            if _DOLLAR.search(value)]


def _written(paths: Iterable[pathlib.Path],
             ) -> Iterator[tuple[str, str, str]]:
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        try:
            cfg.ConfigParser(str(path), sections).parse()
        except (OSError, ValueError, iniparser.ParseError):
            continue  # oslo.config reports it
        for group, values in sections.items():
            for name, given in values.items():
                yield group, name, given[-1]
