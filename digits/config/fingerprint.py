"""Fingerprints: the code and the libraries of each stage, for DVC to depend on.

DVC does not follow imports (https://github.com/treeverse/dvc/issues/1577). So the stage
`check` writes a small JSON file for each stage, and for each model of `train` and
`evaluate`: the modules that the stage imports, directly or not, each with a hash of its
syntax tree, and the versions of the libraries. The stages in dvc.yaml depend on these.

The hash leaves out what cannot change a result: docstrings, comments, formatting, type
hints of functions, the order of a module's imports, log messages, error messages, the
limits of parameters, and whether a model has probabilities. The modules in `NO_RESULT` are
left out as well: they read and check parameters, whose values DVC tracks itself. Imports by
a computed name are not followed.
"""

import ast
import builtins
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from digits import methods
from digits.data import regular
from digits.errors import InputError

FOLDER = Path("fingerprints")
STAGES = ("download", "filter", "path", "report")
MODEL_STAGES = ("train", "evaluate", "tune")  # one fingerprint for each model

ROOT = Path(__file__).parents[2]
PACKAGES = ("digits", "stages")
NO_RESULT = (
    "stages",  # the package, which only prepares the process
    *("digits.data.regular", "digits.worker_files"),
    *(f"digits.{name}" for name in ("cluster", "errors", "memory", "process", "start")),
    *(f"digits.config.{name}" for name in ("cli", "fingerprint", "guard", "params")),
)
# Arguments of `Field` that only limit or describe a parameter.
LIMITS = {"description", "title", "ge", "gt", "le", "lt", "min_length", "max_length"}
ERRORS = {"InputError", *(name for name in dir(builtins) if name.endswith("Error"))}
LOGGED = {"debug", "info", "warning", "error", "exception"}

# Libraries that download, read, display or check, and change no result. No package of an
# extra may be recorded: not every environment has it.
NOT_COMPUTING = {
    *("distributed", "dvc", "fsspec", "pathspec", "pooch", "pyarrow", "pydantic"),
    *("pydantic_core", "ruamel", "threadpoolctl", "tqdm", "voluptuous"),
}
# Distributions whose name is not that of their module.
DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),  # the one that is installed
    "yaml": ("pyyaml",),
}


def name_of(path: Path) -> str:
    """Return the name of the fingerprint in a file, such as `train/lenet5`."""
    parts = path.with_suffix("").parts
    return "/".join(parts[parts.index(FOLDER.name) + 1 :])


def names() -> list[str]:
    """Return the names of all fingerprints, such as `filter` and `train/lenet5`."""
    of_models = (f"{stage}/{name}" for stage in MODEL_STAGES for name in methods.NAMES)
    return [*STAGES, *of_models]


def paths_of(model: str) -> str:
    """Return the module that tunes a model in its own way; empty if there is none."""
    parsed = _parse(f"digits.methods.{model}")
    return "digits.tuning.paths" if "digits.models.logistic" in parsed.modules else ""


def compute(name: str) -> dict[str, Any]:
    """Return a fingerprint: the hash of each module, and each library's version.

    Args:
        name: One of `names()`.

    Raises:
        InputError: If a module cannot be parsed.
    """
    stage, _, model = name.partition("/")
    roots = [f"stages.{stage}"]
    if stage in MODEL_STAGES:
        roots.append(f"digits.methods.{model}")
    if stage == "tune" and (paths := paths_of(model)):
        roots.append(paths)
    elif stage == "evaluate":  # imports it by the type of the model
        of_type = f"digits.robustness.{model}"
        roots.append(of_type if _path(of_type) else "digits.robustness.linear")
    elif stage == "report":  # loads the models, and shows their summaries
        roots += [f"digits.methods.{model}" for model in methods.NAMES]
    modules = sorted(_closure(roots))
    imported = {name for module in modules for name in _parse(module).packages}
    libraries = sorted(imported - NOT_COMPUTING - {*PACKAGES, *sys.stdlib_module_names})
    result: dict[str, Any] = {
        "libraries": {name: _version(name) for name in libraries},
        "modules": {module: _parse(module).digest for module in modules},
    }
    if stage == "report":
        shown = ((name, _parse(f"digits.methods.{name}")) for name in methods.NAMES)
        result["summaries"] = {name: module.summary for name, module in shown}
    return result


