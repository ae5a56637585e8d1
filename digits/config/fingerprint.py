"""Which code and which libraries a stage computes with, so that DVC can depend on them.

DVC does not follow imports (https://github.com/treeverse/dvc/issues/1577). So the
stage `check` writes a small JSON file for each stage, and for each model of `train` and
`evaluate`: the modules that the stage imports, directly or not, each with a hash of its
syntax tree, and the versions of the libraries. The stages in dvc.yaml depend on these.

What cannot change a result is not in the hash: docstrings, comments, formatting, type
hints of functions, the order of a module's imports, what is logged, the messages of errors,
and the limits of parameters. Nor are the modules in `NO_RESULT`: they read and check
parameters, whose values DVC tracks by itself. An import by a name that is computed is not
followed.
"""

import ast
import builtins
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from digits import methods
from digits.data import regular
from digits.errors import InputError

FOLDER = Path("fingerprints")
STAGES = ("download", "filter", "report")
MODEL_STAGES = ("train", "evaluate")  # one fingerprint for each model

ROOT = Path(__file__).parents[2]
PACKAGES = ("digits", "stages")
NO_RESULT = (
    "stages",  # the package: what is done before a stage begins
    "digits.data.regular",
    *(f"digits.{name}" for name in ("errors", "memory", "process", "start")),
    *(f"digits.config.{name}" for name in ("cli", "fingerprint", "guard", "params")),
)
# What says no more of a parameter than which values it may have.
LIMITS = {"description", "title", "ge", "gt", "le", "lt", "min_length", "max_length"}
ERRORS = {"InputError", *(name for name in dir(builtins) if name.endswith("Error"))}
LOGGED = {"debug", "info", "warning", "error", "exception"}

# Libraries that fetch, show or check, and change no result.
NOT_COMPUTING = {
    *("dvc", "pathspec", "pooch", "pydantic", "pydantic_core", "ruamel", "threadpoolctl"),
    *("tqdm", "voluptuous"),
}
# Where a library is not called as its module is.
DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),  # whichever build there is
    "yaml": ("pyyaml",),
}


def name_of(path: Path) -> str:
    """Return the name of the fingerprint that a file has, such as `train/lenet5`."""
    parts = path.with_suffix("").parts
    return "/".join(parts[parts.index(FOLDER.name) + 1 :])


def names() -> list[str]:
    """Return the names of all fingerprints, such as `filter` and `train/lenet5`."""
    of_models = (f"{stage}/{name}" for stage in MODEL_STAGES for name in methods.NAMES)
    return [*STAGES, *of_models]


def compute(name: str) -> dict[str, Any]:
    """Return a fingerprint: the hash of each module, and each library's version.

    name: of `names`

    Raises `InputError` if a module cannot be parsed.
    """
    stage, _, model = name.partition("/")
    roots = [f"stages.{stage}"]
    if stage in MODEL_STAGES:
        roots.append(f"digits.methods.{model}")
    elif stage == "report":  # loads the models, and shows their summaries
        roots += [f"digits.methods.{model}" for model in methods.NAMES]
    modules = sorted(_closure(roots))
    imported = {name.partition(".")[0] for m in modules for name in _parse(m).imports}
    libraries = sorted(imported - NOT_COMPUTING - {*PACKAGES, *sys.stdlib_module_names})
    result: dict[str, Any] = {
        "libraries": {name: _version(name) for name in libraries},
        "modules": {module: _parse(module).digest for module in modules},
    }
    if stage == "report":
        shown = ((name, _parse(f"digits.methods.{name}")) for name in methods.NAMES)
        result["summaries"] = {name: module.summary for name, module in shown}
    return result


def difference(name: str, path: Path, since: int = 0) -> str | None:
    """Return the library or module here that is not the recorded one, None if all are.

    path: of the file that `check` wrote
    since: modules not written after this time, in nanoseconds, are as they were then, when
        they were compared before

    Raises `InputError` if it cannot be read.
    """
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
        return None  # to parse them all again would take longer than some stages
    _parse.cache_clear()
    now = compute(name)["modules"]
    return next((m for m in {**modules, **now} if modules.get(m) != now.get(m)), None)


