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

"""Options in configuration files that no program reads.

oslo.config ignores them. So a misspelt option has its default without any
warning.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import difflib
import importlib.metadata
import pathlib

from oslo_config import cfg
from oslo_config import iniparser

DEFAULT = 'DEFAULT'

# Group -> names of its options, as they appear in files.
Names = dict[str, set[str]]

# Similarity of two names, from 0 to 1, at which one is suggested.
_OPTION_LIKENESS = 0.6
_GROUP_LIKENESS = 0.8

# Options of oslo.config itself.
_ITS_OWN = frozenset(('config_file', 'config_dir', 'config_source'))


def names_of(options: Iterable[tuple[str | cfg.OptGroup | None,
                                     Iterable[cfg.Opt]]]) -> Names:
    """Return the names by which options can appear in files.

    :param options: pairs of a group and its options, as for
        oslo-config-generator; None is the group DEFAULT
    :returns: current and deprecated names, by group
    """
    names: Names = {}
    for given, opts in options:
        group = str(getattr(given, 'name', given) or DEFAULT)
        for opt in opts:
            names.setdefault(group, set()).add(opt.dest)
            for old in opt.deprecated_opts:
                names.setdefault(old.group or group, set()).update(
                    _spellings(old.name or opt.dest))
    return names


def _spellings(name: str) -> tuple[str, str]:
    return name, name.replace('-', '_')


def namespaces(*wanted: str) -> Names:
    """Return the names of the options that libraries declare.

    :param wanted: namespaces of oslo-config-generator, such as ``oslo.log``
    """
    return names_of(declared(*wanted))


def declared(*wanted: str) -> list[
        tuple[str | cfg.OptGroup | None, list[cfg.Opt]]]:
    """Return the options of libraries, by group.

    :param wanted: namespaces of oslo-config-generator, such as ``oslo.log``
    """
    return [pair for point in importlib.metadata.entry_points(
        group='oslo.config.opts') if point.name in wanted
        for pair in point.load()()]


def merge(names: Names, more: Mapping[str, Collection[str]]) -> None:
    """Add names to ``names``, by group."""
    for group, options in more.items():
        names.setdefault(group, set()).update(options)


def files(conf: cfg.ConfigOpts) -> list[pathlib.Path]:
    """Return the files that a configuration has been read from."""
    found = [pathlib.Path(name) for name in conf.config_file or ()]
    for name in conf.config_dir or ():
        folder = pathlib.Path(name).expanduser()
        if folder.is_dir():
            found += sorted(folder.glob('*.conf'))
    return [path for path in found if path.is_file()]


def find(paths: Iterable[pathlib.Path], names: Names,
         obsolete: Mapping[str, str], others: Collection[str] = (),
         ) -> list[str]:
    """Return a line for each option that no program reads.

    The lines contain no values. A group is ignored if it is not similar to
    one of ours, because it can belong to another program.

    :param paths: configuration files
    :param names: the options that this program reads, by group
    :param obsolete: advice for options of earlier releases, by
        ``[group] name`` or ``[group]``
    :param others: groups of the project's other programs
    """
    found: dict[str, None] = {}
    for path in paths:
        sections: dict[str, dict[str, list[str]]] = {}
        try:
            cfg.ConfigParser(str(path), sections).parse()
        except (OSError, UnicodeDecodeError, iniparser.ParseError):
            continue  # oslo.config has reported it
        for section, options in sections.items():
            for text in _of_section(section, options, names, obsolete,
                                    others):
                found[f'{path}: {text}'] = None
    return list(found)


def _of_section(section: str, options: Iterable[str], names: Names,
                obsolete: Mapping[str, str],
                others: Collection[str]) -> list[str]:
    group = section if section == DEFAULT else section.lower()
    if group not in names:
        if said := obsolete.get(f'[{group}]'):
            return [f'[{section}] has no effect: {said}']
        like = difflib.get_close_matches(
            group, [one for one in names if one != DEFAULT], 1,
            _GROUP_LIKENESS)
        if not like or group in others:
            return []
        return [f'[{section}] is not a known group and has no effect. Did '
                f'you mean [{like[0]}]?']
    found = []
    for name in options:
        option = f'[{section}] {name}'
        if name in names[group] or (group == DEFAULT and name in _ITS_OWN):
            continue
        if said := obsolete.get(f'[{group}] {name}'):
            found.append(f'{option} has no effect: {said}')
            continue
        like = difflib.get_close_matches(
            name.replace('-', '_'), sorted(names[group]), 1,
            _OPTION_LIKENESS)
        if like:
            found.append(f'{option} is not a known option and has no '
                         f'effect. Did you mean {like[0]}?')
        elif group != DEFAULT:
            # Options in DEFAULT can belong to another program.
            found.append(f'{option} is not a known option and has no effect. '
                         f'Remove it')
    return found