def everything() -> dict[str, str]:
    """Return a hash of all code, as `digits`, and the version of Python and each library.

    Raises:
        InputError: If a module cannot be parsed.
    """
    files = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    modules = [_parse(".".join(p[:-1] if p[-1] == "__init__" else p)) for p in parts]
    hashes = repr(sorted(module.digest for module in modules)).encode()
    imported = {name for module in modules for name in module.packages}
    libraries = sorted(imported - NOT_COMPUTING - {*PACKAGES, *sys.stdlib_module_names})
    return {
        "digits": hashlib.sha256(hashes).hexdigest()[:16],
        "Python": ".".join(map(str, sys.version_info[:2])),
        **{name: _version(name) or "none" for name in libraries},
    }


def forget() -> None:
    """Forget what was parsed, so that files are read again."""
    for cached in (_parse, _version):
        cached.cache_clear()


def difference(name: str, path: Path, since: int = 0) -> str | None:
    """Return the first library or module that differs from the recorded one, or None.

    Args:
        name: One of `names()`.
        path: The file that `check` wrote.
        since: Modules not written after this time, in nanoseconds since the epoch, are not
            compared again.

    Raises:
        InputError: If it cannot be read.
    """
    forget()
    try:
        recorded = json.loads(regular.text(path))
        libraries, modules = recorded["libraries"], recorded["modules"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error!r})") from error
    for library, version in libraries.items():
        if _version(library) != version:
            return f"{library} {version} (now {_version(library)})"
    files = [_path(module) for module in modules]
    if since and all(file and file.stat().st_mtime_ns < since for file in files):
        return None  # parsing them all again would take longer than some stages
    now = compute(name)["modules"]
    return next((m for m in {**modules, **now} if modules.get(m) != now.get(m)), None)