def _version(library: str) -> str | None:
    """Return the version that is installed, None if none is."""
    for name in DISTRIBUTIONS.get(library, (library,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


class _Module:
    """A parsed module: what it imports, its summary, and a hash of what it computes."""

    def __init__(self, name: str, path: Path) -> None:
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (OSError, UnicodeError, SyntaxError) as error:
            raise InputError(f"{path}: cannot be parsed: {error}") from error
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        plain = _Plain(package)
        body = plain.visit(tree).body
        self.imports, self.summary = plain.imports, plain.summary
        # The order of a module's own imports changes nothing; in a branch it may.
        imports = [n for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
        body = [node for node in body if node not in imports]
        self.is_empty = not body and not imports
        text = repr((sorted(map(repr, map(_dump, imports))), _dump(body)))
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.name = name


def _path(module: str) -> Path | None:
    """Return a module's file if it is one of the project's."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next(filter(Path.is_file, candidates), None)


@cache
def _parse(module: str) -> _Module:
    path = _path(module)
    if path is None:
        raise InputError(f"there is no module {module}")
    return _Module(module, path)


def _closure(roots: Iterable[str]) -> Iterator[str]:
    """Yield the modules that compute and that are imported, directly or not."""
    seen, waiting = set[str](), list(roots)
    while waiting:
        module = waiting.pop()
        if module in seen or module in NO_RESULT or _path(module) is None:
            continue
        seen.add(module)
        waiting += _parse(module).imports
        waiting += module.rpartition(".")[:1]  # its package is imported, too
        if not _parse(module).is_empty:
            yield module


class _Plain(ast.NodeTransformer):
    """Takes out of a syntax tree what cannot change a result.

    imports: names of modules, or of what is in them
    summary: the sentence on a model, which only the page shows
    """

    def __init__(self, package: str) -> None:
        """Of a module that is in that package, or is it."""
        self.package = package
        self.imports: set[str] = set()
        self.summary: str | None = None

    def visit_Import(self, node: ast.Import) -> ast.AST:
        self.imports |= {alias.name for alias in node.names}
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        up = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
        module = ".".join([*(up if node.level else ()), *filter(None, [node.module])])
        self.imports |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        match node.value:
            case ast.Constant(value=str()):  # a docstring
                return None
            case ast.Call(func=ast.Attribute(ast.Name("log"), attr)) if attr in LOGGED:
                return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func  # without its message
        node.cause = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
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
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Subscript(ast.Name("Annotated"), ast.Tuple([kind, *rest]) as parts):
                parts.elts = [kind, *(part for part in rest if not _says_nothing(part))]
                return node if parts.elts[1:] else kind
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if _says_nothing(node.value):
            node.value = None  # the first limit of a parameter is one
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for child in node.body:
            match child:
                case ast.Assign([ast.Name("summary")], ast.Constant(str(text))):
                    self.summary = text
                    node.body.remove(child)
                    break
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(child) for child in node.orelse]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


def _says_nothing(node: ast.AST | None) -> bool:
    """Return whether this is a `Field()` of which nothing but limits was said."""
    match node:
        case ast.Call(ast.Name("Field"), [], []):
            return True
    return False


def _dump(node: Any) -> Any:
    """Return a syntax tree as tuples, the same in every version of Python.

    Later versions add fields that are empty here, so empty ones are left out.
    """
    if isinstance(node, list):
        return tuple(_dump(child) for child in node)
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Constant):
        return ("Constant", repr(node.value))
    fields = (
        (field, _dump(value))
        for field, value in ast.iter_fields(node)
        if field not in ("ctx", "type_comment") and value is not None and value != []
    )
    return (type(node).__name__, *fields)
