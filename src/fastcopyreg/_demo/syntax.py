"""The demo's data: the running interpreter's own standard library as objects of ordinary classes.

`read_standard_library()` parses the sources with `ast` and keeps of each file what an indexer or a
documentation tool would keep: modules, classes, functions, arguments and docstrings. The classes
and their reducers are written as a user would write them, and nothing here knows that they are
measured; the reducers are registered when this module is imported, also in the workers of a pool.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import copyreg

OBJECTS_WANTED = 30_000

_FOLDERS_LEFT_OUT = frozenset(
    {
        "__pycache__",
        "_bundled",
        "dist-packages",
        "idlelib",
        "lib2to3",
        "site-packages",
        "test",
        "tests",
    }
)


class Docstring:
    """The first line of a docstring, and how many lines there are."""

    __slots__ = ("lines", "summary")

    def __init__(self, summary: str, lines: int) -> None:
        self.summary = summary
        self.lines = lines


class Argument:
    """One parameter of a function; annotation and default as source text, or None."""

    __slots__ = ("annotation", "default", "kind", "name")

    def __init__(self, name: str, kind: str, annotation: str | None, default: str | None) -> None:
        self.name = name
        self.kind = kind
        self.annotation = annotation
        self.default = default


class Function:
    """A function or method. Functions nested in it are left out."""

    def __init__(
        self,
        name: str,
        line: int,
        arguments: list[Argument],
        decorators: tuple[str, ...],
        docstring: Docstring | None,
    ) -> None:
        self.name = name
        self.line = line
        self.arguments = arguments
        self.decorators = decorators
        self.docstring = docstring


class Class:
    """A class; its bases, members and docstring are state, set after it is constructed."""

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.bases: tuple[str, ...] = ()
        self.members: list[Function | Class] = []
        self.docstring: Docstring | None = None


class Module:
    """One source file."""

    def __init__(
        self,
        name: str,
        docstring: Docstring | None,
        functions: list[Function],
        classes: list[Class],
    ) -> None:
        self.name = name
        self.docstring = docstring
        self.functions = functions
        self.classes = classes


def reduce_docstring(d):
    return Docstring, (d.summary, d.lines)


def reduce_argument(a):
    return Argument, (a.name, a.kind, a.annotation, a.default)


def reduce_function(f):
    return Function, (f.name, f.line, f.arguments, f.decorators, f.docstring)


def reduce_class(c):
    state = {"bases": c.bases, "members": c.members, "docstring": c.docstring}
    return Class, (c.name, c.line), state


def reduce_module(m):
    return Module, (m.name, m.docstring, m.functions, m.classes)


copyreg.pickle(Docstring, reduce_docstring)
copyreg.pickle(Argument, reduce_argument)
copyreg.pickle(Function, reduce_function)
copyreg.pickle(Class, reduce_class)
copyreg.pickle(Module, reduce_module)

TYPES: tuple[type, ...] = (Module, Class, Function, Argument, Docstring)

_FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef)


class SourcesMissing(Exception):
    """The standard library of this interpreter is installed without its .py files."""


class Library:
    """What was read: modules, the number of objects of each type, and files that do not parse."""

    def __init__(self) -> None:
        self.modules: list[Module] = []
        self.counts: dict[str, int] = {cls.__name__: 0 for cls in TYPES}
        self.unparsed: list[str] = []

    @property
    def objects(self) -> int:
        return sum(self.counts.values())

    def read(self, path: Path, name: str) -> None:
        """Adds the module in the file, or notes that the file does not parse."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(path.read_bytes(), str(path))
        except (SyntaxError, ValueError):
            self.unparsed.append(name)
            return
        self.modules.append(self._module(tree, name))

    def _module(self, tree: ast.Module, name: str) -> Module:
        functions = [self._function(n) for n in tree.body if isinstance(n, _FUNCTION_NODES)]
        classes = [self._class(n) for n in tree.body if isinstance(n, ast.ClassDef)]
        self.counts["Module"] += 1
        return Module(name, self._docstring(tree), functions, classes)

    def _class(self, node: ast.ClassDef) -> Class:
        self.counts["Class"] += 1
        made = Class(node.name, node.lineno)
        made.bases = tuple(_source(base) for base in node.bases)
        made.docstring = self._docstring(node)
        for child in node.body:
            if isinstance(child, _FUNCTION_NODES):
                made.members.append(self._function(child))
            elif isinstance(child, ast.ClassDef):
                made.members.append(self._class(child))
        return made

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
        self.counts["Function"] += 1
        decorators = tuple(_source(decorator) for decorator in node.decorator_list)
        arguments = [Argument(*parts) for parts in _arguments(node.args)]
        self.counts["Argument"] += len(arguments)
        return Function(node.name, node.lineno, arguments, decorators, self._docstring(node))

    def _docstring(self, node: ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef | ast.Module):
        text = ast.get_docstring(node, clean=False)
        if text is None:
            return None
        self.counts["Docstring"] += 1
        return Docstring(text.strip().partition("\n")[0], text.count("\n") + 1)


def _source(node: ast.expr) -> str:
    """The source text of an expression; the common kinds without a call of the slow `unparse`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant):
        return repr(node.value)
    return ast.unparse(node)


def _optional_source(node: ast.expr | None) -> str | None:
    return None if node is None else _source(node)


def _arguments(spec: ast.arguments) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Name, kind, annotation and default of each parameter, in the order of the signature."""
    positional = [(arg, "positional-only") for arg in spec.posonlyargs]
    positional += [(arg, "positional") for arg in spec.args]
    without_default = len(positional) - len(spec.defaults)
    defaults = [None] * without_default + spec.defaults
    for (arg, kind), default in zip(positional, defaults, strict=True):
        yield arg.arg, kind, _optional_source(arg.annotation), _optional_source(default)
    if spec.vararg:
        yield spec.vararg.arg, "variable", _optional_source(spec.vararg.annotation), None
    for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        yield arg.arg, "keyword-only", _optional_source(arg.annotation), _optional_source(default)
    if spec.kwarg:
        yield spec.kwarg.arg, "keywords", _optional_source(spec.kwarg.annotation), None


def source_files(folder: Path) -> Iterator[Path]:
    """The .py files below a folder, sorted, less tests and what is not the standard library's."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _FOLDERS_LEFT_OUT and not path.is_symlink():
                yield from source_files(path)
        elif path.suffix == ".py":
            yield path


def _module_name(path: Path, folder: Path) -> str:
    name = ".".join(path.relative_to(folder).with_suffix("").parts)
    return name.removesuffix(".__init__")


def read_standard_library(
    wanted: int = OBJECTS_WANTED,
    progress: Callable[[int], None] = lambda objects: None,
    folder: Path | None = None,
) -> Library:
    """Reads files until about `wanted` objects are made, or all there are.

    `progress` is called with the number of objects so far, after each file. Raises SourcesMissing
    where the interpreter's library has no sources.
    """
    folder = folder or Path(sysconfig.get_path("stdlib"))
    library = Library()
    if folder.is_dir():
        for path in source_files(folder):
            library.read(path, _module_name(path, folder))
            progress(library.objects)
            if library.objects >= wanted:
                break
    if not library.modules:
        raise SourcesMissing(
            f"{folder} holds no .py files: this interpreter came without the sources of its "
            "standard library, which the demo reads"
        )
    return library
