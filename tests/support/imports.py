"""Who imports whom in the package's Python: what holds its rooms to their order.

The sources are read, not imported, and an import inside a function counts like any other: it says
who knows whom, not when.  ``from . import x`` names the module x; of the package itself only if
there is no such module.
"""

import ast
from importlib.util import resolve_name

ORDER = (
    ("_core", "_stdlib", "_constructors", "_places", "_names", "bench"),
    ("_fallback",),
    ("_backend",),
    ("copyreg", "pickle", "copy"),
    ("_compiler", "_holders", "_register", "_safe"),
    ("_elsewhere",),
    ("compiler", "registration", "install", "reducers"),
    ("_clusters",),
    ("safe", "clusters", "_diagnosis"),
    ("diagnosis",),
    ("__init__",),
    ("_bench", "_demo", "_run", "_kombu", "testing"),
    ("__main__",),
)
"""From the ground up.  The modules of a line know nothing of one another."""

LEVELS = {room: level for level, rooms in enumerate(ORDER) for room in rooms}


def module_name(path):
    """Return the dotted name of a file of the package: fastcopyreg._safe for its __init__.py."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


class Imports:
    """The modules of the package in a folder, and which of its modules each of them imports."""

    def __init__(self, folder):
        found = [(path.relative_to(folder.parent), path) for path in folder.rglob("*.py")]
        paths = {module_name(name): path for name, path in found}
        self.names = {*paths, f"{folder.name}._core"}  # The one that is not of Python.
        self.of = {
            name: set(self._imported(ast.parse(path.read_text("utf-8")), package(name, path)))
            for name, path in paths.items()
        }

    def _imported(self, tree, package):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from self.names.intersection(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = resolve_name("." * node.level + (node.module or ""), package)
                for alias in node.names if base in self.names else ():
                    module = f"{base}.{alias.name}"
                    yield module if module in self.names else base


def package(name, path):
    """Return the package in which a module's relative imports begin."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def room_of(name):
    """Return the room that a module is, or is in: its name below that of the package."""
    return (name.split(".") + ["__init__"])[1]


def is_upward(importer, imported):
    """Whether an import goes up, or across, or into no room at all."""
    a, b = room_of(importer), room_of(imported)
    return not {a, b} <= LEVELS.keys() or (a != b and LEVELS[a] <= LEVELS[b])


def upward(imports):
    """Return what goes against the order of the rooms, worded for people."""
    return sorted(
        f"{name} imports {imported}"
        for name, found in imports.of.items()
        for imported in found
        if is_upward(name, imported)
    )
