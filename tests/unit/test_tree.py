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

"""The house rules that a machine can check, on the tree itself.

Style is the linters' business. Here are the rules of this project: which
package may import which, what never stands in a module, and how large a
module grows before it is two.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from collections.abc import Iterator
import configparser
import functools
import importlib.metadata
import pathlib
import re
import sys

import testtools

from freezer_api import errors
from freezer_api import policies

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ('freezer_api', 'freezer_config', 'freezer_http',
            'freezer_scheduler')

# A module is one idea. As HACKING.rst has it; migrations restate a schema.
MODULE_LINES = 500

# The ends of the scheduler's threads. Whatever goes wrong in one run or one
# request is logged there and must not end the work for everybody else.
BULKHEADS = ('freezer_scheduler/runs/executor.py',
             'freezer_scheduler/keystone/logins.py',
             'freezer_scheduler/process/service.py')

HEADER = """\
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
"""


def python_files(*folders: str) -> list[pathlib.Path]:
    return [path for folder in folders
            for path in sorted((ROOT / folder).rglob('*.py'))]


def scripts(folder: str) -> list[pathlib.Path]:
    """Return the files of a folder that start with a #! line."""
    return [path for path in sorted((ROOT / folder).rglob('*'))
            if path.is_file() and '.' not in path.name
            and path.read_bytes().startswith(b'#!')]


@functools.cache
def parse(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'), filename=str(path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            # A relative import hides what it names: '.' makes it show up.
            module = '.' * node.level + (node.module or '')
            for alias in node.names:
                yield node.lineno, f'{module}.{alias.name}'


def top(name: str) -> str:
    return name.split('.')[0]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f'{package}.')


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for an attribute chain, '' for anything else."""
    if isinstance(node, ast.Attribute):
        value = dotted(node.value)
        return f'{value}.{node.attr}' if value else ''
    return node.id if isinstance(node, ast.Name) else ''


def broad_handlers(tree: ast.AST) -> Iterator[ast.ExceptHandler]:
    """Yield what catches Exception, BaseException or just anything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = (node.type.elts if isinstance(node.type, ast.Tuple)
                     else [node.type])
            if any(kind is None or dotted(kind) in (
                    'Exception', 'BaseException') for kind in kinds):
                yield node


class TreeTest(testtools.TestCase):

    def assert_none(
            self, paths: list[pathlib.Path],
            find: Callable[[ast.Module], Iterator[tuple[int, str]]]) -> None:
        """Fail, naming file and line, where ``find`` yields anything."""
        self.assertNotEqual([], paths)
        found = [f'{path.relative_to(ROOT)}:{line}: {what}'
                 for path in paths for line, what in find(parse(path))]
        self.assertEqual([], found)


class TestLicence(TreeTest):

    def test_every_source_file_starts_with_the_header(self) -> None:
        paths = python_files(*PACKAGES, 'benchmarks', 'tests', 'tools', 'doc',
                             'api-ref', 'releasenotes')
        paths += [ROOT / 'setup.py', *scripts('tools'), *scripts('.ci'),
                  *scripts('benchmarks')]
        without = []
        for path in paths:
            text = path.read_text(encoding='utf-8')
            if text.startswith('#!'):
                text = text.partition('\n')[2]
            if not text.startswith(HEADER):
                without.append(str(path.relative_to(ROOT)))
        self.assertEqual([], without)