@cache
def _version(library: str) -> str | None:
    """Return the installed version, None if there is none."""
    for name in DISTRIBUTIONS.get(library, (library,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


class _Module:
    """A parsed module.

    Attributes:
        packages: The packages that it imports, also of other projects.
        modules: The modules of this project that it imports, and its package.
        summary: The sentence about a model, if it defines one.
        is_empty: Whether it has no code.
        digest: A hash of its code.
    """

    def __init__(self, name: str, path: Path) -> None:
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (OSError, UnicodeError, SyntaxError) as error:
            raise InputError(f"{path}: cannot be parsed: {error}") from error
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        plain = _Plain(package)
        # The order of a module's own imports changes nothing; in a branch it may.
        described = [
            (isinstance(node, (ast.Import, ast.ImportFrom)), plain.describe(node))
            for node in plain.kept(tree.body)
        ]
        imports = sorted(repr(node) for is_import, node in described if is_import)
        body = tuple(node for is_import, node in described if not is_import)
        self.packages = {imported.partition(".")[0] for imported in plain.imports}
        around = name.rpartition(".")[0]  # is imported as well
        self.modules = [*filter(_path, {*plain.imports, around})]
        self.summary = plain.summary
        self.is_empty = not described
        text = repr((imports, body))
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    """Return a module's file if it belongs to the project."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    path = f"{ROOT}/{module.replace('.', '/')}"
    found = filter(os.path.isfile, (f"{path}.py", f"{path}/__init__.py"))
    return next(map(Path, found), None)


@cache
def _parse(module: str) -> _Module:
    path = _path(module)
    if path is None:
        raise InputError(f"there is no module {module}")
    return _Module(module, path)


def _closure(roots: Iterable[str]) -> Iterator[str]:
    """Yield the modules that are imported, directly or not, and can change a result."""
    seen, waiting = set[str](), list(roots)
    while waiting:
        module = waiting.pop()
        if module in seen or module in NO_RESULT:
            continue
        seen.add(module)
        waiting += _parse(module).modules
        if not _parse(module).is_empty:
            yield module


class _Plain:
    """Describes a syntax tree as tuples, without what cannot change a result.

    The tuples are the same in every version of Python: later versions add fields that are
    empty here, so empty ones are left out.

    Attributes:
        imports: Names of modules, or of objects in them.
        summary: The sentence about a model, which only the page shows.
    """

    def __init__(self, package: str) -> None:
        """Prepare for a module in that package, or for the package itself."""
        self.package = package
        self.imports: set[str] = set()
        self.summary: str | None = None
        self._before: dict[type, Callable[[Any], None]] = {
            ast.AnnAssign: self._annotated_assignment,
            ast.Call: self._call,
            ast.ClassDef: self._class,
            ast.FunctionDef: self._function,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Raise: self._raise,
            ast.arg: self._argument,
        }

    def describe(self, node: Any) -> Any:
        """Return the description of a node; what else is in a tree describes itself."""
        kind = type(node)
        if kind is ast.Constant:
            return ("Constant", repr(node.value))
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.Subscript) and (only := _without_limits(node)):
            return self.describe(only)
        if kind in self._before:
            self._before[kind](node)
        found: list[Any] = [kind.__name__]
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or name in ("ctx", "type_comment"):
                continue
            if isinstance(value, list):
                value = tuple(map(self.describe, self.kept(value)))
                if not value:
                    continue
            found.append((name, self.describe(value)))
        return tuple(found)

    def kept(self, nodes: list[Any]) -> Iterator[Any]:
        """Yield the nodes that can change a result."""
        for node in nodes:
            match node:
                case ast.Expr(ast.Constant(str())):  # a docstring
                    pass
                case ast.Expr(ast.Call(ast.Attribute(ast.Name("log"), name))) if (
                    name in LOGGED
                ):
                    pass
                case ast.If(ast.Name("TYPE_CHECKING")):
                    yield from self.kept(node.orelse)
                case _:
                    yield node

    def _import(self, node: ast.Import) -> None:
        self.imports |= {alias.name for alias in node.names}

    def _import_from(self, node: ast.ImportFrom) -> None:
        up = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
        module = ".".join([*(up if node.level else ()), *filter(None, [node.module])])
        self.imports |= {module} | {f"{module}.{alias.name}" for alias in node.names}

    def _raise(self, node: ast.Raise) -> None:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func  # without its message
        node.cause = None

    def _call(self, node: ast.Call) -> None:
        match node:
            case ast.Call(ast.Name(name)) if name in ERRORS:
                node.args, node.keywords = [], []  # without its message
            case ast.Call(ast.Name("Field")):
                node.keywords = [k for k in node.keywords if k.arg not in LIMITS]
            case ast.Call(
                ast.Name("import_module") | ast.Attribute(attr="import_module"),
                [ast.Constant(str(name))],
            ):
                self.imports.add(name)

    def _annotated_assignment(self, node: ast.AnnAssign) -> None:
        if _says_nothing(node.value):
            node.value = None  # the first limit of a parameter is one

    def _class(self, node: ast.ClassDef) -> None:
        for child in [*node.body]:
            match child:
                case ast.Assign([ast.Name("summary")], ast.Constant(str(text))):
                    self.summary = text
                    node.body.remove(child)
                case ast.Assign([ast.Name("has_probabilities")]) | ast.AnnAssign(
                    ast.Name("has_probabilities")
                ):
                    node.body.remove(child)

    def _function(self, node: ast.FunctionDef) -> None:
        node.returns = None

    def _argument(self, node: ast.arg) -> None:
        node.annotation = None


def _without_limits(node: ast.Subscript) -> ast.expr | None:
    """Remove limits from `Annotated[kind, …]`; return `kind` if nothing else is left."""
    match node:
        case ast.Subscript(ast.Name("Annotated"), ast.Tuple([kind, *rest]) as parts):
            parts.elts = [kind, *(part for part in rest if not _says_nothing(part))]
            return None if parts.elts[1:] else kind
    return None


def _says_nothing(node: ast.AST | None) -> bool:
    """Return whether this is a `Field()` that has only limits."""
    match node:
        case ast.Call(ast.Name("Field"), [], keywords):
            return all(keyword.arg in LIMITS for keyword in keywords)
    return False