class TestImports(TreeTest):

    def test_the_domain_is_pure(self) -> None:
        def impure(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if not (top(name) in sys.stdlib_module_names
                        or within(name, 'freezer_api.domain')):
                    yield line, name

        self.assert_none(python_files('freezer_api/domain'), impure)

    def test_the_domain_has_no_clock_and_no_environment(self) -> None:
        # Time, chance and files come in as arguments.
        outside = {'random', 'secrets', 'os', 'socket', 'subprocess', 'time',
                   'uuid'}

        def hidden(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if top(name) in outside:
                    yield line, name

        self.assert_none(python_files('freezer_api/domain'), hidden)

    def test_the_scheduler_takes_only_the_domain_of_the_api(self) -> None:
        def foreign(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if within(name, 'freezer_api') and not within(
                        name, 'freezer_api.domain'):
                    yield line, name

        self.assert_none(python_files('freezer_scheduler'), foreign)

    def test_the_api_knows_no_scheduler(self) -> None:
        def foreign(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if within(name, 'freezer_scheduler'):
                    yield line, name

        self.assert_none(python_files('freezer_api'), foreign)

    def test_only_the_api_knows_of_http(self) -> None:
        def upward(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if within(name, 'falcon') or within(name, 'freezer_api.api'):
                    yield line, name

        self.assert_none([
            ROOT / 'freezer_api/errors.py', *python_files(*(
                f'freezer_api/{package}' for package in (
                    'conf', 'db', 'keystone', 'policies', 'schemas',
                    'services')))], upward)

    def test_the_api_knows_nothing_of_the_database(self) -> None:
        def downward(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if top(name) in ('oslo_db', 'sqlalchemy'):
                    yield line, name

        self.assert_none(python_files('freezer_api/api'), downward)

    def test_storage_knows_no_service(self) -> None:
        def upward(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if within(name, 'freezer_api.services'):
                    yield line, name

        self.assert_none(python_files('freezer_api/db'), upward)

    def test_no_relative_imports(self) -> None:
        def relative(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if name.startswith('.'):
                    yield line, name

        self.assert_none(python_files(*PACKAGES, 'tests'), relative)

    def test_nothing_imports_what_the_project_does_without(self) -> None:
        banned = {'elasticsearch', 'eventlet', 'greenlet', 'paste', 'six',
                  'tooz'}

        def unwanted(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if top(name).lower() in banned:
                    yield line, name

        self.assert_none(python_files(*PACKAGES, 'tests'), unwanted)


# oslo.limit reads its options from cfg.CONF.
READ_GLOBALS = ('unified_limits.py',)


class TestModules(TreeTest):

    def test_no_global_configuration(self) -> None:
        def global_conf(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for node in ast.walk(tree):
                if dotted(node) == 'cfg.CONF':
                    yield node.lineno, 'cfg.CONF'  # type: ignore[attr-defined]
                if isinstance(node, ast.Global):
                    yield node.lineno, f'global {", ".join(node.names)}'

        self.assert_none(
            [path for path in python_files(*PACKAGES)
             if path.name not in READ_GLOBALS], global_conf)

    def test_no_catch_all(self) -> None:
        def catch_all(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for handler in broad_handlers(tree):
                # Cleaning up and passing it on catches nothing.
                last = handler.body[-1]
                if not (isinstance(last, ast.Raise) and last.exc is None):
                    yield handler.lineno, 'catches everything'

        self.assert_none(
            [path for path in python_files(
                *PACKAGES, 'benchmarks', 'tests', 'tools')
             if str(path.relative_to(ROOT)) not in BULKHEADS], catch_all)

    def test_a_bulkhead_logs_what_it_catches(self) -> None:
        def silent(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for handler in broad_handlers(tree):
                if 'LOG.exception' not in [
                        dotted(node.func) for node in ast.walk(handler)
                        if isinstance(node, ast.Call)]:
                    yield handler.lineno, 'catches everything in silence'

        self.assert_none([ROOT / name for name in BULKHEADS], silent)

    def test_no_naive_clock(self) -> None:
        # datetime is the linter's (DTZ); these it does not know.
        naive = {'timeutils.utcnow', 'time.localtime', 'time.mktime'}

        def naive_clock(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and dotted(node.func) in naive:
                    yield node.lineno, dotted(node.func)

        self.assert_none(python_files(*PACKAGES, 'tests'), naive_clock)

    def test_no_room_for_everything(self) -> None:
        names = {'utils.py', 'util.py', 'helpers.py', 'misc.py'}
        found = [str(path.relative_to(ROOT))
                 for path in python_files(*PACKAGES)
                 if path.name in names]
        self.assertEqual([], found)

    def test_a_module_is_one_idea(self) -> None:
        found = {}
        for path in python_files(*PACKAGES):
            if 'migrations' in path.parts:
                continue
            lines = len(path.read_text(encoding='utf-8').splitlines())
            if lines > MODULE_LINES:
                found[str(path.relative_to(ROOT))] = lines
        self.assertEqual({}, found)

    def test_text_files_are_clean(self) -> None:
        found = []
        for folder in ('doc', 'api-ref', 'releasenotes', 'etc'):
            for path in sorted((ROOT / folder).rglob('*')):
                if 'build' in path.parts or path.suffix not in (
                        '.conf', '.rst', '.txt', '.yaml'):
                    continue
                text = path.read_text(encoding='utf-8')
                for number, line in enumerate(text.splitlines(), 1):
                    if line != line.rstrip() or '\t' in line:
                        found.append(f'{path.relative_to(ROOT)}:{number}')
        self.assertEqual([], found)


# oslo.db has no public hook that tells transactions that write from those that
# read, and its SQLite locks up without. Only the quickstart's servers use it.
READS_PRIVATE = ('tools/cloud/inside/sqlite_wal.py',)
# Public all the same: of named tuples, of os, and of rows of SQLAlchemy.
DOCUMENTED = {'_asdict', '_exit', '_mapping'}


def private(name: str) -> bool:
    return name.startswith('_') and not name.startswith('__')


class TestLibraries(TreeTest):
    """Libraries are used, not patched."""

    def setUp(self) -> None:
        super().setUp()
        self.paths = [path for path in python_files(*PACKAGES, 'tools')
                      if str(path.relative_to(ROOT)) not in READS_PRIVATE]

    def test_no_private_names_of_other_packages(self) -> None:
        def foreign(tree: ast.Module) -> Iterator[tuple[int, str]]:
            own = {node.attr for node in ast.walk(tree)
                   if isinstance(node, ast.Attribute)
                   and dotted(node.value) in ('self', 'cls')}
            for line, name in imports(tree):
                if any(map(private, name.split('.'))):
                    yield line, name
            for node in ast.walk(tree):
                if (isinstance(node, ast.Attribute) and private(node.attr)
                        and node.attr not in own | DOCUMENTED
                        and not ast.unparse(node).startswith('super().')):
                    yield node.lineno, ast.unparse(node)

        self.assert_none(self.paths, foreign)

    def test_nothing_of_another_package_is_replaced(self) -> None:
        def replaced(tree: ast.Module) -> Iterator[tuple[int, str]]:
            known = {alias.asname or top(alias.name)
                     for node in ast.walk(tree)
                     if isinstance(node, ast.Import | ast.ImportFrom)
                     for alias in node.names}
            for node in ast.walk(tree):
                if (isinstance(node, ast.Attribute)
                        and isinstance(node.ctx, ast.Store | ast.Del)
                        and top(dotted(node.value)) in known):
                    yield node.lineno, dotted(node)
                if isinstance(node, ast.Call) and dotted(node.func) in (
                        'setattr', 'delattr') and top(
                            dotted(node.args[0])) in known:
                    yield node.lineno, ast.unparse(node)

        # What runs inside the quickstart's Keystone and Cinder has them do
        # without root, iSCSI and a second process.
        self.assert_none([path for path in self.paths
                          if 'inside' not in path.parts], replaced)


class TestPackaging(TreeTest):

    def setUp(self) -> None:
        super().setUp()
        self.config = configparser.ConfigParser()
        self.config.read(ROOT / 'setup.cfg', encoding='utf-8')

    def test_every_entry_point_exists(self) -> None:
        missing = []
        for group, text in self.config['entry_points'].items():
            for line in filter(None, text.splitlines()):
                name, _, value = (part.strip() for part in line.partition('='))
                module, _, function = value.partition(':')
                path = ROOT.joinpath(*module.split('.'))
                source = (path / '__init__.py' if path.is_dir()
                          else path.with_suffix('.py'))
                if not source.exists() or not re.search(
                        rf'^(?:def|class) {function}\(|\bimport {function}$',
                        source.read_text(encoding='utf-8'), re.MULTILINE):
                    missing.append(f'{group}: {name} = {value}')
        self.assertEqual([], missing)

    def test_what_is_imported_is_required(self) -> None:
        # What stands in somebody else's requirements may leave them.
        requirement = re.compile(r'[A-Za-z0-9._-]+')
        # The drivers of databases are extras.
        lines = [*(ROOT / 'requirements.txt').read_text(
            encoding='utf-8').splitlines(), *(
                line for text in self.config['extras'].values()
                for line in text.split())]
        required = {
            self._normal(found[0]) for line in lines
            if (found := requirement.match(line))}
        owners = importlib.metadata.packages_distributions()

        def unnamed(tree: ast.Module) -> Iterator[tuple[int, str]]:
            for line, name in imports(tree):
                if (top(name) in sys.stdlib_module_names
                        or top(name) in PACKAGES):
                    continue
                if not required & set(
                        map(self._normal, owners.get(top(name), []))):
                    yield line, f'{name} is not in requirements.txt'

        self.assert_none(python_files(*PACKAGES), unnamed)

    def test_requirements_have_a_lower_bound(self) -> None:
        for name in ('requirements.txt', 'test-requirements.txt',
                     'doc/requirements.txt'):
            for line in (ROOT / name).read_text(
                    encoding='utf-8').splitlines():
                text = line.partition('#')[0].strip()
                if text:
                    self.assertIn('>=', text, name)

    def test_constraints_pin_every_requirement(self) -> None:
        pins = {self._normal(line.partition('==')[0]) for line in (
            ROOT / 'constraints.txt').read_text(encoding='utf-8').splitlines()
            if '==' in line}
        for name in ('requirements.txt', 'test-requirements.txt',
                     'doc/requirements.txt'):
            for line in (ROOT / name).read_text(
                    encoding='utf-8').splitlines():
                found = re.match(r'[A-Za-z0-9._-]+', line)
                if found:
                    self.assertIn(self._normal(found[0]), pins, name)

    def _normal(self, name: str) -> str:
        return re.sub(r'[-_.]+', '-', name).lower()


class TestApiReference(TreeTest):
    """The pages name what there is, and there is what they name."""

    def setUp(self) -> None:
        super().setUp()
        self.text = '\n'.join(
            path.read_text(encoding='utf-8')
            for path in sorted((ROOT / 'api-ref/source').glob('*.rst')))

    def test_every_route_is_described(self) -> None:
        source = (ROOT / 'freezer_api/app.py').read_text(encoding='utf-8')
        routes = set(re.findall(r"^    \('(/[^']+)', ", source, re.MULTILINE))
        self.assertNotEqual(set(), routes)
        described = set(re.findall(
            r'``[A-Z]+ /v2/\{project_id\}(/[^`]+)``', self.text))
        self.assertEqual(routes, described)

    def test_every_policy_is_described(self) -> None:
        rules = {rule.name for rule in policies.list_rules()
                 if ':' in rule.name}
        named = set(re.findall(r'``([a-z]+(?::[a-z_]+)+)``', self.text))
        self.assertEqual(rules, named)

    def test_every_error_code_is_described(self) -> None:
        described = set(re.findall(r'^(\d{3}) +``([a-z_]+)``', self.text,
                                   re.MULTILINE))
        self.assertEqual({(str(kind.status), code)
                          for code, kind in errors.KINDS.items()}, described)


class TestErrorCodes(TreeTest):

    def test_the_registry_has_what_is_raised_and_nothing_else(self) -> None:
        raised = {errors.code_of_status(status) for status in range(400, 600)}
        for path in python_files('freezer_api'):
            for node in ast.walk(parse(path)):
                if not isinstance(node, ast.Call):
                    continue
                name = dotted(node.func)
                if name.endswith(('ApiError', 'TrustRefused')) or (
                        name == 'errors.document'
                        and path.name != 'error_responses.py'):
                    code = node.args[0]
                    assert isinstance(code, ast.Constant), path
                    raised.add(str(code.value))
        self.assertEqual(set(errors.KINDS), raised)
